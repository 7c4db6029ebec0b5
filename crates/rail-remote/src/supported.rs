//! What a facilitator says that it can do, and whether an offer of ours is among it.

use farebox_wire::x402;
use farebox_wire::x402::header;
use farebox_wire::x402::types::{PaymentRequirements, SupportedKind, SupportedResponse};

/// Kinds of one facilitator that are read: every network with every scheme, twice over.
pub(crate) const KINDS_MAX: usize = 1_000;

/// Reads the answer to `/supported`. Kinds that are unreadable, or of a scheme that is unknown
/// here, do not hide the others.
pub(crate) fn read(body: &[u8]) -> Result<Vec<SupportedKind>, serde_json::Error> {
    let supported: SupportedResponse = header::from_json(body)?;
    let kinds = supported.kinds.iter().take(KINDS_MAX);
    Ok(kinds
        .filter_map(|kind| header::from_value(kind).ok())
        .collect())
}

/// Whether a kind covers a version, scheme and network.
pub(crate) fn covers(kind: &SupportedKind, scheme: &str, network: &str) -> bool {
    kind.x402_version == x402::VERSION && kind.scheme == scheme && kind.network == network
}

/// Whether a kind covers an offer: what the facilitator asks for in `extra` must stand in the
/// offer, or its settlement would not fit what the buyer has signed.
pub(crate) fn fits(kind: &SupportedKind, offer: &PaymentRequirements) -> bool {
    covers(kind, &offer.scheme, offer.network.as_str())
        && kind.extra.iter().flatten().all(|(key, value)| {
            let ours = offer.extra.as_ref().and_then(|extra| extra.get(key));
            value.is_null() || ours == Some(value) || (ours.is_none() && is_default(key, value))
        })
}

/// What an offer means without saying it.
fn is_default(key: &str, value: &serde_json::Value) -> bool {
    key == "assetTransferMethod" && value == "eip3009"
}

#[cfg(test)]
#[path = "supported_tests.rs"]
mod tests;
