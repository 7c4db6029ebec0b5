//! The gate over real sockets: a chain, a ledger, upstreams, and clients that know no mercy.

mod paid;
mod payments_gone_wrong;
mod proxying;
mod strict;
mod support;
