//! Solana: chains, tokens and the key that pays on them. With the collector, the one place that
//! names the rail.
//!
//! Called where a desk is assembled, for the balance, and by the doctor. Nothing here asks a chain.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use farebox_core::clock::{Clock, SystemClock};
use farebox_core::rail::PayRail;
use farebox_rail_solana::{Asset, Commitment, Network, SolanaKey, SolanaPayer, TokenProgram};
use farebox_wire::caip::ChainId;
use farebox_wire::svm::SvmAddress;

use super::collecting::rail_failure;
use super::keys;
use crate::config::{AssetSection, Config, Final, NetworkSection, Program, SolanaCommitment};
use crate::failure::Failure;

/// Where the key stands.
const KEY: &str = "[wallet] solana_key";

/// What the file says about Solana.
#[derive(Clone, Default)]
pub(super) struct Solana {
    sections: BTreeMap<ChainId, NetworkSection>,
    /// Whether the file names any network, of whatever kind.
    names_networks: bool,
    /// Reference to the paying key.
    key: Option<String>,
    /// What paths are relative to.
    base: PathBuf,
}

/// Whether a network is one of Solana.
pub(super) fn is_solana(network: &ChainId) -> bool {
    network.namespace() == "solana"
}

impl Solana {
    /// The networks of Solana in a configuration, and the key that pays there.
    pub(super) fn of(config: &Config) -> Self {
        let ours = config.file.network.iter().filter(|(id, _)| is_solana(id));
        Self {
            sections: ours
                .map(|(id, section)| (id.clone(), section.clone()))
                .collect(),
            names_networks: !config.file.network.is_empty(),
            key: config.file.wallet.solana_key.clone(),
            base: config.base.clone(),
        }
    }

    /// What pays, where a key is configured. Asks nobody.
    ///
    /// # Errors
    /// Exit 2, naming the network or the key.
    pub(super) fn payer(&self) -> Result<Option<Arc<dyn PayRail>>, Failure> {
        let networks = self.networks()?;
        let Some(reference) = &self.key else {
            return Ok(None);
        };
        pays(networks, self.read(reference)?).map(Some)
    }

    /// What asks chains what became of payments, and can make none.
    ///
    /// # Errors
    /// Exit 2, naming the network.
    pub(super) fn watcher(&self) -> Result<Option<Arc<dyn PayRail>>, Failure> {
        let networks = self.networks()?;
        if networks.is_empty() {
            return Ok(None);
        }
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice())
            .map_err(|why| Failure::internal("no_randomness", why.to_string()))?;
        pays(networks, SolanaKey::from_seed(&seed)).map(Some)
    }

    /// Whether there is a key and a chain to ask what it holds.
    pub(super) fn has_balance(&self) -> bool {
        self.key.is_some()
            && self
                .sections
                .values()
                .any(|section| !section.rpc.is_empty())
    }

    fn read(&self, reference: &str) -> Result<SolanaKey, Failure> {
        let invalid = |why: String| Failure::config("key_invalid", format!("{KEY}: {why}"));
        let secret = keys::load_secret(reference, &self.base, KEY)?;
        let text = secret
            .expose_str()
            .map_err(|why| invalid(why.to_string()))?;
        SolanaKey::parse(text).map_err(|why| invalid(why.to_string()))
    }

    /// The chains of the file, or every known one where it has no network at all.
    fn networks(&self) -> Result<Vec<Network>, Failure> {
        if self.names_networks {
            return self
                .sections
                .iter()
                .map(|(id, section)| network(id, section))
                .collect();
        }
        let known = farebox_rail_solana::assets::chains();
        let named = known.filter_map(|reference| format!("solana:{reference}").parse().ok());
        Ok(named.map(Network::new).collect())
    }
}

fn pays(networks: Vec<Network>, key: SolanaKey) -> Result<Arc<dyn PayRail>, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let payer = SolanaPayer::new(networks, Arc::new(key), clock).map_err(rail_failure)?;
    Ok(Arc::new(payer))
}

/// One network of its section.
///
/// # Errors
/// Exit 2, naming the key.
pub(super) fn network(id: &ChainId, section: &NetworkSection) -> Result<Network, Failure> {
    let key = format!("[network.\"{id}\"]");
    let foreign = [
        ("confirmations", section.confirmations.is_some()),
        ("final", section.finality != Final::Finalized),
        ("max_fee", section.max_fee.is_some()),
        ("settler", section.settler.is_some()),
        ("node", section.node.is_some()),
    ];
    if let Some((name, _)) = foreign.iter().find(|(_, is_there)| *is_there) {
        return Err(invalid(format!(
            "{key} {name} means nothing on Solana; remove it, and say how sure a settlement must be by commitment = \"confirmed\" or \"finalized\""
        )));
    }
    let mut network = Network::new(id.clone());
    network.rpc.clone_from(&section.rpc);
    network.commitment = match section.commitment {
        Some(SolanaCommitment::Finalized) => Commitment::Finalized,
        Some(SolanaCommitment::Confirmed) | None => Commitment::Confirmed,
    };
    for row in &section.asset {
        network.put_asset(asset(row, &key)?);
    }
    let offered = section.offered.iter();
    network.offered = offered
        .map(|text| address(text, &format!("{key} offered")))
        .collect::<Result<_, _>>()?;
    Ok(network)
}

fn asset(section: &AssetSection, key: &str) -> Result<Asset, Failure> {
    if section.name.is_some() || section.version.is_some() {
        return Err(invalid(format!(
            "{key} asset.name and asset.version are for tokens on EVM chains; remove them"
        )));
    }
    Ok(Asset {
        mint: address(&section.address, &format!("{key} asset.address"))?,
        symbol: section.symbol.clone(),
        decimals: section.decimals,
        program: match section.program {
            Some(Program::Token2022) => TokenProgram::Token2022,
            Some(Program::SplToken) | None => TokenProgram::SplToken,
        },
        usd_per_unit: section.usd.map(|usd| usd.0),
    })
}

fn address(text: &str, key: &str) -> Result<SvmAddress, Failure> {
    text.parse()
        .map_err(|why| invalid(format!("{key} = {text:?}: {why}")))
}

fn invalid(message: String) -> Failure {
    Failure::config("config_invalid", message)
}

#[cfg(test)]
#[path = "solana_tests.rs"]
mod tests;
