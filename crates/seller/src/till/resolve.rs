//! What to do with payments that nobody serves now: lists them, asks the rails about them, and writes
//! down what is said.
//!
//! Called at start (`recover.rs`) and by the watch (`watch.rs`). Payments whose request is being
//! served in this process are left alone, and nothing is decided without the rail.

use std::future::Future;

use farebox_core::ledger::{Applied, Attach, Filter, LedgerError, Payment, PaymentId, Stage};
use farebox_core::payment::{Event, Phase};
use farebox_core::rail::{Asked, CollectRail, Finding, Handle, Proof};
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use super::Till;
use super::settle::{Attempt, Settlement, receipt};
use crate::body::BodyDigest;

/// How long the watch waits for one settlement: no buyer waits, and the next look is soon.
const SETTLE_AGAIN_WAIT_MS: u64 = 2_000;
/// Findings that are written at the same time: the ledger commits them together.
pub(super) const WRITES_PARALLEL: usize = 256;

/// Seconds after its expiry at which a credential is over for sure: a block's clock may be behind
/// ours, and a transaction in it is told of some seconds later.
const OVER_S: u64 = 60;

/// Payments that are looked at together.
pub(super) struct Page {
    pub(super) payments: Vec<Payment>,
    /// Behind which one the next page begins; `None` where there is none.
    pub(super) next: Option<PaymentId>,
}

/// What to do with a payment that has not moved the money and still may.
#[derive(Clone, Copy)]
pub(super) enum IfOpen<'a> {
    Leave,
    /// Unless the watch is about to end.
    SettleAgain(&'a CancellationToken),
}

/// Runs so many at a time. The futures are collected first: a stream that maps borrowed payments
/// could not be spawned.
pub(super) fn at_once<F: Future>(
    parallel: usize,
    asked: Vec<F>,
) -> impl futures_util::Stream<Item = F::Output> + Unpin {
    futures_util::stream::iter(asked).buffer_unordered(parallel)
}

/// The oldest payments at a stage, behind `after`, that nobody serves now.
pub(super) async fn listed(
    till: &Till,
    stage: Stage,
    limit: Option<usize>,
    after: Option<PaymentId>,
) -> Result<Page, LedgerError> {
    let filter = Filter {
        role: Some(till.role),
        stage,
        oldest_first: true,
        after,
        limit,
    };
    let mut payments = till.ledger.list(filter).await?;
    let is_full = limit.is_some_and(|limit| payments.len() >= limit);
    let last = payments.last().filter(|_| is_full);
    let next = last.map(|payment| payment.id.clone());
    // Only now, so that a request which ended meanwhile is seen in its last state or not at all:
    // every event of the watch is harmless to a payment that has gone on.
    payments.retain(|payment| !is_served(till, payment));
    Ok(Page { payments, next })
}

pub(super) fn is_served(till: &Till, payment: &Payment) -> bool {
    payment
        .identity
        .as_ref()
        .is_some_and(|identity| till.in_flight.contains(identity))
}

/// Acts on what the rail says of a payment that is not settled, and writes it down.
pub(super) async fn decide(
    till: &Till,
    payment: &Payment,
    finding: Finding,
    if_open: IfOpen<'_>,
) -> Result<Phase, LedgerError> {
    match finding {
        Finding::Settled {
            transaction,
            is_final,
        } => {
            let event = Event::Settled {
                transaction,
                is_final,
            };
            apply(till, payment, event).await
        }
        Finding::NeverWill => apply(till, payment, Event::Expired).await,
        Finding::Open => match (if_open, on_rail(till, payment)) {
            (IfOpen::SettleAgain(stop), Some((rail, handle)))
                if is_valid(till, payment) && !stop.is_cancelled() =>
            {
                settle_again(till, rail, payment, handle).await
            }
            _ => Ok(payment.state.phase),
        },
        // Law 3: without a way to ask, what was held counts as spent when it can no longer move.
        Finding::CannotTell { why } if is_over(till, payment) => {
            tracing::error!(payment = %payment.id, why, "nobody can tell whether an expired payment was made");
            apply(till, payment, Event::ExpiredUnasked).await
        }
        Finding::Unanswered { why } | Finding::CannotTell { why } => {
            tracing::warn!(payment = %payment.id, why, "the rail cannot tell yet");
            Ok(payment.state.phase)
        }
    }
}

async fn settle_again(
    till: &Till,
    rail: &dyn CollectRail,
    payment: &Payment,
    handle: &Handle,
) -> Result<Phase, LedgerError> {
    let attempt = Attempt {
        rail,
        payment,
        handle,
        request_body: &BodyDigest::default(),
        delivers: None,
        wait_ms: till.settle_wait_ms.min(SETTLE_AGAIN_WAIT_MS),
    };
    // What it says is on record as well, and nobody waits for it here.
    let settlement = till.settle(attempt).await;
    let is_settled = matches!(settlement, Settlement::Settled { .. });
    tracing::info!(payment = %payment.id, is_settled, "sent a settlement again");
    let now = till.ledger.payment(&payment.id).await?;
    Ok(now.map_or(payment.state.phase, |payment| payment.state.phase))
}

/// What the rails say about payments, those of one transaction together.
pub(super) async fn findings<'a>(
    till: &Till,
    payments: impl Iterator<Item = &'a Payment>,
) -> Vec<(&'a Payment, Finding)> {
    let payments: Vec<&Payment> = payments.collect();
    let mut found = Vec::with_capacity(payments.len());
    for rail in &till.rails {
        let of_rail: Vec<_> = payments
            .iter()
            .copied()
            .filter(|payment| payment.terms.rail == rail.rail())
            .filter_map(|payment| Some((payment, payment.handle.as_ref()?)))
            .collect();
        let asked: Vec<Asked<'_>> = of_rail
            .iter()
            .map(|(payment, handle)| Asked {
                handle,
                transaction: on_record(payment),
                is_counted: payment.state.phase == Phase::Settled,
            })
            .collect();
        let payments = of_rail.iter().map(|(payment, _)| *payment);
        found.extend(payments.zip(rail.check_all(&asked).await));
    }
    found
}

/// The transaction that has settled the payment, or the last one that was sent for it.
fn on_record(payment: &Payment) -> Option<&str> {
    let settled = payment.state.transaction.as_deref();
    settled.or_else(|| payment.hashes().next_back().map(String::as_str))
}

fn on_rail<'a>(till: &'a Till, payment: &'a Payment) -> Option<(&'a dyn CollectRail, &'a Handle)> {
    let rail = till.rail(&payment.terms.rail)?;
    Some((rail.as_ref(), payment.handle.as_ref()?))
}

pub(super) fn is_valid(till: &Till, payment: &Payment) -> bool {
    payment
        .valid_before_s
        .is_some_and(|valid_before_s| till.clock.now_s() < valid_before_s)
}

/// Whether the credential has been dead for so long that no block can still carry it out.
fn is_over(till: &Till, payment: &Payment) -> bool {
    payment
        .valid_before_s
        .is_some_and(|valid_before_s| till.clock.now_s() >= valid_before_s.saturating_add(OVER_S))
}

pub(super) fn abandoned() -> Event {
    Event::Abandoned {
        reason: "interrupted".to_owned(),
    }
}

/// Applies an event; a payment that has gone on meanwhile is left as it is.
pub(super) async fn apply(
    till: &Till,
    payment: &Payment,
    event: Event,
) -> Result<Phase, LedgerError> {
    let attach = match &event {
        Event::Settled { transaction, .. } => Attach {
            receipt: Some(receipt(&payment.terms, transaction, Proof::Chain)),
            ..Attach::default()
        },
        _ => Attach::default(),
    };
    let now_ms = till.clock.now_ms();
    let before = &payment.state;
    match till.ledger.apply(&payment.id, event, attach, now_ms).await {
        Ok(Applied { payment, effects }) => {
            till.counts.moved(before, &payment);
            tracing::info!(payment = %payment.id, phase = ?payment.state.phase, ?effects, "resolved");
            till.ended(&payment.terms);
            Ok(payment.state.phase)
        }
        Err(LedgerError::Illegal(error)) => {
            tracing::debug!(payment = %payment.id, %error, "gone on meanwhile");
            Ok(payment.state.phase)
        }
        Err(error) => Err(error),
    }
}
