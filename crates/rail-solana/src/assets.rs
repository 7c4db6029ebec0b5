//! The tokens that are known by name: the complete table of default assets of `@x402/svm` 2.27 on
//! npm. Program and decimals decide what a transaction does, so they come from here or from
//! configuration, never from an offer.

use farebox_wire::money::{UsdMicros, UsdRate};
use farebox_wire::svm::SvmAddress;

/// The program that keeps the accounts of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenProgram {
    /// SPL Token.
    SplToken,
    /// SPL Token-2022.
    Token2022,
}

/// A token on one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Its mint.
    pub mint: SvmAddress,
    /// For people.
    pub symbol: String,
    /// How finely it divides; a transfer names it, and fails where it is wrong.
    pub decimals: u8,
    /// The program that the mint belongs to.
    pub program: TokenProgram,
    /// Dollars for one whole unit; without it the token can neither price nor be limited.
    pub usd_per_unit: Option<UsdMicros>,
}

impl Asset {
    /// Its rate, where it has one.
    #[must_use]
    pub fn rate(&self) -> Option<UsdRate> {
        self.usd_per_unit.map(|usd_per_unit| UsdRate {
            usd_per_unit,
            decimals: self.decimals,
        })
    }
}

/// The known tokens of a chain by the reference of its CAIP-2 name, the default one first; empty
/// where none is known.
#[must_use]
pub fn builtin(reference: &str) -> Vec<Asset> {
    TABLE
        .iter()
        .filter(|row| row.0 == reference)
        .filter_map(|(_, mint, symbol, decimals, program)| {
            Some(Asset {
                // A test reads the whole table, so no row is ever left out here.
                mint: mint.parse().ok()?,
                symbol: (*symbol).to_owned(),
                decimals: *decimals,
                program: *program,
                usd_per_unit: Some(ONE_DOLLAR),
            })
        })
        .collect()
}

/// The chains of the table, each once: where a buyer without configuration pays.
pub fn chains() -> impl Iterator<Item = &'static str> {
    [MAINNET, DEVNET, TESTNET].into_iter()
}

/// The first 32 characters of the genesis hash of the network whose tokens are real money.
pub(crate) const MAINNET: &str = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp";
/// The same of devnet.
pub(crate) const DEVNET: &str = "EtWTRABZaYq6iMfeYKouRu166VU2xqa1";
/// The same of testnet.
pub(crate) const TESTNET: &str = "4uhcVJyU9pJkvQyS88uRDiswHXSCkY3z";

/// Every token of the table is a dollar stablecoin, counted 1:1 (ARCHITECTURE law 13).
const ONE_DOLLAR: UsdMicros = UsdMicros(1_000_000);

use TokenProgram::{SplToken, Token2022};

/// Chain, mint, symbol, decimals, program.
type Row = (&'static str, &'static str, &'static str, u8, TokenProgram);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    (MAINNET, "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", "USDC",  6, SplToken),
    (MAINNET, "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB", "USDT",  6, SplToken),
    (MAINNET, "2u1tszSeqZ3qBWF3uNGPFc8TzMk2tdiwknnRMWGWjGWH", "USDG",  6, Token2022),
    (MAINNET, "2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo", "PYUSD", 6, Token2022),
    (MAINNET, "CASHx9KJUStyftLFWGvEVf59SGeG9sh5FfcnZMVPCASH", "CASH",  6, Token2022),
    (DEVNET,  "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU", "USDC",  6, SplToken),
    (DEVNET,  "4F6PM96JJxngmHnZLBh9n58RH4aTVNWvDs2nuwrT5BP7", "USDG",  6, Token2022),
    (DEVNET,  "CXk2AMBfi3TwaEL2468s6zP8xq9NxTXjp9gjMgzeUynM", "PYUSD", 6, Token2022),
    (TESTNET, "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU", "USDC",  6, SplToken),
    (TESTNET, "4F6PM96JJxngmHnZLBh9n58RH4aTVNWvDs2nuwrT5BP7", "USDG",  6, Token2022),
    (TESTNET, "CXk2AMBfi3TwaEL2468s6zP8xq9NxTXjp9gjMgzeUynM", "PYUSD", 6, Token2022),
];

#[cfg(test)]
#[path = "assets_tests.rs"]
mod tests;
