//! What version 1 calls the chains: all names that the official SDKs know (`@x402/core` 2.27).
//!
//! A chain without a name here cannot be paid on in version 1.

use crate::caip::ChainId;

/// Name and CAIP-2 chain; each stands here once.
pub const NETWORKS: [(&str, &str); 26] = [
    ("ethereum", "eip155:1"),
    ("sepolia", "eip155:11155111"),
    ("base", "eip155:8453"),
    ("base-sepolia", "eip155:84532"),
    ("abstract", "eip155:2741"),
    ("abstract-testnet", "eip155:11124"),
    ("avalanche", "eip155:43114"),
    ("avalanche-fuji", "eip155:43113"),
    ("iotex", "eip155:4689"),
    ("sei", "eip155:1329"),
    ("sei-testnet", "eip155:1328"),
    ("polygon", "eip155:137"),
    ("polygon-amoy", "eip155:80002"),
    ("peaq", "eip155:3338"),
    ("story", "eip155:1514"),
    ("educhain", "eip155:41923"),
    ("skale-base-sepolia", "eip155:324705682"),
    ("megaeth", "eip155:4326"),
    ("monad", "eip155:143"),
    ("stable", "eip155:988"),
    ("stable-testnet", "eip155:2201"),
    ("celo", "eip155:42220"),
    ("flare", "eip155:14"),
    ("solana", "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"),
    ("solana-devnet", "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1"),
    ("solana-testnet", "solana:4uhcVJyU9pJkvQyS88uRDiswHXSCkY3z"),
];

/// The chain that version 1 calls `name`.
#[must_use]
pub fn chain_of(name: &str) -> Option<ChainId> {
    let (_, chain) = NETWORKS.iter().find(|(own, _)| *own == name)?;
    chain.parse().ok()
}

/// What version 1 calls a chain.
#[must_use]
pub fn name_of(chain: &ChainId) -> Option<&'static str> {
    let (name, _) = NETWORKS.iter().find(|(_, own)| *own == chain.as_str())?;
    Some(name)
}
