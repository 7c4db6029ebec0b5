//! An embedded Lightning node as its operator sees it: who it is, what it has, and its channels.
//!
//! Called by `farebox node`; `embedded.rs` has the one implementation. It also knows what this
//! process is called, which another one is told that finds the node's folder taken.

use std::net::SocketAddr;
use std::sync::OnceLock;

use async_trait::async_trait;
use farebox_wire::caip::ChainId;
use tokio::sync::mpsc;

use crate::failure::Failure;

/// What this process is called.
static NAME: OnceLock<String> = OnceLock::new();

/// Says what this process is called; the first name stays.
pub(crate) fn call_this_process(name: &str) {
    // An error means that it has a name.
    let _ = NAME.set(name.to_owned());
}

/// What this process is called.
pub(super) fn this_process() -> String {
    NAME.get()
        .map_or_else(|| "farebox".to_owned(), |name| format!("`{name}`"))
}

/// Who a node is and what it has.
pub(crate) struct NodeInfo {
    /// Public key, 66 hexadecimal digits.
    pub(crate) pubkey: String,
    /// Where it listens for peers while it runs.
    pub(crate) listening: Vec<SocketAddr>,
    /// Height and hash of the newest block that it has seen.
    pub(crate) block: (u32, String),
    /// Whether that is the chain's newest.
    pub(crate) is_synced: bool,
    /// On chain, with what is not confirmed.
    pub(crate) onchain_sats: u64,
    /// Of that, what may be spent.
    pub(crate) spendable_sats: u64,
    /// Of closed channels, not in the on-chain wallet yet.
    pub(crate) closing_sats: u64,
    /// What it can pay now over all its channels.
    pub(crate) can_pay_msat: u64,
    /// What it can be paid now over all its channels.
    pub(crate) can_receive_msat: u64,
    /// Its channels.
    pub(crate) channels: Vec<ChannelFacts>,
    /// What it keeps on chain for each channel.
    pub(crate) reserve_sats: u64,
}

/// How far a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChannelState {
    /// The peer has not agreed yet, and nothing is on the chain.
    Negotiating,
    /// Its transaction is out, and has not as many blocks as both sides want.
    Confirming,
    /// Both sides take it for open.
    Open,
}

/// A channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChannelFacts {
    /// Its name at this node.
    pub(crate) id: String,
    /// The other node's public key.
    pub(crate) peer: String,
    /// What both sides have together.
    pub(crate) capacity_sats: u64,
    /// What is ours of it.
    pub(crate) ours_msat: u64,
    /// What is the peer's.
    pub(crate) theirs_msat: u64,
    /// The transaction that funds it.
    pub(crate) funding_txid: Option<String>,
    /// Blocks that it has, and that it needs.
    pub(crate) confirmations: Option<(u32, u32)>,
    /// Whether we opened it.
    pub(crate) is_ours: bool,
    /// How far it is.
    pub(crate) state: ChannelState,
    /// Whether it is open and its peer connected.
    pub(crate) is_usable: bool,
}

/// A channel that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The other node's public key.
    pub(crate) peer: String,
    /// `host:port`.
    pub(crate) address: String,
    /// What it shall hold.
    pub(crate) capacity_sats: u64,
    /// What of it is given to the peer.
    pub(crate) push_msat: u64,
    /// Whether a second one is wanted where there is one like it.
    pub(crate) is_another: bool,
}

/// What opening has led to.
pub(crate) struct Opened {
    /// The channel's name.
    pub(crate) id: String,
    /// Whether it was there before, so that none was opened.
    pub(crate) was_there: bool,
}

/// Something that happened to channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// One is on its way, or can be used.
    Channels,
    /// One is closed, or did not come about.
    Closed {
        /// Which.
        id: String,
        /// In the node's words, or its peer's.
        reason: String,
    },
}

/// A node in this process, started when it is first asked.
#[async_trait]
pub(crate) trait OwnNode: Send + Sync {
    /// The network that it is on.
    fn network(&self) -> &ChainId;

    /// Starts it, catches up with the chain and waits a while for its peers. Why it could not catch
    /// up; what is known is known nevertheless.
    ///
    /// # Errors
    /// Where it does not start.
    async fn look_around(&self) -> Result<Option<String>, Failure>;

    /// Who it is and what it has.
    async fn info(&self) -> Result<NodeInfo, Failure>;

    /// A new address of its on-chain wallet.
    async fn address(&self) -> Result<String, Failure>;

    /// Its channels.
    async fn channels(&self) -> Result<Vec<ChannelFacts>, Failure>;

    /// Opens a channel, unless we have opened one of that size to that peer already and another one is
    /// not wanted.
    async fn open(&self, wanted: &Wanted) -> Result<Opened, Failure>;

    /// Begins to close a channel.
    async fn close(&self, id: &str, force: bool) -> Result<(), Failure>;

    /// What happens to channels from now on.
    async fn changes(&self) -> Result<mpsc::Receiver<Change>, Failure>;
}
