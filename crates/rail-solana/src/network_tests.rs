//! Networks and their tokens as configured.

use farebox_wire::money::UsdMicros;

use super::*;
use crate::assets::TokenProgram;

fn coin(mint: u8) -> Asset {
    Asset {
        mint: SvmAddress([mint; 32]),
        symbol: "EURC".into(),
        decimals: 6,
        program: TokenProgram::SplToken,
        usd_per_unit: Some(UsdMicros(1_080_000)),
    }
}

fn network(reference: &str) -> Network {
    Network::new(format!("solana:{reference}").parse().unwrap())
}

#[test]
fn an_unknown_chain_counts_as_real_money() {
    assert!(network(assets::MAINNET).is_mainnet);
    assert!(network("4242").is_mainnet);
    assert!(!network(assets::DEVNET).is_mainnet);
    assert!(!network(assets::TESTNET).is_mainnet);
}

#[test]
fn a_configured_token_replaces_the_built_in_one_or_comes_after_it() {
    let mut network = network(assets::DEVNET);
    let known = network.assets.len();
    network.put_asset(coin(1));
    let mut usdc = network.assets[0].clone();
    usdc.symbol = "Other".into();
    network.put_asset(usdc);
    assert_eq!(network.assets.len(), known + 1);
    assert_eq!(network.assets[0].symbol, "Other");
    assert_eq!(network.assets[known], coin(1));
}

#[test]
fn the_default_offer_is_the_first_token_that_can_be_priced() {
    let chain = Chain::new(network(assets::DEVNET)).unwrap();
    let offered = chain.offered().unwrap();
    assert_eq!(offered.len(), 1);
    assert_eq!(offered[0].asset.symbol, "USDC");
    assert_eq!(
        offered[0].id.to_string(),
        "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1/token:4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU"
    );
    assert!(Chain::new(network("4242")).unwrap().offered().is_err());
}

#[test]
fn offering_what_has_no_rate_or_is_unknown_is_an_error() {
    let mut network = network(assets::DEVNET);
    let mut coin = coin(1);
    coin.usd_per_unit = None;
    network.put_asset(coin);
    for mint in [1, 2] {
        network.offered = vec![SvmAddress([mint; 32])];
        assert!(Chain::new(network.clone()).unwrap().offered().is_err());
    }
}

#[test]
fn a_chain_stands_in_the_configuration_once_and_is_one_of_solana() {
    let twice = index(vec![network("4242"), network("4242")]);
    assert_eq!(twice.err().map(|e| e.code), Some("network_twice"));
    let evm = index(vec![Network::new("eip155:1".parse().unwrap())]);
    assert_eq!(evm.err().map(|e| e.code), Some("not_a_solana_network"));
}
