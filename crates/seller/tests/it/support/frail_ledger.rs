//! The real ledger, with a disk that fails where a test says so.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use farebox_core::ledger::{
    AccountBalance, Applied, Attach, BudgetLine, CallKey, Claimed, ClaimedIdentity, Filter, Lease,
    Ledger, LedgerError, NewClaim, NewSpend, PayerMark, Payment, PaymentId, Reserved,
};
use farebox_core::payment::{Event, Role};
use farebox_core::policy::Limits;
use farebox_core::token::{Token, TokenId, TokenNews, Tokens};
use farebox_core::uses::{Allowance, NewPaid, Told, Used};
use farebox_ledger::SqliteLedger;
use farebox_wire::caip::AssetId;
use farebox_wire::identity::Identity;

/// A step of a seller that needs the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    LookUp,
    Use,
    Mark,
    Claim,
    Sending,
    /// The line is written, and the answer that it was is lost.
    SendingUnheard,
    NoReply,
    Settled,
    Delivered,
    Abandoned,
}

/// See the module.
pub(crate) struct FrailLedger {
    real: Arc<SqliteLedger>,
    failing: Mutex<Option<Step>>,
}

impl FrailLedger {
    pub(crate) fn new(real: Arc<SqliteLedger>) -> Arc<Self> {
        Arc::new(Self {
            real,
            failing: Mutex::new(None),
        })
    }

    /// Fails at this step from now on, or nowhere.
    pub(crate) fn fail_at(&self, step: Option<Step>) {
        *self.failing.lock().expect("lock") = step;
    }

    fn reach(&self, step: Step) -> Result<(), LedgerError> {
        if *self.failing.lock().expect("lock") == Some(step) {
            return Err(LedgerError::Store(format!("the test fails {step:?}")));
        }
        Ok(())
    }
}

fn step_of(event: &Event) -> Option<Step> {
    match event {
        Event::Sending { .. } => Some(Step::Sending),
        Event::NoReply { .. } => Some(Step::NoReply),
        Event::Settled { .. } => Some(Step::Settled),
        Event::Delivered | Event::Aborted => Some(Step::Delivered),
        Event::Abandoned { .. } => Some(Step::Abandoned),
        _ => None,
    }
}

#[async_trait]
impl Tokens for FrailLedger {
    async fn keep_token(&self, token: Token) -> Result<bool, LedgerError> {
        self.real.keep_token(token).await
    }

    async fn token(&self, id: &TokenId) -> Result<Option<Token>, LedgerError> {
        self.real.token(id).await
    }

    async fn tokens(&self, origin: Option<&str>) -> Result<Vec<Token>, LedgerError> {
        self.real.tokens(origin).await
    }

    async fn note_token(
        &self,
        id: &TokenId,
        news: TokenNews,
        now_ms: u64,
    ) -> Result<Option<Token>, LedgerError> {
        self.real.note_token(id, news, now_ms).await
    }

    async fn remove_token(&self, id: &TokenId) -> Result<bool, LedgerError> {
        self.real.remove_token(id).await
    }
}

#[async_trait]
impl Ledger for FrailLedger {
    async fn reserve(&self, new: NewSpend) -> Result<Reserved, LedgerError> {
        self.real.reserve(new).await
    }

    async fn claim(&self, new: NewClaim) -> Result<Claimed, LedgerError> {
        self.reach(Step::Claim)?;
        self.real.claim(new).await
    }

    async fn payer_mark(&self, asset: &AssetId, payer: &str) -> Result<PayerMark, LedgerError> {
        self.reach(Step::Mark)?;
        self.real.payer_mark(asset, payer).await
    }

    async fn apply_all(
        &self,
        id: &PaymentId,
        events: Vec<Event>,
        attach: Attach,
        now_ms: u64,
    ) -> Result<Applied, LedgerError> {
        for step in events.iter().filter_map(step_of) {
            self.reach(step)?;
        }
        let is_sending = matches!(events.as_slice(), [Event::Sending { .. }]);
        let applied = self.real.apply_all(id, events, attach, now_ms).await;
        if is_sending {
            self.reach(Step::SendingUnheard)?;
        }
        applied
    }

    async fn renew_lease(&self, id: &PaymentId, lease: Lease) -> Result<bool, LedgerError> {
        self.real.renew_lease(id, lease).await
    }

    async fn take_lease(
        &self,
        id: &PaymentId,
        seen: &Lease,
        lease: Lease,
    ) -> Result<bool, LedgerError> {
        self.real.take_lease(id, seen, lease).await
    }

    async fn attach(&self, id: &PaymentId, attach: Attach) -> Result<(), LedgerError> {
        self.real.attach(id, attach).await
    }

    async fn payment(&self, id: &PaymentId) -> Result<Option<Payment>, LedgerError> {
        self.real.payment(id).await
    }

    async fn by_identity(
        &self,
        role: Role,
        identity: &Identity,
    ) -> Result<Option<Payment>, LedgerError> {
        self.reach(Step::LookUp)?;
        self.real.by_identity(role, identity).await
    }

    async fn claimed(
        &self,
        role: Role,
        since_s: u64,
        limit: usize,
    ) -> Result<Vec<ClaimedIdentity>, LedgerError> {
        self.real.claimed(role, since_s, limit).await
    }

    async fn by_call(&self, call: &CallKey) -> Result<Option<Payment>, LedgerError> {
        self.real.by_call(call).await
    }

    async fn list(&self, filter: Filter) -> Result<Vec<Payment>, LedgerError> {
        self.real.list(filter).await
    }

    async fn set_budget(&self, agent: Option<&str>, change: Limits) -> Result<(), LedgerError> {
        self.real.set_budget(agent, change).await
    }

    async fn seed_budget(&self, limits: Limits) -> Result<bool, LedgerError> {
        self.real.seed_budget(limits).await
    }

    async fn take_use(&self, paid: NewPaid, allowed: Allowance) -> Result<Used, LedgerError> {
        self.reach(Step::Use)?;
        self.real.take_use(paid, allowed).await
    }

    async fn give_back_use(&self, identity: &Identity) -> Result<(), LedgerError> {
        self.real.give_back_use(identity).await
    }

    async fn revoke(&self, identity: &Identity, now_ms: u64) -> Result<bool, LedgerError> {
        self.real.revoke(identity, now_ms).await
    }

    async fn book_told(&self, told: Told) -> Result<Vec<PaymentId>, LedgerError> {
        self.real.book_told(told).await
    }

    async fn told_to(&self, source: &str) -> Result<u64, LedgerError> {
        self.real.told_to(source).await
    }

    async fn budgets(&self, now_ms: u64) -> Result<Vec<BudgetLine>, LedgerError> {
        self.real.budgets(now_ms).await
    }

    async fn books(&self) -> Result<Vec<AccountBalance>, LedgerError> {
        self.real.books().await
    }

    async fn probe(&self) -> Result<(), LedgerError> {
        self.real.probe().await
    }

    fn waiting(&self) -> usize {
        self.real.waiting()
    }

    async fn verify(&self, full: bool) -> Result<(), LedgerError> {
        self.real.verify(full).await
    }
}
