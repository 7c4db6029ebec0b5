//! The facilitator: verifies and settles x402 payments for sellers, over HTTP.
//!
//! `POST /verify`, `POST /settle`, `GET /supported`, `GET /health`. The front door accepts,
//! `door` finds the endpoint and asks for the token, `question` reads the body, `verify` and
//! `settle` ask the till, `answers` writes. Nothing here knows a rail by name, and nothing but
//! `settle` ever claims.
//!
//! What is wrong with a payment is said with status 200 (`isValid: false`, `success: false`), as
//! the official facilitators do; a body that is no question is a 400.

pub mod access;
mod answers;
mod desk;
mod door;
mod hand_over;
mod health;
mod limits;
mod memory;
mod question;
mod settle;
mod verify;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use farebox_seller::buckets::BucketLimits;
use farebox_seller::till::Till;
use tokio::net::TcpListener;

use self::access::Access;
use self::desk::Desk;
use crate::front::FrontDoor;
use crate::front::connections::{self, Connections, Entrance, Limits};
use crate::front::redirect::Redirect;
use crate::request_log::RequestLog;

/// What a facilitator may be told besides; the defaults suit most.
#[derive(Clone)]
pub struct FacilitatorOptions {
    /// TLS, and the proxies in front.
    pub front: FrontDoor,
    /// Connections at the same time; more are turned away.
    pub connections_max: usize,
    /// How long a client may take to send the head of a request, and stay idle between two.
    pub client_head_ms: u64,
    /// How long a client may take to send the body of a request.
    pub client_body_ms: u64,
    /// How long a client may take nothing of an answer that waits for it.
    pub client_stall_ms: u64,
    /// How long answers may go on after the stop.
    pub drain_ms: u64,
    /// What callers may make it do in vain. `None` is the usual, for callers from other machines.
    pub in_vain: Option<BucketLimits>,
    /// Takes a line for each request.
    pub log: Option<Arc<dyn RequestLog>>,
}

impl Default for FacilitatorOptions {
    fn default() -> Self {
        Self {
            front: FrontDoor::default(),
            connections_max: 10_000,
            // Sellers keep their connections open between two payments.
            client_head_ms: 120_000,
            client_body_ms: 30_000,
            client_stall_ms: 60_000,
            drain_ms: 30_000,
            in_vain: None,
            log: None,
        }
    }
}

/// Why a facilitator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum FacilitatorError {
    /// The listener.
    #[error("the listener has no address: {0}")]
    Listener(#[from] io::Error),
    /// Everybody could spend its gas.
    #[error(
        "a facilitator at {0} can be reached by others and would pay gas for anybody; set \
         `payees` (--payee ADDRESS), `tokens` (--token env:NAME) or `open = true` (--open) in \
         [facilitator], or listen on 127.0.0.1"
    )]
    OpenToEverybody(SocketAddr),
}

/// The facilitator. Before it serves, call [`Till::recover`] once; while it serves, run
/// [`Till::watch`].
pub struct Facilitator {
    desk: Arc<Desk>,
    limits: Limits,
    connections: Connections,
    body: Duration,
    entrance: Entrance,
    address: SocketAddr,
}

impl Facilitator {
    /// Puts a till behind a listener.
    ///
    /// # Errors
    /// [`FacilitatorError`] where strangers could spend the gas; a listener without an address.
    pub fn new(
        till: Arc<Till>,
        access: Access,
        options: &FacilitatorOptions,
        listener: TcpListener,
    ) -> Result<Self, FacilitatorError> {
        let address = listener.local_addr()?;
        access.permits(address)?;
        Ok(Self {
            desk: Desk::new(till, access, options.in_vain, options.log.clone()),
            limits: Limits {
                head: Duration::from_millis(options.client_head_ms),
                stall: Duration::from_millis(options.client_stall_ms),
                drain: Duration::from_millis(options.drain_ms),
            },
            connections: Connections::new(options.connections_max),
            body: Duration::from_millis(options.client_body_ms),
            entrance: Entrance {
                listener,
                redirect: None,
                front: options.front.clone(),
            },
            address,
        })
    }

    /// The same, and those who come to another listener in the clear are sent here.
    #[must_use]
    pub fn with_redirect(mut self, redirect: Redirect) -> Self {
        self.entrance.redirect = Some(redirect);
        self
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its connections, for whoever watches them.
    #[must_use]
    pub const fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Serves until `shutdown`, then lets answers that are on their way end, and returns when
    /// every settlement that was begun is on record.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let Self {
            desk,
            limits,
            connections,
            body,
            entrance,
            address,
        } = self;
        tracing::info!(%address, "the facilitator is open");
        let till = Arc::clone(desk.till());
        let answer = move |request, client| door::answer(Arc::clone(&desk), request, client, body);
        let deadline = connections::serve(entrance, limits, &connections, answer, shutdown).await;
        if tokio::time::timeout_at(deadline, till.finish())
            .await
            .is_err()
        {
            tracing::warn!("payments are still being settled; the next start resolves them");
        }
        tracing::info!(%address, "the facilitator is closed");
    }
}
