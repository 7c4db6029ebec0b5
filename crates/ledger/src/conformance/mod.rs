//! The rules that every store of core's [`Ledger`](farebox_core::ledger::Ledger) must keep.
//!
//! `ledger_conformance!(make)` expands them into tests; `make` is a function that gives an empty
//! [`Store`]. Only for tests of stores: everything here panics where a rule is broken.

mod budgets;
mod calls;
mod claims;
mod events;
pub mod kit;
mod reading;
mod tokens;
mod uses;
mod walks;

pub use budgets::*;
pub use calls::*;
pub use claims::*;
pub use events::*;
pub use kit::Store;
pub use reading::*;
pub use tokens::*;
pub use uses::*;
pub use walks::*;

/// Expands the suite into one Tokio test for each rule.
#[macro_export]
macro_rules! ledger_conformance {
    ($make:path) => {
        $crate::ledger_conformance!(@rules $make;
            // Claims of sellers and facilitators.
            a_hundred_parallel_claims_of_one_identity_have_one_first
            a_balance_for_one_payment_is_claimed_once
            a_claim_is_found_by_its_identity_in_its_role_only
            claims_that_may_still_be_served_are_listed
            a_released_claim_comes_again_as_new_and_once
            a_repeat_needs_no_balance
            what_settles_after_the_mark_is_gone_from_the_balance
            a_reorg_never_makes_a_payer_look_richer
            payers_do_not_share_a_balance
            without_a_balance_one_claim_at_a_time
            a_buyer_cannot_claim
            an_amount_beyond_the_books_is_refused_and_leaves_nothing
            // What was paid by invoice.
            a_hundred_parallel_uses_of_seven_give_seven
            a_use_that_was_given_back_is_taken_again
            copies_with_fewer_uses_share_the_counter
            a_use_and_the_rails_word_book_one_payment
            what_is_booked_is_final_and_undelivered_until_it_is_delivered
            what_is_revoked_gives_no_use
            uses_without_a_limit_are_not_counted
            uses_and_what_was_told_are_kept
            a_word_that_does_not_fit_leaves_nothing
            // Budgets.
            without_a_budget_nothing_is_spent
            every_limit_allows_itself_and_not_a_millionth_more
            an_agent_needs_its_own_budget_and_the_owners
            at_midnight_the_day_begins_anew_and_the_total_does_not
            a_payment_counts_on_the_day_of_its_reserve
            five_hundred_parallel_reserves_spend_a_budget_for_a_hundred
            a_budget_is_seeded_once_and_changed_limit_by_limit
            a_denied_reserve_leaves_nothing
            // Logical calls.
            of_parallel_twins_one_is_first
            a_call_that_ended_is_bought_anew
            a_fresh_reserve_ignores_the_open_one
            a_hold_counted_as_spent_ends_the_call
            // Events.
            a_buyers_money_follows_every_effect
            a_sellers_money_follows_every_effect
            a_repeated_event_changes_nothing
            an_illegal_event_changes_nothing
            events_in_turn_are_taken_all_or_none
            an_event_on_many_is_as_on_each
            of_abandoning_and_sending_one_wins
            every_transaction_that_was_sent_is_kept_once
            what_is_attached_stays
            a_lease_is_renewed_by_its_owner_only
            an_unknown_payment_is_not_found
            postings_are_not_left_to_the_caller
            // Reading.
            payments_are_listed_newest_first
            pages_follow_each_other_without_a_gap
            only_what_a_rail_must_be_asked_about_is_open
            a_payment_comes_back_whole_after_reopening
            books_are_one_snapshot_while_others_write
            a_probe_changes_nothing
            // Fees and tokens.
            a_fee_is_held_at_its_most_and_spent_as_it_was
            a_fee_that_was_never_paid_is_given_back
            a_fee_that_is_heard_of_late_gives_the_rest_back
            a_fee_follows_its_amount_through_a_reorg
            a_name_on_the_rail_belongs_to_one_payment_that_has_money
            a_token_is_kept_with_its_payment_and_once
            tokens_are_found_changed_and_removed
            // Everything at once.
            random_events_keep_the_books_balanced
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
