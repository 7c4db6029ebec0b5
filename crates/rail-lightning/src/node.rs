//! What this rail asks of a Lightning node, in our own words. LND and the embedded node stand behind
//! it; the payer and the collector know nothing else.
//!
//! The one thing that every answer must keep apart is what the books hang on: did a payment provably
//! not leave, or may it be on its way?

use std::time::Duration;

use async_trait::async_trait;
use farebox_core::invoice::SettledInvoice;
use farebox_core::rail::RailError;
use farebox_wire::l402::preimage::Preimage;

use crate::network::Network;

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeIdentity {
    /// Its public key, 66 hex digits.
    pub pubkey: String,
    /// Where it lives.
    pub network: Network,
}

/// How a node does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeState {
    /// Whether it has seen the newest block.
    pub is_synced: bool,
    /// The newest block that it has seen, where it tells.
    pub height: Option<u64>,
    /// Its channels that can be used now.
    pub channels: u64,
}

/// What a node has in channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liquidity {
    /// What it can about pay, in millisatoshis.
    pub outbound_msat: u64,
    /// What it can about receive, in millisatoshis.
    pub inbound_msat: u64,
}

/// Where an invoice of this node stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvoiceFate {
    /// Unpaid, or a payment is arriving.
    Open,
    /// Paid.
    Settled(SettledInvoice),
    /// Withdrawn or expired.
    Cancelled,
    /// This node has never made it.
    Unknown,
}

/// Where a payment of this node stands.
pub enum PaymentFate {
    /// The money has moved.
    Succeeded {
        /// What proves it; `None` where the node does not have it.
        preimage: Option<Preimage>,
        /// What carrying it has cost, in millisatoshis.
        fee_msat: u64,
    },
    /// It is on its way, or a way is being looked for.
    InFlight,
    /// It has not moved, and by the attempts that the node has made will not.
    Failed {
        /// Why.
        reason: FailReason,
        /// When the node took the payment on, in Unix seconds by its clock; `None` where it takes a
        /// hash on once, so that there is no earlier attempt to be taken for this one.
        begun_s: Option<u64>,
    },
    /// The node knows no payment of this hash.
    Unknown,
}

/// Why a payment has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailReason {
    /// No way was found in time.
    Timeout,
    /// There is no way to the payee that can carry it within the fee cap.
    NoRoute,
    /// The payee does not know the invoice any more, or refuses it.
    Refused,
    /// Our own channels have too little.
    Funds,
    /// Any other reason of the node.
    Other,
}

impl FailReason {
    /// Machine code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Timeout => "payment_timeout",
            Self::NoRoute => "no_route",
            Self::Refused => "payee_refused",
            Self::Funds => "insufficient_balance",
            Self::Other => "payment_failed",
        }
    }

    /// One sentence.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Timeout => "no way to the payee was found in time; no money has moved, try again",
            Self::NoRoute => {
                "there is no way to the payee that carries the amount within the fee cap; raise max_fee, or open a channel that leads there"
            }
            Self::Refused => "the payee does not take this invoice any more; ask for a new one",
            Self::Funds => {
                "the node's channels have too little to pay this; open or fill a channel"
            }
            Self::Other => "the node gave the payment up; no money has moved, see the node's log",
        }
    }
}

/// What is to be paid.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The invoice.
    pub bolt11: &'a str,
    /// Its hash.
    pub payment_hash: &'a [u8; 32],
    /// The most for carrying it, in millisatoshis.
    pub max_fee_msat: u64,
    /// How long to wait for the end. The payment goes on after that.
    pub wait: Duration,
}

/// What kind of thing went wrong at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeErrorKind {
    /// No answer, or no connection.
    Unreachable,
    /// What we show does not allow this.
    Permission,
    /// Locked or starting; or it has not caught up with its chain, or its channels cannot be used now.
    NotReady,
    /// Another process runs it.
    InUse,
    /// It answered, and refused.
    Refused,
    /// It answered what cannot be read.
    Unreadable,
}

/// Why a node did not answer a question. Nothing was moved by asking.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NodeError {
    /// What kind.
    pub kind: NodeErrorKind,
    /// One sentence that says what to do.
    pub message: String,
}

impl NodeError {
    /// Machine code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.kind {
            NodeErrorKind::Unreachable => "node_unreachable",
            NodeErrorKind::Permission => "node_permission",
            NodeErrorKind::NotReady => "node_not_ready",
            NodeErrorKind::InUse => "node_in_use",
            NodeErrorKind::Refused => "node_refused",
            NodeErrorKind::Unreadable => "node_answer",
        }
    }
}

impl From<NodeError> for RailError {
    fn from(why: NodeError) -> Self {
        Self {
            code: why.code(),
            message: why.message,
        }
    }
}

/// Why paying has no end yet, or no beginning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayError {
    /// The node provably has not taken the payment on: nothing moves by this call.
    #[error("{0}")]
    NotSent(NodeError),
    /// It may have: only [`Node::look_up_payment`] can tell, later.
    #[error("{0}")]
    MaybeSent(NodeError),
}

/// A Lightning node. Every call has a time limit of its own.
#[async_trait]
pub trait Node: Send + Sync {
    /// Host and port, or another name for messages; never a secret.
    fn name(&self) -> &str;

    /// Who it is.
    async fn identity(&self) -> Result<NodeIdentity, NodeError>;

    /// Waits until the node can pay: one that was there before us can.
    async fn ready(&self) -> Result<(), NodeError> {
        Ok(())
    }

    /// How it does.
    async fn state(&self) -> Result<NodeState, NodeError>;

    /// What it can pay and receive.
    async fn liquidity(&self) -> Result<Liquidity, NodeError>;

    /// Makes an invoice; gives its text.
    async fn create_invoice(
        &self,
        amount_msat: u64,
        description: &str,
        expiry_s: u64,
    ) -> Result<String, NodeError>;

    /// Where an invoice of this node stands.
    async fn look_up(&self, payment_hash: &[u8; 32]) -> Result<InvoiceFate, NodeError>;

    /// Withdraws an invoice. One that was paid, withdrawn or never made is left alone.
    async fn cancel(&self, payment_hash: &[u8; 32]) -> Result<(), NodeError>;

    /// Pays once for one hash, however often it is called; a payment that is under way is waited
    /// for. [`PaymentFate::InFlight`] where the wait ends before it does. Never
    /// [`PaymentFate::Unknown`].
    async fn pay(&self, order: &Order<'_>) -> Result<PaymentFate, PayError>;

    /// Where a payment of this node stands, now.
    async fn look_up_payment(&self, payment_hash: &[u8; 32]) -> Result<PaymentFate, NodeError>;

    /// The invoices that were paid after a place, as
    /// [`farebox_core::invoice::InvoiceRail::settlements`].
    async fn settlements(&self, after: u64) -> Result<Vec<SettledInvoice>, NodeError>;
}
