//! Chains are data: where to reach one, when it counts as final, and which tokens it has.
//!
//! [`Network`] is what configuration fills in; [`Chains`] is the same, checked and indexed, with
//! the domain separator of every token computed once.

use std::collections::HashMap;
use std::sync::Arc;

use farebox_core::rail::RailError;
use farebox_wire::caip::{AssetId, ChainId};
use farebox_wire::evm::{EvmAddress, Word};

use crate::address::checksummed;
use crate::assets::{self, Asset, TransferMethod};
use crate::digest::domain_separator;
use crate::rpc::Rpc;
use crate::snapshot::Payers;

/// When a block can no longer be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finality {
    /// When the chain calls it `finalized`.
    Finalized,
    /// When this many blocks stand on it; 0 on test chains.
    Blocks(u64),
}

/// A chain as configuration knows it.
#[derive(Clone, Debug)]
pub struct Network {
    /// `eip155:…`
    pub chain: ChainId,
    /// JSON-RPC endpoints, the preferred one first. Without any, payments can be signed, but
    /// nothing can be asked, verified or settled.
    pub rpc: Vec<String>,
    /// Blocks, its own included, that a settlement must be deep to be served; at least 1.
    pub confirmations: u64,
    /// When a block is final.
    pub finality: Finality,
    /// Known tokens, the default first.
    pub assets: Vec<Asset>,
    /// The tokens that a seller offers; empty means the first that can be priced.
    pub offered: Vec<EvmAddress>,
    /// Whether its tokens are real money.
    pub is_mainnet: bool,
    /// The most that our own transactions pay for gas, in wei for each unit of gas.
    pub max_fee_per_gas_wei: u128,
    /// Where the contract for batched settlement is, if not at its usual address.
    pub settler: Option<EvmAddress>,
}

/// A fee that no chain of the table needs on an ordinary day (1,000 gwei): over it we wait rather
/// than pay.
const MAX_FEE_PER_GAS_WEI: u128 = 1_000_000_000_000;

/// Chains whose tokens are worth nothing. Any other chain counts as real money.
const TESTNETS: &[u64] = &[
    51, 97, 1328, 1337, 2201, 4801, 10_143, 31_337, 31_611, 43_113, 72_344, 80_002, 84_532,
    181_228, 421_614, 11_142_220, 11_155_111, 11_155_420,
];

impl Network {
    /// A chain with its built-in tokens, `finalized` finality and no endpoint.
    #[must_use]
    pub fn new(chain_id: u64) -> Self {
        Self {
            chain: ChainId::eip155(chain_id),
            rpc: Vec::new(),
            confirmations: 1,
            finality: Finality::Finalized,
            assets: assets::builtin(chain_id),
            offered: Vec::new(),
            is_mainnet: !TESTNETS.contains(&chain_id),
            max_fee_per_gas_wei: MAX_FEE_PER_GAS_WEI,
            settler: None,
        }
    }

    /// Adds a token, or replaces the one with the same address.
    pub fn put_asset(&mut self, asset: Asset) {
        match self.assets.iter_mut().find(|a| a.address == asset.address) {
            Some(known) => *known = asset,
            None => self.assets.push(asset),
        }
    }
}

/// A token with everything that is computed from it once.
pub(crate) struct Token {
    pub(crate) asset: Asset,
    pub(crate) id: AssetId,
    pub(crate) domain: Word,
    pub(crate) checksummed: String,
}

/// A chain, checked and indexed.
pub(crate) struct Chain {
    pub(crate) network: Network,
    pub(crate) number: u64,
    rpc: Option<Arc<Rpc>>,
    tokens: HashMap<EvmAddress, Token>,
    /// What is known of those who pay here.
    pub(crate) payers: Arc<Payers>,
}

impl Chain {
    fn new(network: Network) -> Result<Self, RailError> {
        let number = network.chain.as_eip155().ok_or_else(|| RailError {
            code: "not_an_evm_network",
            message: format!(
                "{} is not an EVM network; name it like eip155:84532",
                network.chain
            ),
        })?;
        let tokens = network
            .assets
            .iter()
            .map(|asset| (asset.address, Token::new(&network.chain, number, asset)))
            .collect();
        let rpc = match network.rpc.as_slice() {
            [] => None,
            urls => Some(Arc::new(Rpc::new(urls, number)?)),
        };
        Ok(Self {
            network,
            number,
            rpc,
            tokens,
            payers: Arc::default(),
        })
    }

    pub(crate) fn token(&self, address: EvmAddress) -> Option<&Token> {
        self.tokens.get(&address)
    }

    /// The way to ask this chain.
    pub(crate) fn rpc(&self) -> Result<&Arc<Rpc>, RailError> {
        self.rpc.as_ref().ok_or_else(|| RailError {
            code: "no_rpc",
            message: format!(
                "{0} cannot be asked; set `rpc` of [network.\"{0}\"]",
                self.network.chain
            ),
        })
    }

    /// All tokens, in the order of configuration.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.network
            .assets
            .iter()
            .filter_map(|asset| self.tokens.get(&asset.address))
    }

    /// The tokens that a seller offers on this chain.
    pub(crate) fn offered(&self) -> Result<Vec<&Token>, RailError> {
        if self.network.offered.is_empty() {
            let default = self.tokens().find(|token| token.is_offerable());
            return default.map(|token| vec![token]).ok_or_else(|| RailError {
                code: "no_asset_to_offer",
                message: format!(
                    "no token on {} can be priced in dollars and moved by EIP-3009; add a [[network.\"{}\".asset]]",
                    self.network.chain, self.network.chain
                ),
            });
        }
        let offered = self.network.offered.iter().map(|address| {
            self.token(*address)
                .filter(|token| token.is_offerable())
                .ok_or_else(|| RailError {
                    code: "no_asset_to_offer",
                    message: format!(
                        "{} on {} cannot be offered: it needs a [[network.\"{}\".asset]] with a dollar rate, moved by EIP-3009",
                        checksummed(*address), self.network.chain, self.network.chain
                    ),
                })
        });
        offered.collect()
    }
}

impl Token {
    fn new(chain: &ChainId, chain_number: u64, asset: &Asset) -> Self {
        Self {
            id: AssetId::erc20(chain.clone(), asset.address),
            domain: domain_separator(&asset.name, &asset.version, chain_number, asset.address),
            checksummed: checksummed(asset.address),
            asset: asset.clone(),
        }
    }

    fn is_offerable(&self) -> bool {
        self.asset.method == TransferMethod::Eip3009
            && self.asset.usd_per_unit.is_some_and(|rate| rate.0 > 0)
    }
}

/// The configured chain of that name.
pub(crate) fn chain_of<'a>(
    chains: &'a [Arc<Chain>],
    id: &ChainId,
) -> Result<&'a Arc<Chain>, RailError> {
    chains
        .iter()
        .find(|c| c.network.chain == *id)
        .ok_or_else(|| RailError {
            code: "unknown_network",
            message: format!("network {id} is not configured; add [network.\"{id}\"]"),
        })
}

/// The known token of that name.
pub(crate) fn token_of<'a>(chains: &'a [Arc<Chain>], id: &AssetId) -> Result<&'a Token, RailError> {
    let chain = chain_of(chains, id.chain())?;
    let token = chain.tokens.values().find(|t| t.id == *id);
    token.ok_or_else(|| RailError {
        code: "unknown_token",
        message: format!(
            "token {id} is not known; add a [[network.\"{}\".asset]]",
            id.chain()
        ),
    })
}

/// Reads the configured networks; each chain once.
pub(crate) fn index(networks: Vec<Network>) -> Result<Vec<Arc<Chain>>, RailError> {
    let mut chains: Vec<Arc<Chain>> = Vec::with_capacity(networks.len());
    for network in networks {
        if chains.iter().any(|c| c.network.chain == network.chain) {
            return Err(RailError {
                code: "network_twice",
                message: format!("{} is configured twice; keep one", network.chain),
            });
        }
        chains.push(Arc::new(Chain::new(network)?));
    }
    Ok(chains)
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
