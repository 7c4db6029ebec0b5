//! Chains are data: where to reach one, when it counts as settled, and which tokens it has.
//!
//! [`Network`] is what configuration fills in; [`Chains`](index) is the same, checked and indexed.

use std::collections::HashMap;
use std::sync::Arc;

use farebox_core::rail::RailError;
use farebox_wire::caip::{AssetId, ChainId};
use farebox_wire::svm::SvmAddress;

use crate::assets::{self, Asset};
use crate::rpc::Rpc;

/// How sure a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commitment {
    /// Two thirds of the stake have voted for it: under a second or two, and never undone so far.
    Confirmed,
    /// It can no longer be undone: about 13 seconds.
    Finalized,
}

impl Commitment {
    /// Its word in JSON-RPC.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Finalized => "finalized",
        }
    }
}

/// A chain as configuration knows it.
#[derive(Clone, Debug)]
pub struct Network {
    /// `solana:` and the first 32 characters of its genesis hash.
    pub chain: ChainId,
    /// JSON-RPC endpoints, the preferred one first. Without any, nothing can be paid, asked,
    /// verified or settled.
    pub rpc: Vec<String>,
    /// How sure a settlement must be to be served.
    pub commitment: Commitment,
    /// Known tokens, the default first.
    pub assets: Vec<Asset>,
    /// The mints that a seller offers; empty means the first that can be priced.
    pub offered: Vec<SvmAddress>,
    /// Whether its tokens are real money.
    pub is_mainnet: bool,
}

impl Network {
    /// A chain with its built-in tokens, served when confirmed, and no endpoint.
    #[must_use]
    pub fn new(chain: ChainId) -> Self {
        let reference = chain.reference();
        Self {
            assets: assets::builtin(reference),
            // Any chain that is not known to be a test network counts as real money.
            is_mainnet: ![assets::DEVNET, assets::TESTNET].contains(&reference),
            chain,
            rpc: Vec::new(),
            commitment: Commitment::Confirmed,
            offered: Vec::new(),
        }
    }

    /// Adds a token, or replaces the one of the same mint.
    pub fn put_asset(&mut self, asset: Asset) {
        match self.assets.iter_mut().find(|a| a.mint == asset.mint) {
            Some(known) => *known = asset,
            None => self.assets.push(asset),
        }
    }
}

/// A token with its name.
pub(crate) struct Token {
    pub(crate) asset: Asset,
    pub(crate) id: AssetId,
}

impl Token {
    fn is_offerable(&self) -> bool {
        self.asset.usd_per_unit.is_some_and(|rate| rate.0 > 0)
    }
}

/// A chain, checked and indexed.
pub(crate) struct Chain {
    pub(crate) network: Network,
    rpc: Option<Arc<Rpc>>,
    tokens: HashMap<SvmAddress, Token>,
}

impl Chain {
    fn new(network: Network) -> Result<Self, RailError> {
        if network.chain.namespace() != "solana" {
            return Err(RailError {
                code: "not_a_solana_network",
                message: format!(
                    "{} is not a Solana network; name it like solana:{}",
                    network.chain,
                    assets::DEVNET
                ),
            });
        }
        let token = |asset: &Asset| Token {
            id: AssetId::spl(network.chain.clone(), asset.mint),
            asset: asset.clone(),
        };
        let tokens = network.assets.iter().map(|a| (a.mint, token(a))).collect();
        let rpc = match network.rpc.as_slice() {
            [] => None,
            urls => Some(Arc::new(Rpc::new(urls, network.chain.reference())?)),
        };
        Ok(Self {
            network,
            rpc,
            tokens,
        })
    }

    pub(crate) fn token(&self, mint: SvmAddress) -> Option<&Token> {
        self.tokens.get(&mint)
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
            .filter_map(|asset| self.tokens.get(&asset.mint))
    }

    /// The tokens that a seller offers on this chain.
    pub(crate) fn offered(&self) -> Result<Vec<&Token>, RailError> {
        let chain = &self.network.chain;
        if self.network.offered.is_empty() {
            let default = self.tokens().find(|token| token.is_offerable());
            return default.map(|token| vec![token]).ok_or_else(|| RailError {
                code: "no_asset_to_offer",
                message: format!(
                    "no token on {chain} can be priced in dollars; add a [[network.\"{chain}\".asset]]"
                ),
            });
        }
        let offered = self.network.offered.iter().map(|mint| {
            self.token(*mint)
                .filter(|token| token.is_offerable())
                .ok_or_else(|| RailError {
                    code: "no_asset_to_offer",
                    message: format!(
                        "{mint} on {chain} cannot be offered: it needs a [[network.\"{chain}\".asset]] with a dollar rate"
                    ),
                })
        });
        offered.collect()
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
