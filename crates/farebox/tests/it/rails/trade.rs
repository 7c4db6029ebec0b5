//! A gate and a buyer, two processes on one machine, each with a Lightning node of its own in it: nobody runs any other
//! software but the chain.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use farebox_devnet_ln::{Devnet, DevnetOptions};
use serde_json::{Value, json};

use crate::market::Upstream;
use crate::support::{Ended, Running, User};

/// What one token costs, in millisatoshis.
const PRICE_MSAT: u64 = 21_000;
/// What the channel holds, in satoshis.
const CHANNEL_SATS: u64 = 200_000;

/// A chain, a seller and a buyer, each with a folder and a node of its own.
struct Market {
    chain: Devnet,
    upstream: Upstream,
    seller: User,
    buyer: User,
    /// Where the seller's node listens.
    peers: u16,
    /// Where the gate listens.
    front: u16,
}

/// A free port that the system does not give to outgoing connections, so that it stays free while nobody listens there.
fn free_port() -> u16 {
    loop {
        let mut random = [0; 2];
        getrandom(&mut random);
        let port = 12_000 + u16::from_le_bytes(random) % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn getrandom(bytes: &mut [u8]) {
    use ring::rand::SecureRandom as _;
    let filled = ring::rand::SystemRandom::new().fill(bytes);
    filled.expect("randomness");
}

impl Market {
    /// On a chain that mines by itself where a transaction waits, or only when it is told to.
    fn new(automine: bool) -> Self {
        let options = DevnetOptions {
            automine,
            ..DevnetOptions::default()
        };
        let market = Self {
            chain: Devnet::start(options).expect("a chain"),
            upstream: Upstream::start(),
            seller: User::new(),
            buyer: User::new(),
            peers: free_port(),
            front: free_port(),
        };
        let listen = format!(", listen = [\"127.0.0.1:{}\"]", market.peers);
        let route = format!(
            "[[route]]\nmatch = \"GET /*\"\nupstream = \"{}\"\nprice = \"21 sat\"\nuses = 2\n",
            market.upstream.url()
        );
        let budget = "[budget]\nper_payment = \"1 USD\"\nper_day = \"1 USD\"\ntotal = \"1 USD\"\n";
        market.configure(&market.seller, &listen, &route);
        market.configure(&market.buyer, "", budget);
        market
    }

    fn configure(&self, user: &User, listen: &str, rest: &str) {
        let rpc = self.chain.bitcoind_rpc();
        user.write("chain.txt", &rpc.password);
        let chain = format!(
            "bitcoind = {{ host = \"{}\", port = {}, user = \"{}\", password = \"file:chain.txt\" }}",
            rpc.address.ip(),
            rpc.address.port(),
            rpc.user
        );
        let file = format!(
            "[network.\"lightning:regtest\"]\nnode = {{ kind = \"embedded\", chain = {{ {chain} }}{listen} }}\n\n[rates]\n\"BTC/USD\" = {{ fixed = \"60000\" }}\n\n{rest}"
        );
        user.write("farebox.toml", &file);
    }

    /// Sends coins to a user's node.
    fn fund(&self, user: &User, sats: u64) {
        let address = done(user, &["node", "address"]);
        let address = address["address"].as_str().expect("an address");
        self.chain.fund(address, sats).expect("a faucet");
    }

    fn gate(&self) -> Running {
        let listen = format!("127.0.0.1:{}", self.front);
        self.seller.start(&[
            "gate",
            "--config",
            "farebox.toml",
            "--listen",
            &listen,
            "--json",
        ])
    }

    /// Keeps the seller's node up.
    fn node(&self) -> Running {
        let arguments = ["node", "run", "--config", "farebox.toml", "--json"];
        let running = self.seller.start(&arguments);
        let listening = running.text("/listening/0");
        assert_eq!(listening, format!("127.0.0.1:{}", self.peers));
        running
    }

    /// The place of the seller's node, for who wants a channel to it.
    fn place(&self, pubkey: &str) -> String {
        format!("{pubkey}@127.0.0.1:{}", self.peers)
    }

    /// Buys, and says what paid for it and what it has cost.
    fn buy(&self) -> (Value, String) {
        let url = format!("http://127.0.0.1:{}/ok", self.front);
        let answer = done(&self.buyer, &["fetch", &url]);
        assert_eq!(answer["body"], "ok\n", "{answer}");
        assert_eq!(answer["payment"]["state"], "settled", "{answer}");
        let cost = answer["cost"]["amount"].as_str().expect("a sum");
        (answer["payment"].clone(), cost.to_owned())
    }
}

/// Runs a command of a user to a good end.
fn done(user: &User, arguments: &[&str]) -> Value {
    let (exit, answer) = ended(user, arguments);
    assert_eq!(exit, 0, "{arguments:?}: {answer}");
    answer
}

fn ended(user: &User, arguments: &[&str]) -> (i32, Value) {
    user.json(&[arguments, &["--config", "farebox.toml"]].concat())
}

/// The payments that are settled in the books of one side, in msat.
fn booked(user: &User, role: &str) -> Vec<u64> {
    let answer = done(user, &["payments", "list", "--role", role]);
    let payments = answer["payments"].as_array().expect("payments");
    let settled = payments.iter().map(|payment| {
        assert_eq!(payment["state"], "settled", "{payment}");
        let atomic = payment["amount"]["atomic"].as_str().expect("a sum");
        atomic.parse().expect("digits")
    });
    settled.collect()
}

/// What a user's node says of its one channel.
fn channel(user: &User) -> Value {
    let answer = done(user, &["node", "channels"]);
    let channels = answer["channels"].as_array().expect("channels");
    assert_eq!(channels.len(), 1, "{answer}");
    channels[0].clone()
}

/// What is whose of a channel, in msat.
fn sides(channel: &Value) -> [u64; 2] {
    ["ours_msat", "theirs_msat"].map(|key| {
        let text = channel[key].as_str().expect("a sum");
        text.parse().expect("digits")
    })
}

#[test]
fn two_processes_with_embedded_nodes_open_a_channel_trade_over_it_and_close_it() {
    let market = Market::new(true);
    let (seller, buyer) = (&market.seller, &market.buyer);
    market.fund(seller, 100_000);
    let info = done(seller, &["node", "info"]);
    assert_eq!(info["synced"], true, "{info}");
    assert_eq!(info["onchain"]["total_sat"], "100000", "{info}");
    let peers = format!("127.0.0.1:{}", market.peers);
    assert_eq!(info["listening"], json!([peers]));
    let pubkey = info["pubkey"].as_str().expect("a key").to_owned();

    let gate = market.gate();
    let (exit, refused) = ended(seller, &["node", "info"]);
    assert_eq!(exit, 1, "{refused}");
    assert_eq!(refused["error"]["code"], "node_in_use");
    let message = refused["error"]["message"].as_str().expect("a sentence");
    if cfg!(unix) {
        let who = format!("`farebox gate` (process {})", gate.pid());
        assert!(message.contains(&who), "{message}");
    }

    // Nothing to open a channel with, then a channel that waits for nobody but the chain.
    let amount = format!("{CHANNEL_SATS}sat");
    let open = ["node", "open", &market.place(&pubkey), &amount];
    let (exit, refused) = ended(buyer, &open);
    assert_eq!((exit, &refused["error"]["code"]), (1, &json!("node_funds")));
    market.fund(buyer, 400_000);
    let opened = done(buyer, &open);
    assert_eq!(opened["usable"], true, "{opened}");
    assert_eq!(opened["peer"], pubkey.as_str());
    assert_eq!(sides(&opened), [CHANNEL_SATS * 1_000, 0]);
    let again = done(buyer, &open);
    assert_eq!(again["channel"], opened["channel"], "no second one");

    // Bought, and shown again.
    let (first, cost) = market.buy();
    assert_eq!(first["amount"]["atomic"], PRICE_MSAT.to_string());
    assert_eq!(first["fee"]["atomic"], "0");
    assert_ne!(cost, "0");
    let (again, cost) = market.buy();
    assert_eq!((&again["id"], cost.as_str()), (&first["id"], "0"));
    let bought = channel(buyer);
    assert_eq!(
        sides(&bought),
        [CHANNEL_SATS * 1_000 - PRICE_MSAT, PRICE_MSAT]
    );

    // The gate comes back, with its node and what it was paid; the token is used up, and another one is bought.
    let (exit, said) = gate.interrupt();
    assert_eq!(exit, 0, "{said}");
    assert_eq!(sides(&channel(seller))[0], PRICE_MSAT);
    let gate = market.gate();
    let (second, _) = market.buy();
    assert_ne!(second["id"], first["id"]);
    assert_eq!(market.upstream.calls(), 3);

    // Books and nodes agree.
    assert_eq!(booked(buyer, "buyer"), [PRICE_MSAT; 2]);
    let paid = channel(buyer);
    assert_eq!(paid["channel"], bought["channel"]);
    assert_eq!(sides(&paid)[1], 2 * PRICE_MSAT);
    let id = paid["channel"].as_str().expect("a name");
    let closed = done(buyer, &["node", "close", id]);
    assert_eq!(closed["closed"], id);
    assert_eq!(done(buyer, &["node", "channels"])["channels"], json!([]));
    let (exit, said) = gate.interrupt();
    assert_eq!(exit, 0, "{said}");
    assert_eq!(booked(seller, "seller"), [PRICE_MSAT; 2]);
    assert_eq!(done(seller, &["node", "channels"])["channels"], json!([]));
}

#[test]
fn what_keeps_a_channel_from_coming_about_is_said() {
    let market = Market::new(true);
    let (buyer, amount) = (&market.buyer, format!("{CHANNEL_SATS}sat"));
    market.fund(buyer, 400_000);
    let node = market.node();
    let place = market.place(&node.text("/pubkey"));
    let (key, _) = place.split_once('@').expect("a place");
    let nobody = format!("{key}@127.0.0.1:1");
    for (arguments, exit, code) in [
        // Who opens it pays for its transactions, and has nothing left for that.
        (
            &["node", "open", &place, &amount, "--push", &amount][..],
            1,
            "channel_refused",
        ),
        (&["node", "open", &nobody, &amount], 1, "peer_unreachable"),
        (&["node", "open", "02aa@127.0.0.1:1", &amount], 2, "usage"),
        (&["node", "open", &place, "999sat"], 2, "usage"),
        (&["node", "open", &place, "16777216sat"], 2, "usage"),
        (&["node", "close", "00", "--force"], 2, "channel_not_found"),
    ] {
        let (ended, answer) = ended(buyer, arguments);
        let code = json!(code);
        assert_eq!((ended, &answer["error"]["code"]), (exit, &code), "{answer}");
        assert_eq!(answer["error"]["money_may_have_moved"], false, "{answer}");
    }
    assert_eq!(done(buyer, &["node", "channels"])["channels"], json!([]));
    let info = done(buyer, &["node", "info"]);
    assert_eq!(info["onchain"]["spendable_sat"], "400000", "{info}");
}

#[cfg(unix)]
#[test]
fn a_channel_whose_opening_is_broken_off_comes_about_and_is_opened_once() {
    let market = Market::new(false);
    let buyer = &market.buyer;
    market.fund(&market.seller, 100_000);
    market.fund(buyer, 600_000);
    let node = market.node();
    let place = market.place(&node.text("/pubkey"));
    let amount = format!("{CHANNEL_SATS}sat");
    let open = ["node", "open", &place, &amount];
    let all = [&open[..], &["--config", "farebox.toml", "--json"]].concat();
    let mut opening = buyer
        .command(&all)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("farebox starts");
    // Its transaction is out when the chain has it.
    while market.chain.waiting() == 0 {
        assert!(opening.try_wait().expect("a process").is_none());
        std::thread::sleep(Duration::from_millis(20));
    }
    let told = std::process::Command::new("kill")
        .args(["-INT", &opening.id().to_string()])
        .status();
    assert!(told.expect("kill starts").success());
    let ended = Ended::of(opening.wait_with_output().expect("it ends"));
    let answer = ended.json();
    assert_eq!(ended.exit, 1, "{answer}");
    assert_eq!(answer["error"]["code"], "channel_pending", "{answer}");
    let waiting = channel(buyer);
    assert_eq!(
        (&waiting["state"], &waiting["usable"]),
        (&json!("confirming"), &json!(false))
    );

    market.chain.mine(6);
    let opened = done(buyer, &open);
    assert_eq!(opened["channel"], waiting["channel"]);
    assert_eq!(opened["usable"], true);
    let (exit, said) = node.interrupt();
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("channel "), "{said}");
    let theirs = channel(&market.seller);
    assert_eq!(theirs["funding_transaction"], opened["funding_transaction"]);
}
