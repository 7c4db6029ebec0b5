//! What the chain says the payee was paid during a test.

use super::{Net, PAYEE};
use crate::market::Market;

/// Watches the payee's account.
pub(crate) struct Payee {
    start: u128,
}

impl Payee {
    /// Starts to watch.
    pub(crate) fn watch<N: Net>(market: &Market<N>) -> Self {
        Self {
            start: balance(market),
        }
    }

    /// What has come in since, in atomic units.
    pub(crate) fn income<N: Net>(&self, market: &Market<N>) -> u128 {
        balance(market) - self.start
    }
}

/// What the chain says, which is what a user is shown. Only while nothing moves: the two are asked one after the other.
fn balance<N: Net>(market: &Market<N>) -> u128 {
    let balance = market.net.balance(PAYEE);
    assert_eq!(market.balance_of("net/payee.toml"), balance);
    balance
}
