//! Collects through x402 facilitators elsewhere: a seller needs no gas key and no node.
//!
//! [`RemoteCollector`] stands in front of a local rail. Offers, and every check that needs no
//! chain, stay local: our own table of tokens, our own recovery of signatures (ARCHITECTURE law
//! 8). Facilitators are asked to verify and to settle. Where the local rail can ask the chain, a
//! facilitator's word is only a hint, and the chain decides; where it cannot, the word is all
//! there is, and is marked as such.
//!
//! What can move money is the credential itself, so handing it to a facilitator's `/settle` is
//! the step that law 2 speaks of. The journal gets a line **before** the request leaves, in one
//! stroke with the handle that says who is about to get it. From then on that facilitator, and
//! nobody else, is asked: two of them with one authorization would send two transactions, one of
//! which fails at somebody's cost, and would give two answers for one payment.
//!
//! | state | crash | timeout, no answer | repeat | concurrent twin | lying peer |
//! |---|---|---|---|---|---|
//! | **verifying**: nothing is written | nothing has happened | the next facilitator is asked | as new | the seat and the claim let one through | "valid" for what is not: our own recovery and the chain, where there is one, say no first; without a chain the upstream works for nothing once, and nothing is delivered unsettled. "Invalid" for what is good: a sale is lost |
//! | **knocking**: is anybody there? asked before the line is written | nothing was sent | the next facilitator; none is left: nothing was sent, the claim is given back | as new | – | answers and then does not: see below |
//! | **handed over**: the line and the name of the facilitator are durable | the same facilitator is asked again, with the same bytes and the same `Idempotency-Key` | asked again until the time is up, and the chain beside it; then `Unknown`, and the watch goes on | told `settlement_pending`; nothing new is sent | the ledger has one claim, the seller one seat | see the next rows |
//! | **provably not sent**: no connection, DNS, TLS | as handed over: it is asked again | the next facilitator, or the local rail before its first transaction, gets a line and the credential; none is left: `Unknown`, asked again later | as above | as above | – |
//! | **said `success: true`** | the hash is in the journal; asked again, or found on the chain | the chain is asked until the time is up | let through once it is proven | – | not on the chain: `Unknown`, and an alert in the log. Without a chain it is settled by its word, and the receipt says so; no hash, another network, payer or amount: no answer |
//! | **said `settlement_pending`** | as handed over | asked once more with the same bytes, then `Unknown` with its hash | told to wait | – | the chain decides; without one it stays `Unknown` until the credential is over |
//! | **said `success: false`** | as handed over | the chain is asked | rejected as before | – | the chain has the payment: settled. The chain has it unused and funded: the facilitator is wrong or in trouble, `Unknown`, asked again; the credential is not burned. Only what the chain confirms is rejected. Without a chain a reason that is the buyer's own fault is believed where this was the first ask and no transaction is named: later the money that is missing may be the money that was paid. Any other is not a verdict |
//! | **garbage, a redirect elsewhere, too many bytes** | as handed over | as no answer | – | – | as no answer: it may have settled all the same |
//!
//! On Solana the same holds, and one fact more: the buyer signs over who pays the fee, so an offer
//! names the fee payer of the facilitator that is to settle it, and nobody else can.
//!
//! | state | crash | timeout, no answer | repeat | concurrent twin | lying peer |
//! |---|---|---|---|---|---|
//! | **offered**: the 402 names the fee payer of the first facilitator that answers | offers are made anew; what was signed for those before is not taken, and cannot be settled by anybody | whoever gave no answer is passed over: the offers name the next one's, and the first one's again once it answers (asked every ten seconds). What was offered before is taken for as long as it said | – | – | names a fee payer that is not its own: it cannot settle, nothing is delivered. Another one each time: what was named before stands as long as it lists it among its signers |
//! | **verifying** | as above | the next facilitator *with this fee payer*; without one nobody can: the buyer is told that the fault is ours, and what was signed dies with its blockhash | as above | as above | as above |
//! | **handed over** | as above; the message is what the chain runs once, so that even a second sender could not pay twice | as above; it is over once its blockhash is, and the chain has no such message | as above | as above | as above |
//! | **provably not sent** | as above | the next facilitator with this fee payer, or the local rail where the key is its own | as above | as above | – |
//! | **said `success: true`** | as above; a name on record is asked for at once | as above | as above | – | the name must be the fee payer's signature of this very message, which is looked at without a chain; anything else is no answer. One that is, and that no block has: `Unknown`, and the message is looked for under any name |
//! | **never said the name** | the payer's token account is looked through for the message | as above | – | – | as above |
//!
//! A facilitator that was taken out of the configuration is not replaced for payments that it
//! may have: the chain alone is asked about those.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::float_arithmetic
    )
)]

mod answer;
mod collector;
mod crew;
mod diagnose;
mod facilitator;
mod lent;
mod local;
mod options;
#[cfg(any(test, feature = "fuzzing"))]
pub mod readers;
mod settle;
mod supported;
mod transport;
mod verified;

pub use crate::collector::RemoteCollector;
pub use crate::crew::FeePayers;
pub use crate::diagnose::diagnose;
pub use crate::options::{Place, RemoteOptions};
