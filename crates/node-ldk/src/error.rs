//! What can go wrong at the node, with one sentence each. A payment that failed is no error: it is a
//! [`PayState`](crate::PayState).

use std::net::SocketAddr;
use std::path::PathBuf;

use ldk_node::NodeError;

/// Why the node did not do what was asked. After any of these from [`Node::pay`](crate::Node::pay), nothing was sent by
/// this call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory or its database cannot be used.
    #[error("cannot use the node's directory {}: {why}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// Another process has the directory: two nodes with one state lose their channels' money.
    #[error("{holder} runs the node in {}; stop it first, or wait until it has ended", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Who has it, by its own words in [`LdkOptions::holder`](crate::LdkOptions::holder).
        holder: String,
    },
    /// The seed is not 64 bytes, or cannot be read or made.
    #[error("cannot use the node's seed: {0}")]
    Seed(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {0}; choose a free port")]
    Listen(SocketAddr),
    /// The chain source did not answer as expected.
    #[error("the chain source failed: {0}; check its address and that it is synced")]
    Chain(String),
    /// The storage is of another network, or cannot be read.
    #[error("cannot start the node: {0}")]
    Start(String),
    /// The node was stopped, or its threads are gone.
    #[error("the node is stopped")]
    Stopped,
    /// The node's storage failed.
    #[error("the node's storage failed: {0}")]
    Storage(String),
    /// Not an invoice, or one that breaks BOLT 11.
    #[error("not a usable BOLT 11 invoice: {0}")]
    Invoice(String),
    /// The invoice is of another network.
    #[error("the invoice is for {invoice}, this node is on {node}")]
    WrongNetwork {
        /// The invoice's network.
        invoice: &'static str,
        /// Ours.
        node: &'static str,
    },
    /// The invoice names no amount: how much to pay would be anybody's guess.
    #[error("the invoice names no amount")]
    NoAmount,
    /// The invoice has expired.
    #[error("the invoice expired {0} s ago; ask for a new one")]
    InvoiceExpired(u64),
    /// More invoices are open than this node keeps.
    #[error("{0} invoices are open, which is all that this node keeps; wait until some expire")]
    TooManyInvoices(usize),
    /// No invoice under this hash holds payments.
    #[error("no invoice that holds payments has this hash")]
    NotHeld,
    /// An argument makes no sense.
    #[error("{0}")]
    Argument(String),
    /// The other node cannot be reached.
    #[error("cannot connect to the peer: {0}")]
    Peer(String),
    /// The on-chain wallet has too little.
    #[error("the node's on-chain wallet has too little for this, with what it must keep for fees")]
    Funds,
    /// ldk-node refused for another reason.
    #[error("the node refused: {0}")]
    Refused(String),
}

/// A kind of error, for those who must react.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Ours to mend in the configuration: directory, seed, address, network.
    Config,
    /// Another process has the directory.
    InUse,
    /// What was given is no good: invoice, argument.
    Input,
    /// The node cannot now: stopped, full, no funds, no peer, no chain. May be tried again.
    Unavailable,
    /// The node's storage is broken.
    Storage,
}

impl Error {
    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Directory { .. } | Self::Seed(_) | Self::Listen(_) | Self::Start(_) => {
                ErrorKind::Config
            }
            Self::Invoice(_)
            | Self::WrongNetwork { .. }
            | Self::NoAmount
            | Self::InvoiceExpired(_)
            | Self::NotHeld
            | Self::Argument(_) => ErrorKind::Input,
            Self::InUse { .. } => ErrorKind::InUse,
            Self::Storage(_) => ErrorKind::Storage,
            Self::Chain(_)
            | Self::Stopped
            | Self::TooManyInvoices(_)
            | Self::Peer(_)
            | Self::Funds
            | Self::Refused(_) => ErrorKind::Unavailable,
        }
    }
}

impl From<NodeError> for Error {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::NotRunning | NodeError::AlreadyRunning => Self::Stopped,
            NodeError::PersistenceFailed => Self::Storage(error.to_string()),
            NodeError::InsufficientFunds => Self::Funds,
            NodeError::ConnectionFailed => Self::Peer(error.to_string()),
            NodeError::FeerateEstimationUpdateFailed
            | NodeError::FeerateEstimationUpdateTimeout
            | NodeError::TxSyncFailed
            | NodeError::TxSyncTimeout
            | NodeError::WalletOperationTimeout => Self::Chain(error.to_string()),
            NodeError::InvalidSocketAddress
            | NodeError::InvalidNodeId
            | NodeError::InvalidPublicKey => Self::Argument(error.to_string()),
            _ => Self::Refused(error.to_string()),
        }
    }
}
