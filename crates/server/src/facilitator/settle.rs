//! `/settle`: moves the money of one credential, and says `success: true` to one caller.
//!
//! The credential is examined first; nothing is kept for one whose signature is not known to be
//! good. Then it takes the seat of its identity, so that everything below is done by one request
//! at a time. Other bytes under the same identity are `payment_already_used` in every state, and
//! change nothing. A key is an `Idempotency-Key` with its body. Whoever is told of success, first
//! or because the connection of the first has died, owns the payment from then on: its key is
//! written down with the telling, in place of the key that has claimed.
//!
//! | books say | first, or identical again | a crash here | the wait ends here | twins at once |
//! |---|---|---|---|---|
//! | nothing, or given back | claimed, if it is worth its gas now, then settled | nothing was sent: given back at the next start | – | wait for the seat |
//! | reserved | `unexpected_settle_error`: its request broke off, and the watch gives it back | given back | nothing was sent: given back, `unexpected_settle_error` | wait for the seat |
//! | sent, unknown | joins the settlement, waits once more | resolved from the chain at the next start | `settlement_pending` with the hash | the first joins, the rest wait for the seat |
//! | settled, nobody was told | `success: true`, on record as told before the bytes leave | told nobody: told once after the next start; told on record: as below | – | one is told |
//! | settled and told | the key that was told, or the connection of the one who was told has died: `success: true`; else `invalid_exact_evm_nonce_already_used` with the hash | which connections died is forgotten: without a key the safe answer | – | the same for all |
//! | rejected, lost | the same reason, with the hash where one was sent | the same | – | the same for all |
//!
//! A node that lies can at worst have us answer `settlement_pending`: settled is what the rail has
//! read from the token's own logs, rejected what it has read at a block of the right height
//! (laws 3 and 4). What the chain undoes is sent again while it lives, and told to nobody twice.
//!
//! Whoever hangs up ends nothing: the settlement runs in a task of its own to its record.

use std::sync::Arc;
use std::time::Duration;

use farebox_core::claim::Repeat;
use farebox_core::ledger::{Attach, Payment, SellerSide};
use farebox_core::payment::{Effect, Event, Phase};
use farebox_seller::body::BodyDigest;
use farebox_seller::till::settle::{Attempt, Settlement};
use farebox_seller::till::{Fingerprint, NotClaimed, NotProven, Proven, Seat, Taken};
use farebox_wire::x402::reason::Reason;
use tokio::time::Instant;

use super::answers::Settled;
use super::desk::{Case, Desk};
use super::hand_over::Owed;
use super::limits::{Allowance, Cost};
use super::memory::Memory;
use super::verify::{REJECTED, may_ask, rejected_reason, repeat};

/// The name of the only route of a facilitator, in its books.
const ROUTE: &str = "settle";
/// A claim without an idempotency key.
const NO_KEY: [u8; 32] = [0; 32];

/// Idempotency keys, and the bodies that they came with.
pub(super) type Keys = Memory<[u8; 32], [u8; 32]>;

/// One request.
pub(super) struct Settling {
    pub(super) desk: Arc<Desk>,
    pub(super) case: Case,
    /// Digest of the caller and his `Idempotency-Key`, if he sent one.
    pub(super) key: Option<[u8; 32]>,
    pub(super) body: BodyDigest,
    pub(super) allowance: Allowance,
    /// When the answer is due.
    pub(super) deadline: Instant,
}

impl Settling {
    /// The answer, and the seat that is to be kept until it is on its way.
    pub(super) async fn run(self) -> (Settled, Option<Seat>) {
        let proven = match self.check().await {
            Ok(proven) => proven,
            Err(refused) => return (refused, None),
        };
        match self.sit().await {
            Ok(seat) => (self.seated(proven).await, Some(seat)),
            Err(refused) => (refused, None),
        }
    }

    /// What has to hold before anything is kept for the credential: a signature that only the
    /// chain can judge is good if the chain says so, or if these very bytes have been taken before.
    async fn check(&self) -> Result<Option<Proven>, Settled> {
        let Case { rail, examined } = &self.case;
        let may_ask = || may_ask(&self.case, &self.allowance);
        let proven = self.desk.till().prove(rail.as_ref(), examined, may_ask);
        let proven = proven.await.map_err(|why| match why {
            NotProven::NotAsked(after) => Settled::TooMuch(after),
            NotProven::Refused(refusal) => {
                self.allowance.charge_for(&refusal);
                Settled::refused(refusal)
            }
            NotProven::Ledger(error) => Settled::no_books(&error),
        })?;
        match self.is_key_of_another() {
            true => Err(Settled::KeyReused),
            false => Ok(proven),
        }
    }

    fn is_key_of_another(&self) -> bool {
        let body = self.key.and_then(|key| self.desk.keys.get(&key));
        body.is_some() && body != self.body.get()
    }

    /// Takes the seat, or waits for it as long as there is time.
    async fn sit(&self) -> Result<Seat, Settled> {
        let till = self.desk.till();
        let examined = &self.case.examined;
        let fingerprint = Fingerprint {
            payload: examined.payload_digest,
            request: NO_KEY,
        };
        loop {
            match till.sit(&examined.identity, fingerprint).await {
                Ok(seat) => return Ok(seat),
                Err(Taken::ByAnother) => return Err(used_by_another()),
                Err(Taken::BySameRequest) => {}
            }
            let left = till.left(&examined.identity);
            if tokio::time::timeout_at(self.deadline, left).await.is_err() {
                return Err(self.out_of_time().await);
            }
        }
    }

    /// The seat was taken to the end; whoever had it has written down how far it came.
    async fn out_of_time(&self) -> Settled {
        match self.desk.earlier(&self.case).await {
            Ok(Some(payment)) => pending(&payment),
            Ok(None) => Settled::no(Reason::UnexpectedSettle, BUSY),
            Err(error) => Settled::no_books(&error),
        }
    }

    /// With the seat of its identity.
    async fn seated(&self, proven: Option<Proven>) -> Settled {
        let payment = match self.desk.earlier(&self.case).await {
            Ok(Some(payment)) => payment,
            Ok(None) => return self.first(proven).await,
            Err(error) => return Settled::no_books(&error),
        };
        match repeat(&self.case, &payment) {
            Repeat::AsNew => self.first(proven).await,
            Repeat::UsedElsewhere => used_by_another(),
            _ if self.is_key_with_another_body(&payment) => Settled::KeyReused,
            Repeat::LetThrough => self.tell_once(payment).await,
            Repeat::Delivered => self.told_before(&payment).await,
            Repeat::Rejected => Settled::No {
                reason: rejected_reason(&payment),
                message: REJECTED.to_owned(),
                transaction: payment.hashes().next_back().cloned(),
            },
            Repeat::Pending | Repeat::InFlight => match payment.state.phase {
                Phase::Reserved => Settled::no(Reason::UnexpectedSettle, BUSY),
                _ => self.attempt(&payment).await,
            },
        }
    }

    /// The credential comes for the first time.
    async fn first(&self, proven: Option<Proven>) -> Settled {
        if let Err(after) = self.allowance.may(Cost::FirstSight) {
            return Settled::TooMuch(after);
        }
        if let Err(refusal) = self.desk.access.covers(&self.case.examined.terms) {
            return Settled::refused(refusal);
        }
        let side = SellerSide {
            route: ROUTE.to_owned(),
            payload_digest: self.case.examined.payload_digest,
            request_digest: self.caller(),
            body_digest: self.body.get(),
        };
        let till = self.desk.till();
        let claimed = till
            .claim(self.case.rail.as_ref(), &self.case.examined, side, proven)
            .await;
        match claimed {
            Ok(payment) => {
                self.remember_key();
                self.attempt(&payment).await
            }
            Err(NotClaimed::Refused(refusal)) => {
                self.allowance.charge_for(&refusal);
                Settled::refused(refusal)
            }
            Err(NotClaimed::Insufficient { left }) => Settled::no(
                Reason::InsufficientBalance,
                format!(
                    "the payer has {left} atomic units left for this; earlier payments hold the rest"
                ),
            ),
            Err(NotClaimed::Ledger(error)) => Settled::no_books(&error),
            // Only another process on the same ledger can have come between.
            Err(NotClaimed::Repeat(_)) => Settled::no(Reason::UnexpectedSettle, BUSY),
            Err(NotClaimed::OneAtATime) => Settled::no(
                Reason::UnexpectedSettle,
                "an earlier payment of this payer is not settled yet; try again",
            ),
            Err(NotClaimed::NoRandomness(why)) => Settled::no(Reason::UnexpectedSettle, why),
        }
    }

    /// Settles, or joins the settlement that is under way.
    async fn attempt(&self, payment: &Payment) -> Settled {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let attempt = Attempt {
            rail: self.case.rail.as_ref(),
            payment,
            handle: &self.case.examined.handle,
            request_body: &self.body,
            delivers: Some(self.caller()),
            wait_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        };
        match self.desk.till().settle(attempt).await {
            Settlement::Settled { transaction, .. } => Settled::Yes {
                transaction,
                owed: Some(self.owed()),
            },
            Settlement::Delivered { .. } => match self.desk.earlier(&self.case).await {
                Ok(Some(payment)) => self.told_before(&payment).await,
                Ok(None) => Settled::no(Reason::UnexpectedSettle, BUSY),
                Err(error) => Settled::no_books(&error),
            },
            Settlement::Rejected {
                reason,
                message,
                transaction,
            } => Settled::No {
                reason,
                message,
                transaction,
            },
            Settlement::Pending { transaction: None } => pending(payment),
            Settlement::Pending { transaction } => still_pending(transaction),
            Settlement::Unsent { reason, message } => {
                tracing::warn!(payment = %payment.id, reason, "nothing was sent");
                Settled::no(Reason::UnexpectedSettle, message)
            }
            Settlement::LedgerFailed(error) => Settled::no_books(&error),
        }
    }

    /// Settled while nobody waited: the one who asks now is told, on record before he is.
    async fn tell_once(&self, payment: Payment) -> Settled {
        let till = self.desk.till();
        let now_ms = till.clock().now_ms();
        let told = till
            .ledger()
            .apply(&payment.id, Event::Delivered, self.told(), now_ms)
            .await;
        match told {
            // The chain has undone it in this very moment.
            Ok(applied) if applied.effects.contains(&Effect::Alert) => pending(&applied.payment),
            Ok(applied) => Settled::Yes {
                transaction: hash(&applied.payment),
                owed: Some(self.owed()),
            },
            Err(error) => Settled::no_books(&error),
        }
    }

    /// Settled, and somebody was told. Whoever it was, the books say under which key.
    async fn told_before(&self, payment: &Payment) -> Settled {
        let side = payment.seller.as_ref();
        let same_key = self.key.is_some() && side.map(|side| side.request_digest) == self.key;
        let identity = &self.case.examined.identity;
        if same_key {
            self.desk.unheard.told_again(identity);
            return Settled::Yes {
                transaction: hash(payment),
                owed: None,
            };
        }
        if !self.desk.unheard.take(identity) {
            return Settled::No {
                reason: Reason::NonceAlreadyUsed.code().to_owned(),
                message: "this payment was settled for an earlier request".to_owned(),
                transaction: Some(hash(payment)),
            };
        }
        let owed = self.owed();
        // Where that is not on record, nobody is told, and the next one is owed the answer.
        match self
            .desk
            .till()
            .ledger()
            .attach(&payment.id, self.told())
            .await
        {
            Ok(()) => Settled::Yes {
                transaction: hash(payment),
                owed: Some(owed),
            },
            Err(error) => Settled::no_books(&error),
        }
    }

    /// Under which key the answer belongs to this caller.
    fn caller(&self) -> [u8; 32] {
        self.key.unwrap_or(NO_KEY)
    }

    /// What is written down with telling this caller.
    fn told(&self) -> Attach {
        Attach {
            request_digest: Some(self.caller()),
            body_digest: self.body.get(),
            ..Attach::default()
        }
    }

    fn is_key_with_another_body(&self, payment: &Payment) -> bool {
        let Some(side) = &payment.seller else {
            return false;
        };
        self.key == Some(side.request_digest) && side.body_digest != self.body.get()
    }

    /// The key belongs to this payment.
    fn remember_key(&self) {
        if let (Some(key), Some(body)) = (self.key, self.body.get()) {
            self.desk.keys.put(key, body);
        }
    }

    /// This caller is told.
    fn owed(&self) -> Owed {
        self.remember_key();
        let identity = self.case.examined.identity.clone();
        Owed::new(Arc::clone(&self.desk.unheard), identity)
    }
}

/// When an answer is due.
pub(super) fn deadline(wait_ms: u64) -> Instant {
    let now = Instant::now();
    now.checked_add(Duration::from_millis(wait_ms))
        .unwrap_or(now)
}

const BUSY: &str = "this payment could not be settled now; nothing was sent for this request, \
                    send the same body again";

fn used_by_another() -> Settled {
    Settled::no(
        Reason::AlreadyUsed,
        "another authorization with this nonce is being settled or was settled; sign a new one",
    )
}

/// What is known of a payment that is not decided.
fn pending(payment: &Payment) -> Settled {
    match payment.hashes().next_back() {
        Some(hash) => still_pending(Some(hash.clone())),
        // Nothing is on record as sent.
        None => Settled::no(Reason::UnexpectedSettle, BUSY),
    }
}

fn still_pending(transaction: Option<String>) -> Settled {
    Settled::No {
        reason: Reason::SettlementPending.code().to_owned(),
        message: "the payment was sent and is not confirmed yet; send the same body again"
            .to_owned(),
        transaction,
    }
}

/// The transaction that has settled a payment.
fn hash(payment: &Payment) -> String {
    payment.state.transaction.clone().unwrap_or_default()
}
