//! The books, the chain and what callers were told: all three must say the same.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use farebox_core::ledger::{Filter, Ledger as _, Payment, Stage};
use farebox_core::payment::{Delivery, Phase, Role};
use farebox_ledger::SqliteLedger;

use super::load::{Caller, Record, Said};
use super::trouble::Trying;
use crate::nets::{PAYEE, PRICE_ATOMIC};

/// Payments of one page of the books.
const PAGE: usize = 1000;

/// The books of a facilitator that is not running.
pub(crate) struct Books {
    /// By identity.
    pub(crate) payments: HashMap<String, Payment>,
}

impl Books {
    /// Reads everything, and verifies the double entry from the first line on.
    pub(crate) async fn read(path: &Path) -> Self {
        let ledger = SqliteLedger::open(path).expect("the books open");
        ledger.verify(true).await.expect("the books add up");
        let mut payments = HashMap::new();
        let mut after = None;
        loop {
            let filter = Filter {
                role: Some(Role::Facilitator),
                stage: Stage::Any,
                oldest_first: true,
                after: after.take(),
                limit: Some(PAGE),
            };
            let page = ledger.list(filter).await.expect("a page of the books");
            let Some(last) = page.last() else {
                return Self { payments };
            };
            after = Some(last.id.clone());
            for payment in page {
                let name = name_of(&payment);
                let twin = payments.insert(name, payment);
                assert!(
                    twin.is_none(),
                    "one claim for each identity: {twin:?}",
                    twin = twin.map(|p| p.id)
                );
            }
        }
    }

    /// Payments about which a rail still has to be asked: undecided, or settled and not final.
    pub(crate) fn unfinished(&self) -> Vec<String> {
        let is_settled = |p: &Payment| p.state.phase == Phase::Settled && !p.state.is_final;
        let open = self
            .payments
            .values()
            .filter(|p| p.state.is_open() || is_settled(p));
        open.map(|p| format!("{} {:?} {:?}", p.id, p.state, p.sent.last()))
            .collect()
    }
}

fn name_of(payment: &Payment) -> String {
    let identity = payment.identity.as_ref().expect("a claim has an identity");
    identity.as_str().to_owned()
}

/// What the chain has done.
pub(crate) struct Chain {
    /// By identity the transaction that carried the payment out.
    pub(crate) used: HashMap<String, String>,
    pub(crate) income: u128,
    /// Whether a payer may have spent money that was given back to him.
    may_be_broke: Box<dyn Fn(&str) -> bool>,
}

impl Chain {
    /// Reads the whole chain.
    pub(crate) async fn read<N: Trying>(http: &reqwest::Client, net: &N, start: u128) -> Self {
        let used = net.carried_out(http).await;
        Self {
            income: net.balance(PAYEE) - start,
            may_be_broke: net.may_be_broke(&used),
            used,
        }
    }

    /// Whether what was settled was undone and could not be settled again, because the payer, whose money a
    /// reorganisation had given back, spent the last of it on other payments before anybody knew. Nothing that a
    /// facilitator does helps against that but more confirmations.
    fn excuses(&self, payment: &Payment) -> bool {
        let payer = payment.terms.payer.as_deref().unwrap_or_default();
        payment.state.phase == Phase::Lost && payment.state.was_undone && (self.may_be_broke)(payer)
    }
}

/// Every rule about one run.
pub(crate) fn judge(books: &Books, chain: &Chain, records: &[Record]) {
    books_are_the_chain(books, chain);
    let mut endings = BTreeMap::<String, usize>::new();
    let mut faults = Vec::new();
    for record in records {
        for (_, said) in &record.said {
            let word = match said {
                Said::Yes(_) => "success",
                Said::Used(_) => "used before",
                Said::No(reason) => reason,
                Said::Nothing => "nothing final",
            };
            *endings.entry(word.to_owned()).or_default() += 1;
        }
        faults.extend(told_the_truth(record, books, chain).err());
    }
    println!("facilitator: callers were told {endings:?}");
    assert!(
        faults.is_empty(),
        "{} lies: {:#?}",
        faults.len(),
        &faults[..faults.len().min(5)]
    );
}

fn books_are_the_chain(books: &Books, chain: &Chain) {
    let mut counts = BTreeMap::<String, usize>::new();
    let mut settled: u128 = 0;
    for (name, payment) in &books.payments {
        let state = &payment.state;
        *counts
            .entry(format!("{:?}, {:?}", state.phase, state.delivery))
            .or_default() += 1;
        let paid_by = chain.used.get(name);
        match state.phase {
            Phase::Settled => {
                assert_eq!(
                    paid_by,
                    state.transaction.as_ref(),
                    "{}: {state:?}",
                    payment.id
                );
                settled += payment.terms.amount.atomic();
            }
            Phase::Rejected | Phase::Released | Phase::Lost => {
                assert_eq!(paid_by, None, "{} was paid: {state:?}", payment.id);
                assert!(
                    state.delivery != Delivery::Delivered || chain.excuses(payment),
                    "{} was told: {state:?}, payer {:?}, valid before {:?} s, made at {} ms, changed at {} ms, sent {:?}",
                    payment.id,
                    payment.terms.payer,
                    payment.valid_before_s,
                    payment.created_ms,
                    payment.updated_ms,
                    payment.sent
                );
            }
            Phase::Reserved | Phase::Sent | Phase::Unknown => {
                panic!("{} is open: {state:?}", payment.id)
            }
        }
    }
    println!(
        "facilitator: {} claims {counts:?}; settled {settled}, the payee got {}",
        books.payments.len(),
        chain.income
    );
    for name in chain.used.keys() {
        assert!(
            books.payments.contains_key(name),
            "paid, and not in the books: {name}"
        );
    }
    assert_eq!(settled, chain.income, "the books are the chain");
    assert_eq!(
        chain.income,
        PRICE_ATOMIC * u128::try_from(chain.used.len()).expect("a count")
    );
}

/// What the callers of one payment were told, held against the chain.
fn told_the_truth(record: &Record, books: &Books, chain: &Chain) -> Result<(), String> {
    let paid_by = chain.used.get(&record.name);
    let fault = |what: &str| {
        let books = books
            .payments
            .get(&record.name)
            .map(|p| (&p.state, &p.sent));
        Err(format!(
            "{}: {what}: told {:?}, chain {paid_by:?}, books {books:?}",
            record.name, record.said
        ))
    };
    let is_excused = || {
        let payment = books.payments.get(&record.name);
        payment.is_some_and(|payment| chain.excuses(payment))
    };
    let mut told = Vec::new();
    for (caller, said) in &record.said {
        match said {
            Said::Yes(_) if paid_by.is_none() && !is_excused() => {
                return fault("success, and not paid");
            }
            Said::Used(hash) if !hash.is_empty() && paid_by.is_none() && !is_excused() => {
                return fault("used by a transaction, and not paid");
            }
            Said::Yes(hash) if hash.is_empty() => return fault("success without a transaction"),
            Said::Yes(_) if *caller == Caller::Unnamed || !told.contains(caller) => {
                told.push(*caller)
            }
            _ => {}
        }
    }
    // A caller may be refused what another one is told of later; without another, a refusal must be true.
    let is_refused = |(_, said): &(Caller, Said)| matches!(said, Said::No(_));
    if paid_by.is_some() && told.is_empty() && record.said.iter().any(is_refused) {
        return fault("failed for good, and paid");
    }
    if told.len() > 1 {
        return fault("success to more than one caller");
    }
    Ok(())
}

/// Callers that were told of a transaction that the chain has replaced by another since.
pub(crate) fn replaced(chain: &Chain, records: &[Record]) -> usize {
    let said = records
        .iter()
        .flat_map(|record| record.said.iter().map(move |(_, said)| (record, said)));
    said.filter(|(record, said)| matches!(said, Said::Yes(hash) if chain.used.get(&record.name) != Some(hash)))
        .count()
}

/// Answers that were not final, by kind.
pub(crate) fn tries(records: &[Record]) -> BTreeMap<&str, usize> {
    let mut all = BTreeMap::new();
    for (kind, times) in records.iter().flat_map(|record| &record.tries) {
        *all.entry(kind.as_str()).or_default() += times;
    }
    all
}
