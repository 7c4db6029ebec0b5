//! Rules of L402 challenges beside those in `conformance/l402/challenges.json`: limits, and what is
//! told of parts that were not looked at.

use super::*;

fn line(token: &str, invoice: &str) -> String {
    format!(r#"L402 macaroon="{token}", invoice="{invoice}""#)
}

#[test]
fn tokens_and_invoices_are_bounded() {
    let (token, invoice) = ("x".repeat(TOKEN_BYTES_MAX), "1".repeat(INVOICE_BYTES_MAX));
    let most = line(&token, "lnbc1");
    assert_eq!(read([most.as_bytes()]).challenges.len(), 1);
    let more = line(&format!("{token}x"), "lnbc1");
    assert_eq!(
        read([more.as_bytes()]).unreadable,
        [L402ChallengeError::Token]
    );
    let most = line("x", &invoice);
    assert_eq!(read([most.as_bytes()]).challenges.len(), 1);
    let more = line("x", &format!("{invoice}1"));
    assert_eq!(
        read([more.as_bytes()]).unreadable,
        [L402ChallengeError::Invoice]
    );
    assert!(write(&format!("{token}x"), "lnbc1").is_err());
}

#[test]
fn a_header_that_was_not_looked_at_is_told() {
    let long = line("x", &"1".repeat(auth::VALUE_BYTES_MAX));
    let good = line("x", "lnbc1");
    let said = read([long.as_bytes(), good.as_bytes()]);
    assert_eq!(said.challenges.len(), 1);
    assert!(matches!(
        said.unreadable.as_slice(),
        [L402ChallengeError::Header(AuthError::TooLong { .. })]
    ));
}

#[test]
fn a_broken_challenge_of_another_scheme_is_nothing_to_us() {
    let said = read([b"Basic realm=\"x".as_slice(), b"\"", b"Payment id=\""]);
    assert!(said.challenges.is_empty() && said.unreadable.is_empty());
    assert!(said.has_mpp);
}

#[test]
fn the_first_line_is_what_regular_expressions_look_for() {
    let [first, second] = write("AgEE+/==", "lnbc1").expect("plain");
    // lnget and aperture: `(LSAT|L402) macaroon="(.*?)", invoice="(.*?)"`.
    assert!(first.starts_with(r#"L402 macaroon="AgEE+/==", invoice="lnbc1", "#));
    assert_eq!(second, r#"LSAT macaroon="AgEE+/==", invoice="lnbc1""#);
}
