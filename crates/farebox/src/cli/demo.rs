//! `farebox demo`: the main job in one command.

use clap::Args;

use super::Globals;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  farebox demo
  farebox demo --all-rails
  farebox demo --json";

/// Sell and buy on a local chain, and check every step
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Demo {
    /// Sell and buy the same page over Lightning too; needs a build with the feature `all-rails`
    #[arg(long)]
    all_rails: bool,
}

impl Demo {
    #[cfg(feature = "devnet-evm")]
    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        if self.all_rails && cfg!(not(feature = "devnet-ln")) {
            return Err(Failure::config(
                "feature_missing",
                "this build has no local Lightning network: it needs the feature `all-rails`; leave --all-rails out",
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
                true => {
                    "this build has no local networks to show anything on: it needs the feature `all-rails`"
                }
                false => {
                    "this build has no local chain to show anything on: it needs the feature `devnet-evm`"
                }
            },
        ))
    }
}
