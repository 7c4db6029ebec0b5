//! What a payer refuses before it asks anybody.

use farebox_wire::money::UsdMicros;
use serde_json::{Value, json};

use super::*;
use crate::network::{self, Network};

const USDC: &str = "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU";

fn chains() -> Vec<Arc<Chain>> {
    let chain = "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1".parse().unwrap();
    network::index(vec![Network::new(chain)]).unwrap()
}

fn payer() -> SvmAddress {
    SvmAddress([7; 32])
}

fn offer() -> Value {
    json!({
        "scheme": "exact", "network": "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1",
        "amount": "10000", "asset": USDC, "payTo": SvmAddress([8; 32]), "maxTimeoutSeconds": 60,
        "extra": {"feePayer": SvmAddress([9; 32])},
    })
}

fn refused(offer: Value) -> &'static str {
    let requirements = serde_json::from_value(offer).unwrap();
    match understand(&chains(), payer(), &requirements) {
        Ok(_) => "nothing",
        Err(refused) => {
            assert!(refused.why.chars().count() < 300, "{}", refused.why);
            refused.code
        }
    }
}

fn with(field: &str, value: impl Into<Value>) -> Value {
    let mut offer = offer();
    offer[field] = value.into();
    offer
}

fn with_extra(field: &str, value: impl Into<Value>) -> Value {
    let mut offer = offer();
    offer["extra"][field] = value.into();
    offer
}

#[test]
fn an_offer_is_worth_what_our_table_says() {
    let requirements = serde_json::from_value(offer()).unwrap();
    let chains = chains();
    let read = understand(&chains, payer(), &requirements).unwrap();
    assert_eq!((read.amount, read.cost), (10_000, UsdMicros(10_000)));
    assert_eq!(read.token.asset.symbol, "USDC");
    assert_eq!(read.extra.fee_payer, SvmAddress([9; 32]));
    // A price of one unit more than is worth a micro-dollar is rounded up, never down to nothing.
    let requirements = serde_json::from_value(with("amount", "18446744073709551615")).unwrap();
    assert_eq!(
        understand(&chains, payer(), &requirements).unwrap().amount,
        u64::MAX
    );
}

#[test]
fn nobody_is_paid_with_whom_money_would_be_lost() {
    let text = |address: SvmAddress| address.to_string();
    let program = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA".to_owned();
    for payee in [
        text(SvmAddress::ZERO),
        USDC.to_owned(),
        program,
        text(payer()),
        String::new(),
        "0x036cbd53842c5426634e7929541ec2318f3dcf7e".to_owned(),
        "x".repeat(10_000),
    ] {
        assert_eq!(
            refused(with("payTo", payee.clone())),
            "invalid_payee",
            "{payee}"
        );
    }
}

#[test]
fn the_fee_payer_is_somebody_else_and_its_memo_fits() {
    let no_fee_payer = json!({});
    assert_eq!(refused(with("extra", no_fee_payer)), "invalid_fee_payer");
    assert_eq!(refused(with("extra", Value::Null)), "invalid_fee_payer");
    for odd in [json!(payer()), json!("x"), json!(1), json!(null)] {
        assert_eq!(refused(with_extra("feePayer", odd)), "invalid_fee_payer");
    }
    let long = with_extra("memo", "m".repeat(257));
    assert_eq!(refused(long), "invalid_fee_payer");
    assert_eq!(refused(with_extra("memo", "m".repeat(256))), "nothing");
    // Hints are only that.
    assert_eq!(refused(with_extra("recentBlockhash", "junk")), "nothing");
}

#[test]
fn what_is_not_known_here_is_not_paid() {
    let other = SvmAddress([3; 32]).to_string();
    assert_eq!(refused(with("asset", other)), "unknown_token");
    assert_eq!(refused(with("asset", "USDC")), "unknown_token");
    // Case counts.
    assert_eq!(refused(with("asset", USDC.to_lowercase())), "unknown_token");
    assert_eq!(refused(with("network", "solana:4242")), "unknown_network");
    assert_eq!(refused(with("network", "eip155:84532")), "unknown_network");
    assert_eq!(refused(with("scheme", "upto")), "unsupported_scheme");
    assert_eq!(
        refused(with_extra("paymentFlow", "escrow")),
        "unsupported_payment_flow"
    );
    assert_eq!(refused(with_extra("paymentFlow", "upfront")), "nothing");
}

#[test]
fn an_amount_fits_the_tokens_own_width() {
    assert_eq!(refused(with("amount", "0")), "zero_amount");
    assert_eq!(
        refused(with("amount", "18446744073709551616")),
        "amount_too_large"
    );
    let most = "340282366920938463463374607431768211455";
    assert_eq!(refused(with("amount", most)), "amount_too_large");
}

#[test]
fn a_token_without_a_rate_is_not_paid_with() {
    let chain = "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1".parse().unwrap();
    let mut network = Network::new(chain);
    network.assets[0].usd_per_unit = None;
    let chains = network::index(vec![network]).unwrap();
    let requirements = serde_json::from_value(offer()).unwrap();
    let refused = understand(&chains, payer(), &requirements).err().unwrap();
    assert_eq!(refused.code, "no_rate");
}

#[tokio::test]
async fn without_a_node_nothing_can_be_paid() {
    let requirements = serde_json::from_value(offer()).unwrap();
    let offer = Offer::X402(X402Offer {
        version: farebox_wire::x402::Version::V2,
        requirements,
        raw: offer(),
    });
    let refused = quote(&chains(), payer(), &offer).await.err().unwrap();
    assert_eq!(refused.code, "no_rpc");
}
