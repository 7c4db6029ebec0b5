//! Chains and tokens: the built-in table, with what the configuration adds to it.

use std::collections::BTreeMap;

use farebox_rail_evm::{Asset, Finality, Network, TransferMethod, parse_address};
use farebox_wire::caip::ChainId;
use farebox_wire::evm::EvmAddress;

use super::lightning::is_lightning;
use super::solana::is_solana;
use crate::config::{AssetSection, Config, Final, MaxFee, NetworkSection};
use crate::failure::Failure;

/// The chains that the file names: those of Lightning and Solana are elsewhere.
///
/// # Errors
/// Exit 2, naming the network and the key.
pub(super) fn configured(config: &Config) -> Result<Vec<Network>, Failure> {
    with_endpoints(&chains(&config.file.network))
}

/// The sections that are neither of Lightning nor of Solana.
pub(crate) fn chains(
    sections: &BTreeMap<ChainId, NetworkSection>,
) -> BTreeMap<ChainId, NetworkSection> {
    let chains = sections
        .iter()
        .filter(|(chain, _)| !is_lightning(chain) && !is_solana(chain));
    chains
        .map(|(chain, section)| (chain.clone(), section.clone()))
        .collect()
}

/// One network of each section.
pub(super) fn with_endpoints(
    sections: &BTreeMap<ChainId, NetworkSection>,
) -> Result<Vec<Network>, Failure> {
    sections
        .iter()
        .map(|(chain, section)| network(chain, section))
        .collect()
}

/// The chains on which a buyer pays: those of the file, or every known one where it has no network.
pub(super) fn for_buying(config: &Config) -> Result<Vec<Network>, Failure> {
    let configured = configured(config)?;
    if !config.file.network.is_empty() {
        return Ok(configured);
    }
    Ok(farebox_rail_evm::assets::chains()
        .map(Network::new)
        .collect())
}

/// Reads an address that somebody typed, checksum included.
pub(super) fn address(text: &str, key: &str) -> Result<EvmAddress, Failure> {
    parse_address(text).map_err(|why| invalid(format!("{key} = {text:?}: {why}")))
}

/// Where the factories of payers' wallets stand.
pub(super) const FACTORIES_KEY: &str = "[facilitator] erc6492_factories";

/// Reads a list of them.
pub(super) fn addresses(texts: &[String], key: &str) -> Result<Vec<EvmAddress>, Failure> {
    texts.iter().map(|text| address(text, key)).collect()
}

fn network(chain: &ChainId, section: &NetworkSection) -> Result<Network, Failure> {
    let key = format!("[network.\"{chain}\"]");
    let Some(number) = chain.as_eip155() else {
        return Err(invalid(format!(
            "{key} is no EVM network; write it like [network.\"eip155:84532\"]"
        )));
    };
    let mut network = Network::new(number);
    network.rpc.clone_from(&section.rpc);
    if let Some(confirmations) = section.confirmations {
        if confirmations == 0 {
            return Err(invalid(format!(
                "{key} confirmations = 0 would serve before the money has moved; the least is 1"
            )));
        }
        network.confirmations = confirmations;
    }
    network.finality = match section.finality {
        Final::Finalized => Finality::Finalized,
        Final::Blocks(blocks) => Finality::Blocks(blocks),
    };
    for row in &section.asset {
        network.put_asset(asset(row, &key)?);
    }
    let offered = format!("{key} offered");
    network.offered = addresses(&section.offered, &offered)?;
    match section.max_fee {
        Some(MaxFee::Gas(fee)) => network.max_fee_per_gas_wei = fee.0,
        Some(_) => {
            return Err(invalid(format!(
                "{key} max_fee is a fee of Lightning; write gas money like \"1000 gwei\""
            )));
        }
        None => {}
    }
    if section.node.is_some() {
        return Err(invalid(format!(
            "{key} node is for networks of Lightning; a chain is asked by rpc"
        )));
    }
    if section.commitment.is_some() {
        return Err(invalid(format!(
            "{key} commitment is for networks of Solana; write final and confirmations"
        )));
    }
    let settler = section.settler.as_deref();
    network.settler = settler
        .map(|text| address(text, &format!("{key} settler")))
        .transpose()?;
    Ok(network)
}

fn asset(section: &AssetSection, key: &str) -> Result<Asset, Failure> {
    if section.program.is_some() {
        return Err(invalid(format!(
            "{key} asset.program is for tokens on Solana; remove it"
        )));
    }
    let needed = |value: &Option<String>, field: &str| {
        value.clone().ok_or_else(|| {
            invalid(format!(
                "{key} asset.{field} is missing: the EIP-712 {field} of {}",
                section.symbol
            ))
        })
    };
    Ok(Asset {
        address: address(&section.address, &format!("{key} asset.address"))?,
        symbol: section.symbol.clone(),
        name: needed(&section.name, "name")?,
        version: needed(&section.version, "version")?,
        decimals: section.decimals,
        usd_per_unit: section.usd.map(|usd| usd.0),
        method: TransferMethod::Eip3009,
    })
}

fn invalid(message: String) -> Failure {
    Failure::config("config_invalid", message)
}
