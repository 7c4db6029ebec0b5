//! Sellers that settle payments, each in its own manner, and write down what they were told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::payers::{Payers, Signed};
use crate::luck::Luck;

/// How long a payment can be settled: longer than any disturbance, so that none dies of waiting.
pub(super) const VALID_FOR_S: u64 = 120;
/// How long a seller asks about one payment before it leaves it to the books.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it waits for one answer.
const ANSWER: Duration = Duration::from_secs(30);
/// Between two tries: the facilitator is away for a moment.
const PAUSE: Duration = Duration::from_millis(40);
/// An impatient seller hangs up within this.
const IMPATIENT: Duration = Duration::from_millis(400);

/// Where payments are settled.
pub(crate) struct Shop {
    pub(crate) http: reqwest::Client,
    pub(crate) url: String,
    pub(crate) payers: Payers,
    pub(crate) stop: AtomicBool,
}

/// What one caller was told in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// `success: true`.
    Yes(String),
    /// Used before; with the hash, where one was named.
    Used(String),
    /// A reason that is final.
    No(String),
    /// Nothing final while it asked.
    Nothing,
}

/// One payment, and what each of its callers was told. Callers with one key are one caller.
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) said: Vec<(Caller, Said)>,
    /// Answers that were not final, by kind.
    pub(crate) tries: BTreeMap<String, usize>,
}

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Without a key: each is a caller of its own.
    Unnamed,
    /// With this `Idempotency-Key`.
    Key(char),
}

/// Settles payments, one after the other, until told to stop.
pub(crate) async fn sell(shop: Arc<Shop>, mut luck: Luck) -> Vec<Record> {
    let mut records = Vec::new();
    while !shop.stop.load(Ordering::SeqCst) {
        let payer = luck.index(shop.payers.count());
        let Ok(signed) = shop.payers.try_sign(payer, VALID_FOR_S).await else {
            // The node is in trouble, which the buyer asks as well.
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let mut record = Record {
            name: signed.name.clone(),
            said: Vec::new(),
            tries: BTreeMap::new(),
        };
        settle(&shop, &signed, &mut luck, &mut record).await;
        records.push(record);
    }
    records
}

/// One payment in one of the manners that sellers have.
async fn settle(shop: &Shop, signed: &Signed, luck: &mut Luck, record: &mut Record) {
    let (plain, body) = (Caller::Unnamed, &signed.body);
    match luck.index(12) {
        0..=3 => ask(shop, body, plain, record).await,
        4..=7 => ask(shop, body, Caller::Key('a'), record).await,
        8 => at_once(shop, [(body, plain), (body, plain)], record).await,
        9 => at_once(shop, [(body, Caller::Key('a')), (body, plain)], record).await,
        10 => at_once(shop, [(body, plain), (&signed.body_v1, plain)], record).await,
        _ => {
            let hurry = luck.below(IMPATIENT);
            // Whoever hangs up has heard nothing.
            let _ = tokio::time::timeout(hurry, once(shop, body, plain, &signed.name)).await;
            ask(shop, body, plain, record).await;
        }
    }
    if luck.once_in(4) {
        // Once more, by another caller and, where there was a key, by the same one.
        let first = record.said.first().map(|(caller, _)| *caller);
        for caller in first.into_iter().chain([plain]) {
            ask(shop, body, caller, record).await;
        }
    }
}

/// Two callers with one payment.
async fn at_once(shop: &Shop, callers: [(&String, Caller); 2], record: &mut Record) {
    let [(one, first), (two, second)] = callers;
    let blank = || Record {
        name: record.name.clone(),
        said: Vec::new(),
        tries: BTreeMap::new(),
    };
    let (mut left, mut right) = (blank(), blank());
    tokio::join!(
        ask(shop, one, first, &mut left),
        ask(shop, two, second, &mut right)
    );
    for part in [left, right] {
        record.said.extend(part.said);
        for (kind, times) in part.tries {
            *record.tries.entry(kind).or_default() += times;
        }
    }
}

/// Asks until the answer is final, as one caller.
async fn ask(shop: &Shop, body: &str, caller: Caller, record: &mut Record) {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match once(shop, body, caller, &record.name).await {
            Ok(said) => return record.said.push((caller, said)),
            Err(kind) => *record.tries.entry(kind).or_default() += 1,
        }
        tokio::time::sleep(PAUSE).await;
    }
    record.said.push((caller, Said::Nothing));
}

/// One request: what it was told, or why it has to ask again.
async fn once(shop: &Shop, body: &str, caller: Caller, name: &str) -> Result<Said, String> {
    let mut request = shop
        .http
        .post(format!("{}/settle", shop.url))
        .header("content-type", "application/json")
        .timeout(ANSWER)
        .body(body.to_owned());
    if let Caller::Key(key) = caller {
        request = request.header("idempotency-key", format!("{name}:{key}"));
    }
    let lost = |_| "no answer".to_owned();
    let answer = request.send().await.map_err(lost)?;
    let status = answer.status().as_u16();
    let bytes = answer.bytes().await.map_err(lost)?;
    if status != 200 {
        return Err(status.to_string());
    }
    let answer: Value = serde_json::from_slice(&bytes).expect("JSON with status 200");
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    let (reason, hash) = (text("errorReason"), text("transaction"));
    if answer["success"] == true {
        return Ok(Said::Yes(hash));
    }
    match reason.as_str() {
        "settlement_pending" | "unexpected_settle_error" => Err(reason),
        "invalid_exact_evm_nonce_already_used" | "payment_already_used" => Ok(Said::Used(hash)),
        _ => Ok(Said::No(reason)),
    }
}
