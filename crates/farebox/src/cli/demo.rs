//! `farebox demo`: the main job in one command.

use clap::Args;

use super::Globals;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  farebox demo
  farebox demo --all-rails
  farebox demo --json";

/// What a build without every local network says.
const NOT_ALL_RAILS: &str = "this build lacks a local network that --all-rails shows: build it with the feature `all-rails` \
     (cargo build --release --features all-rails)";

/// Sell and buy on a local chain, and check every step
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Demo {
    /// Sell and buy the same page over Solana and Lightning too; needs a build with the feature `all-rails`
    #[arg(long)]
    all_rails: bool,
}

impl Demo {
    #[cfg(feature = "devnet-evm")]
    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        if self.all_rails && cfg!(not(feature = "all-rails")) {
            return Err(Failure::config(
                "feature_missing",
                format!("{NOT_ALL_RAILS}; or leave --all-rails out"),
            ));
        }
        let held = crate::demo::run(globals.json, self.all_rails).await?;
        Ok(u8::from(!held))
    }

    #[cfg(not(feature = "devnet-evm"))]
    pub(super) async fn run(self, _globals: &Globals) -> Result<u8, Failure> {
        Err(Failure::config(
            "feature_missing",
            match self.all_rails {
                true => NOT_ALL_RAILS,
                false => {
                    "this build has no local chain to show anything on: it needs the feature `devnet-evm`"
                }
            },
        ))
    }
}
