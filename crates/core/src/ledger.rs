//! The durable memory of the house: the trait that every store fills in.
//!
//! Each call is one transaction that is on disk before it returns (law 2). [`Ledger::apply`]
//! runs [`crate::payment::step`] and the postings that it asks for inside that transaction, so
//! that no state can differ from its books. Stores pass `ledger_conformance!`.

use async_trait::async_trait;
use farebox_wire::caip::AssetId;
use farebox_wire::identity::Identity;
use farebox_wire::money::{Amount, UsdMicros};
use serde::{Deserialize, Serialize};

use crate::payment::{Effect, Event, IllegalEvent, Role, State};
use crate::policy::{Denial, Level, Limits};
use crate::rail::{Credential, Handle, SentTransaction, Terms};
use crate::token::{Token, Tokens};
use crate::uses::{Allowance, NewPaid, Told, Used};

/// The name of one payment in our own books.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PaymentId(pub String);

impl std::fmt::Display for PaymentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for PaymentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a logical call: a buyer's wish to have one answer once (law 3).
///
/// Hex of SHA-256 over the idempotency key, or else over (agent, method, URL without fragment,
/// body hash).
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallKey(pub String);

impl std::fmt::Debug for CallKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who is working on a buyer's payment. A stale lease may be taken over by anyone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Random per process.
    pub owner: String,
    /// Unix milliseconds.
    pub until_ms: u64,
}

/// A payment, whole.
#[derive(Clone)]
pub struct Payment {
    /// Its name in our books.
    pub id: PaymentId,
    /// In whose books.
    pub role: Role,
    /// Where it stands.
    pub state: State,
    /// What it is.
    pub terms: Terms,
    /// Its name on the rail; buyers have none before signing.
    pub identity: Option<Identity>,
    /// Unix milliseconds.
    pub created_ms: u64,
    /// Unix milliseconds.
    pub updated_ms: u64,
    /// Until when the credential can be spent, in Unix seconds; `None` before signing.
    pub valid_before_s: Option<u64>,
    /// For the rail's `check`.
    pub handle: Option<Handle>,
    /// Every transaction that was sent for it, in this order.
    pub sent: Vec<SentTransaction>,
    /// The receipt as it was received or given, JSON text.
    pub receipt: Option<String>,
    /// What only buyers have.
    pub buyer: Option<BuyerSide>,
    /// What only sellers and facilitators have.
    pub seller: Option<SellerSide>,
}

impl Payment {
    /// The hashes of what was sent for it, in this order.
    pub fn hashes(&self) -> impl DoubleEndedIterator<Item = &String> {
        self.sent.iter().map(|transaction| &transaction.hash)
    }
}

/// What a buyer's payment knows besides.
#[derive(Clone)]
pub struct BuyerSide {
    /// The logical call.
    pub call: CallKey,
    /// Who spends; `None` is the owner.
    pub agent: Option<String>,
    /// By which method it was asked for; `None` where nobody has said.
    pub method: Option<String>,
    /// What was asked for, without credentials, query kept.
    pub url: String,
    /// Signed, once it is; kept for re-presentation. What is paid before there is a credential
    /// has a [`Token`] instead.
    pub credential: Option<Credential>,
    /// Who is working on it.
    pub lease: Lease,
    /// What it has really cost, once a rail has said; until then all that was held counts as spent
    /// where it is spent.
    pub actual: Option<Actual>,
}

/// What a payment has really cost, of what was held for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actual {
    /// What carrying it has cost besides the amount, in the terms' atomic units.
    pub fee: Amount,
    /// What amount and fee were worth.
    pub cost: UsdMicros,
}

/// What a seller's payment knows besides.
#[derive(Clone, Debug)]
pub struct SellerSide {
    /// Name of the route that sold.
    pub route: String,
    /// Digest of the canonical payload.
    pub payload_digest: [u8; 32],
    /// Digest of route, method, origin and path; in a facilitator's books the key of the caller
    /// that has claimed or, once somebody was told of success, of that one.
    pub request_digest: [u8; 32],
    /// Digest of the request's body, once it has been read to its end.
    pub body_digest: Option<[u8; 32]>,
}

/// A buyer's wish to hold money.
#[derive(Clone, Debug)]
pub struct NewSpend {
    /// Chosen by the caller, never reused.
    pub id: PaymentId,
    /// The logical call.
    pub call: CallKey,
    /// Who spends; `None` is the owner.
    pub agent: Option<String>,
    /// By which method.
    pub method: Option<String>,
    /// What is asked for.
    pub url: String,
    /// What it costs; its amount is held together with the most that the fee may be.
    pub terms: Terms,
    /// Who works on it, and until when without a sign of life.
    pub lease: Lease,
    /// Whether to ignore an open payment of the same call (`--new`).
    pub fresh: bool,
    /// Unix milliseconds.
    pub now_ms: u64,
}

/// What became of [`NewSpend`].
pub enum Reserved {
    /// The amount is held; the payment is [`crate::payment::Phase::Reserved`].
    First(Box<Payment>),
    /// The same call has an open payment: wait for it, or re-present it.
    Twin(Box<Payment>),
    /// A budget said no; nothing was written.
    Denied(Denial),
}

/// A seller's claim of an identity.
#[derive(Clone, Debug)]
pub struct NewClaim {
    /// Chosen by the caller, never reused.
    pub id: PaymentId,
    /// Seller or facilitator.
    pub role: Role,
    /// The name that is claimed.
    pub identity: Identity,
    /// Digests and route.
    pub side: SellerSide,
    /// Terms with the payer.
    pub terms: Terms,
    /// When the credential dies, in Unix seconds.
    pub valid_before_s: u64,
    /// For the rail.
    pub handle: Handle,
    /// What is known of the payer's means.
    pub cover: Cover,
    /// Unix milliseconds.
    pub now_ms: u64,
}

/// What is known of a payer's means when a claim is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// What the chain said the payer has, and the mark read **before** asking it. What is held for
    /// the payer's other claims, and what has gone since the mark, is taken off.
    Balance(Amount, PayerMark),
    /// Enough for one payment and nobody knows how much more: only one at a time.
    /// Read the mark **before** asking anybody: what has settled since may have emptied the payer.
    OneAtATime(PayerMark),
    /// The money does not come from a balance (it has moved already).
    NotNeeded,
}

/// How much of a payer's asset this ledger had seen settled when the mark was read. Read it
/// **before** asking the chain for the balance: whatever settles in between is then counted as
/// gone, never as still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayerMark(pub Amount);

/// What became of [`NewClaim`].
pub enum Claimed {
    /// Ours: the payer's balance is held. Also where a released claim came again.
    First(Box<Payment>),
    /// Somebody was first.
    Repeat(Box<Payment>),
    /// The payer's balance is held by other claims; nothing was written.
    Insufficient {
        /// What is left of it.
        left: Amount,
    },
    /// Under [`Cover::OneAtATime`]: another claim of this payer holds money, or has settled since
    /// the mark was read; nothing was written.
    OneAtATime,
}

/// An identity that is claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedIdentity {
    /// The name.
    pub identity: Identity,
    /// When its credential ends, in Unix seconds.
    pub valid_before_s: u64,
}

/// What is stored with an event, in the same transaction. Absent fields stay as they are.
#[derive(Clone, Default)]
pub struct Attach {
    /// The signed credential (buyers).
    pub credential: Option<Credential>,
    /// The name on the rail (buyers). [`LedgerError::Taken`] where another payment has it; one whose
    /// hold was given back loses it.
    pub identity: Option<Identity>,
    /// For the rail's `check`.
    pub handle: Option<Handle>,
    /// When the credential dies, in Unix seconds.
    pub valid_before_s: Option<u64>,
    /// JSON text.
    pub receipt: Option<String>,
    /// Whom the answer belongs to from now on (facilitators).
    pub request_digest: Option<[u8; 32]>,
    /// Digest of the request's body.
    pub body_digest: Option<[u8; 32]>,
    /// Who works on it now (buyers).
    pub lease: Option<Lease>,
    /// What it has really cost (buyers): that becomes spent, and the rest of the hold is given back,
    /// also where all of it had become spent before. Goes with an event or with none by
    /// [`Ledger::apply_all`]; [`Ledger::attach`] has no place for it.
    pub actual: Option<Actual>,
    /// What it has bought (buyers). Of one payment, the first stays. As with `actual`.
    pub token: Option<Box<Token>>,
}

/// What [`Ledger::apply`] did.
pub struct Applied {
    /// The payment afterwards.
    pub payment: Payment,
    /// What is left to do for the caller; the postings are done.
    pub effects: Vec<Effect>,
}

/// One of the payments that take the same event, see [`Ledger::apply_to_each`].
pub struct Taker {
    /// Which payment.
    pub id: PaymentId,
    /// What is stored with the event.
    pub attach: Attach,
}

/// Which payments to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this role.
    pub role: Option<Role>,
    /// Only at this stage.
    pub stage: Stage,
    /// The oldest first, so that a limit cannot keep them waiting for ever; else the newest.
    pub oldest_first: bool,
    /// Only those that come after this one in that order: the next page.
    pub after: Option<PaymentId>,
    /// At most so many.
    pub limit: Option<usize>,
}

/// How far a payment has come, as far as a rail may still have to be asked about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Every payment.
    #[default]
    Any,
    /// Those a rail still has to be asked about: undecided, or decided and not final.
    Open,
    /// Of the open ones those whose amount is held: reserved, sent, unknown.
    Undecided,
    /// Of the open ones the others: settled and not final, or counted as spent unasked.
    NotFinal,
}

/// One line of `budget show`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetLine {
    /// Which limit.
    pub level: Level,
    /// Whose; `None` is the owner.
    pub agent: Option<String>,
    /// The limit; `None` means that this level does not limit.
    pub limit: Option<UsdMicros>,
    /// Spent against it.
    pub spent: UsdMicros,
    /// Reserved against it.
    pub reserved: UsdMicros,
}

/// The balance of one account. Debits are positive; over all accounts of an asset they sum to
/// zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountBalance {
    /// For instance `seller/revenue/<payee>`; the schema is the store's.
    pub account: String,
    /// The asset; `None` for the US dollars of budgets.
    pub asset: Option<AssetId>,
    /// Atomic units (or USD millionths), signed.
    pub balance: i128,
}

/// Why a ledger could not do what it was asked. Nothing was written then.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// There is no such payment.
    #[error("there is no payment {0}; `farebox payments list` shows those there are")]
    NotFound(PaymentId),
    /// The payment's state does not allow it; the loser of a race sees this.
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
    /// A payment of the same role, whose money moves or has moved, has this name on the rail.
    #[error("payment {0} is the same one on its rail; `farebox payments show {0}` shows it")]
    Taken(PaymentId),
    /// A sum does not fit.
    #[error("the amounts are too large to be added")]
    Overflow,
    /// The books do not add up: stop and look.
    #[error("the ledger is damaged: {0}; run `farebox doctor --full` and restore a copy")]
    Damaged(String),
    /// Another process holds what only one may hold.
    #[error("{0}")]
    Busy(String),
    /// The disk or the database.
    #[error("the ledger cannot be used: {0}")]
    Store(String),
}

/// The durable, double-entry record.
#[async_trait]
pub trait Ledger: Tokens + Send + Sync {
    /// Holds money for a buyer, if every budget that applies allows it.
    async fn reserve(&self, new: NewSpend) -> Result<Reserved, LedgerError>;

    /// Claims an identity for a seller, first wins, and holds the payer's balance.
    async fn claim(&self, new: NewClaim) -> Result<Claimed, LedgerError>;

    /// What has been settled from this payer so far; see [`PayerMark`].
    async fn payer_mark(&self, asset: &AssetId, payer: &str) -> Result<PayerMark, LedgerError>;

    /// Takes events in turn: steps the state, posts, attaches, all or nothing. What is left to do
    /// for the caller is what all of them ask for, in their order.
    async fn apply_all(
        &self,
        id: &PaymentId,
        events: Vec<Event>,
        attach: Attach,
        now_ms: u64,
    ) -> Result<Applied, LedgerError>;

    /// Takes one event.
    async fn apply(
        &self,
        id: &PaymentId,
        event: Event,
        attach: Attach,
        now_ms: u64,
    ) -> Result<Applied, LedgerError> {
        self.apply_all(id, vec![event], attach, now_ms).await
    }

    /// Takes one event on each of many payments, as [`Ledger::apply`] would on each: what one of
    /// them does not allow is no other's concern. Gives what is left to do for each, in their
    /// order. A store that can make them durable together does.
    async fn apply_to_each(
        &self,
        takers: Vec<Taker>,
        event: Event,
        now_ms: u64,
    ) -> Vec<Result<Vec<Effect>, LedgerError>> {
        let mut taken = Vec::with_capacity(takers.len());
        for Taker { id, attach } in takers {
            let applied = self.apply(&id, event.clone(), attach, now_ms).await;
            taken.push(applied.map(|applied| applied.effects));
        }
        taken
    }

    /// Shows that the owner is alive. Returns `false` if somebody else has taken over.
    async fn renew_lease(&self, id: &PaymentId, lease: Lease) -> Result<bool, LedgerError>;

    /// Takes over a lease that has run out: exactly one of many takers gets `true`, the others
    /// find the stored lease changed since they have `seen` it.
    async fn take_lease(
        &self,
        id: &PaymentId,
        seen: &Lease,
        lease: Lease,
    ) -> Result<bool, LedgerError>;

    /// Stores what belongs to a payment, without an event.
    async fn attach(&self, id: &PaymentId, attach: Attach) -> Result<(), LedgerError>;

    /// One payment.
    async fn payment(&self, id: &PaymentId) -> Result<Option<Payment>, LedgerError>;

    /// The payment that has claimed an identity.
    async fn by_identity(
        &self,
        role: Role,
        identity: &Identity,
    ) -> Result<Option<Payment>, LedgerError>;

    /// The identities that are claimed in a role, of credentials that end at `since_s` or later or
    /// that a rail still has to be asked about; those that end last first, at most `limit`.
    async fn claimed(
        &self,
        role: Role,
        since_s: u64,
        limit: usize,
    ) -> Result<Vec<ClaimedIdentity>, LedgerError>;

    /// The open payment of a logical call: reserved, sent or unknown.
    async fn by_call(&self, call: &CallKey) -> Result<Option<Payment>, LedgerError>;

    /// Many payments.
    async fn list(&self, filter: Filter) -> Result<Vec<Payment>, LedgerError>;

    /// Replaces the limits that `change` names; what is spent and reserved stays.
    async fn set_budget(&self, agent: Option<&str>, change: Limits) -> Result<(), LedgerError>;

    /// Sets the owner's limits if nobody ever has. Returns whether it did.
    async fn seed_budget(&self, limits: Limits) -> Result<bool, LedgerError>;

    /// Takes one use of what was paid by invoice, if one is left, and books the payment if nobody
    /// has: one transaction, on disk when this returns.
    async fn take_use(&self, paid: NewPaid, allowed: Allowance) -> Result<Used, LedgerError>;

    /// Gives a use back for which nothing was delivered. What is not counted stays so.
    async fn give_back_use(&self, identity: &Identity) -> Result<(), LedgerError>;

    /// Withdraws what was or will be paid for under this name: no use is taken from now on, and
    /// money that comes in is booked all the same. Returns whether it was not withdrawn before.
    async fn revoke(&self, identity: &Identity, now_ms: u64) -> Result<bool, LedgerError>;

    /// Books what a rail tells of, unless it is booked, and how far it has told: one transaction.
    /// Gives the names of those that are booked now.
    async fn book_told(&self, told: Told) -> Result<Vec<PaymentId>, LedgerError>;

    /// How far a source has told, see [`Told`]; 0 at first.
    async fn told_to(&self, source: &str) -> Result<u64, LedgerError>;

    /// Every limit of every budget with what is used of it: one consistent snapshot.
    async fn budgets(&self, now_ms: u64) -> Result<Vec<BudgetLine>, LedgerError>;

    /// Every account: one consistent snapshot.
    async fn books(&self) -> Result<Vec<AccountBalance>, LedgerError>;

    /// Writes something that changes nothing, as durably as everything else: whether payments could
    /// be written down now.
    async fn probe(&self) -> Result<(), LedgerError>;

    /// How many changes wait to be written now.
    fn waiting(&self) -> usize;

    /// Checks that everything adds up; `full` reads every posting, else only the tail.
    async fn verify(&self, full: bool) -> Result<(), LedgerError>;
}
