//! Algebra of tokens: what is written is read back, what was changed is never believed, and whoever
//! narrows a token gains nothing.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use farebox_wire::auth;
use farebox_wire::l402::Scheme;
use farebox_wire::l402::challenge;
use farebox_wire::l402::conditions::{Mode, Request, check};
use farebox_wire::l402::credential::{self, AUTHORIZATION, L402Credential};
use farebox_wire::l402::identifier::{Identifier, TokenId};
use farebox_wire::l402::macaroon::{Macaroon, VerifyError};
use farebox_wire::l402::preimage::{PaymentHash, Preimage};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use crate::l402_readers::is_narrower;

fn token_of(root_key: &[u8], identifier: &[u8], caveats: &[Vec<u8>]) -> Macaroon {
    caveats.iter().fold(
        Macaroon::mint(root_key, "here", identifier),
        |token, caveat| token.add_first_party_caveat(caveat).expect("room for it"),
    )
}

/// The same signature under other words.
fn forged(signature: &[u8], identifier: &[u8], caveats: &[Vec<u8>]) -> Macaroon {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let caveats: Vec<_> = caveats.iter().map(|c| json!({"i64": encode(c)})).collect();
    let body = json!({
        "v": 2, "i64": encode(identifier), "c": caveats, "s64": encode(signature),
    });
    Macaroon::from_bytes(body.to_string().as_bytes()).expect("a macaroon")
}

/// Caveats such as are added to tokens of ours, good and bad.
fn condition() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..8_u64).prop_map(|n| format!("farebox_uses={n}")),
        Just("farebox_uses=unlimited".to_owned()),
        (998..1010_u64).prop_map(|t| format!("svc1_valid_until={t}")),
        (998..1010_u64).prop_map(|t| format!("svc2_valid_until={t}")),
        (0..4_u8, 0..3_u8).prop_map(|(a, b)| format!("services=svc1:{a},svc2:{b}")),
        (0..4_u8).prop_map(|a| format!("services=svc1:{a}")),
        vec("(add|mul|sub)", 0..3).prop_map(|l| format!("svc1_capabilities={}", l.join(","))),
        vec("(GET|POST)", 1..3).prop_map(|l| format!("farebox_method={}", l.join(","))),
        "/(v1)?(/q)?".prop_map(|path| format!("farebox_path={path}")),
        (0..5_u64).prop_map(|n| format!("svc1_calls={n}")),
        (7..9_u64).prop_map(|n| format!("farebox_price={n}")),
        "(farebox_route|farebox_origin|farebox_tenant)=(r1|o1|t1|x)",
        "[a-z_]{1,12}=[a-z0-9]{0,4}",
    ]
}

fn request() -> Request<'static> {
    Request {
        now_s: 1000,
        service: "svc1",
        capability: Some("add"),
        payment_hash: PaymentHash([0; 32]),
        route: "r1",
        origin: "o1",
        tenant: Some("t1"),
        method: "GET",
        path: "/v1/q",
        constraints: &["svc1_calls"],
    }
}

proptest! {
    #[test]
    fn a_macaroon_is_its_bytes_in_every_alphabet(
        root_key in vec(any::<u8>(), 0..100), identifier in vec(any::<u8>(), 0..100),
        caveats in vec(vec(any::<u8>(), 0..300), 0..6),
    ) {
        let token = token_of(&root_key, &identifier, &caveats);
        let bytes = token.to_v2();
        let texts = [
            token.to_base64(), STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes),
        ];
        let mut read: Vec<Macaroon> = texts
            .iter()
            .map(|text| Macaroon::from_base64(text).expect("ours"))
            .collect();
        read.push(Macaroon::from_hex(&hex::encode(&bytes)).expect("ours"));
        for again in read {
            prop_assert_eq!(again.to_v2(), bytes.clone());
            prop_assert_eq!(again.identifier(), identifier.as_slice());
            prop_assert!(again.first_party_caveats().eq(caveats.iter().map(Vec::as_slice)));
            prop_assert!(again.verify(&root_key).is_ok());
        }
    }

    #[test]
    fn only_the_very_list_that_was_signed_verifies(
        caveats in vec(vec(any::<u8>(), 0..20), 0..6), other in vec(vec(any::<u8>(), 0..20), 0..6),
        cut in 0..6_usize, turn in 0..6_usize,
    ) {
        let token = token_of(b"key", b"id", &caveats);
        let mut turned = caveats.clone();
        turned.rotate_left(turn.min(caveats.len()));
        let cut = caveats.get(..cut).unwrap_or(&caveats).to_vec();
        let widened = [caveats.clone(), other.clone()].concat();
        for list in [cut, turned, widened, other] {
            let forged = forged(token.signature(), b"id", &list);
            match forged.verify(b"key") {
                Ok(_) => prop_assert_eq!(list, caveats.clone()),
                Err(why) => {
                    prop_assert_eq!(why, VerifyError::Signature);
                    prop_assert_ne!(list, caveats.clone());
                }
            }
        }
    }

    #[test]
    fn one_flipped_bit_is_never_believed(
        caveats in vec(vec(any::<u8>(), 1..20), 1..4), place: prop::sample::Index, bit in 0..8_u8,
    ) {
        let token = token_of(b"key", b"id", &caveats);
        let mut bytes = token.to_v2();
        let at = place.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(changed) = Macaroon::from_bytes(&bytes) {
            // The location alone is not signed.
            let is_same = changed.identifier() == token.identifier()
                && changed.signature() == token.signature()
                && changed.first_party_caveats().eq(token.first_party_caveats());
            prop_assert_eq!(changed.verify(b"key").is_ok(), is_same);
        }
    }

    #[test]
    fn whoever_narrows_a_token_gains_nothing(
        root_key: [u8; 32], first in vec(condition(), 0..4), more in vec(condition(), 1..4),
    ) {
        let base = ["services=svc1:2,svc2:1", "farebox_route=r1", "farebox_origin=o1"];
        let minted: Vec<Vec<u8>> = base
            .iter()
            .map(|caveat| caveat.as_bytes().to_vec())
            .chain(first.into_iter().map(String::into_bytes))
            .collect();
        let token = token_of(&root_key, b"id", &minted);
        let before = {
            let verified = token.verify(&root_key).expect("ours");
            check(verified.caveats(), &request(), Mode::Strict)
        };
        let narrowed = more
            .iter()
            .fold(token, |token, caveat| {
                token.add_first_party_caveat(caveat.as_bytes()).expect("room for it")
            });
        let verified = narrowed.verify(&root_key).expect("anyone may narrow it");
        if let Ok(after) = check(verified.caveats(), &request(), Mode::Strict) {
            let before = before.expect("what is allowed now was allowed before");
            prop_assert!(is_narrower(&after, &before), "{after:?} {before:?}");
        }
    }

    #[test]
    fn an_identifier_of_a_token_is_its_bytes(payment: [u8; 32], token: [u8; 32]) {
        let identifier = Identifier {
            payment_hash: PaymentHash(payment), token_id: TokenId(token),
        };
        prop_assert_eq!(Identifier::read(&identifier.to_bytes()), Ok(identifier));
    }

    #[test]
    fn an_l402_challenge_is_its_lines(token in "[!#-+\\--\\[\\]-~]{1,80}", invoice in "[a-zA-Z0-9]{1,80}") {
        let lines = challenge::write(&token, &invoice).expect("plain");
        let read = challenge::read(lines.iter().map(String::as_bytes));
        prop_assert_eq!(read.unreadable, []);
        prop_assert_eq!(read.challenges.len(), 1);
        prop_assert_eq!(&read.challenges[0].token, &token);
        prop_assert_eq!(&read.challenges[0].invoice, &invoice);
        let folded = lines.join(", ");
        prop_assert_eq!(challenge::read([folded.as_bytes()]).challenges, read.challenges);
    }

    #[test]
    fn an_l402_credential_is_its_header(token in "[!#-+\\--\\[\\]-~]{1,80}", preimage: [u8; 32], is_old: bool) {
        let scheme = if is_old { Scheme::Lsat } else { Scheme::L402 };
        let credential = L402Credential::new(scheme, &token, Preimage::from_bytes(preimage));
        let header = credential.expect("plain").to_authorization().expect("a text");
        let lookup = |name: &str| (name == AUTHORIZATION).then_some(header.as_bytes());
        let read = credential::read(lookup).ok().flatten().expect("what we write we read");
        prop_assert_eq!(read.token, token);
        prop_assert_eq!(read.preimage.to_hex(), hex::encode(preimage));
    }

    #[test]
    fn parameters_in_quotes_are_read_as_they_were_written(
        params in vec(("[a-z]{1,8}", "[ -~\t]{0,20}"), 1..5), between in "[ \t]{0,2},[ \t,]{0,2}",
    ) {
        let written: Vec<String> = params
            .iter()
            .map(|(name, value)| {
                format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
            })
            .collect();
        let line = format!("Scheme {}", written.join(&between));
        let read = auth::challenges([line.as_bytes()]);
        prop_assert_eq!(read.unreadable, []);
        prop_assert_eq!(read.challenges.len(), 1);
        prop_assert_eq!(&read.challenges[0].params, &params);
    }
}
