//! `farebox node open`: a channel to another node, waited for until it can be used.
//!
//! Once its transaction is out it comes about by itself: whoever breaks off loses nothing, and the
//! same command goes on with the same channel. It opens no second one of that size to that node
//! unless it is told to.

use std::time::Duration;

use clap::Args;
use farebox_core::fault::{Blame, Fault, Kind};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::show::{ChannelView, words};
use super::{LOOK, Sats, Which};
use crate::assemble::{Change, ChannelFacts, ChannelState, OwnNode, Wanted};
use crate::cli::{Globals, signal};
use crate::failure::{EXIT_FAILED, Failure};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  farebox node open 02eec7…@203.0.113.7:9735 200000sat
  farebox node open 02eec7…@127.0.0.1:9735 200000sat --push 50000sat

It waits until the channel is usable: on a real network for some blocks, an hour or so. Ctrl-C loses
nothing; the same command goes on waiting for the same channel.";

/// How long a channel that is gone may take to tell why.
const REASON: Duration = Duration::from_secs(5);

/// Open a channel to another node, and wait until it can be used
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Open {
    /// The other node: its public key, and where it listens
    #[arg(value_name = "PUBKEY@HOST:PORT")]
    peer: String,
    /// What the channel shall hold, for instance "200000sat"
    #[arg(value_name = "AMOUNT")]
    amount: Sats,
    /// What of it is given to the other node
    #[arg(long, value_name = "AMOUNT")]
    push: Option<Sats>,
    /// Open another one although there is one of that size to that node
    #[arg(long)]
    another: bool,
    #[command(flatten)]
    which: Which,
}

/// What a look at the channel has shown.
enum Look {
    There(ChannelFacts),
    Gone(String),
}

impl Open {
    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let wanted = self.wanted()?;
        let node = self.which.node(globals)?;
        let stop = signal::stop()?;
        let opening = open(&*node, &wanted);
        tokio::pin!(stop, opening);
        let channel = tokio::select! {
            opened = &mut opening => opened?,
            () = &mut stop => return Err(broken_off(&*node, &wanted).await),
        };
        if globals.json {
            output::json(&ChannelView::of(&channel))?;
        } else {
            output::line(&channel.id)?;
        }
        Ok(0)
    }

    fn wanted(&self) -> Result<Wanted, Failure> {
        let refuse = |message: String| Failure::config("usage", message);
        let (peer, address) = self.peer.split_once('@').ok_or_else(|| {
            refuse(format!(
                "{:?} is no node; write its public key and where it listens, like \"02eec7…@203.0.113.7:9735\"",
                self.peer
            ))
        })?;
        let push = self.push.map_or(0, |push| push.0);
        if push > self.amount.0 {
            return Err(refuse(format!(
                "--push {push}sat is more than the channel holds; the most is {}sat",
                self.amount.0
            )));
        }
        Ok(Wanted {
            peer: peer.to_owned(),
            address: address.to_owned(),
            capacity_sats: self.amount.0,
            push_msat: push.saturating_mul(1_000),
            is_another: self.another,
        })
    }
}

/// Opens, and waits until it can be used.
async fn open(node: &dyn OwnNode, wanted: &Wanted) -> Result<ChannelFacts, Failure> {
    let mut changes = node.changes().await?;
    output::progress(&format!("connecting to {} …", wanted.address));
    let opened = node.open(wanted).await?;
    if opened.was_there {
        output::progress(
            "there is a channel of that size to that node; --another opens a second one",
        );
    }
    let mut told = String::new();
    loop {
        let channel = match look(node, &opened.id, &mut changes).await? {
            Look::There(channel) if channel.is_usable => return Ok(channel),
            Look::There(channel) => channel,
            Look::Gone(reason) => return Err(gone(&reason)),
        };
        let now = words(&channel);
        if now != told {
            output::progress(&format!("channel {}: {now} …", channel.id));
            told = now;
        }
        if let Some(reason) = next(&mut changes, &opened.id, LOOK).await {
            return Err(gone(&reason));
        }
    }
}

async fn look(
    node: &dyn OwnNode,
    id: &str,
    changes: &mut mpsc::Receiver<Change>,
) -> Result<Look, Failure> {
    let channels = node.channels().await?;
    if let Some(channel) = channels.into_iter().find(|channel| channel.id == id) {
        return Ok(Look::There(channel));
    }
    let deadline = Instant::now() + REASON;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if let Some(reason) = next(changes, id, left).await {
            return Ok(Look::Gone(reason));
        }
        if left.is_zero() {
            return Ok(Look::Gone(String::new()));
        }
    }
}

/// Waits for a change, so long at most: why the channel is gone, if that is what has changed.
async fn next(
    changes: &mut mpsc::Receiver<Change>,
    wanted: &str,
    within: Duration,
) -> Option<String> {
    match tokio::time::timeout(within, changes.recv()).await {
        Ok(Some(Change::Closed { id, reason })) if id == wanted => Some(reason),
        Ok(Some(_)) | Err(_) => None,
        Ok(None) => Some("the node has stopped".to_owned()),
    }
}

fn gone(reason: &str) -> Failure {
    let reason = match reason {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    failed(
        "channel_refused",
        format!(
            "the channel did not come about{reason}; nothing was spent. The other node may want a larger channel, or needs something on chain itself; its operator knows"
        ),
    )
}

/// What became of it is told to who breaks off.
async fn broken_off(node: &dyn OwnNode, wanted: &Wanted) -> Failure {
    let channels = node.channels().await.unwrap_or_default();
    let is_out = channels.iter().any(|channel| {
        let is_same = channel.peer == wanted.peer && channel.capacity_sats == wanted.capacity_sats;
        is_same && channel.is_ours && channel.state != ChannelState::Negotiating
    });
    match is_out {
        true => failed(
            "channel_pending",
            "broken off while the channel waits for its blocks, which it does by itself; the same command goes on waiting, and `farebox node channels` shows how far it is".to_owned(),
        ),
        false => failed(
            "channel_refused",
            "broken off before the channel was agreed on, so nothing was sent; the same command begins anew".to_owned(),
        ),
    }
}

fn failed(code: &'static str, message: String) -> Failure {
    Failure::new(
        EXIT_FAILED,
        Fault::harmless(code, Kind::Network, Blame::Rail, message),
    )
}

#[cfg(test)]
#[path = "open_tests.rs"]
mod tests;
