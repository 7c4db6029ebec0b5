//! The servers: a reverse proxy that charges for what is behind it, and a facilitator.
//!
//! Assembled by the binary. The gateway gets a [`farebox_seller::Seller`] and the addresses behind
//! its routes; it moves bytes and decides nothing about money: that is the seller's layer, which
//! stands in front of the proxy as it would in front of any other service. The facilitator gets a
//! [`farebox_seller::till::Till`] and says over HTTP what the till did. The admin server tells the
//! owner of either how it does.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::float_arithmetic
    )
)]

pub mod admin;
pub mod facilitator;
mod front;
pub mod gateway;
mod request_log;
mod traced;

pub use admin::{Admin, AdminError, Course, Watched};
pub use facilitator::access::{Access, AccessToken, GasCover};
pub use facilitator::{Facilitator, FacilitatorError, FacilitatorOptions};
pub use front::FrontDoor;
pub use front::challenges::Challenges;
pub use front::connections::Connections;
pub use front::redirect::Redirect;
pub use front::tls::{CertificateKeeper, Obtained, Tls, TlsError, TlsFiles};
pub use gateway::upstream::{Timeouts, Upstream, UpstreamError, Upstreams};
pub use gateway::{Gateway, GatewayError, GatewayOptions, Reloader};
pub use request_log::{RequestLine, RequestLog};
