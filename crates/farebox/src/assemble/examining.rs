//! What the doctor looks at: chains, facilitators, keys and books, handed on as facts and traits.
//!
//! Called by `doctor/`. Nothing here makes a file, writes to a ledger or sends a transaction, and
//! no key is kept: what is needed of one is its address.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use farebox_core::clock::SystemClock;
use farebox_core::diagnosis::{ChainFacts, FacilitatorFacts};
use farebox_core::ledger::{Ledger, LedgerError};
use farebox_core::rail::{CollectRail, RailError};
use farebox_rail_evm::{CollectorOptions, EvmCollector};
use farebox_wallet::secret::{self, SecretRef};
use farebox_wire::caip::ChainId;
use farebox_wire::evm::EvmAddress;
use tokio::task::JoinSet;

use super::collecting::{GasKeys, rail_failure};
use super::entrance::Entrance;
use super::remote::Facilitators;
use super::{certificates, keys, networks};
use crate::config::{Config, DataDir, NetworkSection};
use crate::failure::Failure;

/// What every chain and its nodes say; chains are asked side by side.
///
/// # Errors
/// Exit 2 where a network is not what it should be.
pub(crate) async fn chain_facts(
    sections: &BTreeMap<ChainId, NetworkSection>,
    accounts: &[EvmAddress],
) -> Result<Vec<ChainFacts>, Failure> {
    let mut asking = JoinSet::new();
    for network in networks::with_endpoints(sections)? {
        let accounts = accounts.to_vec();
        asking.spawn(async move { farebox_rail_evm::diagnose(network, &accounts).await });
    }
    let mut facts = Vec::with_capacity(sections.len());
    for asked in asking.join_all().await {
        facts.push(asked.map_err(rail_failure)?);
    }
    facts.sort_by(|a, b| a.network.as_str().cmp(b.network.as_str()));
    Ok(facts)
}

/// What every facilitator says that is named beside this process.
///
/// # Errors
/// Exit 2 where an address, a header or its secret is not what it should be.
pub(crate) async fn facilitator_facts(
    facilitators: &Facilitators,
) -> Result<Vec<FacilitatorFacts>, Failure> {
    let mut asking = JoinSet::new();
    for place in facilitators.places()? {
        asking.spawn(farebox_rail_remote::diagnose(place));
    }
    let mut facts = Vec::new();
    for asked in asking.join_all().await {
        facts.extend(asked.map_err(rail_failure)?);
    }
    facts.sort_by(|a, b| a.host.cmp(&b.host));
    Ok(facts)
}

/// From when until when a certificate is good, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from_s: u64,
    pub(crate) until_s: u64,
}

/// A certificate in a file of the owner's.
pub(crate) struct CertificateFacts {
    pub(crate) file: PathBuf,
    pub(crate) span: Span,
}

/// A certificate that is obtained.
pub(crate) struct OrderFacts {
    pub(crate) domains: Vec<String>,
    pub(crate) directory: String,
    /// Where the authority comes to.
    pub(crate) port: u16,
    pub(crate) file: PathBuf,
    /// `None` before there is one.
    pub(crate) span: Option<Span>,
    /// When it is due, in seconds since 1970.
    pub(crate) renew_s: Option<u64>,
    /// How often it was tried in vain.
    pub(crate) failures: u32,
    /// When it is tried again.
    pub(crate) next_s: u64,
    /// Why it failed the last time.
    pub(crate) why: String,
    /// Why the authority cannot be asked, if it cannot.
    pub(crate) unreachable: Option<String>,
}

/// Every certificate that a server shows, as far as it can be read, and what is known of the one
/// that is obtained.
///
/// # Errors
/// Exit 2 where it could not be obtained as it is written.
pub(crate) async fn certificate_facts(
    entrance: &Entrance,
    data_dir: &DataDir,
) -> Result<(Vec<CertificateFacts>, Option<OrderFacts>), Failure> {
    let files = entrance.certificate_files().into_iter();
    let read = files.filter_map(|file| {
        let span = certificates::span(&file)?;
        Some(CertificateFacts { file, span })
    });
    let read = read.collect();
    match entrance.ordered() {
        None => Ok((read, None)),
        Some(order) => Ok((read, Some(certificates::facts(&order, data_dir).await?))),
    }
}

/// Files with the keys of a certificate that is obtained.
pub(crate) fn certificate_secrets(entrance: &Entrance, data_dir: &DataDir) -> Vec<PathBuf> {
    let order = entrance.ordered();
    order.map_or_else(Vec::new, |order| certificates::secrets(&order, data_dir))
}

/// Opens a ledger that is there, to read it.
///
/// # Errors
/// Those of the store.
pub(crate) async fn existing_ledger(path: PathBuf) -> Result<Arc<dyn Ledger>, LedgerError> {
    let opened =
        tokio::task::spawn_blocking(move || farebox_ledger::SqliteLedger::open(&path)).await;
    let opened = opened.map_err(|why| LedgerError::Store(why.to_string()))?;
    Ok(Arc::new(opened?))
}

/// Asks chains what became of payments, on either side, and can do nothing else.
///
/// # Errors
/// Exit 2 where a network is not what it should be.
pub(crate) fn watcher(
    sections: &BTreeMap<ChainId, NetworkSection>,
) -> Result<Arc<dyn CollectRail>, Failure> {
    let watcher = watching(sections, None)?.map_err(rail_failure)?;
    Ok(Arc::new(watcher))
}

/// Reads the payee, and makes sure that money sent there is not lost.
///
/// # Errors
/// Exit 2 where it is no address, zero or a token.
pub(crate) fn payee(
    text: &str,
    sections: &BTreeMap<ChainId, NetworkSection>,
) -> Result<EvmAddress, Failure> {
    let payee = networks::address(text, "[pay_to] evm")?;
    match watching(sections, Some(payee))? {
        Ok(_) => Ok(payee),
        Err(why) => Err(rail_failure(why)),
    }
}

fn watching(
    sections: &BTreeMap<ChainId, NetworkSection>,
    pay_to: Option<EvmAddress>,
) -> Result<Result<EvmCollector, RailError>, Failure> {
    let options = CollectorOptions {
        pay_to,
        ..CollectorOptions::default()
    };
    let networks = networks::with_endpoints(sections)?;
    Ok(EvmCollector::new(networks, options, Arc::new(SystemClock)))
}

/// The addresses of the gas keys, or why they cannot be had.
///
/// # Errors
/// Exit 2: a key that is missing, is none, or stands there twice.
pub(crate) fn gas_accounts(keys: &GasKeys) -> Result<Vec<EvmAddress>, Failure> {
    let signers = keys.load()?;
    Ok(signers.iter().map(|signer| signer.address()).collect())
}

/// The account that pays; `None` where nobody has made or named a key yet.
///
/// # Errors
/// Exit 2 where the key is not what it should be.
pub(crate) fn paying_account(
    config: &Config,
    data_dir: &DataDir,
) -> Result<Option<EvmAddress>, Failure> {
    keys::paying_account(config, data_dir)
}

/// The file that a reference to a secret names, if it names one.
pub(crate) fn secret_file(reference: &str, base: &Path) -> Option<PathBuf> {
    match secret::parse(reference) {
        Ok(SecretRef::File(path)) => Some(base.join(path)),
        _ => None,
    }
}
