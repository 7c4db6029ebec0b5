//! The invoices that lnd was paid for, in their order.
//!
//! lnd tells of everything after a place, except after none: then it tells of what is new. The very
//! first one is therefore looked for among all invoices, once in the life of a node.

use std::time::Duration;

use farebox_core::invoice::SettledInvoice;

use super::http::{Ask, NoAnswer};
use super::stream::Lines;
use super::{ANSWER_BYTES_MAX, ANSWER_TIMEOUT, LndNode, answers};
use crate::node::NodeError;

/// The place of the first invoice that a node was ever paid for.
const FIRST: u64 = 1;
/// Invoices of one page.
const PAGE: u64 = 200;
/// Bytes of one page: an invoice takes one or two thousand.
const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A first payment that came between looking and waiting is found this much later.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// lnd answers this question when there is something to tell.
const PATIENCE: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// Settled invoices that are told at once: more would only fill memory.
const AT_ONCE: usize = 1_000;

/// A stream that is kept from one call to the next.
pub(super) struct Following {
    after: u64,
    lines: Lines,
}

impl LndNode {
    /// Waits for what was paid after a place.
    pub(super) async fn settled_after(&self, after: u64) -> Result<Vec<SettledInvoice>, NodeError> {
        if after < FIRST {
            return self.first_settled().await;
        }
        self.followed_after(after).await
    }

    /// What a stream tells, which is kept for the next call.
    async fn followed_after(&self, after: u64) -> Result<Vec<SettledInvoice>, NodeError> {
        let mut following = self.following.lock().await;
        if following.as_ref().is_none_or(|kept| kept.after != after) {
            *following = None;
            let lines = self.subscribe(after).await.map_err(|why| self.told(why))?;
            *following = Some(Following { after, lines });
        }
        let Some(kept) = following.as_mut() else {
            return Err(self.unreadable("a stream that is gone"));
        };
        let told = next_settled(kept).await;
        if told.is_err() {
            *following = None;
        }
        told.map_err(|why| self.told(why))
    }

    async fn first_settled(&self) -> Result<Vec<SettledInvoice>, NodeError> {
        loop {
            match self.listed_first().await {
                Ok(Some(first)) => return Ok(vec![first]),
                Ok(None) => {}
                // Something that speaks a part of lnd's language: all but its first is told.
                Err(NoAnswer::Refused(refusal)) if refusal.is_no_such_path() => {
                    return self.followed_after(FIRST).await;
                }
                Err(why) => return Err(self.told(why)),
            }
            let woken = async {
                let lines = self.subscribe(0).await?;
                next_settled(&mut Following { after: 0, lines }).await
            };
            match tokio::time::timeout(LOOK_AGAIN, woken).await {
                Ok(Err(why)) => return Err(self.told(why)),
                // The first of all: there is nothing before it to look for.
                Ok(Ok(told)) if told.first().is_some_and(|paid| paid.index == FIRST) => {
                    return Ok(told);
                }
                Ok(Ok(_)) | Err(_) => {}
            }
        }
    }

    /// The first of all, if there is one.
    async fn listed_first(&self) -> Result<Option<SettledInvoice>, NoAnswer> {
        let mut offset = 0;
        loop {
            let path = format!("v1/invoices?index_offset={offset}&num_max_invoices={PAGE}");
            let ask = Ask::get(&path, ANSWER_TIMEOUT, PAGE_BYTES_MAX);
            let body = self.http.ask(&ask).await?;
            let (settled, next) = answers::page(&body).map_err(NoAnswer::MaybeSent)?;
            let first = settled.into_iter().find(|paid| paid.index == FIRST);
            match (first, next) {
                (Some(first), _) => return Ok(Some(first)),
                (None, Some(next)) if next > offset => offset = next,
                (None, Some(_)) => {
                    return Err(NoAnswer::MaybeSent("its invoices have no order".to_owned()));
                }
                (None, None) => return Ok(None),
            }
        }
    }

    async fn subscribe(&self, after: u64) -> Result<Lines, NoAnswer> {
        let path = format!("v1/invoices/subscribe?settle_index={after}");
        let ask = Ask::get(&path, PATIENCE, ANSWER_BYTES_MAX);
        self.http.open(&ask).await
    }
}

/// The next ones of a stream, and those that have come with them.
async fn next_settled(following: &mut Following) -> Result<Vec<SettledInvoice>, NoAnswer> {
    let mut told: Vec<SettledInvoice> = Vec::new();
    while told.is_empty() {
        let line = following.lines.next().await?;
        let line = line.ok_or_else(|| NoAnswer::MaybeSent("the stream ended".to_owned()))?;
        take(&line, &mut following.after, &mut told)?;
    }
    while told.len() < AT_ONCE {
        let Some(line) = following.lines.ready() else {
            break;
        };
        // What was told already is told; the damage comes up at the next call.
        if take(&line, &mut following.after, &mut told).is_err() {
            following.after = 0;
            break;
        }
    }
    Ok(told)
}

fn take(line: &[u8], after: &mut u64, told: &mut Vec<SettledInvoice>) -> Result<(), NoAnswer> {
    if let Some(paid) = answers::settled_line(line)?.filter(|paid| paid.index > *after) {
        *after = paid.index;
        told.push(paid);
    }
    Ok(())
}
