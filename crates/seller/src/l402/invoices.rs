//! The invoices that are open: in memory only, bounded, and offered again (law 9).
//!
//! A client that comes again for the same route is shown the same invoice until that is near its
//! end. Where no new one may be made, it is shown one that was made for somebody else: whoever pays
//! an invoice first has what it buys, and those who flood a seller pay none. Asked by `offer`; it
//! never talks to a node.

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
    prefix: Option<Prefix>,
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
    /// By route, to be offered to others.
    shelves: HashMap<Arc<str>, Shelf>,
    making: u32,
    gauge: Arc<AtomicU64>,
}

/// The route and the client.
type Key = (Arc<str>, Prefix);

#[derive(Default)]
struct Shelf {
    invoices: Vec<Arc<Open>>,
    /// Whose turn it is.
    next: usize,
    /// Of them, at least.
    gone: usize,
}

/// The right to have one invoice made; given back where it is dropped.
pub(crate) struct Making {
    invoices: Arc<Invoices>,
    product: Arc<Product>,
    prefix: Option<Prefix>,
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
        if !book.may_make(prefix) {
            return Look::Full;
        }
        let (told, coming) = watch::channel(None);
        book.making = book.making.saturating_add(1);
        book.tell();
        if let Some(prefix) = prefix {
            let count = book.by_prefix.entry(prefix).or_default();
            *count = count.saturating_add(1);
            let key = (Arc::clone(&product.route), prefix);
            book.coming.insert(key, coming);
        }
        drop(book);
        Look::Make(Making {
            invoices: Arc::clone(self),
            product: Arc::clone(product),
            prefix,
            told,
        })
    }

    /// When the next one has been made, or has not; from this call on.
    pub(crate) fn next_made(&self) -> Notified<'_> {
        self.made.notified()
    }

    /// Whether some are on their way.
    pub(crate) fn is_making(&self) -> bool {
        self.lock().making > 0
    }

    /// One that was made for somebody else.
    pub(crate) fn borrowed(&self, product: &Product, now_s: u64) -> Option<Arc<Open>> {
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
        let shelf = book.shelves.entry(Arc::clone(&self.product.route));
        shelf.or_default().invoices.push(Arc::clone(&open));
        book.order.push_back(Arc::clone(&open));
        book.tell();
        drop(book);
        self.told.send_replace(Some(open));
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let mut book = self.invoices.lock();
        book.making = book.making.saturating_sub(1);
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
    }

    fn tell(&self) {
        self.gauge.store(self.count().into(), Ordering::Relaxed);
    }

    fn may_make(&self, prefix: Option<Prefix>) -> bool {
        let of_client = prefix.and_then(|prefix| self.by_prefix.get(&prefix));
        self.making < MAKING_MAX
            && self.count() < self.limits.total
            && of_client.is_none_or(|count| *count < self.limits.per_prefix)
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
        if let Some(shelf) = self.shelves.get_mut(&open.product.route) {
            shelf.one_gone();
            if shelf.invoices.is_empty() {
                self.shelves.remove(&open.product.route);
            }
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
        for _ in 0..self.invoices.len() {
            let at = self.next.checked_rem(self.invoices.len())?;
            let open = self.invoices.get(at)?;
            if open.is_offered(product, now_s) {
                self.next = at.saturating_add(1);
                return Some(Arc::clone(open));
            }
            self.invoices.swap_remove(at);
        }
        None
    }

    /// One of them has gone: they are looked through when half have, so that each costs little.
    fn one_gone(&mut self) {
        self.gone = self.gone.saturating_add(1);
        if self.gone.saturating_mul(2) > self.invoices.len() {
            self.gone = 0;
            self.invoices
                .retain(|open| !open.is_gone.load(Ordering::Relaxed));
        }
    }
}

#[cfg(test)]
#[path = "invoices_tests.rs"]
mod tests;
