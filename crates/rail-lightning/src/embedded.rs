//! A node in this process, for those who run none.
//!
//! It is started when it is first asked, because most commands never do, and one folder has one node
//! at a time. It pays when it has caught up with its chain and a channel can be used, for which it
//! waits a while. Who has started one stops it before the process ends: LDK closes a channel whose
//! last change it had no time to write. It takes a payment hash on once, so that a failure that it
//! tells is the end; its own table of what becomes of a payment is in `farebox-node-ldk`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use farebox_core::invoice::SettledInvoice;
use farebox_node_ldk as ldk;
use farebox_wire::l402::preimage::Preimage;
use farebox_wire::money::Amount;
use tokio::sync::OnceCell;
use tokio::time::Instant;

pub use farebox_node_ldk::{
    ANCHOR_RESERVE_SATS, Balances, Block, ChainSource, Channel, ChannelId, Error as StartError,
    ErrorKind, Event, Events, LdkOptions, Node as LdkNode, Peer, Seed, Storage,
};

use crate::network::Network;
use crate::node::{
    FailReason, InvoiceFate, Liquidity, Node, NodeError, NodeErrorKind, NodeIdentity, NodeState,
    Order, PayError, PaymentFate,
};

/// A chain source that takes longer is down.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a payer waits for the node to read the blocks since it last ran, unless it is told otherwise.
const SYNC_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a payer waits for a peer of the node's channels, which takes the connection up by itself.
const PEERS_TIMEOUT: Duration = Duration::from_secs(15);
/// How long it waits for the other peers when one is there.
const MORE_PEERS: Duration = Duration::from_secs(2);
/// How often it looks whether one is there.
const PEERS_LOOK: Duration = Duration::from_millis(50);
/// A question to the node's own storage.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Settled invoices that are told at once.
const AT_ONCE: usize = 1_000;

/// Makes what a node is started with; called again where a start has failed.
type Make = dyn Fn() -> Result<LdkOptions, StartError> + Send + Sync;

/// What a caller waits for, for those who want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The node starts.
    Starting,
    /// It reads the blocks since it last ran.
    CatchingUp,
    /// It waits for the peers of its channels.
    Connecting,
}

/// Is told what is waited for.
type Tell = dyn Fn(Stage) + Send + Sync;

/// A node in this process, started when it is first asked.
pub struct EmbeddedNode {
    make: Box<Make>,
    tell: Box<Tell>,
    network: Network,
    sync_timeout: Duration,
    node: OnceCell<Arc<ldk::Node>>,
    ready: OnceCell<()>,
}

/// The same network in the node's words.
#[must_use]
pub const fn network_of(network: Network) -> ldk::Network {
    match network {
        Network::Mainnet => ldk::Network::Bitcoin,
        Network::Testnet => ldk::Network::Testnet,
        Network::Signet => ldk::Network::Signet,
        Network::Regtest => ldk::Network::Regtest,
    }
}

impl EmbeddedNode {
    /// Takes what makes the options; starts nothing.
    pub fn new(
        network: Network,
        make: impl Fn() -> Result<LdkOptions, StartError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            make: Box::new(make),
            tell: Box::new(|_| {}),
            network,
            sync_timeout: SYNC_TIMEOUT,
            node: OnceCell::new(),
            ready: OnceCell::new(),
        }
    }

    /// Waits so long for the node to catch up with its chain before a payment; by default a minute.
    #[must_use]
    pub const fn catching_up_within(mut self, limit: Duration) -> Self {
        self.sync_timeout = limit;
        self
    }

    /// Tells `tell` what is waited for.
    #[must_use]
    pub fn telling(mut self, tell: impl Fn(Stage) + Send + Sync + 'static) -> Self {
        self.tell = Box::new(tell);
        self
    }

    /// The node, started if it was not.
    ///
    /// # Errors
    /// Where it cannot be started, or not in time.
    pub async fn node(&self) -> Result<&Arc<ldk::Node>, NodeError> {
        self.started().await.map_err(|why| told(&why))
    }

    /// The same, in its own words where it does not start.
    ///
    /// # Errors
    /// Where it cannot be started, or not in time.
    pub async fn started(&self) -> Result<&Arc<ldk::Node>, StartError> {
        self.node.get_or_try_init(|| self.start()).await
    }

    /// Stops the node, if it was started: peers are disconnected, all is written.
    ///
    /// # Errors
    /// Where the end could not be written; it is stopped nevertheless.
    pub async fn stop(&self) -> Result<(), StartError> {
        match self.node.get() {
            None => Ok(()),
            Some(node) => match node.stop().await {
                Ok(()) | Err(StartError::Stopped) => Ok(()),
                Err(why) => Err(why),
            },
        }
    }

    async fn start(&self) -> Result<Arc<ldk::Node>, StartError> {
        (self.tell)(Stage::Starting);
        let options = (self.make)()?;
        let started = tokio::time::timeout(START_TIMEOUT, ldk::Node::start(options)).await;
        match started {
            Ok(started) => Ok(Arc::new(started?)),
            Err(_) => Err(StartError::Chain(format!(
                "no answer within {} s",
                START_TIMEOUT.as_secs()
            ))),
        }
    }

    /// Waits until the node has read the newest block.
    ///
    /// # Errors
    /// Where it does not start, or its chain does not answer in time.
    pub async fn catch_up(&self) -> Result<(), NodeError> {
        let node = self.node().await?;
        (self.tell)(Stage::CatchingUp);
        let caught_up = tokio::time::timeout(self.sync_timeout, node.sync()).await;
        let why = match caught_up {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(why)) => why.to_string(),
            Err(_) => format!("it takes longer than {} s", self.sync_timeout.as_secs()),
        };
        Err(not_ready(&format!(
            "has not caught up with its chain, without which nothing is paid: {why}"
        )))
    }

    /// Waits until channels can be used: when their peers are connected, which the node takes up by
    /// itself.
    ///
    /// # Errors
    /// Where there are channels and after this time none can be used.
    pub async fn meet_peers(&self, limit: Duration) -> Result<(), NodeError> {
        let node = self.node().await?;
        (self.tell)(Stage::Connecting);
        let begun = Instant::now();
        loop {
            let channels = node.channels().await.map_err(|why| told(&why))?;
            let open = channels.iter().filter(|channel| channel.is_ready).count();
            let usable = channels.iter().filter(|channel| channel.usable).count();
            let limit = match usable {
                0 => limit,
                _ => limit.min(MORE_PEERS),
            };
            let is_over = usable == open || begun.elapsed() >= limit;
            match (is_over, usable, channels.len()) {
                (false, ..) => tokio::time::sleep(PEERS_LOOK).await,
                // Without a channel there is nothing to wait for; who pays finds nothing to pay with.
                (true, 0, 0) | (true, 1.., _) => return Ok(()),
                (true, 0, all) => return Err(not_ready(&unusable(open, all))),
            }
        }
    }

    async fn make_ready(&self) -> Result<(), NodeError> {
        self.catch_up().await?;
        self.meet_peers(PEERS_TIMEOUT).await
    }
}

/// Why no channel can be used.
fn unusable(ready: usize, all: usize) -> String {
    match ready {
        0 => format!(
            "has {all} channel(s), none of which is confirmed yet; try again when it is (`farebox node channels`)"
        ),
        _ => format!(
            "has {ready} open channel(s), and no peer of them answers; try again when one is there (`farebox node channels`)"
        ),
    }
}

fn not_ready(why: &str) -> NodeError {
    NodeError {
        kind: NodeErrorKind::NotReady,
        message: format!("the embedded Lightning node {why}"),
    }
}

/// One question, within a time.
async fn within<T>(
    asked: impl Future<Output = Result<T, StartError>> + Send,
) -> Result<T, NodeError> {
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, asked).await;
    answer.map_err(|_| late())?.map_err(|why| told(&why))
}

#[async_trait]
impl Node for EmbeddedNode {
    fn name(&self) -> &'static str {
        "the embedded node"
    }

    async fn identity(&self) -> Result<NodeIdentity, NodeError> {
        Ok(NodeIdentity {
            pubkey: self.node().await?.id().to_owned(),
            network: self.network,
        })
    }

    async fn ready(&self) -> Result<(), NodeError> {
        self.ready.get_or_try_init(|| self.make_ready()).await?;
        Ok(())
    }

    async fn state(&self) -> Result<NodeState, NodeError> {
        let node = self.node().await?;
        let is_synced = within(node.sync()).await.is_ok();
        let channels = within(node.channels()).await?;
        let usable = channels.iter().filter(|channel| channel.usable).count();
        Ok(NodeState {
            is_synced,
            height: Some(within(node.best_block()).await?.height.into()),
            channels: u64::try_from(usable).unwrap_or(u64::MAX),
        })
    }

    async fn liquidity(&self) -> Result<Liquidity, NodeError> {
        let has = within(self.node().await?.balances()).await?;
        Ok(Liquidity {
            outbound_msat: has.outbound_msat,
            inbound_msat: has.inbound_msat,
        })
    }

    async fn create_invoice(
        &self,
        amount_msat: u64,
        description: &str,
        expiry_s: u64,
    ) -> Result<String, NodeError> {
        let expiry_s = u32::try_from(expiry_s).unwrap_or(u32::MAX);
        let node = self.node().await?;
        let made = within(node.create_invoice(amount_msat, description, expiry_s)).await?;
        Ok(made.bolt11)
    }

    async fn look_up(&self, payment_hash: &[u8; 32]) -> Result<InvoiceFate, NodeError> {
        let node = self.node().await?;
        let state = within(node.lookup_invoice(ldk::PaymentHash(*payment_hash))).await?;
        Ok(match state {
            ldk::InvoiceState::Open { .. } | ldk::InvoiceState::Held { .. } => InvoiceFate::Open,
            ldk::InvoiceState::Settled {
                amount_msat,
                at_unix_s,
                index,
                ..
            } => InvoiceFate::Settled(SettledInvoice {
                index,
                payment_hash: *payment_hash,
                amount: Amount::from_atomic(amount_msat.into()),
                settled_s: at_unix_s,
            }),
            ldk::InvoiceState::Expired | ldk::InvoiceState::Canceled => InvoiceFate::Cancelled,
            ldk::InvoiceState::Unknown => InvoiceFate::Unknown,
        })
    }

    async fn cancel(&self, payment_hash: &[u8; 32]) -> Result<(), NodeError> {
        let node = self.node().await?;
        let asked = node.cancel_invoice(ldk::PaymentHash(*payment_hash));
        match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
            Err(_) => return Err(late()),
            Ok(Ok(())) => return Ok(()),
            Ok(Err(StartError::NotHeld)) => {}
            Ok(Err(why)) => return Err(told(&why)),
        }
        match self.look_up(payment_hash).await? {
            // LDK takes every payment of an invoice that it has made.
            InvoiceFate::Open => Err(NodeError {
                kind: NodeErrorKind::Refused,
                message:
                    "the embedded Lightning node takes no invoice back; it ends when it expires"
                        .to_owned(),
            }),
            InvoiceFate::Settled(_) | InvoiceFate::Cancelled | InvoiceFate::Unknown => Ok(()),
        }
    }

    async fn pay(&self, order: &Order<'_>) -> Result<PaymentFate, PayError> {
        let node = self.node().await.map_err(PayError::NotSent)?;
        let known = node.lookup_payment(ldk::PaymentHash(*order.payment_hash));
        // What has left is waited for, or is over; only what is begun needs a way.
        let is_new = known.await.is_ok_and(|state| {
            matches!(
                state,
                ldk::PayState::NotFound | ldk::PayState::Failed { .. }
            )
        });
        if is_new {
            self.ready().await.map_err(PayError::NotSent)?;
        }
        let paid = node.pay(order.bolt11, order.max_fee_msat, order.wait).await;
        match paid {
            Ok(state) => Ok(fate(state)),
            // An error of its says that this call sent nothing.
            Err(why) => Err(PayError::NotSent(told(&why))),
        }
    }

    async fn look_up_payment(&self, payment_hash: &[u8; 32]) -> Result<PaymentFate, NodeError> {
        let node = self.node().await?;
        let state = within(node.lookup_payment(ldk::PaymentHash(*payment_hash))).await?;
        Ok(fate(state))
    }

    async fn settlements(&self, after: u64) -> Result<Vec<SettledInvoice>, NodeError> {
        let node = self.node().await?;
        let mut settlements = node.settlements(after).map_err(|why| told(&why))?;
        let mut paid = vec![settled(settlements.next().await.map_err(|why| told(&why))?)];
        let newest = node.newest_settlement().map_err(|why| told(&why))?;
        while paid.len() < AT_ONCE && paid.last().is_some_and(|last| last.index < newest) {
            paid.push(settled(settlements.next().await.map_err(|why| told(&why))?));
        }
        Ok(paid)
    }
}

fn settled(paid: ldk::Settlement) -> SettledInvoice {
    SettledInvoice {
        index: paid.index,
        payment_hash: paid.payment_hash.0,
        amount: Amount::from_atomic(paid.amount_msat.into()),
        settled_s: paid.at_unix_s,
    }
}

fn fate(state: ldk::PayState) -> PaymentFate {
    match state {
        ldk::PayState::NotFound => PaymentFate::Unknown,
        ldk::PayState::InFlight => PaymentFate::InFlight,
        ldk::PayState::Succeeded {
            preimage, fee_msat, ..
        } => PaymentFate::Succeeded {
            preimage: Some(Preimage::from_bytes(*preimage.expose())),
            fee_msat,
        },
        ldk::PayState::Failed { reason } => PaymentFate::Failed {
            reason: match reason {
                ldk::FailReason::NoRoute => FailReason::NoRoute,
                ldk::FailReason::Rejected | ldk::FailReason::Expired => FailReason::Refused,
                ldk::FailReason::RetriesExhausted => FailReason::Timeout,
                ldk::FailReason::Other => FailReason::Other,
            },
            begun_s: None,
        },
    }
}

fn late() -> NodeError {
    NodeError {
        kind: NodeErrorKind::Unreachable,
        message: "the embedded Lightning node does not answer in time; check its chain source"
            .to_owned(),
    }
}

fn told(why: &StartError) -> NodeError {
    let kind = match why.kind() {
        ldk::ErrorKind::Input => NodeErrorKind::Refused,
        ldk::ErrorKind::InUse => NodeErrorKind::InUse,
        ldk::ErrorKind::Config | ldk::ErrorKind::Unavailable | ldk::ErrorKind::Storage => {
            NodeErrorKind::Unreachable
        }
    };
    NodeError {
        kind,
        message: format!("the embedded Lightning node: {why}"),
    }
}
