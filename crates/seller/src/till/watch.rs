//! Sees payments through while the seller runs: whatever is unknown, or could still be undone by the
//! chain (ARCHITECTURE laws 3 and 4). What a crash cut off before was taken up by `recover.rs`.

use std::collections::HashSet;
use std::future::Future;

use farebox_core::ledger::{LedgerError, Payment, PaymentId, Stage};
use farebox_core::payment::{Event, Phase};
use farebox_core::rail::Finding;
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use super::Till;
use super::resolve::{
    IfOpen, WRITES_PARALLEL, abandoned, apply, at_once, decide, findings, is_served, is_valid,
    listed,
};

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
/// Settlements that are tried again at the same time: most of them only wait for one that is still
/// under way.
const SETTLES_PARALLEL: usize = 64;

impl Till {
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

    /// Looks again and again until `stop`: at what is undecided and at what is settled side by side.
    /// Settling again may take long, and what a chain has undone has to be found while it can still be
    /// sent.
    async fn look_until(&self, stop: &CancellationToken) {
        tokio::join!(self.decide_until(stop), self.see_through_until(stop));
    }

    async fn decide_until(&self, stop: &CancellationToken) {
        let mut round = Round::default();
        let mut ticks = self.ticks();
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            log_failure(self.decide_once(&mut round, stop).await);
        }
    }

    async fn see_through_until(&self, stop: &CancellationToken) {
        let mut rounds = Rounds::default();
        let mut ticks = self.ticks();
        let mut count: u32 = 0;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            // What was denied for the first time is asked about again at once: if it is undone, it
            // should be sent again while it lives.
            if rounds.has_new_suspects || count.is_multiple_of(FINALITY_TICKS) {
                log_failure(self.see_through_once(&mut rounds, stop).await);
            }
            count = count.wrapping_add(1);
        }
    }

    fn ticks(&self) -> tokio::time::Interval {
        let mut ticks = tokio::time::interval(self.watch_every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks
    }

    /// One look at what is undecided, going on where the last one ended.
    async fn decide_once(
        &self,
        round: &mut Round,
        stop: &CancellationToken,
    ) -> Result<(), LedgerError> {
        for _ in 0..UNDECIDED_PAGES {
            let page = listed(self, Stage::Undecided, Some(PAGE), round.next.take()).await?;
            round.seen = round.seen.saturating_add(page.payments.len());
            if self.resolve_page(&page.payments, stop).await.is_none() {
                return Ok(());
            }
            round.next = page.next;
            if round.next.is_none() {
                self.counts.set_undecided(round.seen);
                round.seen = 0;
                break;
            }
        }
        Ok(())
    }

    /// One look at what is settled and not final, going on where the last one ended.
    async fn see_through_once(
        &self,
        rounds: &mut Rounds,
        stop: &CancellationToken,
    ) -> Result<(), LedgerError> {
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

/// Where the watch goes on with what is undecided.
#[derive(Default)]
struct Round {
    next: Option<PaymentId>,
    /// How many this round of looks has seen.
    seen: usize,
}

/// Where it goes on with what is settled, and what it suspects.
#[derive(Default)]
struct Rounds {
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

/// One payment that cannot be written must not keep the watch from the others.
fn log_failure<T>(result: Result<T, LedgerError>) {
    if let Err(error) = result {
        tracing::error!(%error, "the watch cannot write what it found");
    }
}

/// Gives back a claim whose request has died without a word: nothing was sent for it; unless the
/// same credential has come again since the list was read.
async fn give_back(till: &Till, payment: &Payment) -> Result<Phase, LedgerError> {
    match is_served(till, payment) {
        true => Ok(payment.state.phase),
        false => apply(till, payment, abandoned()).await,
    }
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
