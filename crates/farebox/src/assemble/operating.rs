//! An embedded Lightning node in the hands of its operator.
//!
//! Made by `embedded.rs` for `farebox node`. What the node says is put into words that tell what to
//! do; nothing here pays an invoice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use farebox_core::fault::{Blame, Fault, Kind};
use farebox_rail_lightning::Node as _;
use farebox_rail_lightning::embedded::{
    ANCHOR_RESERVE_SATS, Channel, ChannelId, EmbeddedNode, ErrorKind, Event, LdkNode, Peer,
    StartError,
};
use farebox_wire::caip::ChainId;
use tokio::sync::mpsc;

use super::own_node::{Change, ChannelFacts, ChannelState, NodeInfo, Opened, OwnNode, Wanted};
use crate::failure::{EXIT_FAILED, EXIT_USAGE, Failure};

/// Changes that may wait to be told; more are told as one.
const CHANGES: usize = 64;

/// How long peers are waited for, who may never come by themselves.
const PEERS: Duration = Duration::from_secs(3);

/// The node of a network.
pub(super) struct Operated {
    node: Arc<EmbeddedNode>,
    network: ChainId,
    /// Where it listens, as configured.
    listen: Vec<SocketAddr>,
}

impl Operated {
    /// Starts nothing.
    pub(super) const fn new(
        node: Arc<EmbeddedNode>,
        network: ChainId,
        listen: Vec<SocketAddr>,
    ) -> Self {
        Self {
            node,
            network,
            listen,
        }
    }

    async fn started(&self) -> Result<&LdkNode, Failure> {
        Ok(self.node.started().await.map_err(|why| failure(&why))?)
    }

    /// Where it listens now: a port that is 0 in the file is another one.
    fn listening(&self, node: &LdkNode) -> Vec<SocketAddr> {
        let rest = self.listen.iter().skip(1).copied();
        node.address().into_iter().chain(rest).collect()
    }

    /// A channel like the wanted one that we have opened.
    async fn like(&self, node: &LdkNode, wanted: &Wanted) -> Result<Option<ChannelId>, Failure> {
        let channels = node.channels().await.map_err(|why| failure(&why))?;
        let same = channels.iter().find(|channel| {
            let is_same = channel.peer == wanted.peer.to_ascii_lowercase()
                && channel.capacity_sats == wanted.capacity_sats;
            is_same && channel.is_outbound
        });
        Ok(same.map(|channel| channel.id))
    }

    /// What is missing for a channel.
    async fn too_little(&self, node: &LdkNode, wanted: &Wanted) -> Failure {
        let has = node.balances().await;
        let has = has.map_or(0, |balances| balances.onchain_spendable_sats);
        let message = format!(
            "the node has {has} sat on chain to spend; a channel of {} sat takes that, the fee of its transaction and {ANCHOR_RESERVE_SATS} sat that stay on chain for closing it; send more to the address of `farebox node address`",
            wanted.capacity_sats
        );
        rail(EXIT_FAILED, "node_funds", message)
    }
}

#[async_trait]
impl OwnNode for Operated {
    fn network(&self) -> &ChainId {
        &self.network
    }

    async fn look_around(&self) -> Result<Option<String>, Failure> {
        self.started().await?;
        let behind = self.node.catch_up().await.err();
        // Whose peers are away is seen in the channels.
        let away = self.node.meet_peers(PEERS).await.err();
        if let Some(why) = away {
            tracing::debug!(%why, "no channel can be used");
        }
        Ok(behind.map(|why| why.message))
    }

    async fn info(&self) -> Result<NodeInfo, Failure> {
        let node = self.started().await?;
        let told = |why: StartError| failure(&why);
        let is_synced = self.node.state().await.is_ok_and(|state| state.is_synced);
        let has = node.balances().await.map_err(told)?;
        let block = node.best_block().await.map_err(told)?;
        Ok(NodeInfo {
            pubkey: node.id().to_owned(),
            listening: self.listening(node),
            block: (block.height, block.hash),
            is_synced,
            onchain_sats: has.onchain_sats,
            spendable_sats: has.onchain_spendable_sats,
            closing_sats: has.closing_sats,
            can_pay_msat: has.outbound_msat,
            can_receive_msat: has.inbound_msat,
            channels: self.channels().await?,
            reserve_sats: ANCHOR_RESERVE_SATS,
        })
    }

    async fn address(&self) -> Result<String, Failure> {
        let made = self.started().await?.new_onchain_address().await;
        made.map_err(|why| failure(&why))
    }

    async fn channels(&self) -> Result<Vec<ChannelFacts>, Failure> {
        let channels = self.started().await?.channels().await;
        let channels = channels.map_err(|why| failure(&why))?;
        Ok(channels.into_iter().map(facts).collect())
    }

    async fn open(&self, wanted: &Wanted) -> Result<Opened, Failure> {
        let node = self.started().await?;
        // What was sent to its wallet counts when its block is read.
        node.sync().await.map_err(|why| failure(&why))?;
        if let Some(id) = self.like(node, wanted).await?
            && !wanted.is_another
        {
            return Ok(Opened {
                id: id.to_string(),
                was_there: true,
            });
        }
        let peer = Peer {
            id: wanted.peer.clone(),
            address: wanted.address.clone(),
        };
        let opened = node.open_channel(&peer, wanted.capacity_sats, wanted.push_msat);
        match opened.await {
            Ok(id) => Ok(Opened {
                id: id.to_string(),
                was_there: false,
            }),
            Err(StartError::Funds) => Err(self.too_little(node, wanted).await),
            Err(StartError::Peer(_)) => Err(rail(
                EXIT_FAILED,
                "peer_unreachable",
                format!(
                    "no Lightning node answers as {} at {}; check both, and that it runs",
                    wanted.peer, wanted.address
                ),
            )),
            Err(StartError::Refused(why)) => Err(rail(
                EXIT_FAILED,
                "channel_refused",
                format!(
                    "the node opens no such channel ({why}); see its log above, and leave more than --push to this side"
                ),
            )),
            Err(why) => Err(failure(&why)),
        }
    }

    async fn close(&self, id: &str, force: bool) -> Result<(), Failure> {
        let unknown = || {
            Failure::config(
                "channel_not_found",
                format!("there is no channel {id}; `farebox node channels` shows those there are"),
            )
        };
        let node = self.started().await?;
        let id: ChannelId = id.parse().map_err(|_| unknown())?;
        let channels = node.channels().await.map_err(|why| failure(&why))?;
        if !channels.iter().any(|channel| channel.id == id) {
            return Err(unknown());
        }
        let closing = node.close_channel(id, force).await;
        closing.map_err(|why| match (&why, force) {
            (StartError::Refused(_), false) => rail(
                EXIT_FAILED,
                "peer_unreachable",
                "the channel cannot be closed together with its peer, which has to be connected; try again when it is, or close it alone with --force".to_owned(),
            ),
            _ => failure(&why),
        })
    }

    async fn changes(&self) -> Result<mpsc::Receiver<Change>, Failure> {
        let mut events = self.started().await?.events();
        let (told, changes) = mpsc::channel(CHANGES);
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let change = match event {
                    Event::ChannelClosed { id, reason } => Change::Closed {
                        id: id.to_string(),
                        reason,
                    },
                    Event::ChannelChanged | Event::Missed(_) => Change::Channels,
                    _ => continue,
                };
                if told.send(change).await.is_err() {
                    return;
                }
            }
        });
        Ok(changes)
    }
}

fn facts(channel: Channel) -> ChannelFacts {
    let state = match (channel.is_ready, &channel.funding_txid) {
        (true, _) => ChannelState::Open,
        (false, Some(_)) => ChannelState::Confirming,
        (false, None) => ChannelState::Negotiating,
    };
    ChannelFacts {
        id: channel.id.to_string(),
        peer: channel.peer,
        capacity_sats: channel.capacity_sats,
        ours_msat: channel.ours_msat,
        theirs_msat: channel.theirs_msat,
        funding_txid: channel.funding_txid,
        confirmations: channel.confirmations,
        is_ours: channel.is_outbound,
        state,
        is_usable: channel.usable,
    }
}

/// What the node refused, with its exit code.
fn failure(why: &StartError) -> Failure {
    let message = format!("the embedded Lightning node: {why}");
    match why.kind() {
        ErrorKind::InUse => Failure::new(
            EXIT_FAILED,
            Fault::harmless("node_in_use", Kind::Store, Blame::User, why.to_string()),
        ),
        ErrorKind::Config => rail(EXIT_USAGE, "node_invalid", message),
        ErrorKind::Input => Failure::config("usage", why.to_string()),
        ErrorKind::Unavailable => rail(EXIT_FAILED, "node_unreachable", message),
        ErrorKind::Storage => Failure::internal("node_storage", message),
    }
}

fn rail(exit: u8, code: &'static str, message: String) -> Failure {
    Failure::new(
        exit,
        Fault::harmless(code, Kind::Network, Blame::Rail, message),
    )
}
