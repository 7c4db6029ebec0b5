//! Resolves what requests have left behind: at start what a crash cut off, and for as long as the
//! seller runs whatever is unknown or could still be undone by the chain (ARCHITECTURE laws 3 and 4).
//!
//! Payments whose request is being served in this process are left alone. Nothing is ever
//! decided without the rail: only it knows whether money has moved.

use std::collections::HashSet;
use std::future::Future;

use farebox_core::ledger::{Applied, Attach, Filter, LedgerError, Payment, PaymentId, Stage};
use farebox_core::payment::{Event, Phase};
use farebox_core::rail::{Asked, CollectRail, Finding, Handle, Proof};
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use super::Till;
use super::claimed::{CLAIMS_MAX, MARGIN_S};
use super::settle::{Attempt, Settlement, receipt};
use crate::body::BodyDigest;

/// Settled payments are looked at every so many ticks until they are final, which takes minutes
/// on real chains.
const FINALITY_TICKS: u32 = 8;
/// Payments in one page of a look.
const PAGE: usize = 256;
/// Pages of undecided payments in one look. The next look goes on behind them, so that payments
/// which cannot be decided never keep others waiting.
const UNDECIDED_PAGES: usize = 8;
/// Pages of settled payments in one look at them; a whole transaction's worth is asked about at
/// once, so that finality keeps up with some thousand payments a second.
const SETTLED_PAGES: usize = 200;
/// How long the watch waits for one settlement: no buyer waits, and the next look is soon.
const SETTLE_AGAIN_WAIT_MS: u64 = 2_000;
/// Settlements that are tried again at the same time: most of them only wait for one that is still
/// under way.
const SETTLES_PARALLEL: usize = 64;
/// Findings that are written at the same time: the ledger commits them together.
const WRITES_PARALLEL: usize = 256;

/// Seconds after its expiry at which a credential is over for sure: a block's clock may be behind
/// ours, and a transaction in it is told of some seconds later.
const OVER_S: u64 = 60;

/// What [`Till::recover`] found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Claims that were given back: nothing had been sent for them.
    pub released: usize,
    /// Payments that turned out to be settled.
    pub settled: usize,
    /// Payments that are still not decided; the watch goes on with them.
    pub undecided: usize,
}

impl Till {
    /// Resolves what an earlier process has left, as far as it can be told now. Call it before
    /// the first request, with the ledger's seller lock held.
    ///
    /// # Errors
    /// Where the ledger cannot be used: nothing may be sold then.
    pub async fn recover(&self) -> Result<Recovered, LedgerError> {
        let till = self;
        till.learn_claims().await?;
        let mut recovered = Recovered::default();
        let mut open = Vec::new();
        for payment in listed(till, Stage::Undecided, None, None).await?.payments {
            if payment.state.phase == Phase::Reserved {
                apply(till, &payment, abandoned()).await?;
                recovered.released += 1;
            } else {
                open.push(payment);
            }
        }
        recovered.undecided = open.len();
        let decided = findings(till, open.iter()).await;
        let decided = decided
            .into_iter()
            .map(|(payment, finding)| decide(till, payment, finding, IfOpen::Leave));
        let mut results = at_once(WRITES_PARALLEL, decided.collect());
        while let Some(phase) = results.next().await {
            match phase? {
                Phase::Settled => recovered.settled += 1,
                Phase::Released => recovered.released += 1,
                _ => continue,
            }
            recovered.undecided = recovered.undecided.saturating_sub(1);
        }
        Ok(recovered)
    }

    /// Learns which identities are claimed. A ledger that cannot tell is an error as everywhere.
    async fn learn_claims(&self) -> Result<(), LedgerError> {
        let now_s = self.clock.now_s();
        let since_s = now_s.saturating_sub(MARGIN_S);
        // One more than fits, so that it is noticed.
        let limit = CLAIMS_MAX.saturating_add(1);
        for claim in self.ledger.claimed(self.role, since_s, limit).await? {
            self.claims
                .add(&claim.identity, claim.valid_before_s, now_s);
        }
        self.claims.loaded();
        Ok(())
    }

    /// Watches until `shutdown`: settles again what has not arrived while its credential lives,
    /// gives back what never will, and sees settlements through to finality. At the shutdown a
    /// question to a rail is dropped, and what was begun goes on record.
    pub async fn watch(&self, shutdown: impl Future<Output = ()>) {
        let stop = CancellationToken::new();
        let looking = self.look_until(&stop);
        let mut looking = std::pin::pin!(looking);
        tokio::select! {
            () = &mut looking => return,
            () = shutdown => stop.cancel(),
        }
        looking.await;
    }

    /// Looks again and again until `stop`.
    async fn look_until(&self, stop: &CancellationToken) {
        let mut rounds = Rounds::default();
        let mut ticks = tokio::time::interval(self.watch_every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut count: u32 = 0;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            // What was denied for the first time is asked about again at once: if it is undone, it
            // should be sent again while it lives.
            let with_settled = rounds.has_new_suspects || count.is_multiple_of(FINALITY_TICKS);
            count = count.wrapping_add(1);
            if let Err(error) = self.watch_once(&mut rounds, with_settled, stop).await {
                tracing::error!(%error, "the watch cannot use the ledger");
            }
        }
    }

    /// One look at what is open, going on where the last one ended.
    async fn watch_once(
        &self,
        rounds: &mut Rounds,
        with_settled: bool,
        stop: &CancellationToken,
    ) -> Result<(), LedgerError> {
        for _ in 0..UNDECIDED_PAGES {
            let page = listed(self, Stage::Undecided, Some(PAGE), rounds.undecided.take()).await?;
            if self.resolve_page(&page.payments, stop).await.is_none() {
                return Ok(());
            }
            rounds.undecided = page.next;
            if rounds.undecided.is_none() {
                break;
            }
        }
        if !with_settled {
            return Ok(());
        }
        rounds.has_new_suspects = false;
        for _ in 0..SETTLED_PAGES {
            let page = listed(self, Stage::NotFinal, Some(PAGE), rounds.not_final.take()).await?;
            let asked = findings(self, page.payments.iter());
            let Some(found) = stop.run_until_cancelled(asked).await else {
                return Ok(());
            };
            self.see_page_through(found, rounds).await;
            rounds.not_final = page.next;
            if rounds.not_final.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Asks about undecided payments all together, and acts on what is said; `None` where the end
    /// of the watch came first.
    async fn resolve_page(&self, payments: &[Payment], stop: &CancellationToken) -> Option<()> {
        let is_reserved = |payment: &&Payment| payment.state.phase == Phase::Reserved;
        let (reserved, sent): (Vec<_>, Vec<_>) = payments.iter().partition(is_reserved);
        let died = reserved.into_iter().map(|payment| give_back(self, payment));
        let mut given_back = at_once(WRITES_PARALLEL, died.collect());
        while let Some(phase) = given_back.next().await {
            log_failure(phase);
        }
        let asked = findings(self, sent.into_iter());
        let found = stop.run_until_cancelled(asked).await?;
        let decided = found
            .into_iter()
            .map(|(payment, finding)| decide(self, payment, finding, IfOpen::SettleAgain(stop)));
        let mut results = at_once(SETTLES_PARALLEL, decided.collect());
        while let Some(phase) = results.next().await {
            log_failure(phase);
        }
        (!stop.is_cancelled()).then_some(())
    }

    /// Writes down what has changed for settled payments.
    async fn see_page_through(&self, found: Vec<(&Payment, Finding)>, rounds: &mut Rounds) {
        let mut events = Vec::new();
        for (payment, finding) in found {
            if let Some(event) = see_through(self, payment, finding, rounds) {
                events.push(apply(self, payment, event));
            }
        }
        let mut written = at_once(WRITES_PARALLEL, events);
        while let Some(phase) = written.next().await {
            log_failure(phase);
        }
    }
}

/// Where the watch goes on, and what it suspects.
#[derive(Default)]
struct Rounds {
    undecided: Option<PaymentId>,
    not_final: Option<PaymentId>,
    /// Settled payments that a chain has denied once.
    suspects: HashSet<PaymentId>,
    /// Whether the last look at settled payments has added some.
    has_new_suspects: bool,
}

impl Rounds {
    /// Whether the chain denies this payment for the first time.
    fn is_new_suspect(&mut self, id: &PaymentId) -> bool {
        let is_new = self.suspects.insert(id.clone());
        self.has_new_suspects |= is_new;
        is_new
    }
}

/// Payments that are looked at together.
struct Page {
    payments: Vec<Payment>,
    /// Behind which one the next page begins; `None` where there is none.
    next: Option<PaymentId>,
}

/// What to do with a payment that has not moved the money and still may.
#[derive(Clone, Copy)]
enum IfOpen<'a> {
    Leave,
    /// Unless the watch is about to end.
    SettleAgain(&'a CancellationToken),
}

/// Runs so many at a time. The futures are collected first: a stream that maps borrowed payments
/// could not be spawned.
fn at_once<F: Future>(
    parallel: usize,
    asked: Vec<F>,
) -> impl futures_util::Stream<Item = F::Output> + Unpin {
    futures_util::stream::iter(asked).buffer_unordered(parallel)
}

/// One payment that cannot be written must not keep the watch from the others.
fn log_failure<T>(result: Result<T, LedgerError>) {
    if let Err(error) = result {
        tracing::error!(%error, "the watch cannot write what it found");
    }
}

/// The oldest payments at a stage, behind `after`, that nobody serves now.
async fn listed(
    till: &Till,
    stage: Stage,
    limit: Option<usize>,
    after: Option<PaymentId>,
) -> Result<Page, LedgerError> {
    let filter = Filter {
        role: Some(till.role),
        stage,
        oldest_first: true,
        after,
        limit,
    };
    let mut payments = till.ledger.list(filter).await?;
    let is_full = limit.is_some_and(|limit| payments.len() >= limit);
    let last = payments.last().filter(|_| is_full);
    let next = last.map(|payment| payment.id.clone());
    // Only now, so that a request which ended meanwhile is seen in its last state or not at all:
    // every event of the watch is harmless to a payment that has gone on.
    payments.retain(|payment| !is_served(till, payment));
    Ok(Page { payments, next })
}

fn is_served(till: &Till, payment: &Payment) -> bool {
    payment
        .identity
        .as_ref()
        .is_some_and(|identity| till.in_flight.contains(identity))
}

/// Gives back a claim whose request has died without a word: nothing was sent for it; unless the
/// same credential has come again since the list was read.
async fn give_back(till: &Till, payment: &Payment) -> Result<Phase, LedgerError> {
    match is_served(till, payment) {
        true => Ok(payment.state.phase),
        false => apply(till, payment, abandoned()).await,
    }
}

/// Acts on what the rail says of a payment that is not settled, and writes it down.
async fn decide(
    till: &Till,
    payment: &Payment,
    finding: Finding,
    if_open: IfOpen<'_>,
) -> Result<Phase, LedgerError> {
    match finding {
        Finding::Settled {
            transaction,
            is_final,
        } => {
            let event = Event::Settled {
                transaction,
                is_final,
            };
            apply(till, payment, event).await
        }
        Finding::NeverWill => apply(till, payment, Event::Expired).await,
        Finding::Open => match (if_open, on_rail(till, payment)) {
            (IfOpen::SettleAgain(stop), Some((rail, handle)))
                if is_valid(till, payment) && !stop.is_cancelled() =>
            {
                settle_again(till, rail, payment, handle).await
            }
            _ => Ok(payment.state.phase),
        },
        // Law 3: without a way to ask, what was held counts as spent when it can no longer move.
        Finding::CannotTell { why } if is_over(till, payment) => {
            tracing::error!(payment = %payment.id, why, "nobody can tell whether an expired payment was made");
            apply(till, payment, Event::ExpiredUnasked).await
        }
        Finding::Unanswered { why } | Finding::CannotTell { why } => {
            tracing::warn!(payment = %payment.id, why, "the rail cannot tell yet");
            Ok(payment.state.phase)
        }
    }
}

async fn settle_again(
    till: &Till,
    rail: &dyn CollectRail,
    payment: &Payment,
    handle: &Handle,
) -> Result<Phase, LedgerError> {
    let attempt = Attempt {
        rail,
        payment,
        handle,
        request_body: &BodyDigest::default(),
        delivers: None,
        wait_ms: till.settle_wait_ms.min(SETTLE_AGAIN_WAIT_MS),
    };
    // What it says is on record as well, and nobody waits for it here.
    let settlement = till.settle(attempt).await;
    let is_settled = matches!(settlement, Settlement::Settled { .. });
    tracing::info!(payment = %payment.id, is_settled, "sent a settlement again");
    let now = till.ledger.payment(&payment.id).await?;
    Ok(now.map_or(payment.state.phase, |payment| payment.state.phase))
}

/// What the rails say about payments, those of one transaction together.
async fn findings<'a>(
    till: &Till,
    payments: impl Iterator<Item = &'a Payment>,
) -> Vec<(&'a Payment, Finding)> {
    let payments: Vec<&Payment> = payments.collect();
    let mut found = Vec::with_capacity(payments.len());
    for rail in &till.rails {
        let of_rail: Vec<_> = payments
            .iter()
            .copied()
            .filter(|payment| payment.terms.rail == rail.rail())
            .filter_map(|payment| Some((payment, payment.handle.as_ref()?)))
            .collect();
        let asked: Vec<Asked<'_>> = of_rail
            .iter()
            .map(|(payment, handle)| Asked {
                handle,
                transaction: on_record(payment),
                is_counted: payment.state.phase == Phase::Settled,
            })
            .collect();
        let payments = of_rail.iter().map(|(payment, _)| *payment);
        found.extend(payments.zip(rail.check_all(&asked).await));
    }
    found
}

/// The event that sees a settled payment through to finality, or says that the chain has undone
/// it; `None` where nothing has changed.
fn see_through(
    till: &Till,
    payment: &Payment,
    finding: Finding,
    rounds: &mut Rounds,
) -> Option<Event> {
    if payment.state.phase == Phase::Unknown {
        return late_word(finding);
    }
    let event = match finding {
        Finding::Settled {
            transaction,
            is_final,
        } => {
            rounds.suspects.remove(&payment.id);
            let is_as_told = payment.state.transaction.as_ref() == Some(&transaction);
            return is_final.then_some(match is_as_told {
                true => Event::Finalised,
                // A reorganisation has let another transaction pay in its place.
                false => Event::Settled {
                    transaction,
                    is_final,
                },
            });
        }
        Finding::Unanswered { .. } | Finding::CannotTell { .. } => return None,
        // A node that lags behind says the same: believe it only when it says so twice.
        Finding::Open | Finding::NeverWill if rounds.is_new_suspect(&payment.id) => return None,
        Finding::Open if is_valid(till, payment) => Event::Undone { resendable: true },
        // It cannot be sent again, and this may be a node that lags behind or a payment that is
        // not deep enough yet. Nobody looks again at what is lost, so only the last word is enough.
        Finding::Open => return None,
        Finding::NeverWill => Event::Undone { resendable: false },
    };
    rounds.suspects.remove(&payment.id);
    tracing::error!(payment = %payment.id, "the chain has undone a settlement");
    Some(event)
}

/// The event for a payment that was counted as spent because nobody could be asked: perhaps
/// somebody can tell by now.
fn late_word(finding: Finding) -> Option<Event> {
    match finding {
        Finding::Settled {
            transaction,
            is_final,
        } => Some(Event::Settled {
            transaction,
            is_final,
        }),
        Finding::NeverWill => Some(Event::Expired),
        Finding::Open | Finding::Unanswered { .. } | Finding::CannotTell { .. } => None,
    }
}

/// The transaction that has settled the payment, or the last one that was sent for it.
fn on_record(payment: &Payment) -> Option<&str> {
    let settled = payment.state.transaction.as_deref();
    settled.or_else(|| payment.hashes().next_back().map(String::as_str))
}

fn on_rail<'a>(till: &'a Till, payment: &'a Payment) -> Option<(&'a dyn CollectRail, &'a Handle)> {
    let rail = till.rail(&payment.terms.rail)?;
    Some((rail.as_ref(), payment.handle.as_ref()?))
}

fn is_valid(till: &Till, payment: &Payment) -> bool {
    payment
        .valid_before_s
        .is_some_and(|valid_before_s| till.clock.now_s() < valid_before_s)
}

/// Whether the credential has been dead for so long that no block can still carry it out.
fn is_over(till: &Till, payment: &Payment) -> bool {
    payment
        .valid_before_s
        .is_some_and(|valid_before_s| till.clock.now_s() >= valid_before_s.saturating_add(OVER_S))
}

fn abandoned() -> Event {
    Event::Abandoned {
        reason: "interrupted".to_owned(),
    }
}

/// Applies an event; a payment that has gone on meanwhile is left as it is.
async fn apply(till: &Till, payment: &Payment, event: Event) -> Result<Phase, LedgerError> {
    let attach = match &event {
        Event::Settled { transaction, .. } => Attach {
            receipt: Some(receipt(&payment.terms, transaction, Proof::Chain)),
            ..Attach::default()
        },
        _ => Attach::default(),
    };
    let now_ms = till.clock.now_ms();
    match till.ledger.apply(&payment.id, event, attach, now_ms).await {
        Ok(Applied { payment, effects }) => {
            tracing::info!(payment = %payment.id, phase = ?payment.state.phase, ?effects, "resolved");
            till.ended(&payment.terms);
            Ok(payment.state.phase)
        }
        Err(LedgerError::Illegal(error)) => {
            tracing::debug!(payment = %payment.id, %error, "gone on meanwhile");
            Ok(payment.state.phase)
        }
        Err(error) => Err(error),
    }
}
