//! Books: is there a ledger, does it add up, may the buyer spend, and what is undecided in it?

use std::path::Path;
use std::sync::Arc;

use farebox_core::clock::{Clock as _, SystemClock};
use farebox_core::ledger::{Filter, Ledger, LedgerError, Payment, Stage};
use farebox_core::payment::{Phase, Role};

use super::Finding;
use crate::assemble;

/// Payments that are told one by one; the rest is counted.
const TOLD_MAX: usize = 20;
/// How long a settlement that is being followed may take before it is worth a word.
const UNDER_WAY_MS: u64 = 60_000;

/// The ledger of a configuration, and what was found in it.
pub(super) struct Books<'a> {
    pub(super) path: &'a Path,
    /// What follows a command so that it means the same configuration: ` --config FILE`.
    pub(super) commands: &'a str,
    pub(super) full: bool,
    pub(super) findings: &'a mut Vec<Finding>,
}

impl Books<'_> {
    /// Opens the ledger if it is there, and makes sure that it adds up.
    pub(super) async fn open(&mut self) -> Option<Arc<dyn Ledger>> {
        let subject = self.path.display().to_string();
        // An empty file is what a ledger is for a moment before it is made.
        if !std::fs::metadata(self.path).is_ok_and(|about| about.len() > 0) {
            self.findings.push(Finding::warning(
                "ledger_missing",
                subject,
                "there is no ledger yet; it is made when it is first needed",
                "if there should be one, check `ledger` in the file, --config and --data-dir",
            ));
            return None;
        }
        let opened = assemble::existing_ledger(self.path.to_path_buf()).await;
        let checked = match opened {
            Ok(ledger) if self.full => ledger.verify(true).await.map(|()| ledger),
            opened => opened,
        };
        match checked {
            Ok(ledger) => {
                let what = match self.full {
                    true => "every entry, balance and payment adds up",
                    false => "its newest entries add up; --full reads all of them",
                };
                self.findings.push(Finding::ok("ledger", subject, what));
                Some(ledger)
            }
            Err(why) => {
                self.findings.push(broken(subject, &why));
                None
            }
        }
    }

    /// A buyer without a limit spends nothing.
    pub(super) async fn budget(&mut self, ledger: Option<&dyn Ledger>, is_written: bool) {
        let lines = match ledger {
            Some(ledger) => ledger.budgets(SystemClock.now_ms()).await,
            None => Ok(Vec::new()),
        };
        // A ledger without limits takes those of the file when it is first used.
        if is_written || lines.is_ok_and(|lines| lines.iter().any(|line| line.agent.is_none())) {
            return;
        }
        self.findings.push(Finding::error(
            "budget_missing",
            "budget",
            "no budget is set, so that every payment is refused",
            format!("run `farebox budget set{} --per-payment \"0.05 USD\" --per-day \"1 USD\" --total \"20 USD\"`", self.commands),
        ));
    }

    /// Tells every payment that is undecided for longer than a payment takes; all that are.
    pub(super) async fn undecided(&mut self, ledger: &dyn Ledger) -> Vec<Payment> {
        let filter = Filter {
            stage: Stage::Undecided,
            oldest_first: true,
            ..Filter::default()
        };
        let payments = match ledger.list(filter).await {
            Ok(payments) => payments,
            Err(why) => {
                let subject = self.path.display().to_string();
                self.findings.push(broken(subject, &why));
                return Vec::new();
            }
        };
        let now_ms = SystemClock.now_ms();
        let mut told: Vec<Finding> = payments
            .iter()
            .filter_map(|payment| self.tell(payment, now_ms))
            .collect();
        let more = told.len().saturating_sub(TOLD_MAX);
        told.truncate(TOLD_MAX);
        self.findings.append(&mut told);
        if more > 0 {
            self.findings.push(Finding::warning(
                "payment_unknown",
                "payments",
                format!("{more} more payments are undecided"),
                format!("run `farebox payments resume --all{}`", self.commands),
            ));
        }
        payments
    }

    fn tell(&self, payment: &Payment, now_ms: u64) -> Option<Finding> {
        if is_under_way(payment, now_ms) {
            return None;
        }
        let terms = &payment.terms;
        let what = format!(
            "{} {} on {} ({})",
            terms.amount.to_decimal_string(terms.decimals),
            terms.symbol,
            terms.network,
            match payment.role {
                Role::Buyer => "bought",
                Role::Seller | Role::Facilitator => "sold",
            }
        );
        let subject = payment.id.to_string();
        // A facilitator resolves what it has left when it starts, and nobody else can.
        let resume = match payment.role {
            Role::Facilitator => "start the facilitator again".to_owned(),
            _ => format!(
                "run `farebox payments resume {}{}`",
                payment.id, self.commands
            ),
        };
        Some(if payment.state.phase == Phase::Reserved {
            Finding::warning(
                "hold_expired",
                subject,
                format!(
                    "{what} is held for a payment that nobody works on any more, and nothing was sent"
                ),
                format!("{resume}, which gives the amount back"),
            )
        } else if is_over(payment, now_ms) {
            Finding::warning(
                "hold_expired",
                subject,
                format!(
                    "{what} is still held, and its credential has expired: either it was spent or it never can be"
                ),
                format!("{resume}, which asks the chain and books what is so"),
            )
        } else {
            Finding::warning(
                "payment_unknown",
                subject,
                format!("whether {what} was paid is not known{}", reason(payment)),
                format!(
                    "{resume}; do not pay again before: the same call shows the same credential again"
                ),
            )
        })
    }
}

fn reason(payment: &Payment) -> String {
    let reason = payment.state.reason.as_ref();
    reason.map_or_else(String::new, |reason| format!(" ({reason:?})"))
}

/// Whether somebody works on it at this moment, or may.
fn is_under_way(payment: &Payment, now_ms: u64) -> bool {
    match (&payment.buyer, payment.state.phase) {
        (_, Phase::Unknown) => false,
        (Some(side), _) => side.lease.until_ms > now_ms,
        // A seller's upstream may take its time, for as long as the credential can be settled.
        (None, Phase::Reserved) => !is_over(payment, now_ms),
        (None, _) => now_ms.saturating_sub(payment.updated_ms) < UNDER_WAY_MS,
    }
}

/// Whether its credential has expired, by our clock.
fn is_over(payment: &Payment, now_ms: u64) -> bool {
    payment
        .valid_before_s
        .is_none_or(|valid_s| valid_s < now_ms / 1_000)
}

fn broken(subject: String, why: &LedgerError) -> Finding {
    match why {
        LedgerError::Damaged(text) => Finding::error(
            "ledger_damaged",
            subject,
            format!("the books do not add up: {text}"),
            "stop everything that uses this ledger, keep a copy of it, and go on with a copy from before that adds up",
        ),
        LedgerError::Busy(text) => Finding::warning(
            "ledger_busy",
            subject,
            text,
            "run this again; if it stays so, look for a process that is stopped in the middle of a write",
        ),
        other => Finding::error(
            "ledger_unusable",
            subject,
            other.to_string(),
            "check its owner and mode, the disk, and `ledger` in the file",
        ),
    }
}

#[cfg(test)]
#[path = "books_tests.rs"]
mod tests;
