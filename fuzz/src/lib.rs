//! What the targets ask of a body: what is read can be written, and is then read the same.
//!
//! Called by the targets in `fuzz_targets/`. A panic here is a finding.

use std::fmt::Debug;

use farebox_wire::x402::header::{self, HEADER_BYTES_MAX};
use serde::Serialize;
use serde::de::DeserializeOwned;

#[path = "../../crates/wire/tests/it/l402_readers.rs"]
mod l402_readers;

/// Lines of `WWW-Authenticate`.
pub fn www_authenticate(data: &[u8]) {
    l402_readers::www_authenticate(data);
}

/// Lines of `Authorization`, and of gRPC metadata.
pub fn l402_credential(data: &[u8]) {
    l402_readers::l402_credential(data);
}

/// A macaroon in any form.
pub fn macaroon(data: &[u8]) {
    l402_readers::macaroon(data);
}

/// Lines as the caveats of a token.
pub fn caveats(data: &[u8]) {
    l402_readers::caveats(data);
}

/// Characters of an error about a peer's body: a line for a log, whatever the peer sent.
const ERROR_CHARS_MAX: usize = 400;

/// Reads `data` as JSON and as header text.
pub fn body<T: DeserializeOwned + Serialize + PartialEq + Debug>(data: &[u8]) {
    match header::from_json::<T>(data) {
        Ok(body) => rewrites(&body),
        Err(error) => assert!(error.to_string().chars().count() < ERROR_CHARS_MAX),
    }
    match header::decode::<T>(data) {
        Ok(body) => rewrites(&body),
        Err(error) => assert!(error.to_string().chars().count() < ERROR_CHARS_MAX),
    }
}

fn rewrites<T: DeserializeOwned + Serialize + PartialEq + Debug>(body: &T) {
    let json = serde_json::to_vec(body).expect("what is read can be written");
    let again: T = header::from_json(&json).expect("what is written can be read");
    assert_eq!(&again, body);
    let text = header::encode(body).expect("what is read can be written");
    if text.len() <= HEADER_BYTES_MAX {
        let again: T = header::decode(text.as_bytes()).expect("what is written can be read");
        assert_eq!(&again, body);
    }
}
