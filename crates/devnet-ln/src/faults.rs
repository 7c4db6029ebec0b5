//! Faults that tests switch on at one node: a face that hangs, refuses, hangs up or loses its reply, per method and a
//! number of times; payments that are held; settlements without a proof. It must never fire unless a test asked for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// Stands for every method.
pub const ANY_METHOD: &str = "*";

/// What goes wrong at a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No reply ever comes; the node does nothing.
    Hang,
    /// The reply is not JSON; the node does nothing.
    Garbage,
    /// An HTTP status without a body; the node does nothing.
    HttpStatus(u16),
    /// An error as LND's gateway writes it; the node does nothing.
    Refuse {
        /// gRPC status code.
        code: i32,
        /// Its text.
        message: String,
    },
    /// The connection is closed without a reply; the node does nothing.
    Disconnect,
    /// The node does what was asked, then the connection is closed without a reply.
    LoseReply,
    /// The node does what was asked, but only after this time.
    Delay(Duration),
    /// Payments of this node that settle are told without their preimage, as custodians do (`sendpayment` and
    /// `trackpayment` alone).
    NoPreimage,
}

/// The switchboard of one node. Clones share it. Methods are called `getinfo`, `addinvoice`, `lookupinvoice`,
/// `subscribeinvoices`, `cancelinvoice`, `decodepayreq`, `sendpayment`, `trackpayment`, `channelbalance`.
#[derive(Clone, Debug)]
pub struct Faults {
    inner: Arc<Mutex<Inner>>,
    holds: Arc<watch::Sender<bool>>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            inner: Arc::default(),
            holds: Arc::new(watch::Sender::new(false)),
        }
    }
}

#[derive(Debug, Default)]
struct Inner {
    armed: Vec<Armed>,
    calls: HashMap<String, u64>,
}

#[derive(Debug)]
struct Armed {
    method: String,
    fault: Fault,
    /// `None`: until cleared.
    left: Option<u32>,
}

impl Faults {
    /// Every call of `method` (or [`ANY_METHOD`]) meets the fault until [`Faults::clear`].
    pub fn set(&self, method: &str, fault: Fault) {
        self.arm(method, fault, None);
    }

    /// The next `times` calls of `method` (or [`ANY_METHOD`]) meet the fault.
    pub fn set_times(&self, method: &str, fault: Fault, times: u32) {
        self.arm(method, fault, Some(times));
    }

    /// Switches every fault off, [`Faults::hold_payments`] too.
    pub fn clear(&self) {
        self.lock().armed.clear();
        self.holds.send_replace(false);
    }

    /// From now on payments that reach this node stay in flight, until [`Faults::release_payments`] settles them.
    pub fn hold_payments(&self) {
        self.holds.send_replace(true);
    }

    /// Settles what is held, and whatever comes.
    pub fn release_payments(&self) {
        self.holds.send_replace(false);
    }

    /// How often a method has been called since the start, faults included.
    #[must_use]
    pub fn calls(&self, method: &str) -> u64 {
        self.lock().calls.get(method).copied().unwrap_or_default()
    }

    /// How often any method has been called since the start.
    #[must_use]
    pub fn total_calls(&self) -> u64 {
        self.lock().calls.values().sum()
    }

    /// Whether payments are held, and how to learn of a change.
    pub(crate) fn holds(&self) -> watch::Receiver<bool> {
        self.holds.subscribe()
    }

    /// Counts a call and returns the fault that it meets.
    pub(crate) fn meet(&self, method: &str) -> Option<Fault> {
        let mut inner = self.lock();
        let calls = inner.calls.entry(method.to_owned()).or_default();
        *calls = calls.saturating_add(1);
        let index = inner
            .armed
            .iter()
            .position(|armed| armed.method == method || armed.method == ANY_METHOD)?;
        let armed = inner.armed.get_mut(index)?;
        let fault = armed.fault.clone();
        if let Some(left) = &mut armed.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                inner.armed.remove(index);
            }
        }
        Some(fault)
    }

    fn arm(&self, method: &str, fault: Fault, left: Option<u32>) {
        if left == Some(0) {
            return;
        }
        self.lock().armed.push(Armed {
            method: method.to_owned(),
            fault,
            left,
        });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
