//! The only place that names rails, stores and listeners: turns configuration into the rooms of
//! the house, and hands them on as traits.
//!
//! Called by the commands and the demonstration. What is missing is refused here, with the key or
//! flag that supplies it, before anything is sent or served (ARCHITECTURE law 14).

mod buying;
#[cfg(feature = "acme")]
mod certificates;
#[cfg(not(feature = "acme"))]
#[path = "assemble/no_certificates.rs"]
mod certificates;
mod checking;
mod collecting;
mod descriptors;
#[cfg(feature = "embedded-node")]
mod embedded;
#[cfg(not(feature = "embedded-node"))]
#[path = "assemble/no_embedded.rs"]
mod embedded;
mod entrance;
mod examining;
mod facilitating;
mod forwarding;
mod gas_cover;
mod keys;
mod l402;
mod lightning;
mod lightning_facts;
mod networks;
#[cfg(feature = "embedded-node")]
mod operating;
mod overseeing;
#[cfg_attr(
    not(feature = "embedded-node"),
    allow(
        dead_code,
        reason = "a build without an embedded node makes none of it"
    )
)]
mod own_node;
mod rates;
mod reloading;
mod remote;
mod routes;
mod selling;
mod service;
mod solana;
mod solana_selling;

use std::path::PathBuf;
use std::sync::Arc;

use farebox_core::clock::{Clock as _, SystemClock};
use farebox_core::ledger::Ledger;
use farebox_ledger::SqliteLedger;

pub(crate) use buying::{desk, holdings, keyless_desk};
pub(crate) use collecting::GasKeys;
pub(crate) use embedded::{a_node_runs, stop_nodes};
pub(crate) use entrance::Entrance;
pub(crate) use examining::{
    CertificateFacts, OrderFacts, Span, certificate_facts, certificate_secrets, chain_facts,
    existing_ledger, facilitator_facts, gas_accounts, payee, paying_account, secret_file, watcher,
};
pub(crate) use facilitating::{OpenFacilitator, Service, deploy_settler, facilitator};
pub(crate) use forwarding::Forwarding;
pub(crate) use gas_cover::{GasRate, least_payment};
pub(crate) use keys::{
    PassphraseSource, address_of, checksummed, importable_key, keystore_dir, keystore_place,
    load_secret, paying_address,
};
pub(crate) use l402::TokenKey;
pub(crate) use lightning::Lightning;
pub(crate) use lightning_facts::NodeFacts;
pub(crate) use networks::chains;
#[cfg(test)]
pub(crate) use own_node::Opened;
pub(crate) use own_node::{
    Change, ChannelFacts, ChannelState, NodeInfo, OwnNode, Wanted, call_this_process,
};
pub(crate) use reloading::{Changes, Reload};
pub(crate) use remote::Facilitators;
pub(crate) use selling::{Gate, Sale, gate, recover};
pub(crate) use solana_selling::SolanaSide;

use crate::config::{Config, DataDir};
use crate::failure::Failure;

/// Opens the ledger, and gives it the limits of `[budget]` if it never had any.
///
/// # Errors
/// Exit 2 where the configuration names no store, exit 1 where it cannot be opened.
pub(crate) async fn ledger(
    config: &Config,
    data_dir: &DataDir,
) -> Result<Arc<dyn Ledger>, Failure> {
    let ledger = open_ledger(config.ledger_path(data_dir)?).await?;
    if let Some(limits) = config.limits() {
        ledger.seed_budget(limits).await?;
    }
    Ok(Arc::new(ledger))
}

/// Erases credentials that have expired and what no rail will be asked about any more.
///
/// # Errors
/// Exit 1 where the ledger cannot be used.
pub(crate) async fn prune(config: &Config, data_dir: &DataDir) -> Result<(), Failure> {
    let ledger = open_ledger(config.ledger_path(data_dir)?).await?;
    let pruned = ledger.prune(SystemClock.now_ms()).await?;
    tracing::debug!(?pruned, "pruned the ledger");
    Ok(())
}

/// Opens the one store that there is. It waits for a lock, so not on a thread of the runtime.
async fn open_ledger(path: PathBuf) -> Result<SqliteLedger, Failure> {
    let opened = tokio::task::spawn_blocking(move || SqliteLedger::open(&path)).await;
    let opened = opened.map_err(|why| {
        Failure::internal("threads", format!("opening the ledger broke off: {why}"))
    })?;
    Ok(opened?)
}
