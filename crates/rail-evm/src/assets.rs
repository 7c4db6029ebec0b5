//! The tokens that are known by name: the complete table of default assets of `@x402/evm` 2.27
//! on npm. Name and version are the token's EIP-712 domain, which decides whether a signature counts,
//! so they come from here or from configuration, never from an offer.

use farebox_wire::evm::EvmAddress;
use farebox_wire::money::{UsdMicros, UsdRate};

/// How a token moves on a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferMethod {
    /// EIP-3009 `transferWithAuthorization`.
    Eip3009,
    /// Uniswap's Permit2; known, not spoken yet.
    Permit2,
}

/// A token on one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// The token contract.
    pub address: EvmAddress,
    /// For people.
    pub symbol: String,
    /// EIP-712 domain name.
    pub name: String,
    /// EIP-712 domain version.
    pub version: String,
    /// How finely it divides.
    pub decimals: u8,
    /// Dollars for one whole unit; without it the token can neither price nor be limited.
    pub usd_per_unit: Option<UsdMicros>,
    /// How it moves.
    pub method: TransferMethod,
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

/// The known tokens of a chain, the default one first; empty where none is known.
#[must_use]
pub fn builtin(chain_id: u64) -> Vec<Asset> {
    TABLE
        .iter()
        .filter(|row| row.0 == chain_id)
        .filter_map(|(_, address, name, version, decimals, symbol, method)| {
            Some(Asset {
                // A test reads the whole table, so no row is ever left out here.
                address: address.parse().ok()?,
                symbol: (*symbol).to_owned(),
                name: (*name).to_owned(),
                version: (*version).to_owned(),
                decimals: *decimals,
                usd_per_unit: Some(ONE_DOLLAR),
                method: *method,
            })
        })
        .collect()
}

/// The chains of the table, each once: where a buyer without configuration pays.
pub fn chains() -> impl Iterator<Item = u64> {
    let mut chains: Vec<u64> = TABLE.iter().map(|row| row.0).collect();
    chains.sort_unstable();
    chains.dedup();
    chains.into_iter()
}

/// Every token of the table is a dollar stablecoin, counted 1:1 (ARCHITECTURE law 13).
const ONE_DOLLAR: UsdMicros = UsdMicros(1_000_000);

use TransferMethod::{Eip3009, Permit2};

/// Chain id, address, EIP-712 name, EIP-712 version, decimals, symbol, method.
type Row = (
    u64,
    &'static str,
    &'static str,
    &'static str,
    u8,
    &'static str,
    TransferMethod,
);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    (1,         "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", "USD Coin",           "2", 6,  "USDC",    Eip3009),
    (14,        "0xe7cd86e13AC4309349F30B3435a9d337750fC82D", "USD\u{20ae}0",       "1", 6,  "USDT0",   Eip3009),
    (50,        "0xfA2958CB79b0491CC627c1557F441eF849Ca8eb1", "USDC",               "2", 6,  "USDC",    Eip3009),
    (51,        "0xb5AB69F7bBada22B28e79C8FFAECe55eF1c771D4", "USDC",               "2", 6,  "USDC",    Eip3009),
    (137,       "0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359", "USD Coin",           "2", 6,  "USDC",    Eip3009),
    (143,       "0x754704Bc059F8C67012fEd69BC8A327a5aafb603", "USDC",               "2", 6,  "USDC",    Eip3009),
    (988,       "0x779Ded0c9e1022225f8E0630b35a9b54bE713736", "USDT0",              "1", 6,  "USDT0",   Eip3009),
    (2201,      "0x78Cf24370174180738C5B8E352B6D14c83a6c9A9", "USDT0",              "1", 6,  "USDT0",   Eip3009),
    (1328,      "0x4fCF1784B31630811181f670Aea7A7bEF803eaED", "USDC",               "2", 6,  "USDC",    Eip3009),
    (1329,      "0xe15fC38F6D8c56aF07bbCBe3BAf5708A2Bf42392", "USDC",               "2", 6,  "USDC",    Eip3009),
    (4326,      "0xFAfDdbb3FC7688494971a79cc65DCa3EF82079E7", "MegaUSD",            "1", 18, "MegaUSD", Permit2),
    (8453,      "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "USD Coin",           "2", 6,  "USDC",    Eip3009),
    (31611,     "0x118917a40FAF1CD7a13dB0Ef56C86De7973Ac503", "Mezo USD",           "1", 18, "mUSD",    Permit2),
    (31612,     "0xdD468A1DDc392dcdbEf6db6e34E89AA338F9F186", "Mezo USD",           "1", 18, "mUSD",    Permit2),
    (36900,     "0x9cb8142aEBBcdc60AF7c97Af897A67A8f3CA71C2", "USDC.e",             "2", 6,  "USDC.e",  Eip3009),
    (38833,     "0xA5b8BF902b2844dA17d4506cc827F7F1681735E7", "USDC",               "1", 6,  "USDC",    Permit2),
    (42161,     "0xaf88d065e77c8cC2239327C5EDb3A432268e5831", "USD Coin",           "2", 6,  "USDC",    Eip3009),
    (42220,     "0xcebA9300f2b948710d2653dD7B07f33A8B32118C", "USDC",               "2", 6,  "USDC",    Eip3009),
    (42220,     "0x48065fbBE25f71C9282ddf5e1cD6D6A887483D5e", "Tether USD",         "1", 6,  "USDT",    Eip3009),
    (42220,     "0xD2ab3C9A02DBBAB236BfEC45D1d755DF4267F771", "Tether America USD", "1", 6,  "USAT",    Eip3009),
    (43114,     "0xB97EF9Ef8734C71904D8002F8b6Bc66Dd9c48a6E", "USD Coin",           "2", 6,  "USDC",    Eip3009),
    (72344,     "0x33ad9e4BD16B69B5BFdED37D8B5D9fF9aba014Fb", "Stable Coin",        "1", 6,  "SBC",     Permit2),
    (84532,     "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "USDC",               "2", 6,  "USDC",    Eip3009),
    (181_228,   "0x401eCb1D350407f13ba348573E5630B83638E30D", "Bridged USDC",       "2", 6,  "USDC.e",  Eip3009),
    (190_415,   "0x401eCb1D350407f13ba348573E5630B83638E30D", "Bridged USDC",       "2", 6,  "USDC.e",  Eip3009),
    (421_614,   "0x75faf114eafb1BDbe2F0316DF893fd58CE46AA4d", "USDC",               "2", 6,  "USDC",    Eip3009),
    (723_487,   "0x33ad9e4BD16B69B5BFdED37D8B5D9fF9aba014Fb", "Stable Coin",        "1", 6,  "SBC",     Permit2),
    (11_142_220, "0x01C5C0122039549AD1493B8220cABEdD739BC44E", "USDC",              "2", 6,  "USDC",    Eip3009),
];

#[cfg(test)]
#[path = "assets_tests.rs"]
mod tests;
