//! Ledger beside chain: is every payment that the books call settled on the chain?
//!
//! Asks the rail, which asks the token. It books nothing: that is for the gate's watch and for
//! `farebox payments resume`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use farebox_core::ledger::{Filter, Ledger, LedgerError, Payment, Stage};
use farebox_core::payment::Phase;
use farebox_core::rail::{Asked, CollectRail, Finding as Found, Handle};
use farebox_wire::caip::ChainId;

use super::Finding;

/// Payments that are looked up without --full, of those that are not final and of the newest each.
const LOOKED_UP: usize = 200;
/// Payments in one question to the rail.
const AT_ONCE: usize = 200;
/// How long one such question may take.
const ASK_WITHIN: Duration = Duration::from_secs(30);
/// Why the rest is not asked about.
const TOO_LONG: &str = "the nodes took too long";
/// Payments that are told one by one; the rest is counted.
const TOLD_MAX: usize = 20;

/// A payment that can be looked up.
type Candidate<'a> = (&'a Payment, &'a Handle);

/// Looks up settled payments, newest first; with `full` all that are not final.
pub(super) async fn compare(
    ledger: &dyn Ledger,
    rail: &dyn CollectRail,
    full: bool,
    commands: &str,
) -> Vec<Finding> {
    let payments = match settled(ledger, rail.rail(), full).await {
        Ok(payments) => payments,
        Err(why) => {
            let advice = "run `farebox doctor --full`";
            return vec![Finding::error(
                "ledger_unusable",
                "payments",
                why.to_string(),
                advice,
            )];
        }
    };
    let candidates: Vec<Candidate<'_>> = payments
        .iter()
        .filter_map(|payment| Some((payment, payment.handle.as_ref()?)))
        .collect();
    let mut told = Told::default();
    let mut chunks = candidates.chunks(AT_ONCE);
    for some in chunks.by_ref() {
        if !told.ask(rail, some, commands).await {
            break;
        }
    }
    for (payment, _) in chunks.flatten() {
        told.not_told(payment, TOO_LONG.to_owned());
    }
    told.findings()
}

fn asked<'a>((payment, handle): &Candidate<'a>) -> Asked<'a> {
    Asked {
        handle,
        transaction: payment.state.transaction.as_deref(),
        is_counted: true,
    }
}

/// Settled payments of a rail whose handles are still there: those that are not final, and the newest.
/// Those of Lightning are on no chain; their preimage has proven them.
async fn settled(ledger: &dyn Ledger, rail: &str, full: bool) -> Result<Vec<Payment>, LedgerError> {
    let not_final = Filter {
        stage: Stage::NotFinal,
        limit: (!full).then_some(LOOKED_UP),
        ..Filter::default()
    };
    let newest = Filter {
        limit: Some(LOOKED_UP),
        ..Filter::default()
    };
    let mut payments = ledger.list(not_final).await?;
    let seen: HashSet<_> = payments.iter().map(|payment| payment.id.clone()).collect();
    let newest = ledger.list(newest).await?;
    payments.extend(
        newest
            .into_iter()
            .filter(|payment| !seen.contains(&payment.id)),
    );
    payments.retain(|payment| payment.state.phase == Phase::Settled && payment.terms.rail == rail);
    Ok(payments)
}

/// What the chains said so far.
#[derive(Default)]
struct Told {
    on_chain: usize,
    not_on_chain: Vec<Finding>,
    /// By network and reason.
    not_told: BTreeMap<(String, String), usize>,
    /// Networks that have answered nothing, and why: they are not asked again.
    silent: HashMap<ChainId, String>,
}

impl Told {
    /// Asks about some payments; whether it is worth asking about more.
    async fn ask(
        &mut self,
        rail: &dyn CollectRail,
        some: &[Candidate<'_>],
        commands: &str,
    ) -> bool {
        let mut asking = Vec::with_capacity(some.len());
        for one in some {
            match self.silent.get(&one.0.terms.network).cloned() {
                Some(why) => self.not_told(one.0, why),
                None => asking.push(one),
            }
        }
        let asked: Vec<Asked<'_>> = asking.iter().map(|one| asked(one)).collect();
        let Ok(found) = tokio::time::timeout(ASK_WITHIN, rail.check_all(&asked)).await else {
            for (payment, _) in asking {
                self.not_told(payment, TOO_LONG.to_owned());
            }
            return false;
        };
        let mut answered = HashSet::new();
        let mut silent = HashMap::new();
        for ((payment, _), found) in asking.into_iter().zip(found) {
            let network = &payment.terms.network;
            match &found {
                Found::Unanswered { why } => drop(silent.insert(network.clone(), why.clone())),
                _ => drop(answered.insert(network.clone())),
            }
            self.take(payment, found, commands);
        }
        silent.retain(|network, _| !answered.contains(network));
        self.silent.extend(silent);
        true
    }

    fn take(&mut self, payment: &Payment, found: Found, commands: &str) {
        match found {
            Found::Settled { .. } => self.on_chain = self.on_chain.saturating_add(1),
            Found::Open => self
                .not_on_chain
                .push(not_on_chain(payment, true, commands)),
            Found::NeverWill => self
                .not_on_chain
                .push(not_on_chain(payment, false, commands)),
            Found::Unanswered { why } | Found::CannotTell { why } => self.not_told(payment, why),
        }
    }

    fn not_told(&mut self, payment: &Payment, why: String) {
        let key = (payment.terms.network.to_string(), why);
        let count = self.not_told.entry(key).or_default();
        *count = count.saturating_add(1);
    }

    fn findings(mut self) -> Vec<Finding> {
        let more = self.not_on_chain.len().saturating_sub(TOLD_MAX);
        self.not_on_chain.truncate(TOLD_MAX);
        let mut findings = self.not_on_chain;
        if more > 0 {
            findings.push(Finding::error(
                "ledger_not_on_chain",
                "payments",
                format!("{more} more settled payments are not on their chain"),
                "see the advice for the first ones",
            ));
        }
        for ((network, why), count) in self.not_told {
            findings.push(Finding::warning(
                "payment_unanswered",
                network,
                format!("{count} settled payments could not be looked up: {why}"),
                "name a node that answers and keeps logs in `rpc`, and run this again",
            ));
        }
        if self.on_chain > 0 {
            let message = format!("{} settled payments are on their chain", self.on_chain);
            findings.push(Finding::ok("settled", "payments", message));
        }
        findings
    }
}

fn not_on_chain(payment: &Payment, may_come: bool, commands: &str) -> Finding {
    let terms = &payment.terms;
    let message = format!(
        "the books call {} {} from {} to {} settled by {}, and {} does not have it{}",
        terms.amount.to_decimal_string(terms.decimals),
        terms.symbol,
        terms.payer.as_deref().unwrap_or("somebody"),
        terms.payee,
        payment
            .state
            .transaction
            .as_deref()
            .unwrap_or("no transaction"),
        terms.network,
        if may_come { " now" } else { " and never will" }
    );
    let advice = match payment.state.is_final {
        true => "compare it with another node and an explorer: the chain went back behind a block that was final here, or this ledger is another chain's".to_owned(),
        false => format!("run `farebox payments list{commands}` once the gate has watched it for a while: it books what the chain undoes; if it stays, compare with another node"),
    };
    Finding::error(
        "ledger_not_on_chain",
        payment.id.to_string(),
        message,
        advice,
    )
}
