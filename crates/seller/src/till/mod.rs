//! The till: claims identities, settles them, and sees settlements through, for one role in one
//! ledger.
//!
//! The seller's layer has one, and a facilitator has one; both therefore keep the same laws. It
//! knows nothing of routes, prices or HTTP. One ledger has one process with tills: hold the
//! ledger's seller lock for as long as one lives, or one credential may be served twice.

mod claimed;
mod marks;
mod prove;
pub mod recover;
mod resolve;
mod seats;
pub mod settle;
mod turns;
mod watch;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use farebox_core::clock::Clock;
use farebox_core::ledger::{
    Attach, Claimed, Cover, Ledger, LedgerError, NewClaim, Payment, PaymentId, SellerSide,
};
use farebox_core::payment::{Event, Role};
use farebox_core::rail::{CollectRail, Examined, Funds, Refusal, Terms};
use farebox_core::span;
use farebox_wire::identity::Identity;
use farebox_wire::money::Amount;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use self::claimed::Claims;
use self::marks::Marks;
pub use self::prove::{NotProven, Proven};
use self::seats::InFlight;
pub use self::seats::{Fingerprint, Seat, Taken};
use self::turns::Turns;
use crate::counts::Counts;

/// How long a claim waits for another payment of a payer whose means nobody knows: about one
/// settlement. Whoever waited in vain comes again.
const TURN_WAIT: Duration = Duration::from_secs(2);
/// How often it looks by itself, in case that a claim ended without a word.
const TURN_POLL: Duration = Duration::from_millis(500);

/// What a till is told.
#[derive(Clone, Copy, Debug)]
pub struct TillConfig {
    /// In whose books it works: seller or facilitator.
    pub role: Role,
    /// How long a request waits for its settlement, in milliseconds.
    pub settle_wait_ms: u64,
    /// How often [`Till::watch`] looks, in milliseconds; positive.
    pub watch_every_ms: u64,
}

/// See the module. Share it in an `Arc`.
pub struct Till {
    role: Role,
    settle_wait_ms: u64,
    watch_every: Duration,
    rails: Vec<Arc<dyn CollectRail>>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    in_flight: Arc<InFlight>,
    claims: Claims,
    marks: Marks,
    turns: Arc<Turns>,
    counts: Arc<Counts>,
    /// Collects and records that outlive their connections.
    tasks: TaskTracker,
}

/// Why there is no claim. Nothing was written.
pub enum NotClaimed {
    /// The rail refuses the credential, or cannot be asked.
    Refused(Refusal),
    /// Somebody was first, in this very moment.
    Repeat(Box<Payment>),
    /// Earlier payments hold the payer's balance.
    Insufficient {
        /// What is left of it, in atomic units.
        left: Amount,
    },
    /// Nobody knows how much the payer has, and another payment of his is not settled yet.
    OneAtATime,
    /// The books cannot be used.
    Ledger(LedgerError),
    /// The system gave no random bytes for a name.
    NoRandomness(String),
}

impl Till {
    /// A till over these rails and books.
    #[must_use]
    pub fn new(
        config: TillConfig,
        rails: Vec<Arc<dyn CollectRail>>,
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            role: config.role,
            settle_wait_ms: config.settle_wait_ms,
            // An interval of zero is no interval.
            watch_every: Duration::from_millis(config.watch_every_ms.max(1)),
            rails,
            ledger,
            clock,
            in_flight: Arc::new(InFlight::default()),
            claims: Claims::default(),
            marks: Marks::default(),
            turns: Arc::default(),
            counts: Arc::default(),
            tasks: waited_for_at_any_time(),
        })
    }

    /// The rails, in their order.
    #[must_use]
    pub fn rails(&self) -> &[Arc<dyn CollectRail>] {
        &self.rails
    }

    /// The rail with this name.
    #[must_use]
    pub fn rail(&self, name: &str) -> Option<&Arc<dyn CollectRail>> {
        self.rails.iter().find(|rail| rail.rail() == name)
    }

    /// The books.
    #[must_use]
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Where to run what must come to its end though its connection has gone.
    #[must_use]
    pub const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// What this till, and what stands in front of it, has counted since its start.
    #[must_use]
    pub const fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// How long a request waits for its settlement, in milliseconds.
    #[must_use]
    pub const fn settle_wait_ms(&self) -> u64 {
        self.settle_wait_ms
    }

    /// Takes the seat of an identity: from now until it is given up nobody else in this process
    /// works on it. Take it only for a credential whose signature is known to be good.
    ///
    /// # Errors
    /// Who has it.
    pub async fn sit(&self, identity: &Identity, fingerprint: Fingerprint) -> Result<Seat, Taken> {
        self.in_flight.enter(identity, fingerprint).await
    }

    /// Waits until whoever has the seat of an identity now has given it up. Others who wait may
    /// be quicker to take it.
    pub async fn left(&self, identity: &Identity) {
        self.in_flight.left(identity).await;
    }

    /// Whether an identity may have been claimed before; where not, the ledger need not be asked.
    /// "No" is said only of what is not claimed, or of what expired long ago.
    #[must_use]
    pub fn may_be_claimed(&self, identity: &Identity) -> bool {
        self.claims.may_have(identity, self.clock.now_s())
    }

    /// The payment that has claimed an identity before, of a credential that has not expired.
    ///
    /// # Errors
    /// Where the books cannot be used.
    pub async fn earlier(&self, identity: &Identity) -> Result<Option<Payment>, LedgerError> {
        if !self.may_be_claimed(identity) {
            return Ok(None);
        }
        self.ledger.by_identity(self.role, identity).await
    }

    /// Asks the chain, unless it has just answered, then claims the identity and holds the payer's
    /// balance. The seat is the caller's. Where nobody knows how much the payer has, waits a while
    /// for his other payment.
    ///
    /// # Errors
    /// [`NotClaimed`]; a credential that fails changes nothing for the one whom it imitates.
    pub async fn claim(
        &self,
        rail: &dyn CollectRail,
        examined: &Examined,
        side: SellerSide,
        mut proven: Option<Proven>,
    ) -> Result<Payment, NotClaimed> {
        let deadline = tokio::time::Instant::now() + TURN_WAIT;
        // Taken when it is first needed, and kept: a place in the row.
        let mut turn = None;
        loop {
            let claimed = self
                .claim_now(rail, examined, side.clone(), proven.take())
                .await;
            if !matches!(claimed, Err(NotClaimed::OneAtATime)) {
                return claimed;
            }
            turn = turn.or_else(|| self.turns.wait_for(&examined.terms));
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let Some(turn) = turn.as_ref().filter(|_| !left.is_zero()) else {
                return claimed;
            };
            // Whether it was woken or has waited, it looks again.
            let _ = tokio::time::timeout(left.min(TURN_POLL), turn.comes()).await;
        }
    }

    /// One look. But for a proof of a moment ago, the rail is asked every time: a payment that has
    /// settled meanwhile may have emptied the payer.
    async fn claim_now(
        &self,
        rail: &dyn CollectRail,
        examined: &Examined,
        side: SellerSide,
        proven: Option<Proven>,
    ) -> Result<Payment, NotClaimed> {
        if let Some(proven) = proven.filter(|proven| proven.holds(self.clock.now_ms())) {
            return self.claim_for(proven, examined, side).await;
        }
        let now_ms = self.clock.now_ms();
        if let Some(mark) = self.marks.of(&examined.terms, now_ms) {
            let proven = self.ask_after::<Infallible>(rail, examined, Some(mark));
            let claimed = self.claim_for(proven.await?, examined, side.clone()).await;
            // What is counted as gone may be counted twice: then the books tell of now.
            let may_be_wrong = matches!(
                claimed,
                Err(NotClaimed::Insufficient { .. } | NotClaimed::OneAtATime)
            );
            if !may_be_wrong {
                return claimed;
            }
        }
        let proven = self.ask::<Infallible>(rail, examined).await?;
        // Of whom nobody knows how much he has, an old mark says nothing.
        if let (Some(mark), Funds::Balance(_)) = (proven.mark, proven.funds) {
            self.marks.read(&examined.terms, mark, now_ms);
        }
        self.claim_for(proven, examined, side).await
    }

    /// Claims what the payer's means are proven for.
    async fn claim_for(
        &self,
        proven: Proven,
        examined: &Examined,
        side: SellerSide,
    ) -> Result<Payment, NotClaimed> {
        let Proven { mark, funds, .. } = proven;
        // Before it is written: from then on nobody may take it for new.
        self.claims.add(
            &examined.identity,
            examined.valid_before_s,
            self.clock.now_s(),
        );
        let claimed = self
            .ledger
            .claim(NewClaim {
                id: new_payment_id(self.clock.now_ms())?,
                role: self.role,
                identity: examined.identity.clone(),
                side,
                terms: examined.terms.clone(),
                valid_before_s: examined.valid_before_s,
                handle: examined.handle.clone(),
                cover: match (funds, mark) {
                    (Funds::Balance(balance), Some(mark)) => Cover::Balance(balance, mark),
                    (Funds::EnoughForOne, Some(mark)) => Cover::OneAtATime(mark),
                    (Funds::Balance(_) | Funds::EnoughForOne, None) => Cover::NotNeeded,
                },
                now_ms: self.clock.now_ms(),
            })
            .instrument(span!("claim"))
            .await
            .map_err(NotClaimed::Ledger)?;
        match claimed {
            Claimed::First(payment) => {
                self.counts.claimed(&payment);
                Ok(*payment)
            }
            Claimed::Repeat(payment) => Err(NotClaimed::Repeat(payment)),
            Claimed::Insufficient { left } => Err(NotClaimed::Insufficient { left }),
            Claimed::OneAtATime => Err(NotClaimed::OneAtATime),
        }
    }

    /// Gives a claim back for which nothing was sent.
    ///
    /// # Errors
    /// Where the books cannot be used; the watch gives it back later.
    pub async fn abandon(&self, payment: &Payment, reason: &str) -> Result<(), LedgerError> {
        let event = Event::Abandoned {
            reason: reason.to_owned(),
        };
        let now_ms = self.clock.now_ms();
        let applied = self
            .ledger
            .apply(&payment.id, event, Attach::default(), now_ms);
        let applied = applied.await;
        self.ended(&payment.terms);
        applied.map(|applied| self.counts.moved(&payment.state, &applied.payment))
    }

    /// A claim may have ended: whoever waits for its payer looks.
    fn ended(&self, terms: &Terms) {
        self.turns.ended(terms);
    }

    /// Waits until everything that was begun is on record: settlements whose caller has gone
    /// away, and deliveries. Call it after the last connection has ended.
    pub async fn finish(&self) {
        self.tasks.wait().await;
    }
}

/// Closed from the beginning, which forbids no task: whoever closed it to wait and opened it again
/// would leave behind whoever came to wait in between.
fn waited_for_at_any_time() -> TaskTracker {
    let tasks = TaskTracker::new();
    tasks.close();
    tasks
}

impl From<NotProven<Infallible>> for NotClaimed {
    fn from(why: NotProven<Infallible>) -> Self {
        match why {
            NotProven::NotAsked(never) => match never {},
            NotProven::Refused(refusal) => Self::Refused(refusal),
            NotProven::Ledger(error) => Self::Ledger(error),
        }
    }
}

/// Random, after the time: names that begin alike lie side by side in the ledger's index, so that
/// a thousand new ones do not touch a thousand pages of it.
pub(crate) fn new_payment_id(now_ms: u64) -> Result<PaymentId, NotClaimed> {
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes).map_err(|error| NotClaimed::NoRandomness(error.to_string()))?;
    Ok(PaymentId(format!(
        "pay_{now_ms:012x}{}",
        hex::encode(bytes)
    )))
}
