//! The networks on which the same rules are tried: each a real one in this process, with its faults at hand.
//!
//! A rule is written once, for any [`Net`], and [`on_every_network`] tries it on all of them. What is different between two
//! networks stands in their files beside this one, with the reason; a rule itself never asks which network it is on.

mod evm;
mod payee;
mod solana;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use farebox_core::rail::PayRail;
use serde_json::{Map, Value, json};

pub(crate) use self::evm::Evm;
pub(crate) use self::payee::Payee;
pub(crate) use self::solana::Solana;

use crate::market::{Market, Upstream};
use crate::support::{Running, User};

/// What everything costs that is sold here, in atomic units of a token with six decimals.
pub(crate) const PRICE_ATOMIC: u128 = 1_000;
pub(crate) const PRICE: &str = "0.001 USD";
/// Blocks after which a block is final where blocks come by the clock: deeper than any reorganisation of a test.
pub(crate) const FINAL_BLOCKS: u64 = 8;
/// The accounts of every network: who pays fees, who buys, who is paid.
pub(crate) const FEES: usize = 0;
pub(crate) const BUYER: usize = 1;
pub(crate) const PAYEE: usize = 9;

/// When transactions are carried out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// When they are sent, and they are final then.
    AtOnce,
    /// In a block each so often; it is final when [`FINAL_BLOCKS`] follow.
    Blocks(Duration),
}

/// What a node does to a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// It carries the call out and hangs up without a reply.
    LoseReply,
    /// It hangs up and does nothing.
    Disconnect,
    /// It carries the call out, but only after this time.
    Delay(Duration),
    /// It has no time: HTTP status 503.
    Unavailable,
    /// It answers what is no JSON.
    Garbage,
    /// It says no, in words of its own.
    Refuse,
}

/// A network under test.
pub(crate) trait Net: Sized + Send + Sync + 'static {
    /// The rail's name, as configuration has it: in `[pay_to]`, in `signer`, and before `_key` in `[wallet]`.
    const RAIL: &'static str;
    /// The call that hands a transaction to a node.
    const SEND: &'static str;

    /// Starts it.
    fn start(pace: Pace) -> Self;

    /// Its CAIP-2 name.
    fn network(&self) -> String;

    /// What version 1 calls it.
    fn network_v1(&self) -> &'static str;

    /// Its JSON-RPC.
    fn rpc_url(&self) -> String;

    /// Its table of a configuration file.
    fn table(&self) -> String;

    /// The secret of an account, as key files have it.
    fn key(&self, account: usize) -> String;

    /// The address of an account, as offers have it.
    fn address(&self, account: usize) -> String;

    /// The dollar token, as offers have it.
    fn token(&self) -> String;

    /// What an offer says besides, so that it can be paid.
    fn extra(&self) -> Value;

    /// What an account has of the token in the newest block, in atomic units.
    fn balance(&self, account: usize) -> u128;

    /// Somebody who signs, with an account of his own by this number and nothing in it.
    fn payer(&self, number: u16) -> Arc<dyn PayRail>;

    /// Gives such accounts so many atomic units each, for good.
    fn fund(&self, accounts: &[(u16, u64)]);

    /// The buyer of the files.
    fn buyer(&self) -> Arc<dyn PayRail>;

    /// The next so many calls of a method meet trouble; `None` stands for all methods.
    fn trouble(&self, method: Option<&str>, trouble: Trouble, times: u32);

    /// Every transaction from now on is taken and told of as ever, and never carried out, until [`Net::clear`].
    fn swallow(&self);

    /// Ends all trouble, and [`Net::swallow`].
    fn clear(&self);

    /// Stops carrying out transactions; they are still taken.
    fn hold(&self);

    /// Takes it up again.
    fn release(&self);

    /// Lets so much of the chain's time pass that no credential made so far can be carried out any more, and that the
    /// chain is sure of it.
    fn outlive(&self);

    /// By the identity of each payment that the chain has carried out, the transaction that did. Each stands there once,
    /// or this panics.
    fn carried_out(&self, http: &reqwest::Client) -> impl Future<Output = HashMap<String, String>>;
}

/// Tries the rules, each with an attribute or none before it, on every network.
macro_rules! on_every_network {
    ($($(#[$about:meta])* $rule:ident),+ $(,)?) => {
        $crate::nets::on_every_network!(@one evm Evm $($(#[$about])* $rule),+);
        $crate::nets::on_every_network!(@one solana Solana $($(#[$about])* $rule),+);
    };
    (@one $name:ident $net:ident $($(#[$about:meta])* $rule:ident),+) => {
        mod $name {
            $(
                #[test]
                $(#[$about])*
                fn $rule() {
                    super::$rule::<$crate::nets::$net>();
                }
            )+
        }
    };
}
pub(crate) use on_every_network;

/// `seller.toml`, `buyer.toml`, `payee.toml` and the keys, in `net`: the same as `farebox devnet --write` leaves, but for a
/// file by which `farebox wallet balance` shows what the payee has.
fn write_files<N: Net>(net: &N, user: &User) {
    std::fs::create_dir(user.path("net")).expect("a folder");
    for (name, account) in [("fees", FEES), ("buyer", BUYER), ("payee", PAYEE)] {
        write_key(user, &format!("net/{name}.key"), &net.key(account));
    }
    let (rail, table, payee) = (N::RAIL, net.table(), net.address(PAYEE));
    let wallet = |name: &str| format!("[wallet]\n{rail}_key = \"file:{name}.key\"\n");
    user.write(
        "net/seller.toml",
        &format!(
            "ledger = \"sqlite:seller.db\"\n{table}[pay_to]\n{rail} = \"{payee}\"\n\
             [facilitator]\nurls = [\"local\"]\nsigner = {{ {rail} = \"file:fees.key\" }}\n"
        ),
    );
    user.write(
        "net/buyer.toml",
        &format!(
            "ledger = \"sqlite:buyer.db\"\n{table}{}[budget]\nper_payment = \"1 USD\"\ntotal = \"10 USD\"\n",
            wallet("buyer")
        ),
    );
    user.write("net/payee.toml", &format!("{table}{}", wallet("payee")));
}

/// A key file that its owner alone can read.
pub(crate) fn write_key(user: &User, name: &str, key: &str) {
    user.write(name, key);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let owner_only = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(user.path(name), owner_only).expect("the test's file is ours");
    }
}

/// The offer of a payment to the payee, as version 2 has it.
pub(crate) fn offer<N: Net>(net: &N, max_timeout_s: u64) -> Value {
    json!({
        "scheme": "exact", "network": net.network(), "amount": PRICE_ATOMIC.to_string(),
        "asset": net.token(), "payTo": net.address(PAYEE), "maxTimeoutSeconds": max_timeout_s,
        "extra": net.extra(),
    })
}

/// The same as version 1 has it.
pub(crate) fn offer_v1<N: Net>(net: &N, max_timeout_s: u64) -> Value {
    let mut offer = offer(net, max_timeout_s);
    let offer_v2: &mut Map<String, Value> = offer.as_object_mut().expect("an object");
    let amount = offer_v2.remove("amount").expect("an amount");
    offer_v2.insert("maxAmountRequired".to_owned(), amount);
    offer_v2.insert("network".to_owned(), net.network_v1().into());
    for (name, text) in [
        ("resource", "https://api.example.com/"),
        ("description", ""),
        ("mimeType", ""),
    ] {
        offer_v2.insert(name.to_owned(), text.into());
    }
    offer
}

/// Calls a method of a node that is in no trouble.
pub(crate) async fn rpc(http: &reqwest::Client, url: &str, calls: &Value) -> Value {
    let request = http.post(url).header("content-type", "application/json");
    let answer = request.body(calls.to_string()).send().await;
    let body = answer.expect("the node answers").bytes().await;
    serde_json::from_slice(&body.expect("a body")).expect("JSON")
}

impl<N: Net> Market<N> {
    /// Sells everything at the upstream for [`PRICE`] on a network of this pace.
    pub(crate) fn on(pace: Pace) -> Self {
        let (user, net, upstream) = (User::new(), N::start(pace), Upstream::start());
        write_files(&net, &user);
        let mut market = Self::of(user, net, upstream);
        let gate = market.start_gate("127.0.0.1:0");
        market.opened(gate);
        market
    }

    /// Starts a gate at this address.
    pub(crate) fn start_gate(&self, listen: &str) -> Running {
        let url = self.upstream.url();
        let usual = ["gate", "--config", "net/seller.toml", "--json"];
        let what = ["--upstream", &url, "--price", PRICE, "--listen", listen];
        self.user.start(&[&usual[..], &what].concat())
    }

    /// Host and port of the gate.
    pub(crate) fn listen(&self) -> String {
        self.url("").trim_start_matches("http://").to_owned()
    }
}
