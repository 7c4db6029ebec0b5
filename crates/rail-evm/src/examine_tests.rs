//! What a seller takes, and the reason for each refusal.

use farebox_core::rail::{CollectRail, SignatureCheck};
use serde_json::json;

use crate::digest::{domain_separator, transfer_digest};
use crate::fixtures::{BUYER_KEY, NOW_S, PAYEE, collector, offer, paid, price};
use crate::handle::EvmHandle;
use crate::key::EvmKey;
use crate::{Network, assets};
use farebox_core::rail::{Examined, Price, Refusal};
use farebox_wire::evm::{EvmAddress, Word};
use farebox_wire::money::{Amount, UsdMicros};
use farebox_wire::x402::exact_evm::{
    Eip3009Authorization, ExactEvmPayload, HexBytes, SIGNATURE_BYTES_MAX,
};
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::PaymentPayload;

fn examine(payload: &PaymentPayload) -> Result<Examined, Refusal> {
    collector().examine(payload, &offer(), NOW_S)
}

async fn refused(change: impl FnOnce(&mut PaymentPayload)) -> Reason {
    let mut payload = paid().await;
    change(&mut payload);
    let refusal = examine(&payload).unwrap_err();
    assert!(!refusal.is_ours && !refusal.message.is_empty());
    refusal.reason
}

/// A payload in which `change` was made before signing, with whatever domain is asked for.
async fn signed(
    chain_id: u64,
    token: EvmAddress,
    change: impl FnOnce(&mut Eip3009Authorization),
) -> PaymentPayload {
    let mut payload = paid().await;
    let mut exact: ExactEvmPayload = serde_json::from_value(payload.payload.clone()).unwrap();
    change(&mut exact.authorization);
    let domain = domain_separator("USDC", "2", chain_id, token);
    let key = EvmKey::from_hex(BUYER_KEY).unwrap();
    let signature = key.sign(&transfer_digest(&domain, &exact.authorization));
    exact.signature = HexBytes(signature.to_bytes().to_vec());
    payload.payload = serde_json::to_value(exact).unwrap();
    payload
}

async fn resigned(change: impl FnOnce(&mut Eip3009Authorization)) -> PaymentPayload {
    signed(84532, assets::builtin(84532)[0].address, change).await
}

fn reason(result: Result<Examined, Refusal>) -> Option<Reason> {
    result.err().map(|r| r.reason)
}

#[tokio::test]
async fn what_our_buyer_signs_our_seller_takes() {
    let payload = paid().await;
    let examined = examine(&payload).unwrap();
    assert_eq!(examined.valid_before_s, NOW_S + 60);
    assert_eq!(examined.terms.amount, Amount::from_atomic(1_000));
    assert_eq!(
        examined.terms.payer.as_deref(),
        Some("0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266")
    );
    assert!(
        examined
            .identity
            .as_str()
            .starts_with("eip3009:eip155:84532:0x036cbd")
    );
}

#[tokio::test]
async fn version_scheme_network_and_shape_are_checked() {
    assert_eq!(
        refused(|p| p.x402_version = 1).await,
        Reason::InvalidX402Version
    );
    let scheme = refused(|p| p.accepted["scheme"] = json!("upto")).await;
    assert_eq!(scheme, Reason::InvalidExactEvmScheme);
    let network = refused(|p| p.accepted["network"] = json!("eip155:8453")).await;
    assert_eq!(network, Reason::NetworkMismatch);
    for junk in [
        json!(null),
        json!({}),
        json!([]),
        json!("x"),
        json!({"signature": "0x"}),
    ] {
        assert_eq!(refused(|p| p.payload = junk).await, Reason::InvalidPayload);
    }
    let permit2 = refused(|p| p.payload = json!({"permit2Authorization": {}})).await;
    assert_eq!(permit2, Reason::UnsupportedPayloadType);
}

#[tokio::test]
async fn numbers_that_are_not_plain_digits_are_no_payload() {
    for value in [
        "-1",
        "1e3",
        " 1000",
        "1000.0",
        "",
        "0x3e8",
        "340282366920938463463374607431768211456",
    ] {
        let reason = refused(|p| p.payload["authorization"]["value"] = json!(value)).await;
        assert_eq!(reason, Reason::InvalidPayload, "{value:?}");
    }
    let number = refused(|p| p.payload["authorization"]["value"] = json!(1000)).await;
    assert_eq!(number, Reason::InvalidPayload);
}

#[tokio::test]
async fn a_payload_written_as_a_list_is_no_payload() {
    let reason = refused(|p| {
        let (signature, authorization) = (&p.payload["signature"], &p.payload["authorization"]);
        p.payload = json!([signature, authorization]);
    });
    assert_eq!(reason.await, Reason::InvalidPayload);
}

#[tokio::test]
async fn another_payee_is_refused_however_well_signed() {
    let payload = resigned(|t| t.to = EvmAddress([9; 20])).await;
    assert_eq!(reason(examine(&payload)), Some(Reason::RecipientMismatch));
}

#[tokio::test]
async fn the_value_must_be_exact_in_both_directions() {
    for value in [0, 999, 1_001, u128::MAX] {
        let payload = resigned(|t| t.value = Amount::from_atomic(value)).await;
        assert_eq!(
            reason(examine(&payload)),
            Some(Reason::ValueMismatch),
            "{value}"
        );
    }
}

#[tokio::test]
async fn expired_and_nearly_expired_are_refused() {
    for (valid_before, ok) in [
        (0, false),
        (NOW_S, false),
        (NOW_S + 5, false),
        (NOW_S + 6, true),
    ] {
        let payload = resigned(|t| t.valid_before = valid_before).await;
        let expected = (!ok).then_some(Reason::ValidBefore);
        assert_eq!(reason(examine(&payload)), expected, "{valid_before}");
    }
}

#[tokio::test]
async fn not_yet_valid_is_refused_and_so_is_this_very_second() {
    for (valid_after, ok) in [
        (NOW_S - 1, true),
        (NOW_S, false),
        (NOW_S + 1, false),
        (u64::MAX, false),
    ] {
        let payload = resigned(|t| t.valid_after = valid_after).await;
        let expected = (!ok).then_some(Reason::ValidAfter);
        assert_eq!(reason(examine(&payload)), expected, "{valid_after}");
    }
}

#[tokio::test]
async fn a_longer_life_than_offered_is_accepted() {
    let payload = resigned(|t| t.valid_before = NOW_S + 100_000).await;
    assert_eq!(examine(&payload).unwrap().valid_before_s, NOW_S + 100_000);
}

/// Nothing may be kept for it before the chain was asked.
fn is_for_the_chain(payload: &PaymentPayload) -> bool {
    examine(payload).unwrap().signature == SignatureCheck::AskChain
}

#[tokio::test]
async fn an_ordinary_accounts_own_signature_is_good_without_the_chain() {
    let examined = examine(&paid().await).unwrap();
    assert_eq!(examined.signature, SignatureCheck::Good);
}

#[tokio::test]
async fn whether_any_other_signature_is_good_only_the_chain_can_tell() {
    let usdc = assets::builtin(84532)[0].address;
    assert!(is_for_the_chain(&signed(8453, usdc, |_| ()).await));
    assert!(is_for_the_chain(
        &signed(84532, EvmAddress([7; 20]), |_| ()).await
    ));
    let mut payload = paid().await;
    let other = resigned(|t| t.nonce = Word([1; 32])).await;
    payload.payload["signature"] = other.payload["signature"].clone();
    assert!(is_for_the_chain(&payload));
    let mut payload = paid().await;
    payload.payload["authorization"]["from"] = json!(PAYEE.to_string());
    assert!(is_for_the_chain(&payload));
}

#[tokio::test]
async fn what_no_ordinary_account_signs_is_for_the_chain_and_what_is_no_hex_is_no_payload() {
    let payload = paid().await;
    let good = payload.payload["signature"].as_str().unwrap().to_owned();
    let (r, s, v) = (&good[2..66], &good[66..130], &good[130..]);
    let zero = "0".repeat(64);
    let high = "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a1";
    for signature in [
        format!("0x{r}{high}{v}"),
        format!("0x{zero}{s}{v}"),
        format!("0x{r}{zero}{v}"),
        format!("0x{r}{s}02"),
        format!("0x{r}{s}"),
        format!("0x{r}{s}{v}{v}"),
        "0x".into(),
        format!("0x{}", "ab".repeat(SIGNATURE_BYTES_MAX)),
    ] {
        let mut payload = payload.clone();
        payload.payload["signature"] = json!(signature);
        assert!(is_for_the_chain(&payload), "{signature}");
    }
    for junk in [
        good[2..].to_owned(),
        "0xzz".into(),
        format!("0x{}", "ab".repeat(SIGNATURE_BYTES_MAX + 1)),
    ] {
        let reason = refused(|p| p.payload["signature"] = json!(junk)).await;
        assert_eq!(reason, Reason::InvalidPayload, "{junk}");
    }
}

#[tokio::test]
async fn a_wrapper_that_is_cut_off_is_no_signature() {
    let magic = "6492".repeat(16);
    let words = "00".repeat(95);
    for signature in [format!("0x{magic}"), format!("0x{words}{magic}")] {
        let reason = refused(|p| p.payload["signature"] = json!(signature)).await;
        assert_eq!(reason, Reason::SignatureUnreadable, "{signature}");
    }
}

#[tokio::test]
async fn a_wallets_signature_is_kept_as_it_came_and_told_apart_from_every_other() {
    let mut seen = Vec::new();
    for signature in ["0x", "0x00", "0x0000", "0x0001"] {
        let mut payload = resigned(|t| t.nonce = Word([3; 32])).await;
        payload.payload["signature"] = json!(signature);
        let examined = examine(&payload).unwrap();
        let handle = EvmHandle::read(&examined.handle).unwrap();
        assert_eq!(json!(handle.signature), json!(signature));
        assert!(handle.signature().is_none());
        assert!(!seen.contains(&examined.payload_digest), "{signature}");
        seen.push(examined.payload_digest);
    }
}

#[tokio::test]
async fn spellings_of_one_authorization_share_identity_and_digest() {
    let payload = paid().await;
    let first = examine(&payload).unwrap();
    let mut respelled = payload.clone();
    let signature = payload.payload["signature"].as_str().unwrap();
    let v = u8::from_str_radix(&signature[130..], 16).unwrap() - 27;
    respelled.payload["signature"] = json!(format!("{}{v:02x}", &signature[..130]));
    let from = payload.payload["authorization"]["from"].as_str().unwrap();
    respelled.payload["authorization"]["from"] = json!(format!("0x{}", from[2..].to_uppercase()));
    let second = examine(&respelled).unwrap();
    assert_eq!(first.identity, second.identity);
    assert_eq!(first.payload_digest, second.payload_digest);
}

#[tokio::test]
async fn two_authorizations_under_one_nonce_share_the_identity_but_not_the_digest() {
    let short =
        examine(&resigned(|t| (t.nonce, t.valid_before) = (Word([5; 32]), NOW_S + 30)).await);
    let long =
        examine(&resigned(|t| (t.nonce, t.valid_before) = (Word([5; 32]), NOW_S + 31)).await);
    let (short, long) = (short.unwrap(), long.unwrap());
    assert_eq!(short.identity, long.identity);
    assert_ne!(short.payload_digest, long.payload_digest);
}

#[test]
fn an_offer_is_rounded_up_and_written_with_checksums() {
    let offer = offer();
    assert_eq!(
        offer.raw,
        json!({
            "scheme": "exact",
            "network": "eip155:84532",
            "amount": "1000",
            "asset": "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
            "payTo": "0x4242424242424242424242424242424242424242",
            "maxTimeoutSeconds": 60,
            "extra": {"name": "USDC", "version": "2"},
        })
    );
}

#[test]
fn only_an_upfront_price_says_so_in_the_offer() {
    let upfront = Price {
        upfront: true,
        ..price()
    };
    let offers = collector().offers(&upfront).unwrap();
    assert_eq!(offers[0].raw["extra"]["paymentFlow"], "upfront");
    assert!(offer().raw["extra"].get("paymentFlow").is_none());
}

#[test]
fn a_price_of_nothing_is_no_offer() {
    let free = Price {
        usd: UsdMicros(0),
        ..price()
    };
    assert_eq!(
        collector().offers(&free).err().map(|e| e.code),
        Some("price_not_payable")
    );
}

#[test]
fn a_payee_that_loses_money_is_refused_at_start() {
    let token = assets::builtin(84532)[0].address;
    for payee in [EvmAddress::ZERO, token] {
        let mut network = Network::new(84532);
        network.rpc = vec!["http://127.0.0.1:1".into()];
        let key = std::sync::Arc::new(EvmKey::from_hex(BUYER_KEY).unwrap());
        let clock = std::sync::Arc::new(crate::fixtures::StoppedClock);
        let options = crate::CollectorOptions::seller(payee, key);
        let refused = crate::EvmCollector::new(vec![network], options, clock);
        assert_eq!(refused.err().map(|e| e.code), Some("invalid_payee"));
    }
}
