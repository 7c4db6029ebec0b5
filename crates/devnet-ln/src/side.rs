//! One of the two nodes with what its face knows beside it: invoices with their preimages, payments, and the tasks that
//! claim what arrives. It can stop and come back, as a daemon does; the face stays and says that the node is away.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use farebox_node_ldk::{
    Error, Event, InvoiceState, LdkOptions, Network, Node, PaymentHash, Preimage, Seed, Settlement,
    Storage,
};
use tokio::sync::{RwLock, broadcast};
use tokio::task::JoinHandle;

use crate::faults::Faults;

/// Asks for a free port.
const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Updates that a subscriber may be behind.
const UPDATES: usize = 4096;

/// How the node is made, every time it comes back.
pub(crate) struct Recipe {
    pub(crate) seed: [u8; 64],
    pub(crate) storage: Storage,
    pub(crate) chain: farebox_node_ldk::ChainSource,
    pub(crate) alias: String,
}

impl Recipe {
    fn options(&self, listen: SocketAddr) -> LdkOptions {
        LdkOptions {
            storage: self.storage.clone(),
            listen: vec![listen],
            alias: Some(self.alias.clone()),
            ..LdkOptions::new(Network::Regtest, self.chain.clone(), Seed::new(self.seed))
        }
    }
}

/// An invoice as the face remembers it.
#[derive(Clone)]
pub(crate) struct FaceInvoice {
    pub(crate) preimage: [u8; 32],
    pub(crate) memo: String,
    pub(crate) value_msat: u64,
    pub(crate) created_unix_s: u64,
    pub(crate) expiry_s: u64,
    pub(crate) bolt11: String,
    pub(crate) add_index: u64,
    pub(crate) payment_secret: [u8; 32],
    pub(crate) private: bool,
}

/// A payment as the face remembers it.
#[derive(Clone)]
pub(crate) struct FacePayment {
    pub(crate) bolt11: String,
    pub(crate) value_msat: u64,
    pub(crate) created_unix_s: u64,
    pub(crate) index: u64,
    /// Whether a call is at it: a second one is refused, as LND does.
    pub(crate) running: bool,
}

#[derive(Default)]
pub(crate) struct Book {
    pub(crate) invoices: HashMap<PaymentHash, FaceInvoice>,
    /// In the order of their add index.
    pub(crate) added: Vec<PaymentHash>,
    pub(crate) payments: HashMap<PaymentHash, FacePayment>,
}

/// What subscribers of invoices are told.
#[derive(Clone)]
pub(crate) enum Update {
    Added(PaymentHash),
    Settled(Settlement),
}

/// A node and its face's memory.
pub(crate) struct Side {
    recipe: Recipe,
    /// A free port the first time, and then always that one: others know it.
    listen: OnceLock<SocketAddr>,
    node: RwLock<Option<Running>>,
    book: Mutex<Book>,
    pub(crate) updates: broadcast::Sender<Update>,
    pub(crate) faults: Faults,
    pub(crate) macaroon: String,
}

struct Running {
    node: Arc<Node>,
    tasks: [JoinHandle<()>; 2],
}

impl Side {
    pub(crate) fn new(recipe: Recipe, macaroon: String) -> Self {
        Self {
            recipe,
            listen: OnceLock::new(),
            node: RwLock::new(None),
            book: Mutex::default(),
            updates: broadcast::Sender::new(UPDATES),
            faults: Faults::default(),
            macaroon,
        }
    }

    /// The node, unless it is stopped.
    pub(crate) async fn node(&self) -> Result<Arc<Node>, Error> {
        let running = self.node.read().await;
        let running = running.as_ref().ok_or(Error::Stopped)?;
        Ok(Arc::clone(&running.node))
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where other nodes reach it.
    pub(crate) fn listen(&self) -> SocketAddr {
        *self.listen.get().unwrap_or(&ANY_PORT)
    }

    pub(crate) fn alias(&self) -> &str {
        &self.recipe.alias
    }

    /// Starts the node, unless it runs.
    pub(crate) async fn start(self: &Arc<Self>) -> Result<(), Error> {
        let mut running = self.node.write().await;
        if running.is_some() {
            return Ok(());
        }
        let node = Arc::new(Node::start(self.recipe.options(self.listen())).await?);
        if let Some(address) = node.address() {
            self.listen.get_or_init(|| address);
        }
        let settled = node.settlements(node.newest_settlement()?)?;
        let tasks = [
            tokio::spawn(claim(Arc::clone(self), Arc::clone(&node))),
            tokio::spawn(tell(Arc::clone(self), settled)),
        ];
        *running = Some(Running { node, tasks });
        Ok(())
    }

    /// Stops the node, if it runs. Calls that are at it end first or lose it.
    pub(crate) async fn stop(&self) -> Result<(), Error> {
        let Some(Running { node, tasks }) = self.node.write().await.take() else {
            return Ok(());
        };
        for task in tasks {
            task.abort();
            // An error is the abort.
            let _ = task.await;
        }
        // Whoever still waits for a payment gives the node up when it stops; nobody else takes it any more.
        node.stop().await
    }
}

/// Claims payments of the face's invoices when they arrive, or when they are released.
async fn claim(side: Arc<Side>, node: Arc<Node>) {
    let mut events = node.events();
    let mut holds = side.faults.holds();
    // What was held when the node stopped is not told again.
    sweep(&side, &node).await;
    loop {
        tokio::select! {
            event = events.next() => match event {
                None => return,
                Some(Event::Held { payment_hash, .. }) => {
                    if !*holds.borrow() {
                        claim_one(&side, &node, payment_hash).await;
                    }
                }
                Some(Event::Missed(_)) => sweep(&side, &node).await,
                Some(_) => {}
            },
            changed = holds.changed() => match changed {
                Ok(()) => sweep(&side, &node).await,
                Err(_) => return,
            },
        }
    }
}

/// Claims everything that could be held, unless payments are to be held.
async fn sweep(side: &Side, node: &Node) {
    if *side.faults.holds().borrow() {
        return;
    }
    let hashes: Vec<PaymentHash> = side.book().invoices.keys().copied().collect();
    for hash in hashes {
        let state = node.lookup_invoice(hash).await;
        if matches!(
            state,
            Ok(InvoiceState::Held { .. } | InvoiceState::Open { .. })
        ) {
            claim_one(side, node, hash).await;
        }
    }
}

async fn claim_one(side: &Side, node: &Node, hash: PaymentHash) {
    let preimage = side
        .book()
        .invoices
        .get(&hash)
        .map(|invoice| invoice.preimage);
    let Some(preimage) = preimage else { return };
    if let Err(error) = node.claim_held(Preimage::new(preimage)).await {
        tracing::debug!(payment_hash = %hash, %error, "a payment was not claimed");
    }
}

/// Tells subscribers what has settled.
async fn tell(side: Arc<Side>, mut settled: farebox_node_ldk::Settlements) {
    while let Ok(settlement) = settled.next().await {
        // An error means that nobody has subscribed.
        let _ = side.updates.send(Update::Settled(settlement));
    }
}
