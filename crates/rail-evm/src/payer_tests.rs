//! What a buyer signs.

use farebox_core::rail::CollectRail;
use farebox_wire::identity::Identity;
use serde_json::json;

use super::*;
use crate::fixtures::{
    NOW_S, PAYEE, challenge, collector, offer, offered, offered_in_version_1, payer,
};

#[tokio::test]
async fn a_credential_echoes_the_offer_verbatim_and_the_challenge() {
    let offer = offered(|o| o["extra"]["somethingElse"] = json!({"kept": [1, 2.0, "3"]}));
    let x402 = offer.as_x402().unwrap();
    let payer = payer();
    let quote = payer.quote(&offer).await.unwrap();
    let signed = payer.authorise(&quote, &challenge(), 30).await.unwrap();
    assert_eq!(
        signed.credential.as_ref().unwrap().header,
        "payment-signature"
    );
    let body: PaymentPayload = x402::header::decode(
        signed
            .credential
            .as_ref()
            .expect("a signature")
            .value
            .as_bytes(),
    )
    .unwrap();
    assert_eq!(body.x402_version, 2);
    assert_eq!(body.accepted, x402.raw);
    assert_eq!(body.resource, challenge().resource);
    assert_eq!(body.extensions, challenge().extensions);
}

#[tokio::test]
async fn an_authorization_is_over_the_quote_and_lives_no_longer_than_asked() {
    let payer = payer();
    let quote = payer.quote(&offered(|_| ())).await.unwrap();
    for (asked, lives) in [(30, 30), (60, 60), (600, 60)] {
        let signed = payer.authorise(&quote, &challenge(), asked).await.unwrap();
        let handle = EvmHandle::read(&signed.handle).unwrap();
        assert_eq!(handle.transfer.from, payer.address());
        assert_eq!(handle.transfer.to, PAYEE);
        assert_eq!(handle.transfer.value, quote.terms.amount);
        assert_eq!(handle.transfer.valid_after, 0);
        assert_eq!(handle.transfer.valid_before, NOW_S + lives);
        assert_eq!(signed.valid_before_s, NOW_S + lives);
        assert_eq!(signed.identity, handle.identity());
        // Whoever reads the books must not be able to spend from them.
        assert!(handle.signature.is_none());
    }
}

#[tokio::test]
async fn two_authorizations_never_share_a_nonce() {
    let payer = payer();
    let quote = payer.quote(&offered(|_| ())).await.unwrap();
    let mut seen = std::collections::HashSet::<Identity>::new();
    for _ in 0..100 {
        let signed = payer.authorise(&quote, &challenge(), 30).await.unwrap();
        assert!(seen.insert(signed.identity));
    }
}

#[tokio::test]
async fn without_an_endpoint_nothing_can_be_told() {
    let payer = payer();
    let quote = payer.quote(&offered(|_| ())).await.unwrap();
    let signed = payer.authorise(&quote, &challenge(), 30).await.unwrap();
    assert!(matches!(
        payer.check(&signed.handle).await,
        Finding::CannotTell { .. }
    ));
    assert!(matches!(
        payer.check(&Handle::new("junk".into())).await,
        Finding::CannotTell { .. }
    ));
}

#[tokio::test]
async fn an_offer_of_version_1_is_answered_in_version_1() {
    let payer = payer();
    let quote = payer.quote(&offered_in_version_1(|_| ())).await.unwrap();
    let signed = payer.authorise(&quote, &challenge(), 30).await.unwrap();
    assert_eq!(signed.credential.as_ref().unwrap().header, "x-payment");
    let body = PaymentPayloadV1::decode(
        signed
            .credential
            .as_ref()
            .expect("a signature")
            .value
            .as_bytes(),
    )
    .unwrap();
    assert_eq!((body.x402_version, body.scheme.as_str()), (1, "exact"));
    assert_eq!(body.network, "base-sepolia");
    let handle = EvmHandle::read(&signed.handle).unwrap();
    assert_eq!(handle.transfer.valid_after, NOW_S - 600);
    assert_eq!(handle.transfer.valid_before, NOW_S + 30);
    // What is signed is the same authorization that a seller of version 2 takes.
    let accepted = body.answering(offer().raw);
    let examined = collector().examine(&accepted, &offer(), NOW_S).unwrap();
    assert_eq!(examined.identity, signed.identity);
}

#[tokio::test]
async fn an_offer_of_version_1_is_believed_no_more_than_one_of_version_2() {
    for (field, value, code) in [
        ("asset", json!(PAYEE.to_string()), "unknown_token"),
        ("payTo", offer().raw["asset"].clone(), "invalid_payee"),
        ("network", json!("polygon"), "unknown_network"),
        (
            "extra",
            json!({"name": "USD Coin", "version": "2"}),
            "eip712_domain_mismatch",
        ),
    ] {
        let offer = offered_in_version_1(|o| o[field] = value);
        let refused = payer().quote(&offer).await.unwrap_err();
        assert_eq!(refused.code, code, "{field}");
    }
}

#[tokio::test]
async fn an_offer_of_lightning_is_refused_in_a_sentence() {
    let offer = Offer::L402(farebox_wire::challenge::L402Offer {
        scheme: farebox_wire::l402::Scheme::L402,
        token: "x".to_owned(),
        invoice: "lnbc1".to_owned(),
        is_versioned: false,
    });
    let refused = payer().quote(&offer).await.unwrap_err();
    assert_eq!(refused.code, "other_rail");
    assert!(refused.why.contains("Lightning"), "{refused}");
    let mut quote = payer().quote(&offered(|_| ())).await.unwrap();
    quote.offer = offer;
    let refused = payer().authorise(&quote, &challenge(), 60).await;
    assert_eq!(refused.err().map(|why| why.code), Some("other_rail"));
}
