//! The EVM rail of a gate and of a facilitator: chains, gas keys and their limits.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use farebox_core::clock::SystemClock;
use farebox_core::fault::{Blame, Fault, Kind};
use farebox_core::rail::RailError;
use farebox_rail_evm::{CollectorOptions, EvmCollector, EvmKey, GasLimits};
use farebox_wire::caip::ChainId;

use super::{keys, networks};
use crate::config::{FacilitatorLimits, NetworkSection};
use crate::failure::{EXIT_USAGE, Failure};

/// References to the keys that pay for gas, and what their paths are relative to.
#[derive(Clone, Default)]
pub(crate) struct GasKeys {
    /// `env:NAME` or `file:PATH`; each key is a lane of its own.
    pub(crate) references: Vec<String>,
    /// The folder of the file that they stood in.
    pub(crate) base: PathBuf,
}

impl GasKeys {
    /// One that was given with a flag: its path is relative to the current folder.
    pub(crate) fn flagged(reference: String) -> Self {
        Self {
            references: vec![reference],
            base: PathBuf::new(),
        }
    }

    pub(super) fn load(&self) -> Result<Vec<Arc<EvmKey>>, Failure> {
        let mut signers: Vec<Arc<EvmKey>> = Vec::with_capacity(self.references.len());
        for reference in &self.references {
            let key = keys::gas_key(reference, &self.base, "the gas key")?;
            if signers.iter().any(|known| known.address() == key.address()) {
                return Err(Failure::config(
                    "config_invalid",
                    format!(
                        "{} stands twice among the gas keys; name each once",
                        keys::checksummed(key.address())
                    ),
                ));
            }
            signers.push(key);
        }
        Ok(signers)
    }
}

/// What may be spent on gas.
pub(super) fn gas_limits(limits: &FacilitatorLimits) -> GasLimits {
    GasLimits {
        per_day_wei: limits.max_gas_per_day.map(|wei| wei.0),
        per_payer_day_wei: limits.max_gas_per_day_payer.map(|wei| wei.0),
        per_payee_day_wei: limits.max_gas_per_day_payee.map(|wei| wei.0),
    }
}

/// What a gate or facilitator lacks of chains and keys, each with what supplies it.
pub(super) fn missing(chains: &BTreeMap<ChainId, NetworkSection>, keys: &GasKeys) -> Vec<String> {
    let mut missing = missing_network(chains);
    for (chain, _) in chains.iter().filter(|(_, section)| section.rpc.is_empty()) {
        missing.push(format!(
            "an RPC address of {chain} (--rpc {chain}=URL, or rpc in [network.\"{chain}\"])"
        ));
    }
    if keys.references.is_empty() {
        missing.push(
            "a key that pays for gas (--gas-key env:NAME, or signer = { evm = \"env:NAME\" } in [facilitator])"
                .to_owned(),
        );
    }
    missing
}

/// The same where somebody else settles: it is enough to know the network.
pub(super) fn missing_network(chains: &BTreeMap<ChainId, NetworkSection>) -> Vec<String> {
    match chains.is_empty() {
        true => vec![
            "a network (--network eip155:84532 and --rpc eip155:84532=URL, or [network.\"eip155:84532\"])"
                .to_owned(),
        ],
        false => Vec::new(),
    }
}

/// The rail, with its chains asked who they are.
pub(super) async fn collector(
    sections: &BTreeMap<ChainId, NetworkSection>,
    options: CollectorOptions,
) -> Result<Arc<EvmCollector>, Failure> {
    let networks = networks::with_endpoints(sections)?;
    let collector =
        EvmCollector::new(networks, options, Arc::new(SystemClock)).map_err(rail_failure)?;
    collector.start().await.map_err(|why| {
        let message = format!("{}; check --rpc, or rpc in [network]", why.message);
        rail_failure(RailError { message, ..why })
    })?;
    Ok(Arc::new(collector))
}

pub(super) fn rail_failure(why: RailError) -> Failure {
    Failure::new(
        EXIT_USAGE,
        Fault::harmless(why.code, Kind::Config, Blame::Rail, why.message),
    )
}
