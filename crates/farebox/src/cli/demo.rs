//! `farebox demo`: the main job in one command.

use clap::Args;

use super::Globals;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  farebox demo
  farebox demo --json";

/// Sell and buy on a local chain, and check every step
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Demo {}

impl Demo {
    #[cfg(feature = "devnet-evm")]
    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let held = crate::demo::run(globals.json).await?;
        Ok(u8::from(!held))
    }

    #[cfg(not(feature = "devnet-evm"))]
    pub(super) async fn run(self, _globals: &Globals) -> Result<u8, Failure> {
        Err(Failure::config(
            "feature_missing",
            "this build has no local chain to show anything on: it needs the feature `devnet-evm`",
        ))
    }
}
