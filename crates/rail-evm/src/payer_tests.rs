//! What a buyer signs.

use farebox_wire::identity::Identity;
use serde_json::json;

use super::*;
use crate::fixtures::{NOW_S, PAYEE, challenge, offered, payer};

#[tokio::test]
async fn a_credential_echoes_the_offer_verbatim_and_the_challenge() {
    let offer = offered(|o| o["extra"]["somethingElse"] = json!({"kept": [1, 2.0, "3"]}));
    let Offer::X402(x402) = &offer;
    let payer = payer();
    let quote = payer.quote(&offer).await.unwrap();
    let signed = payer.authorise(&quote, &challenge(), 30).await.unwrap();
    assert_eq!(signed.credential.header, "payment-signature");
    let body: PaymentPayload = x402::header::decode(signed.credential.value.as_bytes()).unwrap();
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
        payer.check(&Handle("junk".into())).await,
        Finding::CannotTell { .. }
    ));
}
