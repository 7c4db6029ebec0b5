//! The gate and the facilitator over real sockets: a chain, a ledger, upstreams, and clients that
//! know no mercy.

mod facilitator;
mod facilitator_access;
mod facilitator_once;
mod paid;
mod payments_gone_wrong;
mod proxying;
mod remote;
mod station;
mod strict;
mod support;
mod upstream_connections;
mod websockets;
