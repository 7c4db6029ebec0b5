//! Answers in lnd's own shapes, and what is not one.

use super::*;

const HASH: [u8; 32] = [1; 32];

fn payment(status: &str, preimage: &str) -> Result<PaymentFate, NoAnswer> {
    let line = format!(
        r#"{{"result":{{"payment_hash":"{}","payment_preimage":"{preimage}","status":"{status}","fee_msat":"12","creation_time_ns":"1700000000999999999"}}}}"#,
        hex::encode(HASH)
    );
    payment_line(line.as_bytes(), &HASH)
}

#[test]
fn a_preimage_of_zeros_or_of_nothing_is_none() {
    let digits = "ab".repeat(32);
    for (text, is_there) in [
        (digits.as_str(), true),
        ("", false),
        (&"0".repeat(64), false),
        ("ab", false),
    ] {
        let Ok(PaymentFate::Succeeded { preimage, fee_msat }) = payment("SUCCEEDED", text) else {
            panic!("{text}");
        };
        assert_eq!((preimage.is_some(), fee_msat), (is_there, 12), "{text}");
    }
}

#[test]
fn a_state_that_is_not_known_is_no_state() {
    assert!(matches!(
        payment("IN_FLIGHT", ""),
        Ok(PaymentFate::InFlight)
    ));
    assert!(matches!(
        payment("INITIATED", ""),
        Ok(PaymentFate::InFlight)
    ));
    let failed = payment("FAILED", "");
    assert!(matches!(
        failed,
        Ok(PaymentFate::Failed {
            begun_s: Some(1_700_000_000),
            ..
        })
    ));
    for other in ["UNKNOWN", "", "succeeded"] {
        assert!(
            matches!(payment(other, ""), Err(NoAnswer::MaybeSent(_))),
            "{other}"
        );
    }
}

#[test]
fn amounts_are_whole_numbers_in_either_form_and_never_guessed() {
    let said = |msat: &str| {
        format!(r#"{{"local_balance":{{"msat":{msat}}},"remote_balance":{{"msat":"7"}}}}"#)
    };
    for (text, msat) in [
        ("\"18446744073709551615\"", u64::MAX),
        ("12", 12),
        ("\"0\"", 0),
    ] {
        assert_eq!(
            liquidity(said(text).as_bytes()).unwrap().outbound_msat,
            msat
        );
    }
    for bad in [
        "\"\"",
        "\"-1\"",
        "-1",
        "1.5",
        "\"1e3\"",
        "null",
        "\"18446744073709551616\"",
        "\"+1\"",
    ] {
        assert!(liquidity(said(bad).as_bytes()).is_err(), "{bad}");
    }
    assert!(liquidity(b"{}").is_err());
}

#[test]
fn each_network_of_lnd_is_ours_or_none() {
    let said = |network: &str| {
        let key = "02".repeat(33);
        let body = format!(
            r#"{{"identity_pubkey":"{key}","chains":[{{"chain":"bitcoin","network":"{network}"}}]}}"#
        );
        identity(body.as_bytes()).map(|known| known.network)
    };
    assert_eq!(said("mainnet"), Ok(Network::Mainnet));
    assert_eq!(said("testnet"), Ok(Network::Testnet));
    assert_eq!(said("testnet4"), Ok(Network::Testnet));
    assert_eq!(said("signet"), Ok(Network::Signet));
    assert_eq!(said("regtest"), Ok(Network::Regtest));
    assert!(said("simnet").is_err());
    assert!(identity(br#"{"identity_pubkey":"02","chains":[{"network":"regtest"}]}"#).is_err());
    assert!(identity(br#"{"identity_pubkey":"02","chains":[]}"#).is_err());
}

#[test]
fn a_paid_invoice_has_its_place_and_others_are_passed_over() {
    let said = |state: &str, index: &str| {
        format!(
            r#"{{"result":{{"r_hash":"{}","state":"{state}","settle_index":"{index}","settle_date":"5","amt_paid_msat":"9"}}}}"#,
            STANDARD.encode(HASH)
        )
    };
    let paid = settled_line(said("SETTLED", "3").as_bytes())
        .unwrap()
        .unwrap();
    assert_eq!(
        (paid.index, paid.payment_hash, paid.settled_s),
        (3, HASH, 5)
    );
    assert_eq!(settled_line(said("OPEN", "0").as_bytes()).unwrap(), None);
    // The parts of an AMP invoice are counted elsewhere.
    assert_eq!(settled_line(said("SETTLED", "0").as_bytes()).unwrap(), None);
    let error = settled_line(br#"{"error":{"code":14,"message":"shutting down"}}"#);
    assert!(matches!(error, Err(NoAnswer::Refused(_))));
}
