//! What is sold at this moment: the seller's layer and the proxy behind it, which a reload replaces
//! together.
//!
//! Every request takes both as they are when it comes, and keeps them to its end: a route is matched
//! and forwarded by one configuration, whatever is loaded meanwhile. Connections to upstreams go over
//! to the next configuration where their upstream is in it.
//!
//! Each client's connection keeps what it has seen last: counting references that all connections
//! share would cost a challenge more than finding its route.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use farebox_seller::layer::PaymentService;
use farebox_seller::{Seller, Unmatched};
use tower_layer::Layer as _;

use super::GatewayError;
use super::proxy::{Patience, Proxy};
use super::upstream::{Upstream, Upstreams};

/// A seller in front of its upstreams.
pub(super) type Selling = PaymentService<Proxy>;

/// See the module. All clones share it.
#[derive(Clone)]
pub(super) struct Current(Arc<Shared>);

struct Shared {
    /// Held for a copy of two pointers by requests, and for an exchange of them by a reload.
    selling: RwLock<(Selling, Proxy)>,
    /// How often it was exchanged.
    version: AtomicU64,
    patience: Patience,
}

impl Current {
    pub(super) fn new(
        seller: &Seller,
        upstreams: Upstreams,
        patience: Patience,
    ) -> Result<Self, GatewayError> {
        let (by_index, unmatched) = in_order(seller, upstreams)?;
        let proxy = Proxy::new(&by_index, unmatched.as_ref(), patience, None)?;
        let selling = seller.layer().layer(proxy.clone());
        Ok(Self(Arc::new(Shared {
            selling: RwLock::new((selling, proxy)),
            version: AtomicU64::new(0),
            patience,
        })))
    }

    /// For one connection.
    pub(super) fn glance(&self) -> Glance {
        Glance {
            seen: RefCell::new(self.now()),
            current: self.clone(),
        }
    }

    fn now(&self) -> (u64, Selling) {
        let selling = &self.0.selling;
        let now = selling.read().unwrap_or_else(PoisonError::into_inner);
        (self.0.version.load(Ordering::Acquire), now.0.clone())
    }

    pub(super) fn reloader(&self) -> Reloader {
        Reloader(self.clone())
    }
}

/// What one connection has seen last.
#[derive(Clone)]
pub(super) struct Glance {
    current: Current,
    /// With the number of exchanges before it.
    seen: RefCell<(u64, Selling)>,
}

impl Glance {
    /// Serves a request with what is sold at this moment.
    pub(super) fn serve<T>(&self, request: impl FnOnce(&mut Selling) -> T) -> T {
        let mut seen = self.seen.borrow_mut();
        if seen.0 != self.current.0.version.load(Ordering::Acquire) {
            *seen = self.current.now();
        }
        request(&mut seen.1)
    }
}

/// Changes what a gateway sells while it serves.
#[derive(Clone)]
pub struct Reloader(Current);

impl Reloader {
    /// From now on requests are for this seller and these upstreams; those that are under way end
    /// as they began. Make the seller with [`Seller::succeeded_by`] of the one before.
    ///
    /// # Errors
    /// [`GatewayError`] as at the start; then nothing has changed.
    pub fn reload(&self, seller: &Seller, upstreams: Upstreams) -> Result<(), GatewayError> {
        let (by_index, unmatched) = in_order(seller, upstreams)?;
        let shared = &self.0.0;
        let before = shared.selling.read();
        let before = before.unwrap_or_else(PoisonError::into_inner).1.clone();
        // Without the lock: it may read certificates from the disk.
        let proxy = Proxy::new(
            &by_index,
            unmatched.as_ref(),
            shared.patience,
            Some(&before),
        )?;
        let next = (seller.layer().layer(proxy.clone()), proxy);
        let now = shared.selling.write();
        let mut now = now.unwrap_or_else(PoisonError::into_inner);
        *now = next;
        // Before anybody else can look, so that nobody takes the one for the other.
        shared.version.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

/// The upstreams in the order of the seller's routes, and the one of the rest.
fn in_order(
    seller: &Seller,
    mut upstreams: Upstreams,
) -> Result<(Vec<Upstream>, Option<Upstream>), GatewayError> {
    let by_index = seller.routes().map(|route| {
        let upstream = upstreams.by_route.remove(route);
        upstream.ok_or_else(|| GatewayError::NoUpstream(route.to_owned()))
    });
    let by_index = by_index.collect::<Result<_, _>>()?;
    if seller.unmatched() == Unmatched::Free && upstreams.unmatched.is_none() {
        return Err(GatewayError::NoUpstreamForUnmatched);
    }
    Ok((by_index, upstreams.unmatched))
}
