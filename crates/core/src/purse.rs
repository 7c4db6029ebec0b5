//! What the buyer's loop sees of a wallet: it can ask, and it is told. It never sees a key.
//!
//! Filled in by `farebox-wallet`'s desk in the same process, later by the client of its daemon.

use async_trait::async_trait;
use farebox_wire::challenge::{Challenge, Offer};
use farebox_wire::money::UsdMicros;

use crate::fault::Fault;
use crate::ledger::{CallKey, Payment, PaymentId};
use crate::payment::Event;
use crate::policy::Denial;
use crate::rail::{Credential, NotPayable, Quote, Terms};
use crate::token::{Token, TokenId, TokenNews};

/// What each offer of a challenge would really cost.
pub struct Quoted {
    /// The offer.
    pub offer: Offer,
    /// What it costs, or why it cannot be paid.
    pub quote: Result<Quote, NotPayable>,
}

/// A wish to pay.
pub struct SpendRequest {
    /// The logical call.
    pub call: CallKey,
    /// Who spends; `None` is the owner.
    pub agent: Option<String>,
    /// By which method.
    pub method: String,
    /// What is asked for.
    pub url: String,
    /// The chosen offer.
    pub quote: Quote,
    /// What has to be echoed.
    pub challenge: Challenge,
    /// The caller's own limit for this call (`--max-cost`).
    pub max_cost: Option<UsdMicros>,
    /// How long the caller waits for a payment that comes before its credential, in milliseconds.
    pub wait_ms: u64,
    /// Sign afresh although the call has an open payment (`--new`).
    pub fresh: bool,
}

/// A credential that may be sent: the amount is held and `Sent` is on disk, or the money has moved
/// already.
pub struct Ticket {
    /// The payment.
    pub payment: Payment,
    /// What to send, to the same origin only.
    pub credential: Credential,
    /// Where the money has moved already: what it has bought. Tell what came of it by
    /// [`Purse::shown`] too.
    pub token: Option<TokenId>,
}

/// A wish to be let in by what was bought before.
pub struct PassRequest {
    /// The logical call.
    pub call: CallKey,
    /// Who asks; `None` is the owner.
    pub agent: Option<String>,
    /// The method.
    pub method: String,
    /// What is asked for.
    pub url: String,
}

/// A token that may be shown, to its origin only.
pub struct Pass {
    /// The token.
    pub token: Token,
    /// What has paid for it; `None` where it was brought from elsewhere.
    pub payment: Option<Payment>,
}

/// What there is for a [`PassRequest`].
pub enum Passes {
    /// Nothing that is left.
    Nothing,
    /// The same call has just paid for one, elsewhere, and is showing it: wait.
    Busy(Box<Payment>),
    /// Show this.
    Show(Box<Pass>),
}

/// What the wallet answers to a wish.
pub enum Spend {
    /// Go.
    Pay(Box<Ticket>),
    /// The same call is being paid elsewhere, or ended Unknown.
    Twin(Box<Payment>),
    /// The invoice of this offer is being paid, or was, for another call: ask for another one.
    Taken(Box<Payment>),
    /// It was begun, and nobody knows yet what becomes of it: the amount stays held.
    Undecided(Box<Payment>),
    /// No.
    Denied(Denial),
    /// A person has to say yes.
    Ask {
        /// To find the question again.
        approval_id: String,
    },
}

/// What a logical call has open.
pub enum Standing {
    /// Nothing: ask the seller, then [`Purse::spend`].
    Nothing,
    /// Somebody is paying for it right now: wait.
    Busy(Box<Payment>),
    /// It was paid, or may have been, and no answer came: show this again. The lease is ours.
    RePresent(Box<Ticket>),
    /// It was begun, and the rail does not tell yet what became of it. Nothing else may be bought
    /// for this call.
    Undecided(Box<Payment>),
}

/// Holds the money.
#[async_trait]
pub trait Purse: Send + Sync {
    /// Quotes every offer of a challenge.
    async fn quote(&self, challenge: &Challenge) -> Vec<Quoted>;

    /// What this budget would say to a cost now, without holding anything (`--dry-run`).
    async fn preview(
        &self,
        agent: Option<&str>,
        cost: UsdMicros,
    ) -> Result<Result<(), Denial>, Fault>;

    /// What is open for a call. Takes over stale leases; goes on for `wait_ms` at the most with a
    /// payment that comes before its credential.
    async fn standing(&self, call: &CallKey, wait_ms: u64) -> Result<Standing, Fault>;

    /// What was bought before and lets this request in. The lease of a fresh one is ours then.
    async fn pass(&self, request: &PassRequest) -> Result<Passes, Fault>;

    /// Tells what came of showing a token; `None` where no answer has said anything about it. Lets
    /// go of the lease of its payment.
    async fn shown(&self, token: &TokenId, news: Option<TokenNews>) -> Result<(), Fault>;

    /// For each of these terms, whether the wallet has enough to pay them now; `None` where nobody
    /// says so in time. What was learned is remembered for some seconds.
    async fn covers(&self, terms: &[&Terms]) -> Vec<Option<bool>>;

    /// Holds, signs, writes `Sent`, and pays where that comes first: THE way to spend.
    async fn spend(&self, request: SpendRequest) -> Result<Spend, Fault>;

    /// Shows that this payment is still being worked on; call it every [`LEASE_RENEW_MS`].
    async fn keep_alive(&self, id: &PaymentId) -> Result<(), Fault>;

    /// Tells what came of a ticket. `receipt` is the seller's, as JSON text.
    async fn report(
        &self,
        id: &PaymentId,
        event: Event,
        receipt: Option<String>,
    ) -> Result<Payment, Fault>;

    /// One payment as it stands.
    async fn payment(&self, id: &PaymentId) -> Result<Option<Payment>, Fault>;

    /// Asks the rail about an open payment and writes down what it says.
    async fn resolve(&self, id: &PaymentId) -> Result<Payment, Fault>;
}

/// How long a buyer's payment may go without a sign of life before another process takes over.
/// Taking over too early is harmless (it re-presents the same credential), so this is short.
pub const LEASE_MS: u64 = 6_000;
/// How often a sign of life is given.
pub const LEASE_RENEW_MS: u64 = 2_000;
