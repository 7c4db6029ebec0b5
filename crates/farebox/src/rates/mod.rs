//! What a bitcoin and a coin for gas are worth, from the configuration: set by hand, or read from a
//! source that the owner has named. Never from a peer (ARCHITECTURE law 13).
//!
//! `assemble` makes a [`Board`] and hands it to the rails as core's `Rates`. A source is read in the
//! background (`feed.rs`), its number taken from the answer (`reading.rs`), and held against what was
//! said before (`book.rs`). A source that is away, old, jumping or out of range refuses; nothing is
//! ever guessed.

mod book;
mod feed;
mod reading;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use farebox_core::clock::Clock;
use farebox_core::rates::{NoRate, NoRates, Rate, Rates};
use farebox_wire::money::UsdMicros;
use tokio::sync::watch;

use self::book::Book;
pub(crate) use self::book::Bounds;
pub(crate) use self::feed::Feed;

/// A book that a task writes and rails read.
type Shared = Arc<Mutex<Book>>;

/// Every rate that is configured.
pub(crate) struct Board {
    fixed: BTreeMap<String, UsdMicros>,
    fed: BTreeMap<String, Fed>,
    clock: Arc<dyn Clock>,
}

/// A pair that is read from a source.
struct Fed {
    book: Shared,
    /// Whether the source has been asked once.
    asked: watch::Receiver<bool>,
    /// Reads on; ended with the board.
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Fed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Board {
    /// One that knows nothing.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            fixed: BTreeMap::new(),
            fed: BTreeMap::new(),
            clock,
        }
    }

    /// Sets a rate by hand.
    pub(crate) fn fix(&mut self, pair: &str, usd: UsdMicros) {
        self.fixed.insert(pair.to_owned(), usd);
    }

    /// Begins to read a rate. Needs a runtime.
    pub(crate) fn follow(&mut self, pair: &str, feed: Feed) {
        let bounds = feed.bounds();
        let book = Arc::new(Mutex::new(Book::new(pair.to_owned(), bounds)));
        let (told, asked) = watch::channel(false);
        let task = tokio::spawn(feed.read_on(book.clone(), told, self.clock.clone()));
        self.fed.insert(pair.to_owned(), Fed { book, asked, task });
    }

    /// Waits until the source of a pair has been asked once, but not for long: a command that runs
    /// for a second asks before the first answer is there.
    pub(crate) async fn first(&self, pair: &str, at_most: Duration) {
        if let Some(fed) = self.fed.get(pair) {
            let mut asked = fed.asked.clone();
            let waited = asked.wait_for(|asked| *asked);
            let _ = tokio::time::timeout(at_most, waited).await;
        }
    }
}

impl Rates for Board {
    fn rate(&self, pair: &str) -> Result<Rate, NoRate> {
        let now_ms = self.clock.now_ms();
        if let Some(fed) = self.fed.get(pair) {
            return locked(&fed.book).rate(now_ms);
        }
        let fixed = self.fixed.get(pair);
        fixed
            .and_then(|usd| Rate::new(*usd, now_ms))
            .map_or_else(|| NoRates.rate(pair), Ok)
    }
}

fn locked(book: &Shared) -> std::sync::MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}
