//! A facilitator's answers to `/verify`, `/settle` and `/supported`.
#![no_main]

use std::sync::LazyLock;

use farebox_core::rail::Terms;
use farebox_rail_remote::readers;
use farebox_wire::money::{Amount, UsdMicros};
use farebox_wire::x402::types::PaymentRequirements;
use libfuzzer_sys::fuzz_target;

/// The payment that is asked about.
static OFFER: LazyLock<PaymentRequirements> = LazyLock::new(|| PaymentRequirements {
    scheme: "exact".to_owned(),
    network: "eip155:84532".parse().expect("a chain"),
    amount: Amount::from_atomic(1_000),
    asset: "0x036CbD53842c5426634e7929541eC2318f3dCF7e".to_owned(),
    pay_to: "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720".to_owned(),
    max_timeout_seconds: 60,
    extra: None,
});
static TERMS: LazyLock<Terms> = LazyLock::new(|| Terms {
    protocol: "x402".to_owned(),
    rail: "evm".to_owned(),
    network: OFFER.network.clone(),
    scheme: OFFER.scheme.clone(),
    asset: "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e"
        .parse()
        .expect("an asset"),
    symbol: "USDC".to_owned(),
    decimals: 6,
    amount: OFFER.amount,
    fee_max: Amount::from_atomic(0),
    cost: UsdMicros(1_000),
    payee: OFFER.pay_to.to_ascii_lowercase(),
    payer: Some("0x70997970c51812dc3a010c7d01b50e0d17dc79c8".to_owned()),
});

fuzz_target!(|data: &[u8]| {
    // 200, and 400.
    for status in [0, 200] {
        readers::verdict(status, data, &TERMS);
    }
    readers::kinds(data, &OFFER);
});
