//! One settlement through facilitators: the states of the crate's table, in their order.
//!
//! Called by the collector. It must never hand a credential to a second facilitator while the
//! first may have it, and never call a payment settled that the chain denies.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use farebox_core::rail::{
    Asked, Finding, Handle, Journal, Outcome, Proof, Refusal, SentTransaction,
};
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::SettleResponse;
use farebox_wire::x402::verdict::Verdict;
use tokio::time::Instant;

use crate::answer;
use crate::collector::RemoteCollector;
use crate::crew::Station;
use crate::facilitator::Facilitator;
use crate::lent::Lent;
use crate::local::LocalJournal;
use crate::options::LOCAL;
use crate::transport::NoAnswer;

/// How often one wait asks one facilitator: it answers, or the next wait asks it.
const ASKS_MAX: u32 = 4;
/// Answers that are no end: one is asked about once more, as the SDKs do.
const ANSWERS_MAX: u32 = 2;
/// Between two asks at first; twice as long each time.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Between two looks at the chain while a facilitator works.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The first look at the chain after a claim of success, which is mostly true; twice as long each
/// time, up to [`LOOK_EVERY`].
const LOOK_SOON: Duration = Duration::from_millis(50);
/// Characters of a hash that are kept.
const HASH_CHARS_MAX: usize = 128;

/// See the module.
pub(crate) struct Settling<'a> {
    rail: &'a RemoteCollector,
    handle: &'a Handle,
    lent: Lent,
    journal: Arc<dyn Journal>,
    deadline: Instant,
    /// Whether somebody may have the credential.
    is_out: bool,
    has_chain: bool,
    /// The transaction that was named last and may be the payment's.
    named: Mutex<Option<String>>,
}

/// How one place did.
enum Tried {
    /// Nothing has left for it, or provably did not arrive.
    NotSent(String),
    Ended(Outcome),
}

/// What an answer leads to.
enum Next {
    Ended(Outcome),
    /// Ask the same facilitator again.
    Again(String),
}

impl<'a> Settling<'a> {
    pub(crate) fn new(
        rail: &'a RemoteCollector,
        handle: &'a Handle,
        lent: Lent,
        journal: Arc<dyn Journal>,
        wait_ms: u64,
    ) -> Self {
        Self {
            has_chain: rail.asks(&lent.terms.network),
            is_out: lent.asked.is_some(),
            named: Mutex::default(),
            rail,
            handle,
            lent,
            journal,
            deadline: Instant::now() + Duration::from_millis(wait_ms),
        }
    }

    pub(crate) async fn run(mut self) -> Outcome {
        let places = match self.places() {
            Ok(places) => places,
            Err(outcome) => return outcome,
        };
        let mut silent = Vec::new();
        for place in places {
            let Some(station) = self.rail.crew.stations().get(place) else {
                continue;
            };
            let tried = match station {
                Station::Local => self.locally().await,
                Station::Remote(facilitator) => self.through(facilitator).await,
            };
            match tried {
                Tried::Ended(outcome) => return outcome,
                Tried::NotSent(why) => {
                    tracing::warn!(facilitator = station.label(), why, "cannot settle");
                    silent.push(format!("{}: {why}", station.label()));
                }
            }
        }
        if self.is_out {
            return unknown("facilitator_unreachable");
        }
        Outcome::Rejected(ours(match silent.is_empty() {
            true => "no facilitator settles this offer; nothing was sent".to_owned(),
            false => format!("no facilitator can be reached ({})", silent.join("; ")),
        }))
    }

    /// Who is asked: whoever may have it already, and nobody else; or all that can, whoever has
    /// verified it first.
    fn places(&self) -> Result<Vec<usize>, Outcome> {
        if let Some(asked) = &self.lent.asked {
            let mut stations = self.rail.crew.stations().iter();
            return match stations.position(|station| station.name() == asked) {
                Some(place) => Ok(vec![place]),
                None => {
                    let identity = &self.lent.identity;
                    tracing::warn!(%identity, "the facilitator that has this payment is not configured any more");
                    Err(unknown("facilitator_not_configured"))
                }
            };
        }
        let requirements = self.lent.requirements().map_err(Outcome::Rejected)?;
        let mut places = self.rail.crew.candidates(&requirements);
        if let Some(first) = self.rail.verified.by(&self.lent.identity) {
            places.sort_by_key(|place| *place != first);
        }
        Ok(places)
    }

    /// The local rail's own gas key. Until it sends, nothing has left.
    async fn locally(&mut self) -> Tried {
        let handle = match self.handed_to(LOCAL) {
            Ok(handle) => handle,
            Err(refusal) => return Tried::Ended(Outcome::Rejected(refusal)),
        };
        // Handing over to somebody else, who did not get it, says nothing of this one.
        let has_it = self.lent.asked.as_deref() == Some(LOCAL);
        let journal = LocalJournal::new(Arc::clone(&self.journal), handle, has_it);
        let left = self.left();
        let wait_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        let settling = self
            .rail
            .inner
            .settle(self.handle, journal.clone(), wait_ms);
        let outcome = settling.await;
        let has_it = journal.close().await;
        self.is_out |= has_it;
        match outcome {
            Outcome::Rejected(refusal) if refusal.is_ours && !has_it => {
                Tried::NotSent(refusal.message)
            }
            Outcome::Unknown { reason } if !has_it => Tried::NotSent(reason),
            outcome => Tried::Ended(outcome),
        }
    }

    /// A facilitator: knocks, writes the line, hands over, and asks until it has answered.
    async fn through(&mut self, facilitator: &Facilitator) -> Tried {
        let was_out = self.is_out;
        if let Err(why) = facilitator.knock().await {
            self.rail.crew.note(facilitator, false);
            return match self.on_chain().await {
                Some(settled) if was_out => Tried::Ended(settled),
                _ => Tried::NotSent(why),
            };
        }
        let mut may_have_it = self.lent.asked.as_deref() == Some(facilitator.url());
        if let Err(refusal) = self.hand_over(facilitator).await {
            return Tried::Ended(Outcome::Rejected(refusal));
        }
        let mut pause = ASK_AGAIN;
        let mut last = String::new();
        let mut answered = 0_u32;
        for _ in 0..ASKS_MAX {
            let why = match self.ask(facilitator, may_have_it).await {
                Ok(Next::Ended(outcome)) => return Tried::Ended(outcome),
                Ok(Next::Again(code)) => {
                    may_have_it = true;
                    answered = answered.saturating_add(1);
                    code
                }
                Err(NoAnswer::NotSent(why)) if !may_have_it => {
                    self.rail.crew.note(facilitator, false);
                    return Tried::NotSent(why);
                }
                Err(no_answer) => {
                    self.rail.crew.note(facilitator, false);
                    may_have_it = true;
                    tracing::warn!(
                        facilitator = facilitator.host(),
                        why = no_answer.why(),
                        "no answer to a settlement; asked again"
                    );
                    "facilitator_no_answer".to_owned()
                }
            };
            last = why;
            if answered >= ANSWERS_MAX {
                break;
            }
            if let Some(settled) = self.watch_chain(pause).await {
                return Tried::Ended(settled);
            }
            if self.left().is_zero() {
                break;
            }
            pause = pause.saturating_mul(2);
        }
        if self.has_chain
            && let Some(settled) = self.watch_chain(self.left()).await
        {
            return Tried::Ended(settled);
        }
        Tried::Ended(unknown(&last))
    }

    /// Law 2: who gets it is durable before it leaves.
    async fn hand_over(&mut self, facilitator: &Facilitator) -> Result<(), Refusal> {
        let handle = self.handed_to(facilitator.url())?;
        let written = self.journal.handing_over(&handle).await;
        written.map_err(|why| ours(why.message))?;
        self.lent.asked = Some(facilitator.url().to_owned());
        self.is_out = true;
        Ok(())
    }

    fn handed_to(&self, name: &str) -> Result<Handle, Refusal> {
        let mut lent = self.lent.clone();
        lent.asked = Some(name.to_owned());
        lent.write(self.handle)
    }

    /// Asks once; the chain is watched beside, because a facilitator may settle and then hang.
    async fn ask(&self, facilitator: &Facilitator, is_again: bool) -> Result<Next, NoAnswer> {
        let left = self.left();
        let answer = tokio::select! {
            answer = facilitator.settle(&self.lent, left) => answer?,
            Some(settled) = self.watch_beside(left), if self.has_chain => {
                return Ok(Next::Ended(settled));
            }
        };
        self.judge(facilitator, &answer, is_again).await
    }

    async fn judge(
        &self,
        facilitator: &Facilitator,
        answer: &SettleResponse,
        is_again: bool,
    ) -> Result<Next, NoAnswer> {
        match answer.verdict() {
            Verdict::Settled { transaction } => {
                let transaction = hash(transaction.unwrap_or_default());
                if !self.note(&transaction).await {
                    let why = "it names a transaction that cannot be this payment's";
                    return Err(NoAnswer::MaybeSent(why.to_owned()));
                }
                Ok(Next::Ended(self.claimed(facilitator, transaction).await))
            }
            Verdict::Pending { transaction } => {
                self.note(&hash(transaction)).await;
                Ok(Next::Again(Reason::SettlementPending.code().to_owned()))
            }
            Verdict::Refused {
                reason,
                transaction,
            } => {
                let may_be_paid = is_again || transaction.is_some();
                if let Some(transaction) = transaction {
                    self.note(&hash(transaction)).await;
                }
                let code = answer::code(reason);
                let said = answer::plain(answer.error_message.as_deref().unwrap_or_default());
                tracing::info!(facilitator = facilitator.host(), code, said, "not settled");
                Ok(self.refused(&code, may_be_paid).await)
            }
        }
    }

    /// It says that the money has moved.
    async fn claimed(&self, facilitator: &Facilitator, transaction: String) -> Outcome {
        if !self.has_chain {
            // Final as far as these books can ever know: there is nobody to ask again.
            return Outcome::Settled {
                transaction,
                is_final: true,
                proof: Proof::Word,
            };
        }
        if let Some(settled) = self.watch_chain(self.left()).await {
            return settled;
        }
        let identity = &self.lent.identity;
        tracing::error!(
            facilitator = facilitator.host(), %identity, transaction,
            "the facilitator claims a settlement that the chain does not have"
        );
        unknown("facilitator_claim_not_on_chain")
    }

    /// It says no. Whether that ends the payment is for the chain to say, where there is one.
    /// Without a chain nobody is believed who may have moved the money himself: asked again, one
    /// that keeps no books finds the payer without it.
    async fn refused(&self, code: &str, may_be_paid: bool) -> Next {
        let is_pending = code == Reason::SettlementPending.code();
        if !self.has_chain {
            return match answer::fault_of_buyer(code).filter(|_| !may_be_paid) {
                Some(reason) => Next::Ended(Outcome::Rejected(Refusal {
                    reason,
                    message: format!("the facilitator refuses the payment: {code}"),
                    is_ours: false,
                })),
                None => Next::Again(code.to_owned()),
            };
        }
        match self.finding().await {
            Finding::Settled {
                transaction,
                is_final,
            } => return Next::Ended(proven(transaction, is_final)),
            Finding::NeverWill => {
                return Next::Ended(Outcome::Rejected(Refusal {
                    reason: Reason::from_code(code).unwrap_or(Reason::TransactionFailed),
                    message: format!(
                        "the facilitator refuses the payment ({code}), and the chain has it as over"
                    ),
                    is_ours: false,
                }));
            }
            Finding::Open if !is_pending => {}
            _ => return Next::Again(code.to_owned()),
        }
        let examined = self.lent.examined(self.handle);
        match self.rail.inner.verify(&examined).await {
            // The chain says why, and it is the buyer's own doing.
            Err(refusal) if !refusal.is_ours => Next::Ended(Outcome::Rejected(refusal)),
            // Unused and funded, or not known: a good credential must not be burned.
            _ => Next::Again(code.to_owned()),
        }
    }

    /// The same while a facilitator works, which mostly answers first.
    async fn watch_beside(&self, at_most: Duration) -> Option<Outcome> {
        tokio::time::sleep(LOOK_EVERY.min(at_most)).await;
        self.watch_chain(at_most).await
    }

    /// Looks at the chain until it has the payment, at most so long. Without a chain it only
    /// waits.
    async fn watch_chain(&self, at_most: Duration) -> Option<Outcome> {
        let until = (Instant::now() + at_most).min(self.deadline);
        if !self.has_chain {
            tokio::time::sleep_until(until).await;
            return None;
        }
        let mut pause = LOOK_SOON;
        loop {
            if let Some(settled) = self.on_chain().await {
                return Some(settled);
            }
            if Instant::now() >= until {
                return None;
            }
            tokio::time::sleep_until((Instant::now() + pause).min(until)).await;
            pause = pause.saturating_mul(2).min(LOOK_EVERY);
        }
    }

    async fn on_chain(&self) -> Option<Outcome> {
        if !self.has_chain {
            return None;
        }
        match self.finding().await {
            Finding::Settled {
                transaction,
                is_final,
            } => Some(proven(transaction, is_final)),
            _ => None,
        }
    }

    /// What the chain has of the payment. On Solana a name saves looking through an account.
    async fn finding(&self) -> Finding {
        let named = match self.rail.crew.names_fee_payers() {
            true => self.named().clone(),
            false => None,
        };
        let Some(named) = named else {
            return self.rail.inner.check(self.handle).await;
        };
        let asked = Asked {
            handle: self.handle,
            transaction: Some(&named),
            is_counted: false,
        };
        let mut found = self.rail.inner.check_all(&[asked]).await;
        found.pop().unwrap_or(Finding::Open)
    }

    /// Writes a hash that was named into the journal, where it can be the payment's at all. A
    /// failure is logged: what was handed over is on record already, and the chain is asked by the
    /// payment's own name.
    async fn note(&self, transaction: &str) -> bool {
        if !self.rail.inner.can_be(self.handle, transaction) {
            tracing::warn!(
                transaction,
                "a facilitator names a transaction that is none of this payment's"
            );
            return false;
        }
        *self.named() = Some(transaction.to_owned());
        let line = SentTransaction::by_stranger(transaction);
        if let Err(why) = self.journal.sending(&line).await {
            tracing::warn!(why = why.message, transaction, "a hash is not on record");
        }
        true
    }

    fn named(&self) -> MutexGuard<'_, Option<String>> {
        // Whole after every statement, so a panic elsewhere cannot have broken it.
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

fn proven(transaction: String, is_final: bool) -> Outcome {
    Outcome::Settled {
        transaction,
        is_final,
        proof: Proof::Chain,
    }
}

fn unknown(reason: &str) -> Outcome {
    Outcome::Unknown {
        reason: reason.to_owned(),
    }
}

fn ours(message: impl Into<String>) -> Refusal {
    Refusal {
        reason: Reason::UnexpectedSettle,
        message: message.into(),
        is_ours: true,
    }
}

/// A stranger's hash as it may be stored and shown.
fn hash(text: &str) -> String {
    let shown = text.chars().filter(char::is_ascii_graphic);
    shown.take(HASH_CHARS_MAX).collect()
}
