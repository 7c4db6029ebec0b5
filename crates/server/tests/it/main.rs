//! The gate and the facilitator over real sockets: a chain, a ledger, upstreams, and clients that
//! know no mercy.

mod admin;
mod answers;
mod certificates;
mod corpus;
mod crowd;
mod facilitator;
mod facilitator_access;
mod facilitator_once;
#[allow(
    dead_code,
    reason = "shared with the tests of the seller, which use all of it"
)]
#[path = "../../../seller/tests/it/support/fake_rail.rs"]
mod fake_rail;
mod frames;
mod goodbyes;
mod grpc;
mod heads;
mod http2;
mod obtained;
mod paid;
mod payments_gone_wrong;
mod proxies;
mod proxying;
mod recorder;
mod reloading;
mod remote;
#[allow(
    dead_code,
    reason = "shared with the tests of the seller, which use all of it"
)]
#[path = "../../../seller/tests/it/support/scripted_node.rs"]
mod scripted_node;
mod sequence_runs;
#[path = "../sequences/mod.rs"]
mod sequences;
mod station;
mod streaming;
mod strict;
mod support;
mod tls;
mod tokens;
mod trailers;
mod upstream_connections;
mod upstream_http2;
mod upstream_tls;
mod upstream_windows;
mod websockets;
