//! The Lightning networks, and the money on them: millisatoshis, shown as satoshis.
//!
//! Everything here is ours; nothing comes from a node or an invoice (ARCHITECTURE law 11).

use farebox_core::rates::{NoRate, Rates};
use farebox_wire::caip::{AssetId, ChainId};
use farebox_wire::money::{Amount, UsdMicros};

/// The pair that says what a bitcoin is worth.
pub const PAIR: &str = "BTC/USD";
/// What amounts are shown in.
pub(crate) const SYMBOL: &str = "sat";
/// Digits after the point of one satoshi: the atomic unit is the millisatoshi.
pub(crate) const DECIMALS: u8 = 3;
/// Digits after the point of one bitcoin, in millisatoshis.
const BITCOIN_DECIMALS: u8 = 11;
/// All the bitcoin that will ever be, in millisatoshis.
pub(crate) const MSAT_MAX: u64 = 21_000_000 * 100_000_000 * 1_000;

/// A network on which Lightning payments are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    /// Real money.
    Mainnet,
    /// Bitcoin's testnets, which invoices do not tell apart.
    Testnet,
    /// Signet.
    Signet,
    /// A chain of one's own.
    Regtest,
}

impl Network {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Mainnet, Self::Testnet, Self::Signet, Self::Regtest];

    /// Behind `lightning:`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Testnet => "testnet",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }

    /// The network of a chain, where it is one of Lightning.
    #[must_use]
    pub fn of(chain: &ChainId) -> Option<Self> {
        let is_ours = chain.namespace() == crate::RAIL;
        let named = |network: &Self| is_ours && network.name() == chain.reference();
        Self::ALL.into_iter().find(named)
    }

    /// Whether real money is at stake.
    #[must_use]
    pub const fn is_mainnet(self) -> bool {
        matches!(self, Self::Mainnet)
    }
}

/// A network with its names in the books.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) network: Network,
    /// `lightning:regtest`.
    pub(crate) id: ChainId,
    /// Bitcoin on it, by the coin types of SLIP-44.
    pub(crate) asset: AssetId,
}

impl Chain {
    /// Reads a chain of Lightning; `None` for any other.
    pub(crate) fn of(id: &ChainId) -> Option<Self> {
        let network = Network::of(id)?;
        let coin = u8::from(!network.is_mainnet());
        Some(Self {
            network,
            id: id.clone(),
            asset: format!("{id}/slip44:{coin}").parse().ok()?,
        })
    }
}

/// What so many millisatoshis are worth, rounded up.
pub(crate) fn worth(rates: &dyn Rates, amount: Amount) -> Result<UsdMicros, NoRate> {
    rates
        .rate(PAIR)?
        .worth(amount, BITCOIN_DECIMALS)
        .ok_or_else(too_large)
}

/// The least that is worth so many dollars, in millisatoshis.
pub(crate) fn amount_for(rates: &dyn Rates, usd: UsdMicros) -> Result<Amount, NoRate> {
    let amount = rates.rate(PAIR)?.amount_for(usd, BITCOIN_DECIMALS);
    let most = Amount::from_atomic(MSAT_MAX.into());
    amount
        .filter(|amount| *amount <= most)
        .ok_or_else(too_large)
}

fn too_large() -> NoRate {
    NoRate {
        code: "rate_out_of_range",
        message: format!(
            "at this rate of {PAIR} the amount is too large to reckon with; correct it in [rates]"
        ),
    }
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
