//! Errors in every gateway's form.

use super::*;

#[test]
fn an_error_is_read_in_each_form_that_gateways_give_it() {
    for body in [
        r#"{"code":5,"message":"unable to locate invoice","details":[]}"#,
        r#"{"error":"unable to locate invoice","code":5,"message":"unable to locate invoice"}"#,
        r#"{"error":{"code":5,"message":"unable to locate invoice","details":[]}}"#,
        r#"{"error":{"grpc_code":5,"http_code":404,"message":"unable to locate invoice"}}"#,
    ] {
        let refusal = Refusal::read(body.as_bytes()).unwrap();
        assert_eq!(
            (refusal.code, refusal.message.as_str()),
            (5, "unable to locate invoice")
        );
        assert!(refusal.is_unknown_invoice());
    }
    for body in [
        "",
        "<html>",
        "{}",
        "[]",
        r#"{"message":"a"}"#,
        r#"{"error":{}}"#,
        r#"{"code":-1,"message":"a"}"#,
    ] {
        assert_eq!(Refusal::read(body.as_bytes()), None, "{body}");
    }
}

#[test]
fn a_place_that_is_not_there_says_nothing_of_a_payment_or_an_invoice() {
    let refusal = Refusal::read(br#"{"code":5,"message":"Not Found","details":[]}"#).unwrap();
    assert!(!refusal.is_unknown_payment());
    assert!(!refusal.is_unknown_invoice());
}

#[test]
fn what_a_node_says_is_shown_short_and_in_one_line() {
    let long = format!(r#"{{"code":2,"message":"a\nb{}"}}"#, "x".repeat(1_000));
    let told = NoAnswer::Refused(Refusal::read(long.as_bytes()).unwrap()).told("node:8080");
    assert_eq!(told.code(), "node_refused");
    assert!(told.message.len() < 300 && !told.message.contains('\n'));
}
