//! How a devnet comes to life: a chain, two nodes with coins, a channel with money on both sides, faces, and one payment
//! each way, so that nobody else's first payment waits for LDK to warm up.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bitcoin::{Address, Amount, Network};
use farebox_node_ldk::{ChainSource, Event, MemoryStore, Node, PayState, Peer, Storage};
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use crate::chain::server::{self, SharedChain};
use crate::devnet::{DevnetError, DevnetOptions, LndNode, RpcAccess};
use crate::face;
use crate::side::{Recipe, Side};
use crate::tls;

/// The chain's user. Its password is random, so that no other bitcoind is taken for it.
const USER: &str = "devnet";
/// What a node has on chain beside its channel: it must be able to pay for closing it.
const RESERVE_SATS: u64 = 10_000_000;
/// Half of the largest channel that LDK takes by default (2^24 - 1 satoshis); ldk-node leaves it at that.
const MAX_SATS_EACH: u64 = 8_388_607;
/// Blocks until a channel is usable.
const CONFIRMATIONS: usize = 6;
/// A channel is usable after a second; a machine that is busy with other things takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// The payments that warm the nodes up, in msat: enough to be a real output of the channel.
const WARM_UP_MSAT: u64 = 1_000_000;

/// What a running devnet is made of.
pub(crate) struct Parts {
    pub(crate) chain: SharedChain,
    pub(crate) sides: [Arc<Side>; 2],
    pub(crate) nodes: [LndNode; 2],
    pub(crate) rpc: RpcAccess,
}

pub(crate) async fn start(options: &DevnetOptions) -> Result<Parts, DevnetError> {
    if options.sats_each > MAX_SATS_EACH {
        return Err(DevnetError::TooMuch(MAX_SATS_EACH));
    }
    let password = Zeroizing::new(hex::encode(random::<16>()?));
    let chain = SharedChain::new(USER, &password);
    let (listener, address) = listen().await?;
    tokio::spawn(server::serve(listener, chain.clone()));
    let rpc = RpcAccess {
        address,
        user: USER.to_owned(),
        password: password.to_string(),
    };
    let sides = [side(&rpc, "seller")?, side(&rpc, "buyer")?];
    let (one, two) = tokio::join!(sides[0].start(), sides[1].start());
    one?;
    two?;
    let nodes = [
        face(&sides[0], &rpc, &chain).await?,
        face(&sides[1], &rpc, &chain).await?,
    ];
    let patience = tokio::time::timeout(PATIENCE, channel(&chain, &sides, &nodes, options));
    patience
        .await
        .map_err(|_| DevnetError::Channel(PATIENCE.as_secs()))??;
    if options.automine {
        tokio::spawn(automine(chain.clone()));
    }
    Ok(Parts {
        chain,
        sides,
        nodes,
        rpc,
    })
}

/// Connects both nodes and waits until their channel is usable, if both run.
pub(crate) async fn reconnect(
    sides: &[Arc<Side>; 2],
    nodes: &[LndNode; 2],
) -> Result<(), DevnetError> {
    let (Ok(one), Ok(two)) = (sides[0].node().await, sides[1].node().await) else {
        return Ok(());
    };
    let usable = async {
        two.connect(&peer(&nodes[0])).await?;
        usable(&one).await?;
        usable(&two).await
    };
    tokio::time::timeout(PATIENCE, usable)
        .await
        .map_err(|_| DevnetError::Channel(PATIENCE.as_secs()))?
}

/// Sends coins to an address; they wait for a block.
pub(crate) fn fund(chain: &SharedChain, address: &str, sats: u64) -> Result<(), DevnetError> {
    let address = address
        .parse::<Address<_>>()
        .ok()
        .and_then(|address| address.require_network(Network::Regtest).ok())
        .ok_or_else(|| DevnetError::Faucet(format!("{address} is no address of regtest")))?;
    let funded = chain.lock().fund(&address, Amount::from_sat(sats));
    funded.map_err(|dry| DevnetError::Faucet(dry.to_string()))?;
    chain.changed();
    Ok(())
}

/// Mines whenever a transaction waits.
async fn automine(chain: SharedChain) {
    let mut changes = chain.changes();
    loop {
        {
            let mut chain = chain.lock();
            if chain.waiting() > 0 {
                chain.mine(CONFIRMATIONS);
            }
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

fn side(rpc: &RpcAccess, alias: &str) -> Result<Arc<Side>, DevnetError> {
    let recipe = Recipe {
        seed: random::<64>()?,
        storage: Storage::Memory(MemoryStore::default()),
        chain: ChainSource::BitcoindRpc {
            host: rpc.address.ip().to_string(),
            port: rpc.address.port(),
            user: rpc.user.clone(),
            password: Zeroizing::new(rpc.password.clone()),
        },
        alias: alias.to_owned(),
    };
    let macaroon = tls::macaroon().map_err(DevnetError::Keys)?;
    Ok(Arc::new(Side::new(recipe, macaroon)))
}

async fn face(
    side: &Arc<Side>,
    rpc: &RpcAccess,
    chain: &SharedChain,
) -> Result<LndNode, DevnetError> {
    let (config, cert) = tls::certificate().map_err(DevnetError::Keys)?;
    let (listener, address) = listen().await?;
    let pubkey = side.node().await?.id().to_owned();
    let face = face::Face::new(Arc::clone(side), chain.clone(), pubkey.clone());
    tokio::spawn(face::server::serve(listener, config, face));
    tracing::debug!(%address, chain = %rpc.address, "a face listens");
    Ok(LndNode {
        pubkey,
        url: format!("https://{address}"),
        macaroon: side.macaroon.clone(),
        cert,
        p2p: side.listen(),
    })
}

async fn channel(
    chain: &SharedChain,
    sides: &[Arc<Side>; 2],
    nodes: &[LndNode; 2],
    options: &DevnetOptions,
) -> Result<(), DevnetError> {
    let (seller, buyer) = (sides[0].node().await?, sides[1].node().await?);
    let capacity = options.sats_each.saturating_mul(2);
    let coins = capacity.saturating_add(RESERVE_SATS);
    fund(chain, &buyer.new_onchain_address().await?, coins)?;
    // A node without coins takes no channel: it could not pay for closing it.
    fund(chain, &seller.new_onchain_address().await?, RESERVE_SATS)?;
    chain.lock().mine(1);
    buyer.sync().await?;
    seller.sync().await?;
    let mut changes = chain.changes();
    changes.mark_unchanged();
    let pushed = options.sats_each.saturating_mul(1000);
    buyer
        .open_channel(&peer(&nodes[0]), capacity, pushed)
        .await?;
    // The funding transaction is the only one that can come.
    if chain.lock().waiting() == 0 && changes.changed().await.is_err() {
        return Err(DevnetError::Channel(0));
    }
    chain.lock().mine(CONFIRMATIONS);
    buyer.sync().await?;
    seller.sync().await?;
    usable(&buyer).await?;
    usable(&seller).await?;
    warm_up(&buyer, &seller).await?;
    warm_up(&seller, &buyer).await
}

/// Waits until a channel of the node can be used.
async fn usable(node: &Node) -> Result<(), DevnetError> {
    // Whether the peer is connected is no event of the node's, so it is looked at now and then as well.
    let mut events = node.events();
    let mut look = tokio::time::interval(Duration::from_millis(20));
    loop {
        if node.channels().await?.iter().any(|channel| channel.usable) {
            return Ok(());
        }
        tokio::select! {
            event = events.next() => match event {
                Some(Event::ChannelChanged | Event::Missed(_)) => {}
                Some(_) => continue,
                None => return Err(farebox_node_ldk::Error::Stopped.into()),
            },
            _ = look.tick() => {}
        }
    }
}

async fn warm_up(from: &Node, to: &Node) -> Result<(), DevnetError> {
    let invoice = to.create_invoice(WARM_UP_MSAT, "warm-up", 600).await?;
    let paid = from.pay(&invoice.bolt11, 0, PATIENCE).await?;
    match paid {
        PayState::Succeeded { .. } => Ok(()),
        state => Err(DevnetError::Node(farebox_node_ldk::Error::Refused(
            format!("the first payment ended {state:?}"),
        ))),
    }
}

fn peer(node: &LndNode) -> Peer {
    Peer {
        id: node.pubkey.clone(),
        address: node.p2p.to_string(),
    }
}

async fn listen() -> Result<(TcpListener, SocketAddr), DevnetError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.map_err(DevnetError::Listen)?;
    let address = listener.local_addr().map_err(DevnetError::Listen)?;
    Ok((listener, address))
}

fn random<const N: usize>() -> Result<[u8; N], DevnetError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| DevnetError::Keys(error.to_string()))?;
    Ok(bytes)
}
