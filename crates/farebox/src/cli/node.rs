//! `farebox node`: the embedded Lightning node in its operator's hands.
//!
//! Funds it, opens and closes channels, and keeps it up. One process has a node at a time: while a
//! gate or a fetch runs it, these commands say so and stop. Nothing here pays an invoice.

mod close;
mod open;
mod run;
mod show;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use farebox_wire::caip::ChainId;
use farebox_wire::money::parse_decimal;

use super::Globals;
use crate::assemble::{self, OwnNode};
use crate::failure::Failure;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  farebox node info --config farebox.toml
  farebox node address
  farebox node open 02eec7…@203.0.113.7:9735 200000sat
  farebox node channels
  farebox node close CHANNEL

The node is that of kind = \"embedded\" in the configuration, which needs a build with the feature
`embedded-node`. It runs in one process at a time: stop the gate before these commands.";

/// How often what is waited for is looked at, where no event tells of it.
const LOOK: Duration = Duration::from_secs(1);

/// Fund the embedded Lightning node, and open and close its channels
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Node {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Info(show::Info),
    Address(show::Address),
    Channels(show::Channels),
    Open(open::Open),
    Close(close::Close),
    Run(run::Run),
}

/// Which node.
#[derive(Args)]
struct Which {
    /// Its network, for instance lightning:regtest, where several have an embedded node
    #[arg(long, value_name = "NETWORK")]
    network: Option<ChainId>,
}

/// A sum of satoshis as a person writes it: `200000sat` or `200000 sat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sats(u64);

impl FromStr for Sats {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_suffix("sat").map(|number| number.trim_end());
        let sats = number.and_then(|number| parse_decimal(number, 0).ok());
        let sats = sats.and_then(|sats| u64::try_from(sats).ok());
        sats.map(Self)
            .ok_or_else(|| format!("{text:?} is no sum of satoshis; write it like \"200000sat\""))
    }
}

impl Node {
    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        match self.command {
            Command::Info(info) => info.run(globals).await,
            Command::Address(address) => address.run(globals).await,
            Command::Channels(channels) => channels.run(globals).await,
            Command::Open(open) => open.run(globals).await,
            Command::Close(close) => close.run(globals).await,
            Command::Run(run) => run.run(globals).await,
        }
    }
}

impl Which {
    fn node(&self, globals: &Globals) -> Result<Arc<dyn OwnNode>, Failure> {
        let (config, data_dir) = (globals.config()?, globals.data_dir()?);
        assemble::Lightning::of(&config, &data_dir).own_node(self.network.as_ref())
    }
}

/// Starts the node and waits until it has caught up; what it could not is said and is no reason to stop.
async fn look_around(node: &dyn OwnNode, globals: &Globals) -> Result<(), Failure> {
    if let Some(why) = node.look_around().await?
        && !globals.quiet
    {
        output::say(&format!("farebox: {why}"));
    }
    Ok(())
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
