//! Gas is planned so that a full transaction stays under its limit.

use super::*;

const TOKEN: EvmAddress = EvmAddress([1; 20]);

#[test]
fn two_hundred_payments_fit_into_one_transaction_and_its_limit() {
    let gas = Costs::default().of(TOKEN);
    assert_eq!(gas.payments_max(), super::super::PAYMENTS_MAX);
    assert!(gas.limit(gas.payments_max()) <= GAS_MAX);
    assert!(!gas.is_seen);
}

#[test]
fn a_dear_token_gets_more_gas_and_less_company() {
    let costs = Costs::default();
    costs.seen(TOKEN, 10, 60_000 + 10 * 200_000);
    let gas = costs.of(TOKEN);
    assert!(gas.is_seen);
    assert!(gas.each >= 300_000);
    let payments = gas.payments_max();
    assert!(payments < 60, "{payments}");
    assert!(gas.limit(payments) <= GAS_MAX);
}

#[test]
fn what_is_seen_falls_slowly_and_rises_at_once() {
    let costs = Costs::default();
    let each = |costs: &Costs| costs.typical();
    costs.seen(TOKEN, 1, 160_000);
    assert_eq!(each(&costs), 100_000);
    costs.seen(TOKEN, 1, 60_000);
    assert_eq!(each(&costs), 100_000 - 100_000 / 16);
    costs.seen(TOKEN, 1, 260_000);
    assert_eq!(each(&costs), 200_000);
}

#[test]
fn one_payment_that_needs_a_whole_transaction_still_goes() {
    let costs = Costs::default();
    costs.seen(TOKEN, 1, u128::MAX);
    assert_eq!(costs.of(TOKEN).payments_max(), 1);
}
