//! Strangers' bytes through every reader of this crate, with what must hold whatever they are.
//!
//! Called by `fuzz/` (feature `fuzzing`) and by the tests of damage, never by the product. A panic
//! in here is a finding.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::abi::{self, Arg, address_word};
use crate::rpc::{self, Block, Data, Found, Quantity, Receipt};
use crate::settle::refusal::reverted;
use crate::snapshot::fetch;
use crate::wallets::probe;
use crate::wallets::wrapper::{self, MAGIC, Unwrapped};

/// Characters of a sentence about a node's answer: a line for a log, whatever the node sent.
const WHY_CHARS_MAX: usize = 400;
/// Calls of one batch that are tried.
const CALLS_MAX: usize = 64;

/// A signature, wrapped by ERC-6492 or not.
///
/// # Panics
/// Where a rule is broken.
pub fn signature(bytes: &[u8]) {
    let Ok(unwrapped) = wrapper::unwrap(bytes) else {
        return assert!(bytes.ends_with(&MAGIC), "only a wrapper can be broken");
    };
    let Unwrapped {
        signature,
        deployment,
    } = unwrapped;
    if !bytes.ends_with(&MAGIC) {
        assert_eq!((signature, deployment), (bytes, None));
    }
    let Some(deployment) = deployment else {
        return assert!(signature.len() <= bytes.len());
    };
    assert!(signature.len().max(deployment.data.len()) < bytes.len());
    // Written afresh, the parts are read the same.
    let mut again = abi::encode(&[
        Arg::Word(address_word(deployment.factory)),
        Arg::Dynamic(abi::bytes(deployment.data)),
        Arg::Dynamic(abi::bytes(signature)),
    ]);
    again.extend_from_slice(&MAGIC);
    assert_eq!(wrapper::unwrap(&again).as_ref(), Ok(&unwrapped));
}

/// What a wallet's probe has written.
///
/// # Panics
/// Where a rule is broken.
pub fn probe(bytes: &[u8]) {
    if let Some(answer) = probe::read(bytes) {
        let words = answer.words().unwrap_or_default();
        assert!(words.chars().count() < WHY_CHARS_MAX && !words.contains('\n'));
    }
}

/// A node's answer to so many calls, read as whatever they may have asked.
///
/// # Panics
/// Where a rule is broken.
pub fn node(body: &[u8], calls: usize) {
    let calls = calls.clamp(1, CALLS_MAX);
    let results = match rpc::read_answer(body, calls) {
        Ok(results) => results,
        Err(why) => return assert_short(&why),
    };
    assert_eq!(results.len(), calls, "one for each");
    for result in &results {
        lens(result, 0);
        lens(result, 1);
        lens(result, calls);
        match result {
            Ok(value) => decoded(value),
            Err(error) => {
                assert_short(&error.to_string());
                let _ = reverted(error);
            }
        }
    }
    // Too few results are answers that were left out, and no others.
    for queries in [0, calls / 3, calls] {
        assert_eq!(fetch::read_single(results.clone(), queries).len(), queries);
    }
}

fn lens(result: &Found, queries: usize) {
    match fetch::read_lens(result.clone(), queries) {
        Some(Ok(told)) => assert_eq!(told.len(), queries, "one for each"),
        Some(Err(error)) => assert_short(&error.to_string()),
        None => {}
    }
}

fn decoded(value: &RawValue) {
    fn short<T: DeserializeOwned>(value: &RawValue) -> Option<T> {
        let read = rpc::decode(value.to_owned());
        read.map_err(|error| assert_short(&error.to_string())).ok()
    }
    short::<Block>(value);
    short::<Quantity>(value);
    if let Some(receipt) = short::<Receipt>(value) {
        let _ = receipt.cost_wei();
    }
    if let Some(Data(bytes)) = short::<Data>(value) {
        probe(&bytes);
    }
}

fn assert_short(why: &str) {
    assert!(why.chars().count() < WHY_CHARS_MAX, "{why}");
}

#[cfg(test)]
#[path = "readers_tests.rs"]
mod tests;
