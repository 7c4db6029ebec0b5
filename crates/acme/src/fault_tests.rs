//! What is said about what an authority says.

use super::*;

fn problem(kind: &str, detail: &str) -> Problem {
    let json = serde_json::json!({"type": format!("{PROBLEM}{kind}"), "detail": detail});
    serde_json::from_value(json).expect("a problem")
}

#[test]
fn every_refusal_ends_with_what_to_do() {
    for (kind, challenge, says) in [
        ("rateLimited", Challenge::TlsAlpn01, "staging"),
        ("connection", Challenge::TlsAlpn01, "port 443"),
        ("connection", Challenge::Http01, "port 80"),
        ("dns", Challenge::TlsAlpn01, "record"),
        ("unauthorized", Challenge::TlsAlpn01, "somebody else"),
        ("caa", Challenge::TlsAlpn01, "CAA"),
        (
            "externalAccountRequired",
            Challenge::TlsAlpn01,
            "ask another",
        ),
        ("newInventions", Challenge::TlsAlpn01, "asked again"),
    ] {
        let fault = AcmeError::refused("https://ca.example", challenge, &problem(kind, "so it is"));
        let text = fault.to_string();
        let (what, todo) = text.rsplit_once("; ").expect("two parts");
        assert!(what.contains(kind) && what.ends_with("so it is"), "{text}");
        assert!(todo.contains(says), "{text}");
    }
}

#[test]
fn words_of_an_authority_are_cut_and_make_no_lines() {
    let long = format!("one\ntwo\u{1b}[2J{}", "x".repeat(10_000));
    let fault = AcmeError::refused(
        "https://ca.example",
        Challenge::Http01,
        &problem("dns", &long),
    );
    let text = fault.to_string();
    assert!(
        text.len() < 1_000 && !text.contains(char::is_control),
        "{text}"
    );
}
