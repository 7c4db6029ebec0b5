//! The local Lightning network of `farebox devnet`, and the files by which a client of LND reaches its nodes.
//!
//! What is written here opens this network alone.

use std::path::Path;

use farebox_devnet_ln::{Devnet, DevnetOptions};
use serde::Serialize;

use crate::config::create_private;
use crate::failure::Failure;
use crate::output;

/// What the nodes are called in the names of files: 0 sells, 1 buys.
const USES: [&str; 2] = ["seller", "buyer"];

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
                network: "lightning:regtest",
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
    pub(crate) fn as_text(&self, written: Option<&Path>) -> String {
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
        let next = match written {
            Some(dir) => format!(
                "Macaroons and certificates are in {}: seller.macaroon, seller-tls.cert and the buyer's.",
                dir.display()
            ),
            None => "Add --write DIR for their macaroons and certificates.".to_owned(),
        };
        format!(
            "Lightning  network lightning:regtest, chain at http://{} (bitcoind's JSON-RPC)\n\n{}\n\n{next}",
            self.devnet.bitcoind_rpc().address,
            output::table(&["use", "LND REST", "peers", "public key"], &rows),
        )
    }

    /// Leaves a macaroon (as bytes, like LND's own) and a certificate for each node in `dir`, created if needed.
    ///
    /// # Errors
    /// Exit 2 where the directory cannot be written.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), Failure> {
        let failed = |error: std::io::Error| {
            let why = format!("cannot write to {}: {error}", dir.display());
            Failure::config("devnet_write", why)
        };
        create_private(dir).map_err(failed)?;
        for (use_of, node) in USES.iter().zip(self.devnet.nodes()) {
            let macaroon = hex::decode(&node.macaroon)
                .map_err(|error| Failure::internal("devnet_failed", error.to_string()))?;
            super::write_private(&dir.join(format!("{use_of}.macaroon")), &macaroon)
                .map_err(failed)?;
            super::write_private(
                &dir.join(format!("{use_of}-tls.cert")),
                node.cert.as_bytes(),
            )
            .map_err(failed)?;
        }
        Ok(())
    }
}
