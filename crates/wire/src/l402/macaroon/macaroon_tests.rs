//! Rules of macaroons beside those in `conformance/l402/macaroons.json`: limits and secrets.

use super::*;

#[test]
fn a_macaroon_takes_so_many_caveats_and_no_more() {
    let mut token = Macaroon::mint(b"key", "", b"id");
    for _ in 0..CAVEATS_MAX {
        token = token.add_first_party_caveat(b"a=1").expect("room for it");
    }
    assert!(Macaroon::from_bytes(&token.to_v2()).is_ok());
    assert!(token.verify(b"key").is_ok());
    let more = token.add_first_party_caveat(b"a=1");
    assert_eq!(more.err(), Some(MacaroonError::TooManyCaveats));
}

#[test]
fn a_macaroon_that_nobody_would_read_is_not_made() {
    let token = Macaroon::mint(b"key", "", b"id");
    let room = MACAROON_BYTES_MAX - 100;
    let token = token
        .add_first_party_caveat(&vec![b'x'; room])
        .expect("room for it");
    assert!(Macaroon::from_base64(&token.to_base64()).is_ok());
    let more = token.add_first_party_caveat(&[b'x'; 100]);
    assert_eq!(more.err(), Some(MacaroonError::TooLong));
}

#[test]
fn what_is_shown_of_a_macaroon_is_no_secret() {
    let token = Macaroon::mint(b"key", "lsat", b"id");
    let token = token.add_first_party_caveat(b"preimage=01").expect("room");
    assert_eq!(format!("{token:?}"), "Macaroon { caveats: 1, .. }");
    let verified = token.verify(b"key").expect("ours");
    assert_eq!(format!("{verified:?}"), "Macaroon { caveats: 1, .. }");
}

#[test]
fn every_token_of_a_master_key_has_its_own_root_key() {
    let (one, two) = (
        derive_root_key(&[1; 32], b"a"),
        derive_root_key(&[1; 32], b"b"),
    );
    assert_ne!(one, two);
    assert_ne!(one, derive_root_key(&[2; 32], b"a"));
    assert_eq!(one, derive_root_key(&[1; 32], b"a"));
}

#[test]
fn hex_is_bounded() {
    let long = "0".repeat(TOKEN_BYTES_MAX + 1);
    assert_eq!(
        Macaroon::from_hex(&long).err(),
        Some(MacaroonError::TooLong)
    );
    assert_eq!(
        Macaroon::from_base64(&long).err(),
        Some(MacaroonError::TooLong)
    );
    assert_eq!(Macaroon::from_hex("0g").err(), Some(MacaroonError::Hex));
}
