//! The Solana part of `farebox demo --all-rails`: the page that was bought on the EVM chain is bought again for tokens on
//! Solana, by x402, from the same gate.
//!
//! Called by `others`. Each step asks the network itself; the ledgers alone prove nothing here.

use farebox_core::ledger::PaymentId;
use farebox_core::payment::Phase;
use serde_json::json;

use super::report::{Books, Step, Teller};
use super::solana::Net;
use super::stage::Stage;
use super::steps::{PRICED, broken, buy_over, detail, replayed, sum_of};
use crate::failure::Failure;

/// How many steps there are.
pub(super) const COUNT: usize = 3;

const PAID: &str = "The same page over Solana";
const REPLAY: &str = "The same transaction again";
const BOOKS: &str = "The books of Solana";

/// The network, and what its accounts held before anything was sold on it.
pub(super) struct Side {
    net: Net,
    /// What buyer and payee had of the token at the start, in atomic units.
    before: [u64; 2],
}

impl Side {
    /// Looks at the accounts before the gate opens.
    ///
    /// # Errors
    /// Where the network has no such accounts.
    pub(super) fn new(net: Net) -> Result<Self, Failure> {
        let before = net.balances()?;
        Ok(Self { net, before })
    }

    /// What runs, in a line.
    pub(super) fn about(&self) -> String {
        format!("{} {}", self.net.rpc_url(), self.net.network())
    }

    /// Stops the network.
    pub(super) async fn stop(self) {
        self.net.stop().await;
    }

    /// What the buyer's account has lost and the payee's gained since the start, in atomic units.
    fn moved(&self) -> Result<[String; 2], Failure> {
        let [buyer_before, payee_before] = self.before;
        let [buyer, payee] = self.net.balances()?;
        let lost = buyer_before.checked_sub(buyer);
        let gained = payee.checked_sub(payee_before);
        let moved = lost.zip(gained);
        let (lost, gained) = moved.ok_or_else(|| failed("the money went the wrong way"))?;
        Ok([lost.to_string(), gained.to_string()])
    }
}

/// Buys over Solana, and shows the credential again.
pub(super) async fn play(stage: &Stage, side: &Side, teller: &mut Teller) -> Result<(), Failure> {
    let (step, paid) = match Box::pin(paid(stage, side)).await {
        Ok((step, id, transaction)) => (step, Some((id, transaction))),
        Err(why) => (broken("paid_solana", PAID, &why), None),
    };
    let (id, transaction) = paid.unzip();
    teller.paid_over_solana(transaction.flatten());
    teller.step(step)?;
    let step = replayed(stage, id, "solana_replay", REPLAY).await;
    teller.step(step.unwrap_or_else(|why| broken("solana_replay", REPLAY, &why)))
}

/// Compares ledgers and network.
pub(super) async fn balance(
    stage: &Stage,
    side: &Side,
    teller: &mut Teller,
) -> Result<(), Failure> {
    match books(stage, side).await {
        Ok((step, books)) => {
            teller.solana_books(books);
            teller.step(step)
        }
        Err(why) => teller.step(broken("solana_books", BOOKS, &why)),
    }
}

async fn paid(stage: &Stage, side: &Side) -> Result<(Step, PaymentId, Option<String>), Failure> {
    let bought = buy_over(stage, "solana").await?;
    let payment = &bought.payment;
    let terms = &payment.terms;
    let transaction = payment.state.transaction.clone();
    let signature = transaction.as_deref().unwrap_or_default();
    let landed = side.net.transaction(&stage.http, signature).await?;
    let has_run = landed["slot"].is_u64() && landed["meta"]["err"].is_null();
    let settled = payment.state.phase == Phase::Settled && terms.rail == "solana";
    let step = Step {
        name: "paid_solana",
        title: PAID,
        ok: bought.status == 200 && settled && has_run && bought.calls == 1,
        seen: vec![
            format!("GET {PRICED}  {}  {}", bought.status, bought.body),
            format!(
                "paid {} {} to {}",
                terms.amount.to_decimal_string(terms.decimals),
                terms.symbol,
                terms.payee
            ),
            format!("transaction {}", transaction.as_deref().unwrap_or("none")),
            format!(
                "transaction on Solana: slot {}, error {}, fee {} lamports, which the gate paid",
                landed["slot"], landed["meta"]["err"], landed["meta"]["fee"]
            ),
        ],
        detail: detail([
            ("status", json!(bought.status)),
            ("payment", json!(payment.id)),
            ("amount", json!(terms.amount)),
            ("transaction", json!(transaction)),
            ("slot", landed["slot"].clone()),
        ]),
    };
    Ok((step, bought.payment.id, transaction))
}

async fn books(stage: &Stage, side: &Side) -> Result<(Step, Books), Failure> {
    let network = side.net.network();
    let spent = sum_of(&*stage.buyer_ledger, "buyer/spent/", network).await?;
    let earned = sum_of(&*stage.seller_ledger, "seller/revenue/", network).await?;
    let [lost, gained] = side.moved()?;
    let step = Step {
        name: "solana_books",
        title: BOOKS,
        ok: gained != "0"
            && [&spent, &earned, &lost]
                .into_iter()
                .all(|sum| *sum == gained),
        seen: vec![
            format!("the buyer's ledger   spent   {spent}"),
            format!("the seller's ledger  earned  {earned}"),
            format!("the buyer's account  lost    {lost}"),
            format!("the payee's account  gained  {gained}   (atomic units)"),
        ],
        detail: detail([
            ("buyer", json!(spent)),
            ("seller", json!(earned)),
            ("lost", json!(lost)),
            ("chain", json!(gained)),
        ]),
    };
    let books = Books {
        ledger: earned,
        chain: gained,
    };
    Ok((step, books))
}

fn failed(why: &str) -> Failure {
    Failure::internal("demo_failed", why)
}
