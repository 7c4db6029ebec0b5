//! What a line has of a path, and of a credential.

use super::*;

#[test]
fn a_line_has_the_beginning_of_a_long_path_cut_between_characters() {
    assert_eq!(path_in_line("/short"), "/short");
    let long = format!("/{}", "é".repeat(PATH_BYTES_MAX));
    let shown = path_in_line(&long);
    // One byte and 511 characters of two.
    assert_eq!(shown.len(), PATH_BYTES_MAX - 1);
    assert!(long.starts_with(&shown));
}

#[test]
fn a_line_has_the_digest_of_a_token_and_of_no_other_scheme() {
    let shown = |value: &'static str| {
        let value = http::HeaderValue::from_static(value);
        let headers = [(http::header::AUTHORIZATION, value)].into_iter().collect();
        credential_in(&headers)
    };
    let digest = |text: &str| Some(<[u8; 32]>::from(Sha256::digest(text)));
    for token in ["L402 AA==:00", "lsat AA==:00", "L402 nonsense"] {
        assert_eq!(shown(token), digest(token));
    }
    assert_eq!(shown("Bearer mine"), None);
}
