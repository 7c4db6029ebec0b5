//! Which requests are one logical call, and which calls are refused before anything is sent.

use super::*;

fn call(method: Method, url: &str) -> Call {
    Call::new(method, url).unwrap()
}

#[test]
fn the_same_request_is_the_same_logical_call_and_any_other_is_another() {
    let base = || call(Method::POST, "https://h.example/q?a=1");
    let key = base().key();
    assert_eq!(
        call(Method::POST, "https://h.example/q?a=1#part").key(),
        key
    );
    let mut others = vec![
        call(Method::GET, "https://h.example/q?a=1"),
        call(Method::POST, "https://h.example/q?a=2"),
        call(Method::POST, "http://h.example/q?a=1"),
    ];
    let mut body = base();
    body.body = Bytes::from_static(b"x");
    let mut agent = base();
    agent.agent = Some("bot".into());
    let mut nameless = base();
    nameless.agent = Some(String::new());
    let mut named = base();
    named.idempotency_key = Some("k".into());
    others.extend([body, agent, nameless, named]);
    let mut keys: Vec<_> = others.iter().map(|c| c.key().0).collect();
    keys.push(key.0);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 8);
}

#[test]
fn an_idempotency_key_names_the_call_whatever_it_asks_for() {
    let named = |url| {
        let mut call = call(Method::GET, url);
        call.idempotency_key = Some("order-7".into());
        call.key()
    };
    assert_eq!(named("https://a.example/"), named("https://b.example/"));
}

#[test]
fn a_url_that_is_not_http_is_a_usage_error() {
    for url in [
        "",
        "example.com",
        "ftp://h/x",
        "file:///etc/passwd",
        "https://",
    ] {
        let fault = Call::new(Method::GET, url).unwrap_err();
        assert_eq!(fault.code, "invalid_url", "{url}");
        assert_eq!(fault.kind, Kind::Config);
    }
}

#[test]
fn a_body_that_cannot_be_kept_and_a_payment_header_of_the_callers_are_refused() {
    let mut large = call(Method::POST, "https://h.example/");
    large.body = Bytes::from(vec![0; REQUEST_BODY_BYTES_MAX + 1]);
    assert_eq!(large.check().unwrap_err().code, "request_body_too_large");
    let mut own = call(Method::GET, "https://h.example/");
    own.headers
        .insert("PAYMENT-SIGNATURE", "x".parse().unwrap());
    assert_eq!(own.check().unwrap_err().code, "payment_header_given");
}

#[test]
fn an_agent_is_guarded_whatever_else_is_said() {
    let mut agent = call(Method::GET, "https://h.example/");
    assert!(!agent.is_guarded());
    agent.agent = Some("bot".into());
    agent.private_ok = true;
    assert!(agent.is_guarded());
}
