//! The shop's book: what every card has, and which slips were redeemed. It decides; everything else
//! only asks.
//!
//! | state of a slip | crash | asked again | two at once | after its time |
//! |---|---|---|---|---|
//! | open | as before: the file is replaced whole, or not at all | open | one replaces the file first, the other finds it redeemed | over: never redeemed |
//! | redeemed | stays | the same answer, nothing moves | the same answer | stays redeemed |

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use farebox_core::clock::Clock;
use farebox_wire::money::Amount;
use serde::{Deserialize, Serialize};

use crate::slip::Slip;

/// Where a slip stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It can be redeemed.
    Open,
    /// It was.
    Redeemed,
    /// It was not, and its time is over.
    Over,
    /// It was not, and the card has too little.
    Poor,
}

/// The book could not be asked: nothing is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away(pub String);

/// Who keeps the book: here a file, elsewhere a service.
#[async_trait]
pub trait Book: Send + Sync {
    /// Moves the money of a slip whose signature was checked; where it was moved before, nothing.
    /// [`State::Redeemed`] where it has moved.
    ///
    /// # Errors
    /// Whether it was moved is not known.
    async fn redeem(&self, slip: &Slip) -> Result<State, Away>;

    /// Where a slip stands.
    ///
    /// # Errors
    /// The book cannot be asked.
    async fn look_up(&self, slip: &Slip) -> Result<State, Away>;

    /// What a card has; nothing where there is no such card.
    ///
    /// # Errors
    /// The book cannot be asked.
    async fn balance(&self, card: &str) -> Result<Amount, Away>;
}

/// A book in a file.
#[derive(Clone)]
pub struct FileBook {
    path: PathBuf,
    clock: Arc<dyn Clock>,
}

/// What stands in the file.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pages {
    /// By their numbers.
    cards: BTreeMap<String, Amount>,
    /// By their transactions.
    redeemed: BTreeMap<String, Slip>,
    earned: Amount,
}

impl FileBook {
    /// A book at this place, which is made when something is written.
    #[must_use]
    pub fn new(path: &Path, clock: Arc<dyn Clock>) -> Self {
        Self {
            path: path.to_owned(),
            clock,
        }
    }

    /// Sells a card.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn issue(&self, number: &str, amount: Amount) -> Result<(), Away> {
        self.write(|pages| {
            pages.cards.insert(number.to_owned(), amount);
            Some(())
        })
        .map(|_| ())
    }

    /// What the shop has redeemed in all.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn earned(&self) -> Result<Amount, Away> {
        Ok(self.read()?.earned)
    }

    fn read(&self) -> Result<Pages, Away> {
        match std::fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|why| Away(format!("{} is damaged: {why}", self.path.display()))),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(Pages::default()),
            Err(why) => Err(away(&why)),
        }
    }

    /// Changes the file as one step: alone, and whole or not at all. Where `change` gives nothing,
    /// nothing is written.
    fn write<T>(&self, change: impl FnOnce(&mut Pages) -> Option<T>) -> Result<Option<T>, Away> {
        // Alone among processes too: the lock ends with the handle.
        let lock = File::create(self.path.with_extension("lock")).map_err(|why| away(&why))?;
        lock.lock().map_err(|why| away(&why))?;
        let mut pages = self.read()?;
        let Some(changed) = change(&mut pages) else {
            return Ok(None);
        };
        let text = serde_json::to_vec(&pages).map_err(|why| Away(why.to_string()))?;
        let new = self.path.with_extension("new");
        let replaced = File::create(&new)
            .and_then(|mut file| {
                file.write_all(&text)?;
                file.sync_all()
            })
            .and_then(|()| std::fs::rename(&new, &self.path));
        replaced.map_err(|why| away(&why))?;
        Ok(Some(changed))
    }

    fn state(&self, pages: &Pages, slip: &Slip) -> State {
        if pages.redeemed.contains_key(&slip.transaction()) {
            return State::Redeemed;
        }
        if self.clock.now_s() >= slip.valid_before {
            return State::Over;
        }
        let has = pages.cards.get(&slip.card).copied().unwrap_or_default();
        match has < slip.amount {
            true => State::Poor,
            false => State::Open,
        }
    }

    fn redeem_now(&self, slip: &Slip) -> Result<State, Away> {
        let mut state = State::Poor;
        self.write(|pages| {
            state = self.state(pages, slip);
            if state != State::Open {
                return None;
            }
            let has = pages.cards.get_mut(&slip.card)?;
            let (left, earned) = (
                has.checked_sub(slip.amount)?,
                pages.earned.checked_add(slip.amount)?,
            );
            *has = left;
            pages.earned = earned;
            pages.redeemed.insert(slip.transaction(), slip.clone());
            state = State::Redeemed;
            Some(())
        })?;
        Ok(state)
    }

    /// Waiting for a lock is not for the threads that serve.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Away> + Send + 'static,
    ) -> Result<T, Away> {
        let book = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&book)).await;
        done.map_err(|why| Away(why.to_string()))?
    }
}

#[async_trait]
impl Book for FileBook {
    async fn redeem(&self, slip: &Slip) -> Result<State, Away> {
        let slip = slip.clone();
        self.aside(move |book| book.redeem_now(&slip)).await
    }

    async fn look_up(&self, slip: &Slip) -> Result<State, Away> {
        let slip = slip.clone();
        self.aside(move |book| Ok(book.state(&book.read()?, &slip)))
            .await
    }

    async fn balance(&self, card: &str) -> Result<Amount, Away> {
        let card = card.to_owned();
        self.aside(move |book| Ok(book.read()?.cards.get(&card).copied().unwrap_or_default()))
            .await
    }
}

fn away(why: &std::io::Error) -> Away {
    Away(format!("the shop's book cannot be used: {why}"))
}
