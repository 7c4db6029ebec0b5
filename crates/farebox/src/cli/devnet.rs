//! `farebox devnet`: local networks with funded accounts, until Ctrl-C.
//!
//! Prints one line when all is ready; `--write` leaves configuration files and keys for a seller
//! and a buyer. Its keys are published: nothing here may guard real money.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Globals;
use crate::config::Timespan;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  farebox devnet --only evm
  farebox devnet --only evm --evm-port 0 --json
  farebox devnet --only evm --write net      # then: farebox gate --config net/seller.toml …
  farebox devnet --only evm,lightning --write net
  farebox devnet --only lightning --json     # two nodes with a channel, as LND's REST serves them
  farebox devnet --only solana --json        # accounts with SOL and USDC behind Solana's JSON-RPC";

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
    /// Leave seller.toml, buyer.toml, and what opens accounts and nodes, in this directory
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
        match self {
            Self::Evm => cfg!(feature = "devnet-evm"),
            Self::Solana => cfg!(feature = "devnet-svm"),
            Self::Lightning => cfg!(feature = "devnet-ln"),
        }
    }
}

impl Devnet {
    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        if let Some(network) = self.only.iter().find(|network| !network.is_built()) {
            return Err(not_built(*network));
        }
        let wants = |network: Network| {
            network.is_built() && (self.only.is_empty() || self.only.contains(&network))
        };
        let all = [Network::Evm, Network::Solana, Network::Lightning];
        if !all.into_iter().any(wants) {
            return Err(not_built(Network::Evm));
        }
        let stop = super::signal::stop()?;
        let nets = Nets::start(&self, wants)?;
        if let Some(dir) = &self.write {
            nets.write(dir)?;
        }
        if globals.json {
            crate::output::json(&nets.as_json()?)?;
        } else {
            crate::output::line(&nets.as_text(self.write.as_deref()))?;
        }
        stop.await;
        nets.stop().await;
        Ok(0)
    }
}

/// The networks that run.
struct Nets {
    #[cfg(feature = "devnet-evm")]
    evm: Option<crate::demo::net::Net>,
    #[cfg(feature = "devnet-ln")]
    lightning: Option<crate::demo::lightning::Net>,
    #[cfg(feature = "devnet-svm")]
    solana: Option<crate::demo::solana::Net>,
}

impl Nets {
    #[allow(unused_variables, reason = "a build without any network reads nothing")]
    fn start(options: &Devnet, wants: impl Fn(Network) -> bool) -> Result<Self, Failure> {
        #[cfg(feature = "devnet-evm")]
        let evm = wants(Network::Evm).then(|| {
            crate::demo::net::Net::start(crate::demo::net::Options {
                port: options.evm_port,
                block_time: options.block_time.as_ref().map(|every| every.0),
                gas_limit: options.gas_limit,
            })
        });
        #[cfg(feature = "devnet-ln")]
        let lightning = wants(Network::Lightning).then(crate::demo::lightning::Net::start);
        #[cfg(feature = "devnet-svm")]
        let solana =
            wants(Network::Solana).then(|| crate::demo::solana::Net::start(options.solana_port));
        Ok(Self {
            #[cfg(feature = "devnet-evm")]
            evm: evm.transpose()?,
            #[cfg(feature = "devnet-ln")]
            lightning: lightning.transpose()?,
            #[cfg(feature = "devnet-svm")]
            solana: solana.transpose()?,
        })
    }

    #[allow(
        unused_variables,
        reason = "a build without any network writes nothing"
    )]
    fn write(&self, dir: &std::path::Path) -> Result<(), Failure> {
        #[cfg(any(feature = "devnet-evm", feature = "devnet-ln", feature = "devnet-svm"))]
        {
            let mut parts = Vec::new();
            #[cfg(feature = "devnet-evm")]
            parts.extend(self.evm.as_ref().map(crate::demo::net::Net::part));
            #[cfg(feature = "devnet-ln")]
            if let Some(net) = &self.lightning {
                parts.push(net.part()?);
            }
            #[cfg(feature = "devnet-svm")]
            parts.extend(self.solana.as_ref().map(crate::demo::solana::Net::part));
            crate::demo::files::write(dir, &parts)?;
        }
        Ok(())
    }

    /// The line of `--json`: an object for each network (docs/command-line.md).
    #[allow(unused_mut, reason = "a build without any network adds nothing")]
    fn as_json(&self) -> Result<serde_json::Value, Failure> {
        let mut all = serde_json::Map::new();
        #[cfg(feature = "devnet-evm")]
        if let Some(net) = &self.evm {
            add(&mut all, &net.as_json())?;
        }
        #[cfg(feature = "devnet-ln")]
        if let Some(net) = &self.lightning {
            add(&mut all, &net.as_json())?;
        }
        #[cfg(feature = "devnet-svm")]
        if let Some(net) = &self.solana {
            add(&mut all, &net.as_json())?;
        }
        Ok(serde_json::Value::Object(all))
    }

    #[allow(
        unused_variables,
        unused_mut,
        reason = "a build without any network says nothing"
    )]
    fn as_text(&self, written: Option<&std::path::Path>) -> String {
        let mut parts: Vec<String> = Vec::new();
        let mut rails: Vec<&str> = Vec::new();
        #[cfg(feature = "devnet-evm")]
        if let Some(net) = &self.evm {
            parts.push(net.as_text());
            rails.push("evm");
        }
        #[cfg(feature = "devnet-ln")]
        if let Some(net) = &self.lightning {
            parts.push(net.as_text());
            rails.push("lightning");
        }
        #[cfg(feature = "devnet-svm")]
        if let Some(net) = &self.solana {
            parts.push(net.as_text());
            rails.push("solana");
        }
        #[cfg(any(feature = "devnet-evm", feature = "devnet-ln", feature = "devnet-svm"))]
        parts.push(crate::demo::files::next(written, &rails));
        parts.push("Ctrl-C stops it; nothing is kept.".to_owned());
        parts.join("\n\n")
    }

    async fn stop(self) {
        #[cfg(feature = "devnet-evm")]
        if let Some(net) = self.evm {
            net.stop().await;
        }
        #[cfg(feature = "devnet-ln")]
        if let Some(net) = self.lightning {
            net.stop().await;
        }
        #[cfg(feature = "devnet-svm")]
        if let Some(net) = self.solana {
            net.stop().await;
        }
    }
}

/// Adds the fields of a network's answer.
#[cfg(any(feature = "devnet-evm", feature = "devnet-ln", feature = "devnet-svm"))]
fn add(
    all: &mut serde_json::Map<String, serde_json::Value>,
    net: &impl serde::Serialize,
) -> Result<(), Failure> {
    let fields = serde_json::to_value(net)
        .map_err(|error| Failure::internal("json", format!("cannot write the answer: {error}")))?;
    if let serde_json::Value::Object(fields) = fields {
        all.extend(fields);
    }
    Ok(())
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
