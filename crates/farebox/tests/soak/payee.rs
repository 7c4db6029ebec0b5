//! What the chain says the payee was paid during a run.

use crate::market::Market;

/// A file by which `farebox wallet balance` shows the payee's account.
const FILE: &str = "net/payee.toml";

/// Watches the payee's account.
pub(crate) struct Payee {
    start: u128,
}

impl Payee {
    /// Starts to watch.
    pub(crate) fn watch(market: &Market) -> Self {
        let file = market.user.read("net/buyer.toml");
        let (network, _) = file.split_once("[wallet]").expect("the file has a wallet");
        market
            .user
            .write("net/payee.key", &market.net.text("/evm/accounts/9/key"));
        market.user.write(
            FILE,
            &format!("{network}[wallet]\nevm_key = \"file:payee.key\"\n"),
        );
        Self {
            start: market.balance_of(FILE),
        }
    }

    /// What has come in since, in atomic units.
    pub(crate) fn income(&self, market: &Market) -> u128 {
        market.balance_of(FILE) - self.start
    }
}
