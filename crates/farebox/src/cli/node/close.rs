//! `farebox node close`: a channel is closed, together with its peer or alone. What is ours of it comes
//! back to the on-chain wallet.

use clap::Args;
use farebox_core::fault::{Blame, Fault, Kind};
use serde::Serialize;

use super::{LOOK, Which};
use crate::assemble::OwnNode;
use crate::cli::{Globals, signal};
use crate::failure::{EXIT_FAILED, Failure};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  farebox node close CHANNEL
  farebox node close CHANNEL --force      # the peer is away; takes days, and costs more

CHANNEL is its name in `farebox node channels`.";

/// Close a channel; what is ours of it comes back to the on-chain wallet
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Close {
    /// Its name, as `farebox node channels` shows it
    channel: String,
    /// Without its peer: what is ours is locked for days, and the fee is higher
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    which: Which,
}

/// What `close --json` prints.
#[derive(Serialize)]
struct Closed {
    closed: String,
    forced: bool,
    /// What comes back, in satoshis.
    closing_sat: String,
}

impl Close {
    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let node = self.which.node(globals)?;
        let stop = signal::stop()?;
        let closing = self.close(&*node);
        tokio::pin!(stop, closing);
        tokio::select! {
            closed = &mut closing => closed?,
            () = &mut stop => return Err(broken_off()),
        }
        let closing_sats = node.info().await?.closing_sats;
        if globals.json {
            output::json(&Closed {
                closed: self.channel.clone(),
                forced: self.force,
                closing_sat: closing_sats.to_string(),
            })?;
        } else {
            output::line(&format!(
                "Closed {}. {closing_sats} sat come back on chain.",
                self.channel
            ))?;
        }
        Ok(0)
    }

    /// Closes, and waits until both sides have agreed on how.
    async fn close(&self, node: &dyn OwnNode) -> Result<(), Failure> {
        // Both sides have to be there; alone it is closed without looking.
        if let (Some(why), false) = (node.look_around().await?, self.force) {
            tracing::info!(why, "closing a channel may fail");
        }
        let mut changes = node.changes().await?;
        node.close(&self.channel, self.force).await?;
        output::progress("the channel is being closed …");
        loop {
            let channels = node.channels().await?;
            if !channels.iter().any(|channel| channel.id == self.channel) {
                return Ok(());
            }
            // Whatever has changed, or nothing for a second: it is looked at again.
            let _ = tokio::time::timeout(LOOK, changes.recv()).await;
        }
    }
}

fn broken_off() -> Failure {
    Failure::new(
        EXIT_FAILED,
        Fault::harmless(
            "channel_pending",
            Kind::Network,
            Blame::Rail,
            "broken off while the channel was being closed; the same command goes on, and `farebox node channels` shows whether it is needed",
        ),
    )
}
