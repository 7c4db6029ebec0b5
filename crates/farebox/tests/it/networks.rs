//! A new EVM network is configuration: `docs/adding-a-network.md`, tried as it stands there, on a chain
//! that nobody has heard of, with a token that shares nothing with the usual one.

use alloy_primitives::{Address, U256, address};
use farebox_devnet_evm::{Devnet, DevnetOptions, TokenSpec};
use serde_json::Value;

use crate::doctor::Diagnosis;
use crate::market::{PAYEE, Upstream};
use crate::support::{Running, User};

/// The document whose first block of TOML is the network.
const DOCUMENT: &str = include_str!("../../../../docs/adding-a-network.md");
const NETWORK: &str = "eip155:424242";
const TOKEN: Address = address!("00000000000000000000000000000000d0111a45");

/// Two chains, a gate that is paid on both, and a buyer who knows both.
struct World {
    user: User,
    usual: Devnet,
    new: Devnet,
    upstream: Upstream,
    gate: Running,
}

/// What the document says about the network, with this node.
fn documented(node: &str) -> String {
    let (_, rest) = DOCUMENT.split_once("```toml\n").expect("a block of TOML");
    let (block, _) = rest.split_once("```").expect("its end");
    let network = block.replace("https://rpc.mars.example", node);
    assert_ne!(network, block, "the node's place");
    network
}

impl World {
    fn open() -> Self {
        let user = User::new();
        let usual = Devnet::start(DevnetOptions::default()).expect("a chain");
        let new = Devnet::start(DevnetOptions {
            chain_id: 424_242,
            token: TokenSpec {
                address: TOKEN,
                name: "Mars Dollar".to_owned(),
                symbol: "MUSD".to_owned(),
                version: "2035-a".to_owned(),
                decimals: 9,
            },
            ..DevnetOptions::default()
        })
        .expect("another chain");
        let networks = format!(
            "[network.\"eip155:84532\"]\nrpc = [{:?}]\nfinal = 0\n{}",
            usual.rpc_url(),
            documented(&new.rpc_url())
        );
        let [gas, buyer] = [0, 1].map(|index| usual.accounts()[index].key_hex());
        user.write("gas.key", &gas);
        user.write("buyer.key", &buyer);
        user.write(
            "seller.toml",
            &format!(
                "ledger = \"sqlite:seller.db\"\n{networks}\n\
                 [pay_to]\nevm = \"{PAYEE}\"\n\
                 [facilitator]\nsigner = {{ evm = \"file:gas.key\" }}\n"
            ),
        );
        user.write(
            "buyer.toml",
            &format!(
                "ledger = \"sqlite:buyer.db\"\n{networks}\n\
                 [wallet]\nevm_key = \"file:buyer.key\"\n\
                 [budget]\ntotal = \"1 USD\"\n"
            ),
        );
        let upstream = Upstream::start();
        let url = upstream.url();
        let gate = user.start(&[
            "gate",
            "--config",
            "seller.toml",
            "--upstream",
            &url,
            "--price",
            "0.001 USD",
            "--listen",
            "127.0.0.1:0",
            "--json",
        ]);
        Self {
            user,
            usual,
            new,
            upstream,
            gate,
        }
    }

    fn fetch(&self, flags: &[&str]) -> (i32, Value) {
        let url = format!("{}/ok", self.gate.text("/listening"));
        let call = ["fetch", "--config", "buyer.toml", &url];
        self.user.json(&[&call, flags].concat())
    }

    /// The only payment of one side.
    fn payment(&self, role: &str) -> Value {
        let config = format!("{role}.toml");
        let list = ["payments", "list", "--role", role, "--config", &config];
        let (_, answer) = self.user.json(&list);
        let payments = answer["payments"].as_array().expect("payments");
        assert_eq!(payments.len(), 1, "{answer}");
        payments[0].clone()
    }
}

/// What the payee has on a chain, in atomic units.
fn paid_on(net: &Devnet) -> U256 {
    let payee = net.accounts()[9].address;
    net.token_balance(payee).expect("a token")
}

#[test]
fn a_third_network_is_sold_on_and_paid_on_by_configuration_alone() {
    let world = World::open();
    let before = [&world.usual, &world.new].map(paid_on);
    // Both are offered, in their own units.
    let (exit, plan) = world.fetch(&["--dry-run", "--prefer", NETWORK]);
    assert_eq!(exit, 0, "{plan}");
    let offers = plan["offers"].as_array().expect("offers");
    let amounts: Vec<(&str, &str)> = offers
        .iter()
        .map(|offer| {
            let text = |pointer: &str| offer.pointer(pointer).and_then(Value::as_str);
            (
                text("/network").unwrap_or("-"),
                text("/amount").unwrap_or("-"),
            )
        })
        .collect();
    assert!(amounts.contains(&(NETWORK, "1000000")), "{plan}");
    assert!(amounts.contains(&("eip155:84532", "1000")), "{plan}");

    let (exit, answer) = world.fetch(&["--prefer", NETWORK]);
    assert_eq!((exit, &answer["body"]), (0, &"ok\n".into()), "{answer}");
    assert_eq!(answer["payment"]["network"], NETWORK, "{answer}");
    assert_eq!(answer["cost"]["amount"], "0.001", "{answer}");
    assert_eq!(world.upstream.calls(), 1);
    let after = [&world.usual, &world.new].map(paid_on);
    assert_eq!(after[0], before[0], "nothing moved on the other chain");
    assert_eq!(after[1] - before[1], U256::from(1_000_000));

    let (bought, sold) = (world.payment("buyer"), world.payment("seller"));
    assert_eq!(bought["state"], "settled", "{bought}");
    for key in ["transaction", "amount", "network", "state"] {
        assert_eq!(bought[key], sold[key], "{key}");
    }
    let (exit, answer) = world
        .user
        .json(&["wallet", "balance", "--config", "buyer.toml"]);
    assert_eq!(exit, 0, "{answer}");
    let has = format!("{}", 1_000_000_000_000_000_u64 - 1_000_000);
    let balances = answer["balances"].as_array().expect("balances");
    assert!(
        balances
            .iter()
            .any(|balance| balance["symbol"] == "MUSD" && balance["atomic"] == has),
        "{answer}"
    );
}

#[test]
fn a_token_whose_name_is_not_the_contracts_is_found_before_anybody_pays() {
    let world = World::open();
    let file = world.user.read("seller.toml");
    let wrong = file.replace("\"Mars Dollar\"", "\"Mars dollar\"");
    assert_ne!(wrong, file);
    world.user.write("wrong.toml", &wrong);
    let diagnosis = Diagnosis::on(&world.user, "wrong.toml");
    assert_eq!(diagnosis.severity("token_domain"), "error");
    let diagnosis = Diagnosis::on(&world.user, "seller.toml");
    assert!(!diagnosis.has("token_domain"));
}
