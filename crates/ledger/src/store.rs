//! [`SqliteLedger`]: sends each call of core's trait to the writer or to a reader.

use std::path::Path;

use async_trait::async_trait;
use farebox_core::ledger::{
    AccountBalance, Applied, Attach, BudgetLine, CallKey, Claimed, ClaimedIdentity, Filter, Lease,
    Ledger, LedgerError, NewClaim, NewSpend, PayerMark, Payment, PaymentId, Reserved, Taker,
};
use farebox_core::payment::{Effect, Event, Role};
use farebox_core::policy::Limits;
use farebox_core::token::{Token, TokenId, TokenNews, Tokens};
use farebox_core::uses::{Allowance, NewPaid, Told, Used};
use farebox_wire::caip::AssetId;
use farebox_wire::identity::Identity;
use rusqlite::Connection;

use crate::books::Books;
use crate::prune::Pruned;
use crate::queue::Queue;
use crate::readers::{self, Pool};
use crate::{
    accounts, apply, budget, buyer, error, prune, read, row, schema, seller, tokens, uses, verify,
    writer,
};

/// The ledger in one SQLite file on a local disk. Several processes may have it open.
///
/// Calls need a Tokio runtime. A call whose future is dropped may still take effect.
#[derive(Clone)]
pub struct SqliteLedger {
    writer: Queue<Books>,
    quick_reader: Queue<Connection>,
    long_readers: Pool,
}

impl SqliteLedger {
    /// Opens the file, makes it (mode 0600) where there is none, and checks the tail of its books.
    /// The folder must exist.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] where the file is no database or does not add up,
    /// [`LedgerError::Store`] where it is another program's, of a newer version, or cannot be
    /// opened, [`LedgerError::Busy`] where another process keeps it locked for half a minute.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let connection = schema::open_writer(path)?;
        let long_readers = Pool::new(path);
        long_readers.run_here(verify::tail)?;
        Ok(Self {
            writer: writer::start(connection)?,
            quick_reader: readers::start_quick(path)?,
            long_readers,
        })
    }

    /// Erases credentials and tokens of buyers that are worth nothing any more, and what a rail needed
    /// of payments that are closed. Call it at start and now and then.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn prune(&self, now_ms: u64) -> Result<Pruned, LedgerError> {
        let mut all = Pruned::default();
        loop {
            let some = self
                .write_guarded(move |books| {
                    let some = prune::prune_some(books.file(), now_ms)?;
                    books.forget_payments();
                    Ok(some)
                })
                .await?;
            if some == Pruned::default() {
                return Ok(all);
            }
            all.credentials = all.credentials.saturating_add(some.credentials);
            all.handles = all.handles.saturating_add(some.handles);
            all.tokens = all.tokens.saturating_add(some.tokens);
        }
    }

    /// For what decides first and then writes, see [`Books::write`].
    async fn write<T, F>(&self, work: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Books) -> Result<T, LedgerError> + Send + 'static,
    {
        self.writer.run(work).await
    }

    /// For what may fail after it has written.
    async fn write_guarded<T, F>(&self, work: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Books) -> Result<T, LedgerError> + Send + 'static,
    {
        self.writer.run(move |books| books.guarded(work)).await
    }

    /// For reads of a few rows that have an index.
    async fn find<T, F>(&self, work: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, LedgerError> + Send + 'static,
    {
        self.quick_reader.run(|connection| work(connection)).await
    }

    /// For reads that grow with the ledger.
    async fn read<T, F>(&self, work: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, LedgerError> + Send + 'static,
    {
        self.long_readers.run(work).await
    }
}

#[async_trait]
impl Tokens for SqliteLedger {
    async fn keep_token(&self, token: Token) -> Result<bool, LedgerError> {
        self.write(move |books| tokens::keep(books, &token)).await
    }

    async fn token(&self, id: &TokenId) -> Result<Option<Token>, LedgerError> {
        let id = id.clone();
        self.find(move |connection| tokens::find(connection, &id))
            .await
    }

    async fn tokens(&self, origin: Option<&str>) -> Result<Vec<Token>, LedgerError> {
        match origin.map(str::to_owned) {
            // Every call of a buyer asks for these.
            Some(origin) => {
                self.find(move |connection| tokens::list(connection, Some(&origin)))
                    .await
            }
            None => self.read(|connection| tokens::list(connection, None)).await,
        }
    }

    async fn note_token(
        &self,
        id: &TokenId,
        news: TokenNews,
        now_ms: u64,
    ) -> Result<Option<Token>, LedgerError> {
        let id = id.clone();
        self.write(move |books| tokens::note(books, &id, news, now_ms))
            .await
    }

    async fn remove_token(&self, id: &TokenId) -> Result<bool, LedgerError> {
        let id = id.clone();
        self.write(move |books| tokens::remove(books, &id)).await
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn reserve(&self, new: NewSpend) -> Result<Reserved, LedgerError> {
        self.write_guarded(move |books| buyer::reserve(books, new))
            .await
    }

    async fn claim(&self, new: NewClaim) -> Result<Claimed, LedgerError> {
        self.write(move |books| seller::claim(books, new)).await
    }

    async fn payer_mark(&self, asset: &AssetId, payer: &str) -> Result<PayerMark, LedgerError> {
        let (asset, payer) = (asset.clone(), payer.to_owned());
        self.find(move |connection| seller::payer_mark(connection, &asset, &payer))
            .await
    }

    async fn apply_all(
        &self,
        id: &PaymentId,
        events: Vec<Event>,
        attach: Attach,
        now_ms: u64,
    ) -> Result<Applied, LedgerError> {
        let id = id.clone();
        self.write(move |books| apply::apply(books, &id, &events, attach, now_ms))
            .await
    }

    async fn apply_to_each(
        &self,
        takers: Vec<Taker>,
        event: Event,
        now_ms: u64,
    ) -> Vec<Result<Vec<Effect>, LedgerError>> {
        let count = takers.len();
        self.write(move |books| apply::apply_to_each(books, takers, &event, now_ms))
            .await
            .unwrap_or_else(|error| (0..count).map(|_| Err(error::copy(&error))).collect())
    }

    async fn renew_lease(&self, id: &PaymentId, lease: Lease) -> Result<bool, LedgerError> {
        let id = id.clone();
        self.write(move |books| apply::renew_lease(books, &id, &lease))
            .await
    }

    async fn take_lease(
        &self,
        id: &PaymentId,
        seen: &Lease,
        lease: Lease,
    ) -> Result<bool, LedgerError> {
        let (id, seen) = (id.clone(), seen.clone());
        self.write(move |books| apply::take_lease(books, &id, &seen, &lease))
            .await
    }

    async fn attach(&self, id: &PaymentId, attach: Attach) -> Result<(), LedgerError> {
        let id = id.clone();
        self.write(move |books| apply::attach(books, &id, attach))
            .await
    }

    async fn payment(&self, id: &PaymentId) -> Result<Option<Payment>, LedgerError> {
        let id = id.clone();
        self.find(move |connection| {
            let found = row::find(connection, row::BY_ID, [&id.0])?;
            Ok(found.map(|stored| stored.payment))
        })
        .await
    }

    async fn by_identity(
        &self,
        role: Role,
        identity: &Identity,
    ) -> Result<Option<Payment>, LedgerError> {
        let identity = identity.clone();
        self.find(move |connection| {
            let found = seller::find(connection, role, &identity)?;
            Ok(found.map(|stored| stored.payment))
        })
        .await
    }

    async fn claimed(
        &self,
        role: Role,
        since_s: u64,
        limit: usize,
    ) -> Result<Vec<ClaimedIdentity>, LedgerError> {
        self.read(move |connection| seller::claimed(connection, role, since_s, limit))
            .await
    }

    async fn by_call(&self, call: &CallKey) -> Result<Option<Payment>, LedgerError> {
        let call = call.clone();
        self.find(move |connection| buyer::by_call(connection, &call))
            .await
    }

    async fn list(&self, filter: Filter) -> Result<Vec<Payment>, LedgerError> {
        self.read(move |connection| read::list(connection, &filter))
            .await
    }

    async fn set_budget(&self, agent: Option<&str>, change: Limits) -> Result<(), LedgerError> {
        let agent = agent.map(str::to_owned);
        self.write_guarded(move |books| budget::set(books.file(), agent.as_deref(), change))
            .await
    }

    async fn seed_budget(&self, limits: Limits) -> Result<bool, LedgerError> {
        self.write_guarded(move |books| budget::seed(books.file(), limits))
            .await
    }

    async fn budgets(&self, now_ms: u64) -> Result<Vec<BudgetLine>, LedgerError> {
        let day = accounts::day_of(now_ms);
        self.read(move |connection| budget::lines(connection, day))
            .await
    }

    async fn take_use(&self, paid: NewPaid, allowed: Allowance) -> Result<Used, LedgerError> {
        self.write(move |books| uses::take(books, paid, allowed))
            .await
    }

    async fn give_back_use(&self, identity: &Identity) -> Result<(), LedgerError> {
        let identity = identity.clone();
        self.write(move |books| uses::give_back(books, &identity))
            .await
    }

    async fn revoke(&self, identity: &Identity, now_ms: u64) -> Result<bool, LedgerError> {
        let identity = identity.clone();
        self.write(move |books| uses::revoke(books, &identity, now_ms))
            .await
    }

    async fn book_told(&self, told: Told) -> Result<Vec<PaymentId>, LedgerError> {
        self.write_guarded(move |books| uses::book_told(books, told))
            .await
    }

    async fn told_to(&self, source: &str) -> Result<u64, LedgerError> {
        let source = source.to_owned();
        self.find(move |connection| uses::told_to(connection, &source))
            .await
    }

    async fn books(&self) -> Result<Vec<AccountBalance>, LedgerError> {
        self.read(read::books).await
    }

    async fn probe(&self) -> Result<(), LedgerError> {
        self.write_guarded(|books| schema::rewrite_version(books.file()))
            .await
    }

    fn waiting(&self) -> usize {
        self.writer.waiting()
    }

    async fn verify(&self, full: bool) -> Result<(), LedgerError> {
        let check = if full { verify::full } else { verify::tail };
        self.read(check).await
    }
}
