//! What nodes and tokens say when they refuse, sorted by what has to be done next.
//!
//! Nodes have no codes for this, only words; these are the words of geth, reth, Nethermind,
//! Erigon, Besu and anvil. A refusal that is not recognised proves nothing.

use farebox_wire::evm::parse_hex;
use farebox_wire::x402::reason::Reason;

use crate::abi;
use crate::rpc::RpcError;

/// What a node's refusal of a transaction means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// It has the transaction already.
    Known,
    /// The nonce is in a block already.
    NonceUsed,
    /// The nonce waits in another transaction, which pays as much.
    Occupied,
    /// The fee is below what the chain asks for now.
    Underpriced,
    /// The gas key has no money.
    Unfunded,
    /// Surely not taken, for another reason.
    Other,
    /// Words that are not recognised: it may have been taken all the same.
    Unclear,
}

/// Sorts the words of a node that did not take a transaction.
pub(crate) fn not_taken(message: &str) -> NotTaken {
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    if is_known(&message) {
        NotTaken::Known
    } else if is_nonce_used(&message) {
        NotTaken::NonceUsed
    } else if says(&["replacement transaction", "replace existing"]) {
        NotTaken::Occupied
    } else if says(&[
        "insufficient funds",
        "insufficient balance",
        "upfront cost exceeds",
    ]) {
        NotTaken::Unfunded
    } else if says(&[
        "underpriced",
        "less than block base fee",
        "fee too low",
        "feetoolow",
    ]) {
        NotTaken::Underpriced
    } else if says(&[
        "pool is full",
        "exceeds block gas limit",
        "intrinsic gas",
        "floor data gas",
        "fee cap",
        "chain id",
        "chainid",
        "rate limit",
        "limit exceeded",
        "too many requests",
        "not supported",
        "not found",
        "not allowed",
        "not available",
        "unauthorized",
        "forbidden",
        "sender not an eoa",
    ]) {
        NotTaken::Other
    } else {
        NotTaken::Unclear
    }
}

/// Whether a node says that a transaction's nonce is in a block already.
pub(crate) fn is_nonce_used(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    [
        "nonce too low",
        "nonce is too low",
        "oldnonce",
        "nonce_too_low",
        "invalid nonce",
    ]
    .iter()
    .any(|words| message.contains(words))
}

/// Whether a node says that it has the transaction already.
pub(crate) fn is_known(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    [
        "already known",
        "known transaction",
        "already imported",
        "already exists",
    ]
    .iter()
    .any(|words| message.contains(words))
}

/// Whether a call fails for want of gas: all that was allowed was burnt. Nodes that will not give
/// gas for other reasons say so in other words.
pub(crate) fn is_out_of_gas(error: &RpcError) -> bool {
    let RpcError::Refused { message, .. } = error else {
        return false;
    };
    let message = message.to_ascii_lowercase();
    ["out of gas", "outofgas", "gas required exceeds allowance"]
        .iter()
        .any(|words| message.contains(words))
}

/// The reason behind a token's revert (the codes of the official SDKs).
pub(crate) fn reverted(error: &RpcError) -> Reason {
    reason_of(&revert_text(error))
}

/// The reason that a token's words stand for.
pub(crate) fn reason_of(words: &str) -> Reason {
    let text = words.to_ascii_lowercase();
    let says = |words: &str| text.contains(words);
    if says("expired") {
        Reason::ValidBefore
    } else if says("not yet valid") {
        Reason::ValidAfter
    } else if says("used") || says("cancel") {
        Reason::NonceAlreadyUsed
    } else if says("exceeds balance") {
        Reason::InsufficientBalance
    } else if says("invalid signature") {
        Reason::InvalidSignature
    } else {
        Reason::SimulationFailed
    }
}

/// The node's message and, where the node only passes bytes on, the text in them
/// (`Error(string)`).
fn revert_text(error: &RpcError) -> String {
    let RpcError::Refused { message, data, .. } = error else {
        return error.to_string();
    };
    let bytes = data
        .as_deref()
        .and_then(|data| parse_hex(data, usize::MAX).ok());
    let text = bytes.as_deref().and_then(error_string).unwrap_or_default();
    format!("{message} {text}")
}

/// The text in the bytes of a revert, where they are an `Error(string)`.
pub(crate) fn error_string(bytes: &[u8]) -> Option<String> {
    let words = bytes.strip_prefix(&[0x08, 0xc3, 0x79, 0xa0])?;
    let length = usize::try_from(abi::word_number(words.get(32..64)?)?).ok()?;
    let text = words.get(64..)?.get(..length)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
#[path = "refusal_tests.rs"]
mod tests;
