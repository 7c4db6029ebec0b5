//! Which offers can be paid, and at which cost.

use farebox_core::rail::PayRail;
use farebox_wire::money::{Amount, UsdMicros};
use serde_json::json;

use super::*;
use crate::assets::Asset;
use crate::fixtures::{PAYEE, offered, payer, payer_on};
use crate::network::Network;

async fn refused(change: impl FnOnce(&mut Value)) -> &'static str {
    let refused = payer().quote(&offered(change)).await.unwrap_err();
    assert!(!refused.why.is_empty());
    refused.code
}

#[tokio::test]
async fn a_good_offer_is_quoted_from_our_own_table() {
    let quote = payer().quote(&offered(|_| ())).await.unwrap();
    assert_eq!(quote.terms.amount, Amount::from_atomic(1_000));
    assert_eq!(quote.terms.cost, UsdMicros(1_000));
    assert_eq!(quote.terms.symbol, "USDC");
    assert_eq!(quote.terms.payee, PAYEE.to_string());
    assert_eq!(quote.max_timeout_s, 60);
    assert!(!quote.is_mainnet);
}

#[tokio::test]
async fn absent_null_and_explicit_defaults_mean_the_same() {
    for extra in [
        json!(null),
        json!({}),
        json!({"assetTransferMethod": null, "paymentFlow": null}),
        json!({"name": "USDC", "version": "2", "assetTransferMethod": "eip3009"}),
        json!({"paymentFlow": "upfront"}),
        json!({"paymentFlow": "authorization"}),
    ] {
        let offer = offered(|o| o["extra"] = extra.clone());
        assert!(payer().quote(&offer).await.is_ok(), "{extra}");
    }
}

#[tokio::test]
async fn other_schemes_and_networks_are_refused() {
    assert_eq!(
        refused(|o| o["scheme"] = json!("upto")).await,
        "unsupported_scheme"
    );
    assert_eq!(
        refused(|o| o["network"] = json!("eip155:1")).await,
        "unknown_network"
    );
    let solana = "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1";
    assert_eq!(
        refused(|o| o["network"] = json!(solana)).await,
        "unknown_network"
    );
}

#[tokio::test]
async fn an_unknown_token_is_worth_nothing_whatever_it_calls_itself() {
    let fake = format!("0x{}", "99".repeat(20));
    assert_eq!(refused(|o| o["asset"] = json!(fake)).await, "unknown_token");
    assert_eq!(
        refused(|o| o["asset"] = json!("USDC")).await,
        "unknown_token"
    );
}

#[tokio::test]
async fn a_token_that_needs_permit2_is_refused_with_that_reason() {
    let mega = "0xFAfDdbb3FC7688494971a79cc65DCa3EF82079E7";
    let offer = offered(|o| {
        o["network"] = json!("eip155:4326");
        o["asset"] = json!(mega);
    });
    let refused = payer().quote(&offer).await.unwrap_err();
    assert_eq!(refused.code, "permit2_unsupported");
    assert_eq!(
        refused.why,
        "MegaUSD needs Permit2, which is not spoken yet"
    );
}

#[tokio::test]
async fn other_transfer_methods_and_flows_are_refused() {
    for method in [json!("permit2"), json!(3009)] {
        let code = refused(|o| o["extra"]["assetTransferMethod"] = method).await;
        assert_eq!(code, "unsupported_transfer_method");
    }
    let code = refused(|o| o["extra"]["paymentFlow"] = json!("escrow")).await;
    assert_eq!(code, "unsupported_payment_flow");
}

#[tokio::test]
async fn a_wrong_eip712_name_or_version_is_refused() {
    for (field, value) in [
        ("name", json!("USD Coin")),
        ("name", json!(2)),
        ("version", json!("1")),
        ("version", json!(2)),
    ] {
        let code = refused(|o| o["extra"][field] = value.clone()).await;
        assert_eq!(code, "eip712_domain_mismatch", "{field} {value}");
    }
}

#[tokio::test]
async fn money_never_goes_to_the_token_zero_the_payer_or_a_mistyped_address() {
    let payer = payer().address().to_string();
    let zero = format!("0x{}", "0".repeat(40));
    let token = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";
    let mistyped = "0x70997970C51812dc3A010C7d01b50e0d17dc79c8";
    for payee in [
        payer.as_str(),
        zero.as_str(),
        token,
        mistyped,
        "merchant",
        "",
    ] {
        assert_eq!(
            refused(|o| o["payTo"] = json!(payee)).await,
            "invalid_payee",
            "{payee}"
        );
    }
}

#[tokio::test]
async fn nothing_and_more_than_can_be_priced_are_refused() {
    assert_eq!(refused(|o| o["amount"] = json!("0")).await, "zero_amount");
    let mut network = Network::new(84532);
    let rich = Asset {
        usd_per_unit: Some(UsdMicros(u128::MAX)),
        ..network.assets[0].clone()
    };
    network.put_asset(rich);
    let refused = payer_on(vec![network])
        .quote(&offered(|o| o["amount"] = json!(u128::MAX.to_string())))
        .await
        .unwrap_err();
    assert_eq!(refused.code, "amount_too_large");
}

#[tokio::test]
async fn a_token_without_a_rate_cannot_be_limited_and_is_refused() {
    let mut network = Network::new(84532);
    let unrated = Asset {
        usd_per_unit: None,
        ..network.assets[0].clone()
    };
    network.put_asset(unrated);
    let refused = payer_on(vec![network])
        .quote(&offered(|_| ()))
        .await
        .unwrap_err();
    assert_eq!(refused.code, "no_rate");
}

#[tokio::test]
async fn the_cost_is_rounded_up() {
    let mut network = Network::new(84532);
    let dear = Asset {
        usd_per_unit: Some(UsdMicros(1_080_001)),
        ..network.assets[0].clone()
    };
    network.put_asset(dear);
    let offer = offered(|o| o["amount"] = json!("1"));
    let quote = payer_on(vec![network]).quote(&offer).await.unwrap();
    assert_eq!(quote.terms.cost, UsdMicros(2));
}

#[tokio::test]
async fn a_strangers_text_is_cut_in_the_reason() {
    let offer = offered(|o| o["scheme"] = json!("x".repeat(10_000)));
    let refused = payer().quote(&offer).await.unwrap_err();
    assert!(refused.why.len() < 200, "{}", refused.why.len());
}
