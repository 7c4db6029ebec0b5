//! The invoices that are open: in memory only, bounded, and offered again (law 9).
//!
//! A client that comes again for the same route is shown the same invoice until that is near its
//! end, and nobody else is. Where it may have none of its own, because it or all have too many, it
//! is shown a common one: a few of each route, made when they are needed, for which a tenth of the
//! whole is kept, so that those who flood a seller with addresses take nothing from others but that.
//! Whoever pays a common invoice first has what it buys; who comes second cannot pay it any more.
//! One that was made for a client is never lent: a node on the way of its payment learns the
//! preimage, and must have no way to a token beside it. Asked by `offer`; it never talks to a node.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::futures::Notified;
use tokio::sync::{Notify, watch};

use super::InvoiceLimits;
use super::offer::Product;
use super::token::Paying;
use crate::client::Prefix;

/// Invoices that may be asked for at the same time: a node makes some hundreds per second.
const MAKING_MAX: u32 = 64;
/// Common ones that may be asked for beside them.
const MAKING_COMMON_MAX: u32 = 16;
/// Common invoices that are kept ready for a route: two buyers seldom pay in the same second.
const COMMON_MAX: usize = 16;
/// The part of all invoices that may only be common.
const COMMON_SHARE: u32 = 10;
/// An invoice is not offered in its last minute: paying takes some seconds, and people wait.
const NEAR_END_S: u64 = 60;

/// An invoice that can be paid.
pub(crate) struct Open {
    pub(crate) product: Arc<Product>,
    /// BOLT11.
    pub(crate) text: Box<str>,
    pub(crate) paying: Paying,
    /// In Unix seconds.
    pub(crate) expires_s: u64,
    /// Whose own it is.
    prefix: Option<Prefix>,
    is_common: bool,
    /// It was paid.
    is_gone: AtomicBool,
}

impl Open {
    fn is_offered(&self, product: &Product, now_s: u64) -> bool {
        !self.is_gone.load(Ordering::Relaxed)
            && self.expires_s > now_s.saturating_add(NEAR_END_S)
            && *self.product == *product
    }
}

/// What there is for a client.
pub(crate) enum Look {
    /// Offered before, or just now.
    Open(Arc<Open>),
    /// On its way.
    Coming(watch::Receiver<Option<Arc<Open>>>),
    /// The client may have one made.
    Make(Making),
    /// It may not.
    Full,
}

/// See the module. Share it in an `Arc`.
pub(crate) struct Invoices {
    book: Mutex<Book>,
    /// Some was made, or was not.
    made: Notify,
}

#[derive(Default)]
struct Book {
    limits: InvoiceLimits,
    /// The last one of each client and route.
    offered: HashMap<Key, Arc<Open>>,
    coming: HashMap<Key, watch::Receiver<Option<Arc<Open>>>>,
    by_hash: HashMap<[u8; 32], Arc<Open>>,
    /// In the order in which they end.
    order: VecDeque<Arc<Open>>,
    by_prefix: HashMap<Prefix, u32>,
    /// By route, to be offered to all.
    shelves: HashMap<Arc<str>, Shelf>,
    /// Of a client's own.
    making: u32,
    making_common: u32,
    /// Common ones that are open, offered or not.
    common: u32,
    gauge: Arc<AtomicU64>,
}

/// The route and the client.
type Key = (Arc<str>, Prefix);

/// The common invoices of a route.
#[derive(Default)]
struct Shelf {
    /// Whose turn it is stands first.
    invoices: VecDeque<Arc<Open>>,
    making: usize,
}

/// The right to have one invoice made; given back where it is dropped.
pub(crate) struct Making {
    invoices: Arc<Invoices>,
    product: Arc<Product>,
    prefix: Option<Prefix>,
    is_common: bool,
    told: watch::Sender<Option<Arc<Open>>>,
}

impl Invoices {
    /// None is open; `gauge` always says how many are.
    pub(crate) fn new(limits: InvoiceLimits, gauge: Arc<AtomicU64>) -> Arc<Self> {
        let book = Book {
            limits,
            gauge,
            ..Book::default()
        };
        Arc::new(Self {
            book: Mutex::new(book),
            made: Notify::new(),
        })
    }

    /// From now on there may be so many; those that are open stay.
    pub(crate) fn set_limits(&self, limits: InvoiceLimits) {
        self.lock().limits = limits;
    }

    /// How many are open or being made.
    pub(crate) fn count(&self) -> u32 {
        self.lock().count()
    }

    /// What there is for a client; where nobody says who asks, nothing is kept apart for it.
    pub(crate) fn look(
        self: &Arc<Self>,
        product: &Arc<Product>,
        prefix: Option<Prefix>,
        now_s: u64,
    ) -> Look {
        let mut book = self.lock();
        if let Some(prefix) = prefix {
            let key = (Arc::clone(&product.route), prefix);
            let offered = book.offered.get(&key);
            if let Some(open) = offered.filter(|open| open.is_offered(product, now_s)) {
                return Look::Open(Arc::clone(open));
            }
            if let Some(coming) = book.coming.get(&key) {
                return Look::Coming(coming.clone());
            }
        }
        if !book.may_make(prefix) {
            // Those that have ended may be in the way.
            book.forget_ended(now_s, usize::MAX);
        }
        let is_common = !book.may_make(prefix);
        if is_common && !book.may_make_common(product, now_s) {
            return Look::Full;
        }
        let prefix = prefix.filter(|_| !is_common);
        let told = book.begin(product, prefix, is_common);
        drop(book);
        Look::Make(Making {
            invoices: Arc::clone(self),
            product: Arc::clone(product),
            prefix,
            is_common,
            told,
        })
    }

    /// When the next one has been made, or has not; from this call on.
    pub(crate) fn next_made(&self) -> Notified<'_> {
        self.made.notified()
    }

    /// Whether common ones of a route are on their way.
    pub(crate) fn is_making_common(&self, route: &str) -> bool {
        let book = self.lock();
        book.shelves
            .get(route)
            .is_some_and(|shelf| shelf.making > 0)
    }

    /// A common one, each in its turn.
    pub(crate) fn common(&self, product: &Product, now_s: u64) -> Option<Arc<Open>> {
        let mut book = self.lock();
        let shelf = book.shelves.get_mut(&product.route)?;
        shelf.pick(product, now_s)
    }

    /// The invoice of a payment, where it is known.
    pub(crate) fn find(&self, hash: &[u8; 32]) -> Option<Arc<Open>> {
        self.lock().by_hash.get(hash).map(Arc::clone)
    }

    /// It was paid: nobody is shown it any more.
    pub(crate) fn paid(&self, hash: &[u8; 32]) {
        let mut book = self.lock();
        if let Some(open) = book.by_hash.remove(hash) {
            book.forget(&open);
            book.tell();
        }
    }

    /// Forgets those that have ended, at most so many, and gives their hashes.
    pub(crate) fn forget_ended(&self, now_s: u64, at_most: usize) -> Vec<[u8; 32]> {
        self.lock().forget_ended(now_s, at_most)
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        // The book is whole after every statement that can panic.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Making {
    /// Tells when it is there; nothing where it does not come.
    pub(crate) fn coming(&self) -> watch::Receiver<Option<Arc<Open>>> {
        self.told.subscribe()
    }

    /// It is there.
    pub(crate) fn done(self, text: String, paying: Paying, expires_s: u64) {
        let open = Arc::new(Open {
            product: Arc::clone(&self.product),
            text: text.into(),
            paying,
            expires_s,
            prefix: self.prefix,
            is_common: self.is_common,
            is_gone: AtomicBool::new(false),
        });
        let mut book = self.invoices.lock();
        if let Some(prefix) = self.prefix {
            // Counted a second time, and given back once when the right to make it ends.
            let count = book.by_prefix.entry(prefix).or_default();
            *count = count.saturating_add(1);
            let key = (Arc::clone(&self.product.route), prefix);
            book.offered.insert(key, Arc::clone(&open));
        }
        book.by_hash
            .insert(open.paying.payment_hash.0, Arc::clone(&open));
        if self.is_common {
            book.common = book.common.saturating_add(1);
            let shelf = book.shelves.entry(Arc::clone(&self.product.route));
            shelf.or_default().invoices.push_back(Arc::clone(&open));
        }
        book.order.push_back(Arc::clone(&open));
        book.tell();
        drop(book);
        self.told.send_replace(Some(open));
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let mut book = self.invoices.lock();
        if self.is_common {
            book.making_common = book.making_common.saturating_sub(1);
            if let Some(shelf) = book.shelves.get_mut(&self.product.route) {
                shelf.making = shelf.making.saturating_sub(1);
            }
            book.forget_shelf(&self.product.route);
        } else {
            book.making = book.making.saturating_sub(1);
        }
        book.tell();
        if let Some(prefix) = self.prefix {
            book.one_less(prefix);
            book.coming
                .remove(&(Arc::clone(&self.product.route), prefix));
        }
        drop(book);
        self.invoices.made.notify_waiters();
    }
}

impl Book {
    fn count(&self) -> u32 {
        let open = u32::try_from(self.by_hash.len()).unwrap_or(u32::MAX);
        open.saturating_add(self.making)
            .saturating_add(self.making_common)
    }

    /// How many of all only common ones may be.
    fn kept_for_common(&self) -> u32 {
        let total = self.limits.total;
        let share = total.div_ceil(COMMON_SHARE);
        // Of a single one nothing is kept.
        share.min(total.saturating_sub(1))
    }

    fn tell(&self) {
        self.gauge.store(self.count().into(), Ordering::Relaxed);
    }

    fn may_make(&self, prefix: Option<Prefix>) -> bool {
        let of_client = prefix.and_then(|prefix| self.by_prefix.get(&prefix));
        let own = self.limits.total.saturating_sub(self.kept_for_common());
        let common = self.common.saturating_add(self.making_common);
        self.making < MAKING_MAX
            && self.count().saturating_sub(common) < own
            && self.count() < self.limits.total
            && of_client.is_none_or(|count| *count < self.limits.per_prefix)
    }

    /// Every route may have one, and more while there is plenty.
    fn may_make_common(&mut self, product: &Product, now_s: u64) -> bool {
        let has_room = self.count() < self.limits.total && self.making_common < MAKING_COMMON_MAX;
        let common = self.common.saturating_add(self.making_common);
        let is_plenty = common < self.kept_for_common().div_ceil(2);
        let ready = self.shelves.get_mut(&product.route).map_or(0, |shelf| {
            shelf
                .invoices
                .retain(|open| open.is_offered(product, now_s));
            shelf.invoices.len().saturating_add(shelf.making)
        });
        has_room && (ready == 0 || (is_plenty && ready < COMMON_MAX))
    }

    /// Counts one that is on its way.
    fn begin(
        &mut self,
        product: &Product,
        prefix: Option<Prefix>,
        is_common: bool,
    ) -> watch::Sender<Option<Arc<Open>>> {
        let (told, coming) = watch::channel(None);
        if is_common {
            self.making_common = self.making_common.saturating_add(1);
            let shelf = self.shelves.entry(Arc::clone(&product.route)).or_default();
            shelf.making = shelf.making.saturating_add(1);
        } else {
            self.making = self.making.saturating_add(1);
        }
        if let Some(prefix) = prefix {
            let count = self.by_prefix.entry(prefix).or_default();
            *count = count.saturating_add(1);
            self.coming
                .insert((Arc::clone(&product.route), prefix), coming);
        }
        self.tell();
        told
    }

    fn forget_ended(&mut self, now_s: u64, at_most: usize) -> Vec<[u8; 32]> {
        let mut ended = Vec::new();
        while ended.len() < at_most
            && let Some(first) = self.order.front()
            && (first.expires_s <= now_s || first.is_gone.load(Ordering::Relaxed))
            && let Some(open) = self.order.pop_front()
        {
            let hash = open.paying.payment_hash.0;
            // What was paid is forgotten already.
            if self.by_hash.remove(&hash).is_some() {
                self.forget(&open);
                ended.push(hash);
            }
        }
        self.tell();
        ended
    }

    /// Everything but its place in the order, where it waits for its turn.
    fn forget(&mut self, open: &Arc<Open>) {
        open.is_gone.store(true, Ordering::Relaxed);
        if let Some(prefix) = open.prefix {
            self.one_less(prefix);
            let key = (Arc::clone(&open.product.route), prefix);
            if self
                .offered
                .get(&key)
                .is_some_and(|last| Arc::ptr_eq(last, open))
            {
                self.offered.remove(&key);
            }
        }
        if open.is_common {
            self.common = self.common.saturating_sub(1);
            if let Some(shelf) = self.shelves.get_mut(&open.product.route) {
                shelf.invoices.retain(|other| !Arc::ptr_eq(other, open));
            }
            self.forget_shelf(&open.product.route);
        }
    }

    /// Where nothing is on it and nothing comes.
    fn forget_shelf(&mut self, route: &str) {
        let is_bare = |shelf: &Shelf| shelf.invoices.is_empty() && shelf.making == 0;
        if self.shelves.get(route).is_some_and(is_bare) {
            self.shelves.remove(route);
        }
    }

    fn one_less(&mut self, prefix: Prefix) {
        if let Some(count) = self.by_prefix.get_mut(&prefix) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_prefix.remove(&prefix);
            }
        }
    }
}

impl Shelf {
    /// Each in its turn, so that two who are shown one seldom have the same.
    fn pick(&mut self, product: &Product, now_s: u64) -> Option<Arc<Open>> {
        self.invoices.retain(|open| open.is_offered(product, now_s));
        let open = self.invoices.pop_front()?;
        self.invoices.push_back(Arc::clone(&open));
        Some(open)
    }
}

#[cfg(test)]
#[path = "invoices_tests.rs"]
mod tests;
