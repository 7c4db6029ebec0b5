//! Rules of descriptions: they show no secret and no control characters.

use super::*;
use crate::l402::preimage::PaymentHash;

#[test]
fn a_token_is_described_without_its_preimage() {
    let preimage = "01".repeat(32);
    let mut token = Macaroon::mint(&[1; 32], "lsat\x1b[2J", &[0; 66]);
    for caveat in [
        "services=a:0",
        "a_valid_until=20",
        "b_valid_until=10",
        "c_valid_until=never",
        &format!("preimage={preimage}"),
        &format!(" PREIMAGE = {preimage}"),
        "tab\there",
    ] {
        token = token
            .add_first_party_caveat(caveat.as_bytes())
            .expect("room for it");
    }
    let said = describe(&token.to_base64()).expect("a macaroon");
    assert_eq!(said.location, "lsat\u{fffd}[2J");
    let identifier = said.identifier.expect("66 bytes");
    assert_eq!(identifier.payment_hash, PaymentHash([0; 32]));
    assert_eq!(
        said.conditions,
        [
            "services=a:0",
            "a_valid_until=20",
            "b_valid_until=10",
            "c_valid_until=never",
            "tab\u{fffd}here",
        ]
    );
    assert_eq!(said.valid_until_s, Some(10));
}

#[test]
fn opaque_tokens_have_no_description() {
    assert_eq!(describe("eyJoYXNoIjoiIn0"), None);
    assert_eq!(describe(""), None);
}
