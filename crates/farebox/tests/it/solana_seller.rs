//! `farebox gate` and `farebox facilitator` on Solana: a seller, a buyer and a chain, all real; and
//! the same 402 beside EVM's.

use farebox_devnet_svm::{DevnetSvm, DevnetSvmOptions};
use farebox_wire::x402::header;
use serde_json::Value;

use crate::market::Upstream;
use crate::support::{Running, User};

/// A tenth of a cent.
const AMOUNT: u64 = 1000;

/// A chain, and the files of a seller and a buyer on it.
pub(crate) struct Town {
    pub(crate) user: User,
    pub(crate) chain: DevnetSvm,
    upstream: Upstream,
}

impl Town {
    pub(crate) fn new() -> Self {
        let town = Self {
            user: User::new(),
            chain: DevnetSvm::start(DevnetSvmOptions::quick()).expect("a chain"),
            upstream: Upstream::start(),
        };
        let [fee_payer, buyer, payee] = [0, 1, 9].map(|index| town.chain.accounts()[index]);
        town.write_key("fees.key", &fee_payer.key_base58());
        town.write_key("solana.key", &buyer.key_base58());
        let network = town.network();
        let seller = format!(
            "ledger = \"sqlite:seller.db\"\n{network}[pay_to]\nsolana = \"{}\"\n[facilitator]\nsigner = {{ solana = \"file:fees.key\" }}\n",
            payee.address
        );
        town.user.write("seller.toml", &seller);
        let buyer = "ledger = \"sqlite:buyer.db\"\n[wallet]\nsolana_key = \"file:solana.key\"\n[budget]\nper_payment = \"1 USD\"\ntotal = \"10 USD\"\n";
        town.user.write("buyer.toml", &format!("{buyer}{network}"));
        town
    }

    /// A file for its owner's eyes.
    fn write_key(&self, name: &str, text: &str) {
        self.user.write(name, text);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(self.user.path(name), mode).expect("the mode is set");
        }
    }

    pub(crate) fn network(&self) -> String {
        let (name, rpc) = (self.chain.network(), self.chain.rpc_url());
        format!("[network.\"{name}\"]\nrpc = [\"{rpc}\"]\n")
    }

    pub(crate) fn gate(&self, file: &str) -> Running {
        let url = self.upstream.url();
        self.user.start(&[
            "gate",
            "--config",
            file,
            "--upstream",
            &url,
            "--price",
            "0.001 USD",
            "--listen",
            "127.0.0.1:0",
            "--json",
        ])
    }

    /// A facilitator with a ledger of its own, whose fees that account pays; and a seller's file
    /// that names these facilitators, holds no key, and asks the chain or not.
    pub(crate) fn facilitator_of(&self, account: usize) -> Running {
        let (key, file) = (format!("fees{account}.key"), format!("pays{account}.toml"));
        self.write_key(&key, &self.chain.accounts()[account].key_base58());
        let network = self.network();
        let signer = format!("[facilitator]\nsigner = {{ solana = \"file:{key}\" }}\n");
        let ledger = format!("ledger = \"sqlite:pays{account}.db\"\n");
        self.user
            .write(&file, &format!("{ledger}{network}{signer}"));
        self.facilitator(&file)
    }

    pub(crate) fn write_keyless(&self, has_rpc: bool, facilitators: &[&Running]) {
        let urls: Vec<String> = facilitators.iter().map(|f| f.text("/listening")).collect();
        let network = match has_rpc {
            true => self.network(),
            false => format!("[network.\"{}\"]\n", self.chain.network()),
        };
        let payee = self.chain.accounts()[9].address;
        let seller = format!(
            "ledger = \"sqlite:keyless.db\"\n{network}[pay_to]\nsolana = \"{payee}\"\n[facilitator]\nurls = {urls:?}\n"
        );
        self.user.write("keyless.toml", &seller);
    }

    /// Whom the 402 of a gate tells to pay the fee.
    fn fee_payer(&self, url: &str) -> String {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let asked = runtime.block_on(async {
            // An error means that another test has installed it.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let client = reqwest::Client::builder().no_proxy().build();
            let asked = client.expect("a client").get(url).send().await;
            asked.expect("an answer")
        });
        let header = asked
            .headers()
            .get("payment-required")
            .expect("a challenge");
        let challenge: Value = header::decode(header.as_bytes()).expect("JSON");
        let named = challenge["accepts"][0]["extra"]["feePayer"].as_str();
        named.expect("somebody").to_owned()
    }

    fn facilitator(&self, file: &str) -> Running {
        let flags = ["--config", file, "--listen", "127.0.0.1:0", "--json"];
        self.user.start(&[&["facilitator"], &flags[..]].concat())
    }

    pub(crate) fn fetch(&self, url: &str, flags: &[&str]) -> (i32, Value) {
        let usual = ["fetch", "--config", "buyer.toml", url];
        self.user.json(&[&usual[..], flags].concat())
    }

    fn revenue(&self) -> u64 {
        let payee = self.chain.accounts()[9].address;
        self.chain.token_balance(payee, self.chain.usdc())
    }

    fn refused(&self, command: &str, file: &str) -> String {
        let (exit, answer) = self.user.json(&[command, "--config", file]);
        assert_eq!(exit, 2, "{answer}");
        let message = answer["error"]["message"].as_str();
        message.expect("a sentence").to_owned()
    }
}

#[test]
fn a_gate_on_solana_alone_is_paid_and_its_books_agree_with_the_chain() {
    let town = Town::new();
    let gate = town.gate("seller.toml");
    let url = format!("{}/ok", gate.text("/listening"));
    for times in 1..=2 {
        let (exit, answer) = town.fetch(&url, &[]);
        assert_eq!(exit, 0, "{answer}");
        assert_eq!(answer["body"], "ok\n");
        let payment = &answer["payment"];
        assert_eq!(payment["outcome"], "settled", "{payment}");
        assert_eq!(payment["rail"], "solana");
        assert_eq!(town.revenue(), times * AMOUNT);
    }
    assert_eq!(town.upstream.calls(), 2);
    drop(gate);
    let (exit, books) = town.user.json(&[
        "payments",
        "list",
        "--role",
        "seller",
        "--config",
        "seller.toml",
    ]);
    assert_eq!(exit, 0, "{books}");
    let payments = books["payments"].as_array().expect("a list");
    assert_eq!(payments.len(), 2);
    assert!(payments.iter().all(|p| p["state"] == "settled"), "{books}");
}

#[test]
fn one_402_asks_on_both_rails_and_either_pays() {
    let town = Town::new();
    let _net = town.user.devnet();
    let evm = town.user.read("net/seller.toml");
    let evm = evm.replace("file:gas.key", "file:net/gas.key");
    let payee = town.chain.accounts()[9].address;
    let both = evm
        .replace("[pay_to]\n", &format!("[pay_to]\nsolana = \"{payee}\"\n"))
        .replace("signer = { ", "signer = { solana = \"file:fees.key\", ");
    town.user
        .write("both.toml", &format!("{both}\n{}", town.network()));
    let gate = town.gate("both.toml");
    let url = format!("{}/ok", gate.text("/listening"));
    let (exit, asked) = town.fetch(&url, &["--dry-run"]);
    assert_eq!(exit, 0, "{asked}");
    let offers = asked["offers"].as_array().expect("offers");
    let asks = |rail: &str, protocol: &str| {
        let of = |o: &&Value| {
            o["network"].as_str().is_some_and(|n| n.starts_with(rail)) && o["protocol"] == protocol
        };
        offers.iter().any(|offer| of(&offer))
    };
    assert!(
        asks("eip155:", "x402") && asks("solana:", "x402"),
        "{asked}"
    );
    let (exit, paid) = town.fetch(&url, &[]);
    assert_eq!(exit, 0, "{paid}");
    assert_eq!(paid["payment"]["rail"], "solana");
    let evm = ["fetch", "--config", "net/buyer.toml", &url];
    let (exit, paid) = town.user.json(&evm);
    assert_eq!(exit, 0, "{paid}");
    assert_eq!(paid["payment"]["rail"], "evm");
    assert_eq!(town.revenue(), AMOUNT);
}

#[test]
fn a_facilitator_lists_its_fee_payers_in_both_versions() {
    let town = Town::new();
    let facilitator = town.facilitator("seller.toml");
    let get = |path: &str| {
        let url = format!("{}{path}", facilitator.text("/listening"));
        let ended = town.user.run(&["fetch", "--config", "buyer.toml", &url]);
        assert_eq!(ended.exit, 0, "{}", ended.stderr);
        serde_json::from_str::<Value>(&ended.stdout).expect("JSON")
    };
    let supported = get("/supported");
    let fee_payer = town.chain.accounts()[0].address.to_string();
    assert_eq!(
        supported["signers"]["solana:*"],
        serde_json::json!([fee_payer])
    );
    let kinds = supported["kinds"].as_array().expect("kinds");
    for (version, network) in [(2, town.chain.network()), (1, "solana-devnet")] {
        let kind = kinds.iter().find(|kind| kind["x402Version"] == version);
        let kind = kind.unwrap_or_else(|| panic!("version {version}: {supported}"));
        assert_eq!(kind["network"], network);
        assert_eq!(kind["extra"]["feePayer"], fee_payer.as_str());
    }
    let health = get("/health");
    assert_eq!(health["status"], "ok", "{health}");
}

#[test]
fn a_fee_payers_key_has_one_owner() {
    let town = Town::new();
    let file = town
        .user
        .read("seller.toml")
        .replace("seller.db", "other.db");
    town.user.write("other.toml", &file);
    let _first = town.facilitator("seller.toml");
    let message = town.refused("facilitator", "other.toml");
    let fee_payer = town.chain.accounts()[0].address.to_string();
    assert!(message.contains(&fee_payer), "{message}");
}

#[test]
fn what_a_seller_on_solana_lacks_is_named_at_once() {
    let town = Town::new();
    town.user.write(
        "bare.toml",
        &format!("[network.\"{}\"]\n", town.chain.network()),
    );
    let url = town.upstream.url();
    let flags = [
        "--config",
        "bare.toml",
        "--upstream",
        &url,
        "--price",
        "0.001 USD",
    ];
    let (exit, answer) = town.user.json(&[&["gate"], &flags[..]].concat());
    assert_eq!(exit, 2, "{answer}");
    let message = answer["error"]["message"].as_str().expect("a sentence");
    for lacks in ["solana in [pay_to]", "--rpc solana:", "signer = { solana"] {
        assert!(message.contains(lacks), "{lacks} in: {message}");
    }
    assert!(
        !message.contains("--gas-key"),
        "nothing of another chain: {message}"
    );
    let message = town.refused("facilitator", "bare.toml");
    assert!(
        message.contains("signer = { solana") && !message.contains("pay_to"),
        "{message}"
    );
}

#[test]
fn what_cannot_be_meant_on_solana_is_refused_before_anything_is_served() {
    let town = Town::new();
    let good = town.user.read("seller.toml");
    let url = town.upstream.url();
    let payee = town.chain.accounts()[9].address.to_string();
    let mint = town.chain.usdc().to_string();
    town.user.write("no.key", "not a key");
    let cases = [
        (
            good.replace(&payee, "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720"),
            "[pay_to] solana",
        ),
        (good.replace(&payee, &mint), "lost"),
        (good.replace("fees.key", "no.key"), "signer.solana"),
        (
            good.replace(
                "\"file:fees.key\"",
                "[\"file:fees.key\", \"file:fees.key\"]",
            ),
            "twice",
        ),
    ];
    for (file, says) in cases {
        town.user.write("wrong.toml", &file);
        let flags = [
            "--config",
            "wrong.toml",
            "--upstream",
            &url,
            "--price",
            "0.001 USD",
            "--listen",
            "127.0.0.1:0",
        ];
        for check in [&["--check"][..], &[]] {
            let (exit, answer) = town.user.json(&[&["gate"], &flags[..], check].concat());
            assert_eq!(exit, 2, "{says}: {answer}");
            let message = answer["error"]["message"].as_str().expect("a sentence");
            assert!(message.contains(says), "{says} in: {message}");
        }
    }
}

#[test]
fn a_gate_without_a_key_is_paid_through_a_facilitator_and_asks_the_chain_where_it_can() {
    let town = Town::new();
    let facilitator = town.facilitator_of(0);
    for (times, has_rpc) in [(1, true), (2, false)] {
        town.write_keyless(has_rpc, &[&facilitator]);
        let gate = town.gate("keyless.toml");
        let url = format!("{}/ok", gate.text("/listening"));
        assert_eq!(
            town.fee_payer(&url),
            town.chain.accounts()[0].address.to_string()
        );
        let (exit, answer) = town.fetch(&url, &[]);
        assert_eq!(exit, 0, "{answer}");
        assert_eq!(answer["payment"]["outcome"], "settled", "{answer}");
        assert_eq!(town.revenue(), times * AMOUNT);
    }
    let list = ["payments", "list", "--role", "seller", "--config"];
    let (exit, books) = town.user.json(&[&list[..], &["keyless.toml"]].concat());
    assert_eq!(exit, 0, "{books}");
    let payments = books["payments"].as_array().expect("a list");
    assert_eq!(payments.len(), 2);
    assert!(payments.iter().all(|p| p["state"] == "settled"), "{books}");
}

#[test]
fn when_its_facilitator_is_away_a_gate_sells_through_the_next_one() {
    let town = Town::new();
    let (first, second) = (town.facilitator_of(0), town.facilitator_of(2));
    town.write_keyless(true, &[&first, &second]);
    let gate = town.gate("keyless.toml");
    let url = |path: &str| format!("{}{path}", gate.text("/listening"));
    let [of_first, of_second] =
        [0, 2].map(|number| town.chain.accounts()[number].address.to_string());
    assert_eq!(town.fee_payer(&url("/ok")), of_first);
    let (exit, answer) = town.fetch(&url("/ok"), &[]);
    assert_eq!(exit, 0, "{answer}");

    drop(first);
    // What is signed for it now nobody can settle, and nobody is served for it.
    let (exit, answer) = town.fetch(&url("/echo"), &[]);
    assert_eq!(exit, 5, "{answer}");
    assert_eq!((town.upstream.calls(), town.revenue()), (1, AMOUNT));
    // The gate has noticed, and changes its offers.
    while town.fee_payer(&url("/ok")) != of_second {}
    let (exit, answer) = town.fetch(&url("/ok"), &[]);
    assert_eq!(exit, 0, "{answer}");
    assert_eq!((town.upstream.calls(), town.revenue()), (2, 2 * AMOUNT));
}
