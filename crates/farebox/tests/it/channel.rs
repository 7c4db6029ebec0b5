//! A seller and a buyer with a Lightning channel between them: two real nodes in this process, and the binary as gate
//! and as buyer, which reach them as they would reach lnd.
//!
//! The nodes are dear to start, so all tests share them, one test at a time: only then do their records say what
//! one test has moved.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use farebox_devnet_ln::{Devnet, DevnetOptions, LndNode};
use serde_json::Value;

use crate::market::Upstream;
use crate::support::{Ended, Running, User};

/// What a token costs: at [`USD_PER_BITCOIN`] 0.006 USD.
pub(crate) const PRICE: &str = "10 sat";
/// The same in the atomic units of Lightning.
pub(crate) const PRICE_MSAT: u64 = 10_000;
/// The same in dollars, as the budget shows it.
pub(crate) const PRICE_USD: &str = "0.006";
const USD_PER_BITCOIN: &str = "60000";
/// The seller's and the buyer's node.
const SELLER: usize = 0;
const BUYER: usize = 1;
/// Longer than any healthy machine needs; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The nodes, started by the first who needs them.
static NET: Mutex<Option<Devnet>> = Mutex::new(None);

/// Both nodes, while nobody else has them.
pub(crate) struct Net(MutexGuard<'static, Option<Devnet>>);

impl Net {
    pub(crate) fn take() -> Self {
        let mut net = NET.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = net.is_none();
        net.get_or_insert_with(|| {
            Devnet::start(DevnetOptions::default()).expect("two nodes and a channel")
        });
        let net = Self(net);
        if !is_new {
            // Whoever failed may have left a fault behind.
            for node in [SELLER, BUYER] {
                net.devnet().faults(node).clear();
            }
            // New books begin with what their node is paid from this second on: not with the last payment before.
            let taken_s = now_s();
            wait_until(|| now_s() > taken_s);
        }
        net
    }

    pub(crate) fn devnet(&self) -> &Devnet {
        self.0.as_ref().expect("started")
    }

    /// What the buyer's node has paid, fees included, and what the seller's node has received, in msat.
    fn moved_msat(&self) -> [u64; 2] {
        let paid = self.devnet().paid(BUYER).expect("it runs");
        let received = self.devnet().received(SELLER).expect("it runs");
        [paid, received].map(|all| all.iter().map(|one| one.msat + one.fee_msat).sum())
    }
}

/// Everything that a payment over Lightning needs.
pub(crate) struct Channel {
    pub(crate) user: User,
    pub(crate) upstream: Upstream,
    /// `None` while it is away.
    pub(crate) gate: Option<Running>,
    pub(crate) net: Net,
    address: String,
    before: [u64; 2],
}

impl Channel {
    /// Sells everything at the upstream; each token is good for so many requests.
    pub(crate) fn open(uses: u64) -> Self {
        Self::with("", &format!("uses = {uses}\n"))
    }

    /// The same with other keys at the top of the seller's file, and more about the route at its end.
    pub(crate) fn with(keys: &str, route: &str) -> Self {
        Self::over(Net::take(), keys, route)
    }

    /// The same over nodes that a test has already.
    pub(crate) fn over(net: Net, keys: &str, route: &str) -> Self {
        let (user, upstream) = (User::new(), Upstream::start());
        for (node, name) in net.devnet().nodes().iter().zip(["seller", "buyer"]) {
            user.write(&format!("{name}.macaroon"), &node.macaroon);
            user.write(&format!("{name}-tls.cert"), &node.cert);
        }
        let [seller, buyer] = net.devnet().nodes();
        let seller = format!(
            "ledger = \"sqlite:seller.db\"\n{keys}\n{}\n[l402]\nmaster_key = \"file:l402.key\"\n\
             [[route]]\nmatch = \"/*\"\nupstream = \"{}\"\nprice = \"{PRICE}\"\naccept = [\"l402\"]\n{route}",
            node_of(seller, "seller"),
            upstream.url(),
        );
        let buyer = format!(
            "ledger = \"sqlite:buyer.db\"\n{}\n[budget]\nper_payment = \"1 USD\"\nper_day = \"10 USD\"\ntotal = \"10 USD\"\n",
            node_of(buyer, "buyer"),
        );
        user.write("seller.toml", &seller);
        user.write("buyer.toml", &buyer);
        let before = net.moved_msat();
        let mut channel = Self {
            user,
            upstream,
            gate: None,
            net,
            address: "127.0.0.1:0".to_owned(),
            before,
        };
        channel.start_gate();
        channel
    }

    /// Starts the gate, from the second time on where it was.
    pub(crate) fn start_gate(&mut self) {
        let gate = self.another_gate();
        self.address = gate
            .text("/listening")
            .trim_start_matches("http://")
            .to_owned();
        self.gate = Some(gate);
    }

    /// A gate where this one was, for whoever has taken it away.
    pub(crate) fn another_gate(&self) -> Running {
        let gate = ["gate", "--config", "seller.toml", "--listen", &self.address];
        self.user.start(&[&gate[..], &["--json"]].concat())
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Fetches as the buyer.
    pub(crate) fn fetch(&self, arguments: &[&str]) -> Ended {
        let fetch = ["fetch", "--config", "buyer.toml"];
        self.user.run(&[&fetch[..], arguments].concat())
    }

    /// The same with `--json`: the exit code, which the object repeats, and the object.
    pub(crate) fn fetch_json(&self, arguments: &[&str]) -> (i32, Value) {
        let fetch = ["fetch", "--config", "buyer.toml"];
        let (exit, answer) = self.user.json(&[&fetch[..], arguments].concat());
        assert_eq!(answer["exit"], exit, "{answer}");
        (exit, answer)
    }

    /// The payments of one side, the newest first.
    pub(crate) fn payments(&self, role: &str) -> Vec<Value> {
        let config = format!("{role}.toml");
        let list = ["payments", "list", "--role", role, "--config", &config];
        let (exit, answer) = self
            .user
            .json(&[&list[..], &["--limit", "100000"]].concat());
        assert_eq!(exit, 0, "{answer}");
        answer["payments"].as_array().expect("payments").clone()
    }

    /// The buyer's tokens.
    pub(crate) fn tokens(&self) -> Vec<Value> {
        let list = ["token", "list", "--config", "buyer.toml"];
        let (exit, answer) = self.user.json(&list);
        assert_eq!(exit, 0, "{answer}");
        answer["tokens"].as_array().expect("tokens").clone()
    }

    /// The buyer's limit in total: what is spent and reserved of it.
    pub(crate) fn spent_and_reserved(&self) -> (String, String) {
        let show = ["budget", "show", "--config", "buyer.toml"];
        let (_, answer) = self.user.json(&show);
        let levels = answer["levels"].as_array().expect("levels");
        let total = levels.iter().find(|level| level["level"] == "total");
        let text = |key: &str| total.expect("a total")[key].as_str().expect("a sum");
        (text("spent").to_owned(), text("reserved").to_owned())
    }

    /// What has moved over the channel since it was opened here, in msat: out of the buyer's node and into the seller's.
    pub(crate) fn moved_msat(&self) -> [u64; 2] {
        let [paid, received] = self.net.moved_msat();
        [paid - self.before[0], received - self.before[1]]
    }

    /// Waits until both nodes say that so much has moved: the payer knows a little before the payee.
    pub(crate) fn assert_moved(&self, msat: u64) {
        let began = Instant::now();
        wait_until(|| {
            let moved = self.moved_msat();
            let is_late = began.elapsed() > PATIENCE / 2;
            assert!(moved == [msat, msat] || !is_late, "{moved:?}, not {msat}");
            moved == [msat, msat]
        });
    }
}

fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_secs()
}

/// Looks again and again until it is so.
pub(crate) fn wait_until(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "it never happened");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A network of Lightning with one of the nodes, and what a bitcoin is worth.
fn node_of(node: &LndNode, name: &str) -> String {
    format!(
        "[network.\"lightning:regtest\"]\n\
         node = {{ kind = \"lnd\", url = \"{}\", macaroon = \"file:{name}.macaroon\", cert = \"file:{name}-tls.cert\" }}\n\
         [rates]\n\"BTC/USD\" = {{ fixed = \"{USD_PER_BITCOIN}\" }}\n",
        node.url
    )
}
