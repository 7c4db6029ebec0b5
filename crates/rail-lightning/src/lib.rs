//! Pays and collects over Lightning: BOLT 11 invoices, at a node of ours, behind core's traits.
//!
//! [`LightningPayer`] pays what an L402 challenge asks and gives the credential that the preimage
//! makes; [`LightningCollector`] makes invoices and tells which were paid. Both speak to a [`Node`]:
//! [`LndNode`] is one that runs lnd, `EmbeddedNode` (feature `embedded`) one in this process. Amounts are millisatoshis, shown as satoshis.
//!
//! A payment is named by its hash, and a node takes one hash on once: that is what makes paying safe
//! to repeat. What becomes of it in every state stands at the top of `payer.rs`; how lnd's answers
//! are read, at the top of `lnd/mod.rs`.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::float_arithmetic
    )
)]

mod collector;
#[cfg(feature = "embedded")]
pub mod embedded;
mod handle;
mod invoice;
mod lnd;
mod network;
mod node;
mod payer;
mod quote;
#[cfg(any(test, feature = "fuzzing"))]
pub mod readers;

pub use crate::collector::LightningCollector;
#[cfg(feature = "embedded")]
pub use crate::embedded::EmbeddedNode;
pub use crate::invoice::{Bolt11, EXPIRY_MARGIN_S, INVOICE_BYTES_MAX, InvoiceError};
pub use crate::lnd::{LndNode, LndOptions, Macaroon, OptionsError};
pub use crate::network::{Network, PAIR};
pub use crate::node::{
    FailReason, InvoiceFate, Liquidity, Node, NodeError, NodeErrorKind, NodeIdentity, NodeState,
    Order, PayError, PaymentFate,
};
pub use crate::payer::{FeeCap, LightningPayer, PayPlace};

/// The name of this rail.
const RAIL: &str = "lightning";
