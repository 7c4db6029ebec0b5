//! Finds and explains the usual mistakes of buyers and sellers.
//!
//! Called by `farebox doctor`, and by `--check` of gate and facilitator for their part. Facts come
//! from `assemble`; here they are judged and put into words. It never writes to a ledger, never
//! sends a transaction, makes no file, and shows no secret.

mod books;
mod certificates;
mod facilitators;
mod files;
mod gas;
mod lightning;
mod mounts;
mod nodes;
mod patient;
mod settled;
mod solana;
mod tokens;

use farebox_core::diagnosis::ChainFacts;
use serde::Serialize;

pub(crate) use patient::Patient;

use crate::assemble;
use crate::config::{Config, DataDir};
use crate::failure::Failure;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Looked at and found well.
    Ok,
    /// Works today.
    Warning,
    /// Does not work, or loses money.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Stable name of the kind of finding, snake case.
    pub(crate) id: &'static str,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// What it is about: a file, a chain, a key's address, a payment.
    pub(crate) subject: String,
    /// What is so, one sentence.
    pub(crate) message: String,
    /// What to do next; `None` where nothing is to be done.
    pub(crate) advice: Option<String>,
}

impl Finding {
    fn ok(id: &'static str, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            id,
            severity: Severity::Ok,
            subject: subject.into(),
            message: message.into(),
            advice: None,
        }
    }

    fn warning(
        id: &'static str,
        subject: impl Into<String>,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            advice: Some(advice.into()),
            ..Self::ok(id, subject, message)
        }
    }

    fn error(
        id: &'static str,
        subject: impl Into<String>,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            ..Self::warning(id, subject, message, advice)
        }
    }

    /// What assembling has refused.
    fn refused(id: &'static str, subject: &str, why: Failure, advice: &str) -> Self {
        let message = why.fault.map(|fault| fault.message).unwrap_or_default();
        Self::told(id, subject, &message, advice)
    }

    /// An error in the words of another room, which often says behind a semicolon what to do;
    /// `advice` where it does not.
    fn told(id: &'static str, subject: impl Into<String>, sentence: &str, advice: &str) -> Self {
        let (message, advice) = sentence.rsplit_once("; ").unwrap_or((sentence, advice));
        Self::error(id, subject, message, advice)
    }
}

/// Looks at everything that a seller's or facilitator's configuration names, outside its books.
///
/// # Errors
/// Exit 2 where the configuration cannot be read.
pub(crate) async fn examine(patient: &Patient) -> Result<Vec<Finding>, Failure> {
    let (mut findings, facts) = look(patient).await?;
    worst_first(&mut findings);
    drop(facts);
    Ok(findings)
}

/// The same, and everything that the books of either side tell.
///
/// # Errors
/// As [`examine`].
pub(crate) async fn examine_all(
    config: &Config,
    data_dir: &DataDir,
    commands: &str,
    full: bool,
) -> Result<Vec<Finding>, Failure> {
    let patient = Patient::of(config, data_dir)?;
    let (mut findings, facts) = look(&patient).await?;
    let mut books = books::Books {
        path: &patient.ledger,
        commands,
        full,
        findings: &mut findings,
    };
    let paying = assemble::paying_account(config, data_dir);
    let is_buyer = is_buyer(config);
    let pays_by_key_of_evm = is_buyer && config.file.wallet.solana_key.is_none();
    books.findings.extend(key(paying, pays_by_key_of_evm));
    let ledger = books.open().await;
    if is_buyer {
        books
            .budget(ledger.as_deref(), config.limits().is_some())
            .await;
    }
    if let Some(ledger) = &ledger {
        let undecided = books.undecided(&**ledger).await;
        findings.extend(gas::of_ledger(&undecided, &facts));
        let watcher = assemble::watcher(&patient.networks)?;
        findings.extend(settled::compare(&**ledger, &*watcher, full, commands).await);
        if let Some(watcher) = patient.solana.asking()? {
            findings.extend(settled::compare(&**ledger, &*watcher, full, commands).await);
        }
    }
    worst_first(&mut findings);
    Ok(findings)
}

/// The key that pays, where there should be one.
fn key(
    paying: Result<Option<farebox_wire::evm::EvmAddress>, Failure>,
    is_needed: bool,
) -> Option<Finding> {
    let subject = "[wallet] evm_key";
    let advice =
        "make a key with `farebox wallet create`, or name one that is there in [wallet] evm_key";
    match paying {
        Err(why) => Some(Finding::refused("key_unreadable", subject, why, advice)),
        Ok(None) if is_needed => {
            let message = "there is no key, so that nothing can be paid";
            Some(Finding::warning("key_missing", subject, message, advice))
        }
        Ok(_) => None,
    }
}

/// Whether somebody pays by this configuration: everybody does who sells nothing.
fn is_buyer(config: &Config) -> bool {
    let file = &config.file;
    let is_seller = file.pay_to.evm.is_some()
        || file.pay_to.solana.is_some()
        || !file.facilitator.signer.evm.0.is_empty()
        || !file.facilitator.signer.solana.0.is_empty()
        || !file.facilitator.urls.is_empty()
        || !file.route.is_empty();
    file.budget.is_some()
        || file.wallet.evm_key.is_some()
        || file.wallet.solana_key.is_some()
        || !is_seller
}

/// Whether there is nothing that does not work.
pub(crate) fn is_well(findings: &[Finding]) -> bool {
    findings
        .iter()
        .all(|finding| finding.severity < Severity::Error)
}

async fn look(patient: &Patient) -> Result<(Vec<Finding>, Vec<ChainFacts>), Failure> {
    let mut findings = files::check(patient);
    let accounts = findings_of_keys(patient, &mut findings);
    let (facts, solana, elsewhere, certificates, lightning, (gas_rate, of_rate)) = tokio::join!(
        assemble::chain_facts(&patient.networks, &accounts),
        solana::check(patient),
        facilitators::check(patient),
        certificates::check(patient),
        lightning::check(patient),
        gas::rate(patient)
    );
    let facts = facts?;
    for chain in &facts {
        findings.extend(nodes::judge(chain, patient.is_settling));
        findings.extend(tokens::judge(chain));
        findings.extend(gas::judge(chain));
        findings.extend(gas::uncovered(chain, patient.least, gas_rate));
    }
    findings.extend(solana?);
    findings.extend(elsewhere);
    findings.extend(certificates);
    findings.extend(lightning);
    findings.extend(of_rate);
    Ok((findings, facts))
}

/// Looks at gas keys and payee without asking anybody; what the accounts of the keys are.
fn findings_of_keys(
    patient: &Patient,
    findings: &mut Vec<Finding>,
) -> Vec<farebox_wire::evm::EvmAddress> {
    let accounts = match assemble::gas_accounts(&patient.gas_keys) {
        Ok(accounts) => accounts,
        Err(why) => {
            let advice =
                "set signer = { evm = \"env:NAME\" } in [facilitator] to keys that are there";
            let subject = "[facilitator] signer";
            findings.push(Finding::refused("key_unreadable", subject, why, advice));
            Vec::new()
        }
    };
    if let Some(text) = &patient.pay_to {
        let subject = "[pay_to] evm";
        match assemble::payee(text, &patient.networks) {
            Err(why) => {
                let advice = "name an account of yours: what is sent elsewhere is lost";
                findings.push(Finding::refused("payee_invalid", subject, why, advice));
            }
            Ok(payee) if accounts.contains(&payee) => findings.push(Finding::warning(
                "payee_is_gas_key",
                subject,
                format!("{text} is paid and pays for gas too: who takes the gas key of this server takes the revenue"),
                "name another account, whose key is not on this server",
            )),
            Ok(_) => findings.push(Finding::ok("payee", subject, format!("{text} is paid"))),
        }
    }
    accounts
}

/// Errors first; within a severity as they were found.
fn worst_first(findings: &mut [Finding]) {
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
}
