//! The Lightning part of `farebox demo --all-rails`: the page that was bought on the chains is bought again over Lightning, by
//! L402, from the same gate.
//!
//! Called by `others`. Each step asks the seller's node itself; the ledgers alone prove nothing here.

use std::sync::Arc;
use std::time::Duration;

use farebox_core::invoice::{InvoiceRail, InvoiceState};
use farebox_core::ledger::Payment;
use farebox_core::payment::Phase;
use farebox_wire::challenge::Offer;
use farebox_wire::money::Amount;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::lightning::{NETWORK, Net};
use super::report::{LightningBooks, Step, Teller};
use super::stage::{Stage, USES};
use super::steps::{
    EXPENSIVE, PRICED, broken, buy_over, detail, fetch, http_failed, show_again, sum_of,
};
use crate::assemble::Lightning;
use crate::failure::Failure;

/// How many steps there are.
pub(super) const COUNT: usize = 4;

const PAID: &str = "The same page over Lightning";
const AGAIN: &str = "Once more, for the token";
const USED_UP: &str = "The used token again";
const BOOKS: &str = "The books of Lightning";

/// How long a node has to do what a payment does not wait for: its first invoice, and its records.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// How often they are asked meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Decimals of a satoshi: books count its thousandths.
const SAT_DECIMALS: u8 = 3;

/// The network, and what its nodes had moved before anything was sold over it.
pub(super) struct Side {
    net: Net,
    /// The seller's node, asked as the gate asks it.
    node: Arc<dyn InvoiceRail>,
    /// What the buyer's node had paid and the seller's received at the start, in millisatoshis.
    before: [u64; 2],
}

impl Side {
    /// Looks at the nodes before the gate opens.
    ///
    /// # Errors
    /// Where a node does not answer.
    pub(super) async fn new(net: Net, lightning: &Lightning) -> Result<Self, Failure> {
        let node = lightning.collector().await?;
        Ok(Self {
            node: node.ok_or_else(|| failed("the seller's file has no node"))?,
            before: net.moved_msat()?,
            net,
        })
    }

    /// What runs, in a line.
    pub(super) fn about(&self) -> String {
        format!("{NETWORK}, two nodes with a channel between them")
    }

    /// Stops the nodes.
    pub(super) async fn stop(self) {
        self.net.stop().await;
    }

    /// What the buyer's node has paid and the seller's received since the start, in millisatoshis: as soon as both are what
    /// is expected, or what they are at last.
    async fn moved(&self, expected: &str) -> Result<[String; 2], Failure> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let [paid, got] = self.net.moved_msat()?;
            let [paid_before, got_before] = self.before;
            let paid = paid.saturating_sub(paid_before).to_string();
            let got = got.saturating_sub(got_before).to_string();
            if (paid == expected && got == expected) || Instant::now() > deadline {
                return Ok([paid, got]);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Waits until the gate has an invoice to offer: on a busy machine a node may take longer for its first one than a 402
/// waits for it. The invoice stays open, and is offered again.
pub(super) async fn warm_up(stage: &Stage) -> Result<(), Failure> {
    let deadline = Instant::now() + READY_WITHIN;
    let url = format!("{}{PRICED}", stage.gate);
    loop {
        let answer = stage.http.get(&url).send().await.map_err(http_failed)?;
        let is_offered = answer
            .headers()
            .contains_key(http::header::WWW_AUTHENTICATE);
        if is_offered || Instant::now() > deadline {
            return Ok(());
        }
    }
}

/// Buys over Lightning, uses the token up, and shows it once too often.
pub(super) async fn play(stage: &Stage, side: &Side, teller: &mut Teller) -> Result<(), Failure> {
    let paid = Box::pin(paid(stage, side)).await;
    let (step, transaction) = match paid {
        Ok((step, transaction)) => (step, transaction),
        Err(why) => (broken("paid_lightning", PAID, &why), None),
    };
    teller.paid_over_lightning(transaction);
    teller.step(step)?;
    let again = Box::pin(again(stage)).await;
    teller.step(again.unwrap_or_else(|why| broken("token", AGAIN, &why)))?;
    let used_up = used_up(stage).await;
    teller.step(used_up.unwrap_or_else(|why| broken("token_replay", USED_UP, &why)))
}

/// Compares ledgers and nodes.
pub(super) async fn balance(
    stage: &Stage,
    side: &Side,
    teller: &mut Teller,
) -> Result<(), Failure> {
    match books(stage, side).await {
        Ok((step, books)) => {
            teller.lightning_books(books);
            teller.step(step)
        }
        Err(why) => teller.step(broken("lightning_books", BOOKS, &why)),
    }
}

/// What the 402 asks over L402, as the buyer reads it: the amount is the invoice's.
pub(super) async fn offered(stage: &Stage, offers: &[Offer]) -> Result<(String, Value), Failure> {
    let challenge = offers.iter().find_map(|offer| match offer {
        Offer::L402(offer) => Some(offer),
        Offer::X402(_) => None,
    });
    let challenge = challenge.ok_or_else(|| failed("the 402 has no offer of L402"))?;
    let mut call = stage.call(PRICED)?;
    call.dry_run = true;
    let (fetched, _) = fetch(stage, call).await?;
    let plan = fetched
        .plan
        .ok_or_else(|| failed("nothing was explained"))?;
    let mut views = plan.offers.iter();
    let view = views.find(|offer| offer.protocol == Some("l402") && offer.payable);
    let amount = view.and_then(|view| view.amount);
    let amount = amount.ok_or_else(|| failed("the buyer cannot pay the invoice"))?;
    let invoice = &challenge.invoice;
    let line = format!(
        "offer: l402 {} sat by invoice on {NETWORK}, for a token that is good for {USES} requests",
        sat(amount)
    );
    let offer = json!({
        "protocol": "l402", "network": NETWORK, "amount": amount, "invoice": invoice,
    });
    Ok((line, offer))
}

async fn paid(stage: &Stage, side: &Side) -> Result<(Step, Option<String>), Failure> {
    let bought = buy_over(stage, "lightning").await?;
    let (status, payment) = (bought.status, &bought.payment);
    let transaction = payment.state.transaction.clone();
    let settled = payment.state.phase == Phase::Settled && payment.terms.rail == "lightning";
    let invoice = invoice(side, transaction.as_deref()).await?;
    let (is_paid, said) = match invoice {
        InvoiceState::Settled(paid) => (
            paid.amount == payment.terms.amount,
            format!("settled, {} sat", sat(paid.amount)),
        ),
        InvoiceState::Open => (false, "open".to_owned()),
        InvoiceState::Dead => (false, "unknown".to_owned()),
    };
    let step = Step {
        name: "paid_lightning",
        title: PAID,
        ok: status == 200 && settled && is_paid && bought.calls == 1,
        seen: vec![
            format!("GET {PRICED}  {status}  {}", bought.body),
            format!(
                "paid {} sat to {}, and {} sat for the way",
                sat(payment.terms.amount),
                payment.terms.payee,
                sat(fee(payment)),
            ),
            format!("payment hash {}", transaction.as_deref().unwrap_or("none")),
            format!("invoice at the seller's node: {said}"),
        ],
        detail: detail([
            ("status", json!(status)),
            ("payment", json!(payment.id)),
            ("amount", json!(payment.terms.amount)),
            ("fee", json!(fee(payment))),
            ("transaction", json!(transaction)),
        ]),
    };
    Ok((step, transaction))
}

async fn again(stage: &Stage) -> Result<Step, Failure> {
    let calls = stage.api.calls();
    let before = spent(stage).await?;
    let (fetched, body) = fetch(stage, stage.call(PRICED)?).await?;
    let status = fetched.status.as_u16();
    let is_same = spent(stage).await? == before;
    Ok(Step {
        name: "token",
        title: AGAIN,
        ok: status == 200 && fetched.is_reused && is_same && stage.api.calls() == calls + 1,
        seen: vec![
            format!("GET {PRICED}  {status}  {body}"),
            format!("paid nothing: the token is good for {USES} requests, and this was the last"),
        ],
        detail: detail([
            ("status", json!(status)),
            ("reused", json!(fetched.is_reused)),
        ]),
    })
}

async fn used_up(stage: &Stage) -> Result<Step, Failure> {
    let tokens = stage.buyer_ledger.tokens(None).await?;
    let token = tokens.first();
    let token = token.ok_or_else(|| failed("there is no token to show again"))?;
    // What it was sold for, and something else: neither may be served.
    let shown = show_again(stage, &token.credential, [PRICED, EXPENSIVE]).await?;
    // Used up, and sold for another route.
    let ok = shown.statuses == [402, 401];
    Ok(shown.into_step("token_replay", USED_UP, ok))
}

async fn books(stage: &Stage, side: &Side) -> Result<(Step, LightningBooks), Failure> {
    let spent = spent(stage).await?;
    let earned = sum_of(&*stage.seller_ledger, "seller/revenue/", NETWORK).await?;
    let [paid, node] = side.moved(&earned).await?;
    let step = Step {
        name: "lightning_books",
        title: BOOKS,
        ok: node != "0" && [&spent, &earned, &paid].into_iter().all(|sum| *sum == node),
        seen: vec![
            format!("the buyer's ledger   spent   {spent}"),
            format!("the seller's ledger  earned  {earned}"),
            format!("the buyer's node     paid    {paid}"),
            format!("the seller's node    got     {node}   (millisatoshis)"),
        ],
        detail: detail([
            ("buyer", json!(spent)),
            ("seller", json!(earned)),
            ("paid", json!(paid)),
            ("node", json!(node)),
        ]),
    };
    let books = LightningBooks {
        ledger: earned,
        node,
    };
    Ok((step, books))
}

/// What the buyer's books say was spent over Lightning.
async fn spent(stage: &Stage) -> Result<String, Failure> {
    sum_of(&*stage.buyer_ledger, "buyer/spent/", NETWORK).await
}

/// What the seller's node says of an invoice.
async fn invoice(side: &Side, hash: Option<&str>) -> Result<InvoiceState, Failure> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(hash.unwrap_or_default(), &mut bytes)
        .map_err(|why| failed(&format!("no payment hash: {why}")))?;
    let state = side.node.look_up(&bytes).await;
    state.map_err(|why| failed(&why.message))
}

/// What the way has cost.
fn fee(payment: &Payment) -> Amount {
    let buyer = payment.buyer.as_ref();
    let actual = buyer.and_then(|buyer| buyer.actual.as_ref());
    actual.map_or_else(Amount::default, |actual| actual.fee)
}

fn sat(amount: Amount) -> String {
    amount.to_decimal_string(SAT_DECIMALS)
}

fn failed(why: &str) -> Failure {
    Failure::internal("demo_failed", why)
}
