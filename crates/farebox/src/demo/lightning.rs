//! The local Lightning network of `farebox devnet` and `farebox demo --all-rails`, what of the files of a seller and a buyer
//! is its own, and the files by which a client of LND reaches its nodes.
//!
//! What is written here opens this network alone.

use farebox_devnet_ln::{Devnet, DevnetOptions};
#[cfg(feature = "all-rails")]
use farebox_devnet_ln::{DevnetError, Moved};
use serde::Serialize;

use super::files::Part;
use crate::failure::Failure;
use crate::output;

/// CAIP-2 name of the network.
pub(crate) const NETWORK: &str = "lightning:regtest";
/// What the nodes are called in the names of files: 0 sells, 1 buys.
const USES: [&str; 2] = ["seller", "buyer"];
/// What a bitcoin is worth here, in dollars. With this, a tenth of a cent is one satoshi.
const BITCOIN_USD: u32 = 100_000;

/// The running network.
pub(crate) struct Net {
    devnet: Devnet,
}

/// The part of `farebox devnet --json` that is Lightning's.
#[derive(Serialize)]
pub(crate) struct Ready {
    lightning: ReadyLightning,
}

#[derive(Serialize)]
struct ReadyLightning {
    network: &'static str,
    nodes: Vec<ReadyNode>,
    bitcoind: ReadyBitcoind,
}

#[derive(Serialize)]
struct ReadyNode {
    pubkey: String,
    url: String,
    macaroon: String,
    cert: String,
    p2p: String,
}

#[derive(Serialize)]
struct ReadyBitcoind {
    host: String,
    port: u16,
    user: String,
    password: String,
}

impl Net {
    /// Starts the nodes and waits until a payment has gone each way.
    ///
    /// # Errors
    /// Exit 2 where they do not start.
    pub(crate) fn start() -> Result<Self, Failure> {
        let devnet = Devnet::start(DevnetOptions::default())
            .map_err(|error| Failure::config("devnet_failed", error.to_string()))?;
        Ok(Self { devnet })
    }

    /// Stops the nodes and waits until their ports are free.
    pub(crate) async fn stop(self) {
        self.devnet.shutdown().await;
    }

    /// What the buyer's node has paid, fees included, and what the seller's node has received, in millisatoshis.
    ///
    /// # Errors
    /// Exit 1 where a node does not tell.
    #[cfg(feature = "all-rails")]
    pub(crate) fn moved_msat(&self) -> Result<[u64; 2], Failure> {
        let sum = |records: Result<Vec<Moved>, DevnetError>| {
            let records =
                records.map_err(|why| Failure::internal("devnet_failed", why.to_string()))?;
            let sums = records
                .iter()
                .map(|record| record.msat.saturating_add(record.fee_msat));
            Ok::<_, Failure>(sums.fold(0, u64::saturating_add))
        };
        Ok([sum(self.devnet.paid(1))?, sum(self.devnet.received(0))?])
    }

    /// The line of `--json` (docs/command-line.md).
    pub(crate) fn as_json(&self) -> Ready {
        let nodes = self.devnet.nodes().iter().map(|node| ReadyNode {
            pubkey: node.pubkey.clone(),
            url: node.url.clone(),
            macaroon: node.macaroon.clone(),
            cert: node.cert.clone(),
            p2p: node.p2p.to_string(),
        });
        let rpc = self.devnet.bitcoind_rpc();
        Ready {
            lightning: ReadyLightning {
                network: NETWORK,
                nodes: nodes.collect(),
                bitcoind: ReadyBitcoind {
                    host: rpc.address.ip().to_string(),
                    port: rpc.address.port(),
                    user: rpc.user.clone(),
                    password: rpc.password.clone(),
                },
            },
        }
    }

    /// The same for people.
    pub(crate) fn as_text(&self) -> String {
        let rows: Vec<Vec<String>> = USES
            .iter()
            .zip(self.devnet.nodes())
            .map(|(use_of, node)| {
                vec![
                    (*use_of).to_owned(),
                    node.url.clone(),
                    node.p2p.to_string(),
                    node.pubkey.clone(),
                ]
            })
            .collect();
        format!(
            "Lightning  network {NETWORK}, chain at http://{} (bitcoind's JSON-RPC)\n\n{}",
            self.devnet.bitcoind_rpc().address,
            output::table(&["use", "LND REST", "peers", "public key"], &rows),
        )
    }

    /// What of the files of a seller and a buyer is of this network, with a macaroon (as bytes, like LND's own) and a
    /// certificate for each.
    ///
    /// # Errors
    /// Exit 1 where a macaroon is none.
    pub(crate) fn part(&self) -> Result<Part, Failure> {
        let mut secrets = Vec::new();
        let mut sections = Vec::new();
        for (use_of, node) in USES.iter().zip(self.devnet.nodes()) {
            let macaroon = hex::decode(&node.macaroon)
                .map_err(|error| Failure::internal("devnet_failed", error.to_string()))?;
            secrets.push((format!("{use_of}.macaroon"), macaroon));
            secrets.push((format!("{use_of}-tls.cert"), node.cert.clone().into_bytes()));
            sections.push(format!(
                "[network.\"{NETWORK}\"]\n\
                 node = {{ kind = \"lnd\", url = \"{}\", macaroon = \"file:{use_of}.macaroon\", cert = \"file:{use_of}-tls.cert\" }}\n",
                node.url
            ));
        }
        let rate = format!(
            "# By hand, on test networks alone: 0.001 USD is 1 sat.\n\
             [rates]\n\"BTC/USD\" = {{ fixed = \"{BITCOIN_USD}\" }}\n"
        );
        let mut sections = sections.into_iter();
        let mut next = || sections.next().unwrap_or_default();
        Ok(Part {
            seller: format!(
                "{}\n[l402]\nmaster_key = \"file:l402.key\"\n\n{rate}",
                next()
            ),
            buyer: format!("{}\n{rate}", next()),
            secrets,
            ..Part::default()
        })
    }
}
