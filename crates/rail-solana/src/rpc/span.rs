//! The span of a request to a node: the names of the methods, and never what they are asked about.
//!
//! Called by [`super::Rpc`]. The node is named by host and port: a path often holds an access key.

use farebox_core::span;
use tracing::Span;
use tracing::field::Empty;

use super::Call;

/// None where no payment is what it is for.
pub(super) fn of(node: &str, calls: &[Call]) -> Span {
    span!(
        "rpc",
        otel.name = methods(calls),
        otel.kind = "client",
        otel.status_code = Empty,
        rpc.system = "jsonrpc",
        rpc.calls = calls.len(),
        server.address = node,
    )
}

/// Each once, where the same one is called many times in a row.
fn methods(calls: &[Call]) -> String {
    let mut names: Vec<&str> = calls.iter().map(|call| call.method).collect();
    names.dedup();
    names.join(" ")
}
