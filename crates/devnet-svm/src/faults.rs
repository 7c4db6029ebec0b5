//! Faults that tests switch on: an RPC that hangs, lies, hangs up or refuses, per method and a number of times.
//! Read by the RPC server before and after each call. It must never fire unless a test asked for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

/// Stands for every method.
pub const ANY_METHOD: &str = "*";

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No reply ever comes; the call is not performed.
    Hang,
    /// The reply is not JSON; the call is not performed.
    Garbage,
    /// An HTTP status without a JSON-RPC body; the call is not performed.
    HttpStatus(u16),
    /// A JSON-RPC error; the call is not performed.
    Refuse {
        /// JSON-RPC error code.
        code: i64,
        /// Error message.
        message: String,
    },
    /// The connection is closed without a reply; the call is not performed.
    Disconnect,
    /// The call is performed, then the connection is closed without a reply.
    LoseReply,
    /// The call is performed, but only after this time.
    Delay(Duration),
    /// This result is answered; the call is not performed. For nodes that lie or lag.
    Lie(Value),
    /// `sendTransaction` alone: checked and answered as ever, but no leader ever sees the transaction.
    Drop,
}

/// The switchboard. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    is_cut_off: bool,
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

    /// Switches every fault off, [`Faults::cut_off`] too.
    pub fn clear(&self) {
        let mut inner = self.lock();
        inner.armed.clear();
        inner.is_cut_off = false;
    }

    /// Closes every connection at its next call, without a reply, until told otherwise. Such calls are counted, and
    /// use up no other fault.
    pub fn cut_off(&self, is_cut_off: bool) {
        self.lock().is_cut_off = is_cut_off;
    }

    /// How often a method has been called since the start, faults included.
    #[must_use]
    pub fn calls(&self, method: &str) -> u64 {
        self.lock().calls.get(method).copied().unwrap_or_default()
    }

    /// How often any method has been called since the start: to show that something needs no RPC at all.
    #[must_use]
    pub fn total_calls(&self) -> u64 {
        self.lock().calls.values().sum()
    }

    /// Counts a call and returns the fault that it meets.
    pub(crate) fn meet(&self, method: &str) -> Option<Fault> {
        let mut inner = self.lock();
        match inner.calls.get_mut(method) {
            Some(calls) => *calls = calls.saturating_add(1),
            None => drop(inner.calls.insert(method.to_owned(), 1)),
        }
        if inner.is_cut_off {
            return Some(Fault::Disconnect);
        }
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
