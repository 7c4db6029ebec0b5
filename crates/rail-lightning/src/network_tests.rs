//! Networks and what a millisatoshi is worth.

use farebox_core::rates::Rate;

use super::*;

/// Sixty thousand dollars for a bitcoin.
struct Sixty;

impl Rates for Sixty {
    fn rate(&self, pair: &str) -> Result<Rate, NoRate> {
        assert_eq!(pair, PAIR);
        Ok(Rate::new(UsdMicros(60_000_000_000), 0).unwrap())
    }
}

#[test]
fn a_chain_of_lightning_has_its_own_asset_and_others_have_none() {
    for (id, asset) in [
        ("lightning:mainnet", "lightning:mainnet/slip44:0"),
        ("lightning:testnet", "lightning:testnet/slip44:1"),
        ("lightning:signet", "lightning:signet/slip44:1"),
        ("lightning:regtest", "lightning:regtest/slip44:1"),
    ] {
        let chain = Chain::of(&id.parse().unwrap()).unwrap();
        assert_eq!(chain.asset.to_string(), asset);
        assert_eq!(chain.network.is_mainnet(), id == "lightning:mainnet");
    }
    for id in ["lightning:simnet", "lightning:bitcoin", "eip155:1"] {
        assert!(Chain::of(&id.parse().unwrap()).is_none(), "{id}");
    }
}

#[test]
fn dollars_and_millisatoshis_round_against_us() {
    // A satoshi is 0.0006 USD, a millisatoshi 0.6 millionths of a dollar.
    let sat = Amount::from_atomic(1_000);
    assert_eq!(worth(&Sixty, sat).unwrap(), UsdMicros(600));
    assert_eq!(worth(&Sixty, Amount::from_atomic(1)).unwrap(), UsdMicros(1));
    assert_eq!(amount_for(&Sixty, UsdMicros(600)).unwrap(), sat);
    assert_eq!(amount_for(&Sixty, UsdMicros(1)).unwrap().atomic(), 2);
    let fortune = UsdMicros(u128::MAX / 1_000_000_000_000);
    assert_eq!(
        amount_for(&Sixty, fortune).unwrap_err().code,
        "rate_out_of_range"
    );
}
