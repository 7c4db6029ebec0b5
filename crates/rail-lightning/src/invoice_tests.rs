//! The vectors of `conformance/l402/bolt11.json`, and damage.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::readers;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../conformance/l402/bolt11.json")).unwrap()
}

fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap()
}

#[test]
fn what_an_invoice_says_is_read_as_the_vectors_say() {
    let vectors = vectors();
    for case in vectors["read"].as_array().unwrap() {
        let read =
            Bolt11::read(text(case, "invoice")).unwrap_or_else(|why| panic!("{why}: {case}"));
        assert_eq!(
            read.amount_msat.to_string(),
            text(case, "amount_msat"),
            "{case}"
        );
        assert_eq!(
            hex::encode(read.payment_hash),
            text(case, "payment_hash"),
            "{case}"
        );
        assert_eq!(read.payee, text(case, "payee"), "{case}");
        assert_eq!(
            read.expires_s,
            case["expires_s"].as_u64().unwrap(),
            "{case}"
        );
        assert_eq!(read.network.name(), text(case, "network"), "{case}");
    }
}

#[test]
fn what_cannot_be_paid_is_refused_with_its_reason() {
    let vectors = vectors();
    for case in vectors["refused"].as_array().unwrap() {
        let why = Bolt11::read(text(case, "invoice")).expect_err(text(case, "what"));
        assert_eq!(why.code(), text(case, "code"), "{why}: {case}");
    }
    let long = format!("lnbc1{}", "q".repeat(INVOICE_BYTES_MAX));
    assert_eq!(Bolt11::read(&long), Err(InvoiceError::TooLong));
}

#[test]
fn an_invoice_is_payable_on_its_network_until_shortly_before_its_end() {
    let vectors = vectors();
    let case = &vectors["read"][0];
    let (invoice, end) = (text(case, "invoice"), case["expires_s"].as_u64().unwrap());
    let payable = |network, now_s| Bolt11::payable(invoice, network, now_s);
    assert!(payable(Network::Mainnet, end - EXPIRY_MARGIN_S - 1).is_ok());
    for late in [end - EXPIRY_MARGIN_S, end, u64::MAX] {
        assert_eq!(payable(Network::Mainnet, late), Err(InvoiceError::Expired));
    }
    for other in [Network::Testnet, Network::Signet, Network::Regtest] {
        assert_eq!(payable(other, 0).unwrap_err().code(), "invoice_network");
    }
}

proptest! {
    #[test]
    fn a_damaged_invoice_or_answer_breaks_no_rule(place in 0_usize..400, byte: u8, case in 0_usize..20) {
        let vectors = vectors();
        let cases = vectors["read"].as_array().unwrap();
        let mut bytes = text(&cases[case % cases.len()], "invoice").as_bytes().to_vec();
        let place = place % bytes.len();
        bytes[place] = byte;
        readers::invoice(&bytes);
        readers::lnd(&bytes);
        bytes.truncate(place);
        readers::invoice(&bytes);
    }

    #[test]
    fn any_bytes_are_no_answer_of_lnd_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        readers::lnd(&bytes);
    }
}
