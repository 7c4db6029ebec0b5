//! The local rail among facilitators: what it may still send, and what is on record of that.
//!
//! Called by a settlement. It must never let the local rail send what was given up to others.

use std::sync::Arc;

use async_trait::async_trait;
use farebox_core::rail::{Handle, Journal, RailError, SentTransaction};
use tokio::sync::Mutex;

/// Writes down that the local rail has it, before its first transaction leaves.
pub(crate) struct LocalJournal {
    journal: Arc<dyn Journal>,
    handle: Handle,
    state: Mutex<Local>,
}

/// Whether the local rail has the payment, as the books know it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Local {
    NotYet,
    HasIt,
    /// It did not send in time, and others may be asked: now it must not.
    GivenUp,
}

impl LocalJournal {
    /// Stands before `journal`, with the handle that says that the local rail has the payment;
    /// `has_it` where that is on record already.
    pub(crate) fn new(journal: Arc<dyn Journal>, handle: Handle, has_it: bool) -> Arc<Self> {
        Arc::new(Self {
            journal,
            handle,
            state: Mutex::new(match has_it {
                true => Local::HasIt,
                false => Local::NotYet,
            }),
        })
    }

    /// Whether the local rail has sent. If not, it never will through this journal, although it
    /// may keep that.
    pub(crate) async fn close(&self) -> bool {
        let mut state = self.state.lock().await;
        if *state == Local::NotYet {
            *state = Local::GivenUp;
        }
        *state == Local::HasIt
    }

    async fn has_it(&self) -> Result<(), RailError> {
        // Held until the line is written, so that nobody gives up in between.
        let mut state = self.state.lock().await;
        match *state {
            Local::HasIt => Ok(()),
            Local::NotYet => {
                self.journal.handing_over(&self.handle).await?;
                *state = Local::HasIt;
                Ok(())
            }
            Local::GivenUp => Err(RailError {
                code: "given_up",
                message: "the payment was given up before it was sent".to_owned(),
            }),
        }
    }
}

#[async_trait]
impl Journal for LocalJournal {
    fn is_again(&self) -> bool {
        self.journal.is_again()
    }

    async fn sending(&self, transaction: &SentTransaction) -> Result<(), RailError> {
        self.has_it().await?;
        self.journal.sending(transaction).await
    }

    async fn handing_over(&self, handle: &Handle) -> Result<(), RailError> {
        self.journal.handing_over(handle).await
    }
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
