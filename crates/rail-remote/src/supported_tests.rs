//! Which facilitators an offer fits.

use farebox_wire::money::Amount;
use serde_json::{Value, json};

use super::*;

fn offer(extra: Value) -> PaymentRequirements {
    PaymentRequirements {
        scheme: "exact".to_owned(),
        network: "eip155:84532".parse().expect("a chain"),
        amount: Amount::from_atomic(1),
        asset: "0x036CbD53842c5426634e7929541eC2318f3dCF7e".to_owned(),
        pay_to: "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720".to_owned(),
        max_timeout_seconds: 60,
        extra: extra.as_object().cloned(),
    }
}

fn said(kinds: &Value, signers: &Value) -> Supported {
    let said = json!({ "kinds": kinds, "signers": signers });
    read(said.to_string().as_bytes()).expect("kinds")
}

fn kinds(kinds: &Value) -> Supported {
    said(kinds, &json!({}))
}

#[test]
fn version_scheme_and_network_must_be_the_offers_and_strange_kinds_hide_nothing() {
    let read = kinds(&json!([
        {"x402Version": 1, "scheme": "exact", "network": "base-sepolia"},
        "nonsense",
        {"x402Version": 2, "scheme": "upto", "network": "eip155:84532"},
        {"x402Version": 2, "scheme": "exact", "network": "eip155:1"},
        {"x402Version": 2, "scheme": "exact", "network": "eip155:84532", "extra": null},
    ]));
    let offer = offer(json!({"name": "USDC"}));
    let kinds = read.kinds.iter();
    let fitting: Vec<bool> = kinds.map(|kind| read.kind_fits(kind, &offer)).collect();
    assert_eq!(fitting, [false, false, false, true]);
}

#[test]
fn what_a_facilitator_asks_for_must_stand_in_the_offer() {
    let with = |extra: Value| {
        kinds(
            &json!([{"x402Version": 2, "scheme": "exact", "network": "eip155:84532", "extra": extra}]),
        )
    };
    let fits = |said: &Supported, offer: &PaymentRequirements| said.fits(offer);
    let plain = offer(json!({"name": "USDC"}));
    assert!(fits(
        &with(json!({"assetTransferMethod": "eip3009"})),
        &plain
    ));
    assert!(!fits(
        &with(json!({"assetTransferMethod": "permit2"})),
        &plain
    ));
    assert!(!fits(&with(json!({"feePayer": "a"})), &plain));
    assert!(fits(
        &with(json!({"feePayer": "a"})),
        &offer(json!({"feePayer": "a"}))
    ));
    assert!(!fits(
        &with(json!({"feePayer": "a"})),
        &offer(json!({"feePayer": "b"}))
    ));
}

#[test]
fn what_is_no_list_of_kinds_is_refused() {
    for bad in ["", "[]", "{}", "<html>", r#"{"kinds":{}}"#] {
        assert!(read(bad.as_bytes()).is_err(), "{bad}");
    }
}

const SOLANA: &str = "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1";
const FIRST: &str = "4uQeVj5tqViQh7yWWGStvkEG1Zmhx6uasJtWCJziofM";
const SECOND: &str = "8opHzTAnfzRpPEx21XtnrVTX28YQuCpAjcn1PczScKh";

fn paid_by(named: &str, signers: &[&str]) -> Supported {
    let kind = json!([{"x402Version": 2, "scheme": "exact", "network": SOLANA, "extra": {"feePayer": named}}]);
    said(&kind, &json!({ "solana:*": signers }))
}

fn on_solana(fee_payer: &str) -> PaymentRequirements {
    PaymentRequirements {
        network: SOLANA.parse().expect("a chain"),
        ..offer(json!({ "feePayer": fee_payer }))
    }
}

#[test]
fn an_offer_fits_who_signs_as_its_fee_payer_whichever_it_names_today() {
    let said = paid_by(FIRST, &[SECOND]);
    assert!(said.fits(&on_solana(FIRST)));
    assert!(said.fits(&on_solana(SECOND)));
    assert!(!paid_by(FIRST, &[]).fits(&on_solana(SECOND)));
    assert!(
        !said.fits(&on_solana(&FIRST.to_lowercase())),
        "every case is another account"
    );
    let elsewhere = json!({"eip155:*": [SECOND]});
    let kind = json!([{"x402Version": 2, "scheme": "exact", "network": SOLANA, "extra": {"feePayer": FIRST}}]);
    assert!(!super::tests::said(&kind, &elsewhere).fits(&on_solana(SECOND)));
}

#[test]
fn whom_it_named_before_is_named_again_as_long_as_it_signs_so() {
    let before = paid_by(FIRST, &[FIRST, SECOND]);
    let named = |signers: &[&str]| {
        let mut now = paid_by(SECOND, signers);
        now.keep_naming(&before);
        fee_payer(now.kind_of("exact", SOLANA).expect("a kind")).map(|named| named.to_string())
    };
    assert_eq!(named(&[SECOND, FIRST]).as_deref(), Some(FIRST));
    assert_eq!(named(&[SECOND]).as_deref(), Some(SECOND));
}

#[test]
fn a_fee_payer_is_an_account() {
    for wrong in [
        json!(""),
        json!("0xabc"),
        json!(7),
        json!(null),
        json!(SvmAddress::ZERO.to_string()),
    ] {
        let kind = json!([{"x402Version": 2, "scheme": "exact", "network": SOLANA, "extra": {"feePayer": wrong}}]);
        assert_eq!(fee_payer(&kinds(&kind).kinds[0]), None, "{wrong}");
    }
}
