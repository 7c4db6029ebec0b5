//! Rules of credentials beside those in `conformance/l402/credentials.json`: limits.

use super::*;

fn read_lines(lines: &[String]) -> Result<Option<L402Credential>, CredentialError> {
    read(|name| {
        let lines = if name == AUTHORIZATION { lines } else { &[] };
        lines.iter().map(String::as_bytes).collect::<Vec<_>>()
    })
}

fn refused(lines: &[String]) -> Option<CredentialError> {
    read_lines(lines).err()
}

#[test]
fn a_token_is_bounded() {
    let preimage = "01".repeat(32);
    let line = |bytes: usize| vec![format!("L402 {}:{preimage}", "x".repeat(bytes))];
    let most = read_lines(&line(crate::l402::TOKEN_BYTES_MAX))
        .ok()
        .flatten();
    assert!(most.is_some());
    let more = line(crate::l402::TOKEN_BYTES_MAX + 1);
    assert_eq!(refused(&more), Some(CredentialError::Token));
}

#[test]
fn lines_are_counted_whatever_their_scheme() {
    let lines = vec!["Bearer x".to_owned(); VALUES_MAX];
    assert!(read_lines(&lines).is_ok_and(|found| found.is_none()));
    let lines = vec!["Bearer x".to_owned(); VALUES_MAX + 1];
    assert_eq!(refused(&lines), Some(CredentialError::TooMany));
}

#[test]
fn metadata_that_stands_there_too_often_is_refused() {
    let many = vec![b"00".as_slice(); VALUES_MAX + 1];
    let read = read(|name| {
        if name == "token" {
            many.clone()
        } else {
            Vec::new()
        }
    });
    assert_eq!(read.err(), Some(CredentialError::TooMany));
}

#[test]
fn a_buyer_sends_only_tokens_that_a_header_can_carry() {
    let new =
        |token: &str| L402Credential::new(Scheme::L402, token, Preimage::from_bytes([1; 32])).err();
    assert_eq!(new(""), Some(CredentialError::NoToken));
    for token in ["a b", "a,b", "a\"b", "a\r\nX: y", "é"] {
        assert_eq!(new(token), Some(CredentialError::Token), "{token}");
    }
    assert_eq!(new("a:b"), None);
}
