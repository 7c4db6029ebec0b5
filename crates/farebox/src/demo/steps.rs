//! The play, step by step. Each step says what it saw and holds only if all of it is as claimed:
//! on the wire, at the API, in the ledgers and on the chain.

use farebox_buyer::{Call, Exit, Fetched};
use farebox_core::ledger::{Ledger, Payment, PaymentId};
use farebox_core::payment::Phase;
use farebox_core::rail::Credential;
use farebox_wire::challenge::{self, Offer};
use serde_json::{Map, Value, json};

#[cfg(feature = "all-rails")]
use super::others::{self, Others};
use super::report::{Books, Step, Teller};
use super::stage::{AGENT, Stage};
use crate::failure::Failure;

/// How many steps there are.
pub(super) const COUNT: usize = 6;

const REPLAY: &str = "The same credential again";

const FREE: &str = "/";
pub(super) const PRICED: &str = "/weather/oslo";
pub(super) const EXPENSIVE: &str = "/report";

/// Plays all steps; one that breaks is a step that did not hold, and the rest goes on.
pub(super) async fn play(stage: &Stage, teller: &mut Teller) -> Result<(), Failure> {
    let before = stage.net.payee_balance()?;
    open(stage, teller)?;
    teller.step(
        free(stage)
            .await
            .unwrap_or_else(|why| broken("free_call", "A free call", &why)),
    )?;
    let asked = challenged(stage).await;
    teller.step(asked.unwrap_or_else(|why| broken("challenge", "The price", &why)))?;
    let (step, paid) = match Box::pin(paid(stage)).await {
        Ok((step, paid)) => (step, Some(paid)),
        Err(why) => (broken("paid_call", "The paid call", &why), None),
    };
    teller.paid_by(paid.as_ref().and_then(|paid| paid.transaction.clone()));
    teller.step(step)?;
    let replayed = replayed(stage, paid.map(|paid| paid.id), "replay", REPLAY).await;
    teller.step(replayed.unwrap_or_else(|why| broken("replay", REPLAY, &why)))?;
    #[cfg(feature = "all-rails")]
    if let Some(others) = &stage.others {
        Box::pin(others.play(stage, teller)).await?;
    }
    let refused = Box::pin(refused(stage)).await;
    teller
        .step(refused.unwrap_or_else(|why| broken("over_limit", "A call above the limit", &why)))?;
    match books(stage, before).await {
        Ok((step, books)) => {
            teller.books(books);
            teller.step(step)?;
        }
        Err(why) => teller.step(broken("books", "The books", &why))?,
    }
    #[cfg(feature = "all-rails")]
    if let Some(others) = &stage.others {
        others.balance(stage, teller).await?;
    }
    Ok(())
}

/// Says what runs.
#[cfg_attr(
    not(feature = "all-rails"),
    allow(unused_mut, reason = "there is one rail")
)]
fn open(stage: &Stage, teller: &Teller) -> Result<(), Failure> {
    let chain = format!("{} {}", stage.net.rpc_url(), stage.net.network());
    let buyer = format!("agent {AGENT:?}: 0.05 USD per payment, 1 USD in total");
    let mut title = "A local chain, an API behind a paying gate, and a buyer with a budget";
    let mut lines = vec![
        ("chain", chain),
        ("API", stage.api.url()),
        ("gate", stage.gate.clone()),
        ("buyer", buyer),
    ];
    #[cfg(feature = "all-rails")]
    if let Some(others) = &stage.others {
        title = others::TITLE;
        lines.splice(1..1, others.about());
    }
    teller.open(title, &lines)
}

/// A payment that was made.
struct Paid {
    id: PaymentId,
    transaction: Option<String>,
}

async fn free(stage: &Stage) -> Result<Step, Failure> {
    let (fetched, body) = fetch(stage, stage.call(FREE)?).await?;
    let status = fetched.status.as_u16();
    Ok(Step {
        name: "free_call",
        title: "A free call",
        ok: status == 200 && fetched.payment.is_none() && stage.api.calls() == 1,
        seen: vec![format!("GET {FREE}  {status}  {body}")],
        detail: detail([("status", json!(status))]),
    })
}

async fn challenged(stage: &Stage) -> Result<Step, Failure> {
    let calls = stage.api.calls();
    let url = format!("{}{PRICED}", stage.gate);
    let answer = stage.http.get(url).send().await.map_err(http_failed)?;
    let status = answer.status().as_u16();
    let headers = answer.headers().clone();
    let body = answer.bytes().await.map_err(http_failed)?;
    let header = |name: &str| {
        headers
            .get_all(name)
            .iter()
            .map(http::HeaderValue::as_bytes)
    };
    let challenge = challenge::read(header, &body)
        .map_err(|why| Failure::internal("demo_failed", why.to_string()))?;
    let mut seen = vec![format!("GET {PRICED}  {status}")];
    let mut offers = Vec::new();
    for offer in challenge.offers.iter().filter_map(Offer::as_x402) {
        let asked = &offer.requirements;
        seen.push(format!(
            "offer: {} {} of token {} on {} to {}",
            asked.scheme, asked.amount, asked.asset, asked.network, asked.pay_to
        ));
        offers.push(offer.raw.clone());
    }
    #[cfg(feature = "all-rails")]
    if stage.others.is_some() {
        let (line, offer) = Others::offered(stage, &challenge.offers).await?;
        seen.push(line);
        offers.push(offer);
    }
    Ok(Step {
        name: "challenge",
        title: "The price",
        ok: status == 402 && !offers.is_empty() && stage.api.calls() == calls,
        seen,
        detail: detail([("status", json!(status)), ("offers", json!(offers))]),
    })
}

async fn paid(stage: &Stage) -> Result<(Step, Paid), Failure> {
    let bought = buy_over(stage, "evm").await?;
    let (status, payment) = (bought.status, &bought.payment);
    let transaction = payment.state.transaction.clone();
    let receipt = stage
        .net
        .receipt(&stage.http, transaction.as_deref().unwrap_or_default())
        .await?;
    let settled = payment.state.phase == Phase::Settled;
    let mined = receipt["status"] == "0x1";
    let terms = &payment.terms;
    let amount = format!(
        "{} {}",
        terms.amount.to_decimal_string(terms.decimals),
        terms.symbol
    );
    let step = Step {
        name: "paid_call",
        title: "The paid call",
        ok: status == 200 && settled && mined && bought.calls == 1,
        seen: vec![
            format!("GET {PRICED}  {status}  {}", bought.body),
            format!("paid {amount} to {}", terms.payee),
            format!("transaction {}", transaction.as_deref().unwrap_or("none")),
            format!(
                "receipt on the chain: block {}, status {}, gas {}",
                number(&receipt["blockNumber"]),
                number(&receipt["status"]),
                number(&receipt["gasUsed"])
            ),
        ],
        detail: detail([
            ("status", json!(status)),
            ("payment", json!(payment.id)),
            ("amount", json!(terms.amount)),
            ("transaction", json!(transaction)),
            ("block", json!(number(&receipt["blockNumber"]))),
        ]),
    };
    let id = bought.payment.id;
    Ok((step, Paid { id, transaction }))
}

/// What was bought, and for which payment.
pub(super) struct Bought {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) payment: Payment,
    /// How often the API was called for it.
    pub(super) calls: usize,
}

/// Buys the page over this rail.
///
/// # Errors
/// Where no payment was made for it.
pub(super) async fn buy_over(stage: &Stage, rail: &str) -> Result<Bought, Failure> {
    let calls = stage.api.calls();
    let mut call = stage.call(PRICED)?;
    call.rail = Some(rail.to_owned());
    let (fetched, body) = fetch(stage, call).await?;
    let status = fetched.status.as_u16();
    let payment = fetched.payment.ok_or_else(|| {
        Failure::internal(
            "demo_failed",
            format!("GET {PRICED} was answered {status} without a payment"),
        )
    })?;
    Ok(Bought {
        status,
        body,
        payment,
        calls: stage.api.calls() - calls,
    })
}

/// Shows the credential of a payment again: for what it has bought, and for something else.
pub(super) async fn replayed(
    stage: &Stage,
    paid: Option<PaymentId>,
    name: &'static str,
    title: &'static str,
) -> Result<Step, Failure> {
    let nothing = || Failure::internal("demo_failed", "there is no credential to show again");
    let id = paid.ok_or_else(nothing)?;
    let payment = stage.buyer_ledger.payment(&id).await?;
    let credential = payment
        .and_then(|payment| payment.buyer?.credential)
        .ok_or_else(nothing)?;
    // The same request again, and another one: neither may be served.
    let shown = show_again(stage, &credential, [PRICED, "/weather/paris"]).await?;
    let is_refused = |status: &u16| matches!(status, 402 | 409);
    let ok = shown.statuses.iter().all(is_refused);
    Ok(shown.into_step(name, title, ok))
}

/// What became of a credential that was shown once more.
pub(super) struct ShownAgain {
    pub(super) statuses: Vec<u16>,
    /// How often the API was called for it.
    reached: usize,
    seen: Vec<String>,
}

/// Shows a credential for each of `paths`.
pub(super) async fn show_again(
    stage: &Stage,
    credential: &Credential,
    paths: [&str; 2],
) -> Result<ShownAgain, Failure> {
    let calls = stage.api.calls();
    let mut statuses = Vec::new();
    let mut seen = Vec::new();
    for path in paths {
        let request = stage.http.get(format!("{}{path}", stage.gate));
        let shown = request.header(credential.header.as_str(), credential.value.as_str());
        let status = shown.send().await.map_err(http_failed)?.status().as_u16();
        seen.push(format!("GET {path}  {status}"));
        statuses.push(status);
    }
    let reached = stage.api.calls() - calls;
    seen.push(format!("the API was reached {reached} times"));
    Ok(ShownAgain {
        statuses,
        reached,
        seen,
    })
}

impl ShownAgain {
    /// The step that holds where the answers are those that are due and the API was left alone.
    pub(super) fn into_step(self, name: &'static str, title: &'static str, is_due: bool) -> Step {
        Step {
            name,
            title,
            ok: is_due && self.reached == 0,
            detail: detail([
                ("statuses", json!(self.statuses)),
                ("upstream_reached", json!(self.reached)),
            ]),
            seen: self.seen,
        }
    }
}

async fn refused(stage: &Stage) -> Result<Step, Failure> {
    let calls = stage.api.calls();
    let (fetched, _) = fetch(stage, stage.call(EXPENSIVE)?).await?;
    let exit = fetched.ending.exit();
    let fault = fetched.ending.fault();
    let code = fault.as_ref().map(|fault| fault.code);
    let message = fault.map(|fault| fault.message).unwrap_or_default();
    Ok(Step {
        name: "over_limit",
        title: "A call above the limit",
        ok: exit == Exit::Refused && fetched.payment.is_none() && stage.api.calls() == calls,
        seen: vec![format!("GET {EXPENSIVE}  refused: {message}")],
        detail: detail([("exit", json!(exit.code())), ("code", json!(code))]),
    })
}

async fn books(stage: &Stage, before: u128) -> Result<(Step, Books), Failure> {
    let network = stage.net.network();
    let spent = sum_of(&*stage.buyer_ledger, "buyer/spent/", &network).await?;
    let earned = sum_of(&*stage.seller_ledger, "seller/revenue/", &network).await?;
    let moved = stage.net.payee_balance()?.checked_sub(before);
    let moved =
        moved.ok_or_else(|| Failure::internal("demo_failed", "the payee has lost money"))?;
    stage.buyer_ledger.verify(true).await?;
    stage.seller_ledger.verify(true).await?;
    let chain = moved.to_string();
    let step = Step {
        name: "books",
        title: "The books",
        ok: moved > 0 && spent == chain && earned == chain,
        seen: vec![
            format!("the buyer's ledger   spent   {spent}"),
            format!("the seller's ledger  earned  {earned}"),
            format!("the chain            moved   {chain}   (atomic units)"),
        ],
        detail: detail([
            ("buyer", json!(spent)),
            ("seller", json!(earned)),
            ("chain", json!(chain)),
        ]),
    };
    let books = Books {
        ledger: earned,
        chain,
    };
    Ok((step, books))
}

/// What the accounts of that name hold together of the money of a network, in atomic units.
pub(super) async fn sum_of(
    ledger: &dyn Ledger,
    account: &str,
    network: &str,
) -> Result<String, Failure> {
    let books = ledger.books().await?;
    let balances = books.iter().filter(|line| {
        let asset = line.asset.as_ref();
        let is_there = asset.is_some_and(|asset| asset.chain().to_string() == network);
        line.account.starts_with(account) && is_there
    });
    let sum = balances
        .map(|line| line.balance)
        .try_fold(0_i128, i128::checked_add);
    let sum = sum.ok_or_else(|| Failure::internal("demo_failed", "the sums do not fit"))?;
    Ok(sum.to_string())
}

pub(super) async fn fetch(stage: &Stage, call: Call) -> Result<(Fetched, String), Failure> {
    let fetched = stage.buyer.fetch(call).await;
    let mut fetched = fetched.map_err(|why| Failure::internal("demo_failed", why.to_string()))?;
    let body = fetched.collect().await?;
    Ok((fetched, String::from_utf8_lossy(&body).into_owned()))
}

pub(super) fn broken(name: &'static str, title: &'static str, why: &Failure) -> Step {
    let message = why
        .fault
        .as_ref()
        .map(|fault| fault.message.clone())
        .unwrap_or_default();
    Step {
        name,
        title,
        ok: false,
        detail: detail([("error", json!(message))]),
        seen: vec![message],
    }
}

pub(super) fn detail<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// A quantity of JSON-RPC in decimal, for people.
fn number(value: &Value) -> String {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    number.map_or_else(|| "?".to_owned(), |number| number.to_string())
}

pub(super) fn http_failed(why: reqwest::Error) -> Failure {
    Failure::internal("demo_failed", why.to_string())
}
