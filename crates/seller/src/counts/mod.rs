//! What a seller or facilitator counts while it works, for whoever watches it.
//!
//! The layer and the till count; the admin server reads. What every request touches are relaxed
//! atomics; what only a payment touches stands behind a lock that is held for some additions.
//! Nothing here decides anything, and nothing that a request says becomes a name: routes come from
//! the configuration, networks and assets from the rails.

mod histogram;
mod money;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use farebox_core::ledger::Payment;
use farebox_core::payment::State;
use farebox_core::rail::Terms;
use farebox_wire::money::UsdMicros;
use http::StatusCode;

pub use self::histogram::{BOUNDS_US, Histogram, Observed};
use self::money::Book;
pub use self::money::{MoneyCounts, PaymentLine, RevenueLine, SettlementLine, States};

/// The name under which requests are counted that no route covers.
pub const NO_ROUTE: &str = "(none)";

/// Goes up and never down, until the process ends.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn up(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted of one route.
#[derive(Debug, Default)]
pub struct RouteCounts {
    /// Answers with offers of x402: 402 and a challenge.
    pub challenges: Counter,
    /// Answers with an invoice and a token: 402, or 401 to a bad token.
    pub l402_challenges: Counter,
    /// Requests that would have been charged, were the route not in shadow mode.
    pub shadowed: Counter,
    /// What they would have paid, in millionths of a dollar.
    pub shadowed_usd_micros: Counter,
    /// Answers by the first digit of their status, 1 to 5.
    answers: [Counter; 5],
    /// Time to the head of the answer.
    pub latency: Histogram,
}

impl RouteCounts {
    /// An answer is about to leave.
    pub fn answered(&self, status: StatusCode, after: Duration) {
        let class = usize::from(status.as_u16() / 100);
        if let Some(counter) = class.checked_sub(1).and_then(|at| self.answers.get(at)) {
            counter.up();
        }
        self.latency.observe(after);
    }

    /// Answers so far by the first digit of their status, which comes first.
    pub fn answers(&self) -> impl Iterator<Item = (u16, u64)> {
        (1..).zip(self.answers.iter().map(Counter::get))
    }

    /// Somebody would have paid.
    pub(crate) fn shadow(&self, price: UsdMicros) {
        self.shadowed.up();
        let micros = u64::try_from(price.0).unwrap_or(u64::MAX);
        self.shadowed_usd_micros.add(micros);
    }
}

/// Everything that one till and what stands in front of it count.
#[derive(Debug, Default)]
pub struct Counts {
    routes: Mutex<BTreeMap<Arc<str>, Arc<RouteCounts>>>,
    money: Mutex<Book>,
    /// Payments that nobody knows the outcome of, as the watch has last seen them.
    undecided: AtomicU64,
    /// Invoices that can be paid at this moment, or are being made.
    open_invoices: Arc<AtomicU64>,
}

impl Counts {
    /// The counts of a route, which go on where a route of this name had begun. For names of the
    /// configuration only.
    pub fn route(&self, name: &str) -> Arc<RouteCounts> {
        let mut routes = lock(&self.routes);
        if let Some(counts) = routes.get(name) {
            return Arc::clone(counts);
        }
        let counts = Arc::<RouteCounts>::default();
        routes.insert(name.into(), Arc::clone(&counts));
        counts
    }

    /// Forgets the counts of routes that are not sold any more, so that reloading a file for ever
    /// does not fill the memory.
    pub(crate) fn keep_routes(&self, is_kept: impl Fn(&str) -> bool) {
        lock(&self.routes).retain(|name, _| is_kept(name));
    }

    /// All routes, by name.
    #[must_use]
    pub fn routes(&self) -> Vec<(Arc<str>, Arc<RouteCounts>)> {
        let routes = lock(&self.routes);
        let all = routes.iter();
        all.map(|(name, counts)| (Arc::clone(name), Arc::clone(counts)))
            .collect()
    }

    /// What became of payments and of their money.
    #[must_use]
    pub fn money(&self) -> MoneyCounts {
        lock(&self.money).read()
    }

    /// Payments that nobody knows the outcome of, as the watch has last seen them.
    #[must_use]
    pub fn undecided(&self) -> u64 {
        self.undecided.load(Ordering::Relaxed)
    }

    /// Invoices that can be paid at this moment, or are being made.
    #[must_use]
    pub fn open_invoices(&self) -> u64 {
        self.open_invoices.load(Ordering::Relaxed)
    }

    /// Where their number is kept.
    pub(crate) fn invoice_gauge(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.open_invoices)
    }

    pub(crate) fn set_undecided(&self, payments: usize) {
        let payments = u64::try_from(payments).unwrap_or(u64::MAX);
        self.undecided.store(payments, Ordering::Relaxed);
    }

    /// A payment was claimed.
    pub(crate) fn claimed(&self, payment: &Payment) {
        lock(&self.money).claimed(payment);
    }

    /// A payment has come in that nobody had to settle here.
    pub(crate) fn paid(&self, route: &str, terms: &Terms) {
        lock(&self.money).paid(route, terms);
    }

    /// A payment went on from a state that it was seen in.
    pub(crate) fn moved(&self, before: &State, after: &Payment) {
        lock(&self.money).moved(before, after);
    }

    /// A settlement took so long, from the word to the rail to its own.
    pub(crate) fn settled_after(&self, terms: &Terms, after: Duration) {
        let times = lock(&self.money).times(terms);
        times.observe(after);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "mod_tests.rs"]
mod tests;
