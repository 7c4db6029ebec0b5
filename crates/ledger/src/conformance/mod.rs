//! The rules that every store of core's [`Ledger`](farebox_core::ledger::Ledger) must keep.
//!
//! `ledger_conformance!(make)` expands them into tests; `make` is a function that gives an empty
//! [`Store`]. Only for tests of stores: everything here panics where a rule is broken.

mod claims;
pub mod kit;

pub use claims::*;
pub use kit::Store;

/// Expands the suite into one Tokio test for each rule.
#[macro_export]
macro_rules! ledger_conformance {
    ($make:path) => {
        $crate::ledger_conformance!(@rules $make;
            a_hundred_parallel_claims_of_one_identity_have_one_first
            a_balance_for_one_payment_is_claimed_once
        );
    };
    (@rules $make:path; $($rule:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $rule() {
                $crate::conformance::$rule(&$make()).await;
            }
        )*
    };
}
