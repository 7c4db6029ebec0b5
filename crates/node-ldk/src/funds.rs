//! Money and channels of the node.

use std::fmt;
use std::str::FromStr;

use ldk_node::UserChannelId;
use ldk_node::{BalanceDetails, ChannelDetails, LightningBalance, PendingSweepBalance};

use crate::error::Error;
use crate::node::{Node, Peer};

/// What a node keeps on chain for each channel, in satoshis, so that it can pay for closing it in need. ldk-node takes no
/// channel, from either side, before it has this.
pub const ANCHOR_RESERVE_SATS: u64 = 25_000;
/// What the opener of a channel sets aside for the two outputs by which its closing is sped up (BOLT 3), in satoshis.
const ANCHORS_SATS: u64 = 660;
/// The smallest channel that LDK opens, in satoshis.
const CAPACITY_SATS_MIN: u64 = 1_000;
/// The largest channel that LDK opens unless both sides agree on larger ones, in satoshis (BOLT 2).
const CAPACITY_SATS_MAX: u64 = 16_777_215;

/// What the node has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balances {
    /// In its on-chain wallet, in satoshis, unconfirmed too.
    pub onchain_sats: u64,
    /// Of that, what may be spent: the rest pays for closing channels in need.
    pub onchain_spendable_sats: u64,
    /// What it can pay now over its channels, in msat, all together; a single payment may have less room.
    pub outbound_msat: u64,
    /// What it can be paid now over its channels, in msat, all together.
    pub inbound_msat: u64,
    /// Of closed channels, in satoshis: ours, and not in the on-chain wallet yet.
    pub closing_sats: u64,
}

/// A block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// How many came before it.
    pub height: u32,
    /// Its hash, hexadecimal.
    pub hash: String,
}

/// What names a channel at this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChannelId(pub(crate) u128);

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for ChannelId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        u128::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| Error::Argument(format!("{text} is no channel")))
    }
}

/// A channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its name here.
    pub id: ChannelId,
    /// The other node's public key.
    pub peer: String,
    /// What both sides have together, in satoshis.
    pub capacity_sats: u64,
    /// What is ours of it, in msat, but for payments that are under way.
    pub ours_msat: u64,
    /// What is the peer's, in msat.
    pub theirs_msat: u64,
    /// What we can pay over it now, in msat.
    pub outbound_msat: u64,
    /// What we can be paid over it now, in msat.
    pub inbound_msat: u64,
    /// The transaction that funds it, once there is one.
    pub funding_txid: Option<String>,
    /// How often that is confirmed, and how often it has to be, where LDK tells.
    pub confirmations: Option<(u32, u32)>,
    /// Whether we opened it.
    pub is_outbound: bool,
    /// Whether both sides take it for open.
    pub is_ready: bool,
    /// Whether it is ready and its peer connected.
    pub usable: bool,
}

impl Channel {
    fn of(channel: &ChannelDetails) -> Self {
        let capacity_msat = channel.channel_value_sats.saturating_mul(1_000);
        let theirs_msat = theirs(channel, capacity_msat);
        let counted = channel.confirmations.zip(channel.confirmations_required);
        Self {
            id: ChannelId(channel.user_channel_id.0),
            peer: channel.counterparty_node_id.to_string(),
            capacity_sats: channel.channel_value_sats,
            ours_msat: capacity_msat.saturating_sub(theirs_msat),
            theirs_msat,
            outbound_msat: channel.outbound_capacity_msat,
            inbound_msat: channel.inbound_capacity_msat,
            funding_txid: channel.funding_txo.map(|output| output.txid.to_string()),
            confirmations: counted,
            is_outbound: channel.is_outbound,
            is_ready: channel.is_channel_ready,
            usable: channel.is_usable,
        }
    }
}

/// What is the peer's of a channel. LDK tells what each side may spend, which ends at its reserve, and takes the anchors
/// off the side that has opened the channel.
fn theirs(channel: &ChannelDetails, capacity_msat: u64) -> u64 {
    let msat = |sats: u64| sats.saturating_mul(1_000);
    let ours = (
        channel.outbound_capacity_msat,
        msat(channel.unspendable_punishment_reserve.unwrap_or_default()),
    );
    let peers = (
        channel.inbound_capacity_msat,
        msat(channel.counterparty_unspendable_punishment_reserve),
    );
    let (opener, other) = match channel.is_outbound {
        true => (ours, peers),
        false => (peers, ours),
    };
    let others = match other {
        // At its reserve or below: known by what the opener has.
        (0, _) => capacity_msat
            .saturating_sub(opener.0)
            .saturating_sub(opener.1)
            .saturating_sub(msat(ANCHORS_SATS)),
        (spendable, reserve) => spendable.saturating_add(reserve).min(capacity_msat),
    };
    match channel.is_outbound {
        true => others,
        false => capacity_msat.saturating_sub(others),
    }
}

impl Node {
    /// What the node has.
    ///
    /// # Errors
    /// The node is stopped.
    pub async fn balances(&self) -> Result<Balances, Error> {
        self.blocking(|inner| {
            let onchain = inner.ldk.list_balances();
            let mut balances = Balances {
                onchain_sats: onchain.total_onchain_balance_sats,
                onchain_spendable_sats: onchain.spendable_onchain_balance_sats,
                closing_sats: closing(&onchain),
                ..Balances::default()
            };
            let usable = inner
                .ldk
                .list_channels()
                .into_iter()
                .filter(|c| c.is_usable);
            for channel in usable {
                let outbound = channel.next_outbound_htlc_limit_msat;
                balances.outbound_msat = balances.outbound_msat.saturating_add(outbound);
                let inbound = channel.inbound_capacity_msat;
                balances.inbound_msat = balances.inbound_msat.saturating_add(inbound);
            }
            Ok(balances)
        })
        .await
    }

    /// The newest block that its channels have seen.
    ///
    /// # Errors
    /// The node is stopped.
    pub async fn best_block(&self) -> Result<Block, Error> {
        self.blocking(|inner| {
            let best = inner.ldk.status().current_best_block;
            Ok(Block {
                height: best.height,
                hash: best.block_hash.to_string(),
            })
        })
        .await
    }

    /// Its channels.
    ///
    /// # Errors
    /// The node is stopped.
    pub async fn channels(&self) -> Result<Vec<Channel>, Error> {
        self.blocking(|inner| {
            let channels = inner.ldk.list_channels().into_iter();
            Ok(channels.map(|channel| Channel::of(&channel)).collect())
        })
        .await
    }

    /// A new address of the on-chain wallet.
    ///
    /// # Errors
    /// The storage failed, or the node is stopped.
    pub async fn new_onchain_address(&self) -> Result<String, Error> {
        self.blocking(|inner| Ok(inner.ldk.onchain_payment().new_address()?.to_string()))
            .await
    }

    /// Opens a channel and gives the peer `push_msat` of it. It is usable when its funding is confirmed. The network is not
    /// told of it: nobody else can pay through it.
    ///
    /// # Errors
    /// The peer cannot be reached, or the on-chain wallet has too little: beside the channel it keeps
    /// [`ANCHOR_RESERVE_SATS`] for closing it.
    pub async fn open_channel(
        &self,
        peer: &Peer,
        capacity_sats: u64,
        push_msat: u64,
    ) -> Result<ChannelId, Error> {
        let (id, address) = peer.parse()?;
        if !(CAPACITY_SATS_MIN..=CAPACITY_SATS_MAX).contains(&capacity_sats) {
            return Err(Error::Argument(format!(
                "a channel holds from {CAPACITY_SATS_MIN} to {CAPACITY_SATS_MAX} sat, and many nodes want more than the least"
            )));
        }
        if push_msat > capacity_sats.saturating_mul(1_000) {
            return Err(Error::Argument(
                "more would be given to the peer than the channel holds".to_owned(),
            ));
        }
        if id == self.inner()?.ldk.node_id() {
            return Err(Error::Argument(
                "this is the node's own public key; name another node".to_owned(),
            ));
        }
        self.blocking(move |inner| {
            let push = (push_msat > 0).then_some(push_msat);
            let opened = inner
                .ldk
                .open_channel(id, address, capacity_sats, push, None)?;
            Ok(ChannelId(opened.0))
        })
        .await
    }

    /// Closes a channel: together with its peer, or, with `force`, alone, which takes longer and costs more.
    ///
    /// # Errors
    /// There is no such channel, or its peer is not connected and `force` is not set.
    pub async fn close_channel(&self, id: ChannelId, force: bool) -> Result<(), Error> {
        self.blocking(move |inner| {
            let id = UserChannelId(id.0);
            let channels = inner.ldk.list_channels();
            let channel = channels
                .iter()
                .find(|channel| channel.user_channel_id == id)
                .ok_or_else(|| Error::Argument("there is no such channel".to_owned()))?;
            let peer = channel.counterparty_node_id;
            let closed = if force {
                inner.ldk.force_close_channel(&id, peer, None)
            } else {
                inner.ldk.close_channel(&id, peer)
            };
            Ok(closed?)
        })
        .await
    }
}

/// What of closed channels is on its way to the on-chain wallet.
fn closing(balances: &BalanceDetails) -> u64 {
    let contested = balances.lightning_balances.iter().map(|part| match part {
        LightningBalance::ClaimableAwaitingConfirmations {
            amount_satoshis, ..
        }
        | LightningBalance::ContentiousClaimable {
            amount_satoshis, ..
        }
        | LightningBalance::CounterpartyRevokedOutputClaimable {
            amount_satoshis, ..
        } => *amount_satoshis,
        // Still in a channel; or somebody else's until a time is over.
        LightningBalance::ClaimableOnChannelClose { .. }
        | LightningBalance::MaybeTimeoutClaimableHTLC { .. }
        | LightningBalance::MaybePreimageClaimableHTLC { .. } => 0,
    });
    let swept = balances.pending_balances_from_channel_closures.iter();
    let swept = swept.map(|part| match part {
        PendingSweepBalance::PendingBroadcast {
            amount_satoshis, ..
        }
        | PendingSweepBalance::BroadcastAwaitingConfirmation {
            amount_satoshis, ..
        }
        | PendingSweepBalance::AwaitingThresholdConfirmations {
            amount_satoshis, ..
        } => *amount_satoshis,
    });
    contested.chain(swept).fold(0, u64::saturating_add)
}
