//! The rules that every rail must keep, whatever its money is and whichever comes first, money or
//! credential: one list for all.
//!
//! Only for tests of rails: everything here panics where a rule is broken. It must never be on in a
//! product.
//!
//! # How a rail brings its fixture
//!
//! A fixture is a network of its own with a buyer who has money and a seller. It says what only the
//! network can ([`LocalNet`]: what the seller has earned, faults, time), and hands out the rail
//! itself, in the manner of its kind:
//!
//! - [`SignedNet`], where a credential comes first and the seller's side moves the money: payers are
//!   [`PayRail`](crate::rail::PayRail)s, the seller is a
//!   [`CollectRail`](crate::rail::CollectRail) (EVM, Solana).
//! - [`PrepaidNet`], where the money moves first and its proof is the credential: the payer is a
//!   `PayRail` whose [`pay`](crate::rail::PayRail::pay) pays, the seller an
//!   [`InvoiceRail`](crate::invoice::InvoiceRail) (Lightning).
//!
//! ```ignore
//! // A network for each rule, as a test of its own: where one begins in no time.
//! farebox_core::rail_conformance!(signed, Evm::start);
//! // One network for the whole list, in one test: where it takes seconds to begin.
//! farebox_core::rail_conformance!(prepaid, Lightning::start, one_network);
//! ```
//!
//! The second word is an `async fn() -> N` without arguments; the tests are multi-threaded Tokio's, so
//! the crate needs `tokio` with macros and this crate with the feature `conformance`, both as
//! development dependencies. A rail of a new kind implements [`Fixture`] itself and is expanded as
//! `any`: it keeps the rules that all kinds have.
//!
//! What else tests of a rail are written with: [`Recorder`], [`signed()`], [`signed_for`],
//! [`offer`], [`transaction`].

mod kit;
mod prepaid;
mod rules;
mod signed;

use async_trait::async_trait;

use crate::rail::{Finding, Refusal};

pub use kit::{Recorder, transaction};
pub use prepaid::{Invoiced, Prepaid, PrepaidNet};
pub use prepaid::{success_without_a_proof_stays_unknown, what_the_seller_withdrew_is_not_paid};
pub use rules::*;
pub use signed::{Credited, Signed, SignedNet, WAIT_MS, offer, signed, signed_for};
pub use signed::{
    a_process_that_knows_nothing_finds_the_first_settlement, a_used_credential_does_not_verify,
    without_a_line_in_the_journal_nothing_leaves,
};

/// What a network of its own can tell and be told, whatever its kind.
pub trait LocalNet: Send + Sync + 'static {
    /// What the seller has, in atomic units.
    fn revenue(&self) -> u128;

    /// Moves every clock that matters past the end of everything that was offered or signed so far.
    fn expire(&self);

    /// Makes the network, or the nodes of both sides, unreachable, or reachable again.
    fn cut_off(&self, is_cut: bool);

    /// The reply to the next sending of money gets lost, though it is done.
    fn lose_reply(&self);

    /// From now on what is sent stays on its way and decides nothing, or goes on.
    fn hold(&self, is_held: bool);

    /// Ends the faults of one rule and brings the clocks back, where the network is used for the
    /// next one too (`one_network`).
    fn clear(&self) {}

    /// How many payments are made at once.
    fn many(&self) -> usize {
        50
    }
}

/// What became of an attempt to pay, whoever moves the money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payment {
    /// The money has moved.
    Paid {
        /// The name under which the rail has it.
        transaction: String,
        /// What is equal where the same payment was proven again: where the proof is secret, its
        /// digest.
        proof: String,
    },
    /// It has not and, by this attempt, will not.
    Refused {
        /// Machine code.
        code: String,
        /// Whether the fault is not the buyer's, so that the same may be tried again.
        is_ours: bool,
    },
    /// Nobody knows yet.
    Unknown {
        /// Machine code.
        reason: String,
    },
}

/// What the rules ask of a rail, in terms of *deals*: a deal is one payment that the seller has
/// offered and the buyer has quoted and authorised. [`Signed`] and [`Prepaid`] implement it over
/// networks of the two kinds.
#[async_trait]
pub trait Fixture: Send + Sync + 'static {
    /// One payment, as both sides know it.
    type Deal: Send + Sync + 'static;
    /// Where it is paid.
    type Net: LocalNet;

    /// The network.
    fn net(&self) -> &Self::Net;

    /// A new deal. What the buyer was quoted is what the seller has asked for.
    async fn begin(&self) -> Self::Deal;

    /// A deal of a buyer who cannot pay it; or the code by which his own side has refused it.
    async fn begin_without_money(&self) -> Result<Self::Deal, String>;

    /// What the seller gets, in atomic units.
    fn amount(&self, deal: &Self::Deal) -> u128;

    /// Moves the money, and waits long enough.
    async fn pay(&self, deal: &Self::Deal) -> Payment;

    /// The same, and waits for less than is needed where something is slow.
    async fn pay_briefly(&self, deal: &Self::Deal) -> Payment;

    /// The same at the same time as others: by another process, where two may be at it.
    async fn pay_beside(&self, deal: &Self::Deal) -> Payment;

    /// The same by a process that has just started and has nothing but what is on record.
    async fn pay_restarted(&self, deal: &Self::Deal) -> Payment;

    /// What the buyer's side learns when it asks.
    async fn buyer_sees(&self, deal: &Self::Deal) -> Finding;

    /// What the seller's side learns when it asks.
    async fn seller_sees(&self, deal: &Self::Deal) -> Finding;

    /// The same of a deal that was paid, once the seller's side has heard of it.
    async fn seller_hears(&self, deal: &Self::Deal) -> Finding;

    /// Whether the seller would serve; `None` where there is nothing to verify before the money has
    /// moved.
    async fn verify(&self, deal: &Self::Deal) -> Option<Result<(), Refusal>>;

    /// How often something has left for this deal; `None` where no journal of this process tells.
    fn sent(&self, deal: &Self::Deal) -> Option<usize>;

    /// The code by which a payer without money is refused.
    fn unfunded(&self) -> String;
}

/// Expands the list into tests: `rail_conformance!(kind, make)` or
/// `rail_conformance!(kind, make, one_network)`, where `kind` is `signed`, `prepaid` or `any`.
#[macro_export]
macro_rules! rail_conformance {
    // Where a credential comes first: the list, and what only such a rail can break.
    (signed, $make:path $(, $how:ident)?) => {
        $crate::rail_conformance!(@list [$($how)?] ($crate::conformance::Signed($make().await));
            a_used_credential_does_not_verify
            without_a_line_in_the_journal_nothing_leaves
            a_process_that_knows_nothing_finds_the_first_settlement
        );
    };
    // Where the money moves first: the list, and what only such a rail can break.
    (prepaid, $make:path $(, $how:ident)?) => {
        $crate::rail_conformance!(@list [$($how)?] ($crate::conformance::Prepaid($make().await));
            what_the_seller_withdrew_is_not_paid
            success_without_a_proof_stays_unknown
        );
    };
    // Where the fixture is of a kind of its own.
    (any, $make:path $(, $how:ident)?) => {
        $crate::rail_conformance!(@list [$($how)?] ($make().await););
    };
    // The list.
    (@list $how:tt $fixture:tt; $($of_its_kind:ident)*) => {
        $crate::rail_conformance!(@expand $how $fixture;
            what_is_offered_can_be_paid_and_both_sides_see_it
            paying_again_gives_the_same_proof_and_moves_nothing
            paying_three_times_at_once_pays_once
            many_are_paid_at_once
            a_payer_without_money_pays_nothing
            a_lost_reply_is_asked_for_and_not_paid_again
            what_is_in_flight_stays_open_and_settles_late
            what_expired_unused_never_will_settle
            a_settlement_outlives_its_expiry
            a_rail_that_cannot_be_asked_tells_and_refuses_nothing_final
            $($of_its_kind)*
        );
    };
    (@expand [] ($fixture:expr); $($rule:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $rule() {
                $crate::conformance::$rule(&::std::sync::Arc::new($fixture)).await;
            }
        )*
    };
    (@expand [one_network] ($fixture:expr); $($rule:ident)*) => {
        /// The whole list over one network, which takes seconds to begin.
        #[tokio::test(flavor = "multi_thread")]
        async fn every_rule_of_the_list_holds() {
            use $crate::conformance::{Fixture as _, LocalNet as _};
            let fixture = ::std::sync::Arc::new($fixture);
            $(
                // Which one it was, where it fails.
                eprintln!("rule: {}", stringify!($rule));
                $crate::conformance::$rule(&fixture).await;
                fixture.net().clear();
            )*
        }
    };
}
