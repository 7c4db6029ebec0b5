//! Money and channels of the node.

use std::fmt;
use std::str::FromStr;

use ldk_node::UserChannelId;

use crate::error::Error;
use crate::node::{Node, Peer};

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
    /// What we can pay over it now, in msat.
    pub outbound_msat: u64,
    /// What we can be paid over it now, in msat.
    pub inbound_msat: u64,
    /// The transaction that funds it, once there is one.
    pub funding_txid: Option<String>,
    /// Whether it is confirmed and its peer connected.
    pub usable: bool,
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

    /// Its channels.
    ///
    /// # Errors
    /// The node is stopped.
    pub async fn channels(&self) -> Result<Vec<Channel>, Error> {
        self.blocking(|inner| {
            let channels = inner.ldk.list_channels().into_iter();
            let ours = channels.map(|channel| Channel {
                id: ChannelId(channel.user_channel_id.0),
                peer: channel.counterparty_node_id.to_string(),
                capacity_sats: channel.channel_value_sats,
                outbound_msat: channel.outbound_capacity_msat,
                inbound_msat: channel.inbound_capacity_msat,
                funding_txid: channel.funding_txo.map(|output| output.txid.to_string()),
                usable: channel.is_usable,
            });
            Ok(ours.collect())
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
    /// The peer cannot be reached, or the on-chain wallet has too little.
    pub async fn open_channel(
        &self,
        peer: &Peer,
        capacity_sats: u64,
        push_msat: u64,
    ) -> Result<ChannelId, Error> {
        let (id, address) = peer.parse()?;
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
