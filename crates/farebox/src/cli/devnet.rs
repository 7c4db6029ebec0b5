//! `farebox devnet`: local networks with funded accounts, until Ctrl-C.
//!
//! Prints one line when all is ready; `--write` leaves configuration files and keys for a seller
//! and a buyer. Its keys are published in every Ethereum tool: nothing here may guard real money.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Globals;
use crate::config::Timespan;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  farebox devnet --only evm
  farebox devnet --only evm --evm-port 0 --json
  farebox devnet --only evm --write net      # then: farebox gate --config net/seller.toml …";

/// Run local networks with funded accounts, until Ctrl-C
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Devnet {
    /// Networks to run, separated by commas; by default all in this build
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NETWORKS")]
    only: Vec<Network>,
    /// Port of the EVM chain's JSON-RPC on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8545)]
    evm_port: u16,
    /// Port of the Solana JSON-RPC on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8899)]
    solana_port: u16,
    /// Mine an EVM block each so often, for instance "2s", instead of one per transaction
    #[arg(long, value_name = "TIME")]
    block_time: Option<Timespan>,
    /// Gas that one EVM block may hold
    #[arg(long, value_name = "GAS")]
    gas_limit: Option<u64>,
    /// Leave seller.toml, buyer.toml and their key files in this directory
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

/// A kind of network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Network {
    Evm,
    Solana,
    Lightning,
}

impl Network {
    /// The cargo feature that brings it.
    const fn feature(self) -> &'static str {
        match self {
            Self::Evm => "devnet-evm",
            Self::Solana => "devnet-svm",
            Self::Lightning => "devnet-ln",
        }
    }

    const fn is_built(self) -> bool {
        matches!(self, Self::Evm) && cfg!(feature = "devnet-evm")
    }
}

impl Devnet {
    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let missing = self.only.iter().find(|network| !network.is_built());
        let evm_by_default = self.only.is_empty().then_some(&Network::Evm);
        if let Some(network) = missing.or(evm_by_default.filter(|network| !network.is_built())) {
            return Err(not_built(*network));
        }
        self.start(globals).await
    }

    #[cfg(not(feature = "devnet-evm"))]
    async fn start(self, _globals: &Globals) -> Result<u8, Failure> {
        Err(not_built(Network::Evm))
    }

    #[cfg(feature = "devnet-evm")]
    async fn start(self, globals: &Globals) -> Result<u8, Failure> {
        use crate::demo::net::{self, Net};

        let stop = super::signal::stop()?;
        let net = Net::start(net::Options {
            port: self.evm_port,
            block_time: self.block_time.map(|every| every.0),
            gas_limit: self.gas_limit,
        })?;
        if let Some(dir) = &self.write {
            net.write(dir)?;
        }
        if globals.json {
            crate::output::json(&net.as_json())?;
        } else {
            crate::output::line(&net.as_text(self.write.as_deref()))?;
        }
        stop.await;
        net.stop().await;
        Ok(0)
    }
}

fn not_built(network: Network) -> Failure {
    let name = network
        .to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned());
    Failure::config(
        "feature_missing",
        format!(
            "this build has no {name} devnet: it needs the feature `{}`; leave {name} out of --only",
            network.feature()
        ),
    )
}
