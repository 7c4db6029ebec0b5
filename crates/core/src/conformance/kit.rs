//! What tests of rails write into and read from.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::rail::{Handle, Journal, Outcome, RailError, SentTransaction};

/// A journal that keeps its lines, and refuses to when told.
#[derive(Default)]
pub struct Recorder {
    sent: Mutex<Vec<SentTransaction>>,
    refuses: AtomicBool,
}

impl Recorder {
    /// An empty one.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The hashes, in the order of their lines.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.sent().into_iter().map(|sent| sent.hash).collect()
    }

    /// The lines.
    #[must_use]
    pub fn sent(&self) -> Vec<SentTransaction> {
        self.sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether it takes no more lines from now on, as a disk that is full.
    pub fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::SeqCst);
    }
}

#[async_trait]
impl Journal for Recorder {
    async fn sending(&self, transaction: &SentTransaction) -> Result<(), RailError> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(RailError {
                code: "disk_full",
                message: "no room".into(),
            });
        }
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.push(transaction.clone());
        Ok(())
    }

    async fn handing_over(&self, _: &Handle) -> Result<(), RailError> {
        panic!("this rail settles by itself")
    }
}

/// The same journal in the hands of a process that has just started: it knows that an earlier one has
/// sent something.
pub(super) struct Resumed(pub(super) Arc<Recorder>);

#[async_trait]
impl Journal for Resumed {
    fn is_again(&self) -> bool {
        !self.0.sent().is_empty()
    }

    async fn sending(&self, transaction: &SentTransaction) -> Result<(), RailError> {
        self.0.sending(transaction).await
    }

    async fn handing_over(&self, handle: &Handle) -> Result<(), RailError> {
        self.0.handing_over(handle).await
    }
}

/// The hash of a settlement. Called for the panic alone too.
///
/// # Panics
/// Where it is none.
pub fn transaction(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Settled { transaction, .. } => transaction.clone(),
        other => panic!("not settled: {other:?}"),
    }
}

/// A handle as it comes back from the books: its text alone.
pub(super) fn stored(handle: &Handle) -> Handle {
    Handle::new(handle.text().to_owned())
}
