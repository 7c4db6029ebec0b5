//! `farebox node run`: keeps the node up until Ctrl-C, so that others can open channels to it, and
//! closed ones come home.

use clap::Args;
use serde::Serialize;

use super::show::words;
use super::{LOOK, Which, look_around};
use crate::assemble::{Change, ChannelFacts, OwnNode};
use crate::cli::{Globals, signal};
use crate::failure::Failure;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  farebox node run --config seller.toml      # then, elsewhere: farebox node open PUBKEY@HOST:PORT …
  farebox node run --json

A gate with an embedded node keeps it up itself; this is for when no gate runs.";

/// Keep the node up until Ctrl-C, and tell what its channels do
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Run {
    #[command(flatten)]
    which: Which,
}

/// What `run --json` prints once it is ready.
#[derive(Serialize)]
struct Ready {
    network: String,
    pubkey: String,
    listening: Vec<String>,
}

impl Run {
    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let node = self.which.node(globals)?;
        let stop = signal::stop()?;
        tokio::pin!(stop);
        tokio::select! {
            started = look_around(&*node, globals) => started?,
            () = &mut stop => return Ok(0),
        }
        let info = node.info().await?;
        let listening: Vec<String> = info.listening.iter().map(ToString::to_string).collect();
        if globals.json {
            output::json(&Ready {
                network: node.network().to_string(),
                pubkey: info.pubkey,
                listening,
            })?;
        } else {
            output::line(&place(&info.pubkey, &listening))?;
        }
        tokio::select! {
            ended = tell(&*node, globals, info.channels) => ended?,
            () = &mut stop => {}
        }
        Ok(0)
    }
}

/// What others name to open a channel.
fn place(pubkey: &str, listening: &[String]) -> String {
    match listening.first() {
        Some(address) => format!("{pubkey}@{address}"),
        None => format!("{pubkey}, which listens nowhere"),
    }
}

/// Says what changes, for as long as it is polled.
async fn tell(
    node: &dyn OwnNode,
    globals: &Globals,
    mut known: Vec<ChannelFacts>,
) -> Result<(), Failure> {
    let mut changes = node.changes().await?;
    loop {
        let change = tokio::time::timeout(LOOK, changes.recv()).await;
        match change {
            Ok(None) => return Ok(()),
            Ok(Some(Change::Closed { id, reason })) => {
                say(globals, &format!("channel {id} is closed: {reason}"));
            }
            Ok(Some(Change::Channels)) | Err(_) => {}
        }
        let now = node.channels().await?;
        for channel in &now {
            let before = known.iter().find(|before| before.id == channel.id);
            if before.map(words) != Some(words(channel)) {
                let text = words(channel);
                say(globals, &format!("channel {}: {text}", channel.id));
            }
        }
        known = now;
    }
}

fn say(globals: &Globals, text: &str) {
    if !globals.quiet {
        output::say(&format!("farebox: {text}"));
    }
}
