//! Networks and their tokens as configured.

use farebox_wire::money::UsdMicros;

use super::*;

fn coin(address: u8) -> Asset {
    Asset {
        address: EvmAddress([address; 20]),
        symbol: "EURC".into(),
        name: "EURC".into(),
        version: "2".into(),
        decimals: 6,
        usd_per_unit: Some(UsdMicros(1_080_000)),
        method: TransferMethod::Eip3009,
    }
}

#[test]
fn an_unknown_chain_counts_as_real_money() {
    assert!(Network::new(8453).is_mainnet);
    assert!(Network::new(987_654_321).is_mainnet);
    assert!(!Network::new(84532).is_mainnet);
}

#[test]
fn a_configured_token_replaces_the_built_in_one_or_comes_after_it() {
    let mut network = Network::new(84532);
    network.put_asset(coin(1));
    let mut usdc = network.assets[0].clone();
    usdc.name = "Other".into();
    network.put_asset(usdc);
    assert_eq!(network.assets.len(), 2);
    assert_eq!(network.assets[0].name, "Other");
    assert_eq!(network.assets[1], coin(1));
}

#[test]
fn the_default_offer_is_the_first_token_that_can_be_priced() {
    let chain = Chain::new(Network::new(84532)).unwrap();
    assert_eq!(chain.offered().unwrap()[0].asset.symbol, "USDC");
    // MegaETH's only token needs Permit2.
    let mut mega = Network::new(4326);
    assert!(Chain::new(mega.clone()).unwrap().offered().is_err());
    mega.put_asset(coin(1));
    let chain = Chain::new(mega).unwrap();
    assert_eq!(chain.offered().unwrap()[0].asset, coin(1));
}

#[test]
fn offering_what_has_no_rate_or_is_unknown_is_an_error() {
    let mut network = Network::new(84532);
    let mut coin = coin(1);
    coin.usd_per_unit = None;
    network.put_asset(coin);
    network.offered = vec![EvmAddress([1; 20])];
    assert!(Chain::new(network.clone()).unwrap().offered().is_err());
    network.offered = vec![EvmAddress([2; 20])];
    assert!(Chain::new(network).unwrap().offered().is_err());
}

#[test]
fn a_chain_stands_in_the_configuration_once() {
    let twice = index(vec![Network::new(1), Network::new(1)]);
    assert_eq!(twice.err().map(|e| e.code), Some("network_twice"));
    let mut solana = Network::new(1);
    solana.chain = "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1".parse().unwrap();
    assert_eq!(
        index(vec![solana]).err().map(|e| e.code),
        Some("not_an_evm_network")
    );
}
