//! The gateway: a reverse proxy that charges for what is behind it.
//!
//! Assembled by the binary from a [`farebox_seller::Seller`] and the addresses behind its routes.
//! It moves bytes and decides nothing about money: that is the seller's layer, which stands in
//! front of the proxy as it would in front of any other service.

pub mod gateway;

pub use gateway::upstream::{Upstream, UpstreamError, Upstreams};
pub use gateway::{Gateway, GatewayError, GatewayOptions};
