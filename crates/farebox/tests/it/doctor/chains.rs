//! Nodes, clocks, tokens and gas keys.

use std::process::{Child, Stdio};
use std::time::Duration;

use alloy_primitives::U256;
use farebox_devnet_evm::Fault;
use serde_json::{Value, json};

use super::shop::{Shop, node_behind, seller};
use crate::support::Running;

/// The chain tells nobody when a transaction comes: a moment between two looks.
fn look_again() {
    std::thread::sleep(Duration::from_millis(5));
}

/// Starts a command on a chain that mines nothing; it has led to a transaction then.
fn run_until_it_waits(shop: &Shop, arguments: &[&str]) -> Child {
    let mut command = shop.user.command(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("farebox starts");
    while shop.net.waiting_transactions() == 0 {
        let has_ended = child.try_wait().expect("it runs").is_some();
        assert!(!has_ended, "nothing was sent");
        look_again();
    }
    child
}

/// Where nobody listens.
const NOWHERE: &str = "http://127.0.0.1:1";

#[test]
fn a_node_that_cannot_be_reached_is_named() {
    let shop = Shop::open();
    shop.write(&[NOWHERE], "");
    let diagnosis = shop.diagnosis();
    assert_eq!(diagnosis.severity("rpc_unreachable"), "error");
    assert!(!diagnosis.has("gas_unfunded"), "nothing is known of it");
    shop.write(&[NOWHERE, &shop.net.rpc_url()], "");
    let diagnosis = shop.diagnosis();
    assert_eq!(diagnosis.severity("rpc_unreachable"), "warning");
    assert!(diagnosis.ok);
    assert_eq!(diagnosis.severity("gas"), "ok", "the other node is asked");
}

#[test]
fn a_node_that_hangs_or_talks_nonsense_is_given_up() {
    let shop = Shop::open();
    for fault in [Fault::Hang, Fault::Garbage, Fault::HttpStatus(503)] {
        shop.net.faults().set("eth_chainId", fault);
        assert_eq!(shop.diagnosis().severity("rpc_unreachable"), "error");
        shop.net.faults().clear();
    }
    shop.net.faults().set(
        "eth_getBalance",
        Fault::Refuse {
            code: -32_005,
            message: "no".into(),
        },
    );
    assert_eq!(shop.diagnosis().severity("gas_unknown"), "warning");
    shop.net.faults().clear();
    shop.net.faults().set("eth_getCode", Fault::Disconnect);
    assert_eq!(shop.diagnosis().severity("token_unproven"), "warning");
}

#[test]
fn what_a_node_says_stays_on_its_line() {
    let shop = Shop::open();
    let refuse = Fault::Refuse {
        code: -32_005,
        message: "\u{1b}[2Jno\nok      chain: all is well".into(),
    };
    shop.net.faults().set("eth_getBlockByNumber", refuse);
    let ended = shop.user.run(&["doctor", "--config", "seller.toml"]);
    assert_eq!(ended.exit, 1);
    assert!(!ended.stdout.contains('\u{1b}'), "{:?}", ended.stdout);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    let said = lines.iter().find(|line| line.contains("all is well"));
    assert!(said.expect("its words").starts_with("error "), "{lines:?}");
}

#[test]
fn a_node_of_another_chain_is_an_error() {
    let shop = Shop::open();
    let wrong = seller("eip155:8453", &[&shop.net.rpc_url()], "");
    shop.user.write("seller.toml", &wrong);
    let diagnosis = shop.diagnosis();
    assert_eq!(diagnosis.severity("wrong_chain_id"), "error");
    let message = diagnosis.text("wrong_chain_id", "message");
    assert!(
        message.contains("84532") && message.ends_with("8453"),
        "{message}"
    );
}

#[test]
fn a_seller_without_a_node_is_told_so() {
    let shop = Shop::open();
    shop.write(&[], "");
    assert_eq!(shop.diagnosis().severity("rpc_missing"), "error");
}

#[test]
fn a_chain_that_is_ahead_of_our_clock_tells_of_the_clock() {
    let shop = Shop::open();
    shop.net.increase_time(Duration::from_secs(3_600));
    shop.net.mine();
    assert_eq!(shop.diagnosis().severity("clock_skew"), "error");
}

/// Makes every block two days older.
fn old(_: &Value, answer: &mut Value) {
    if let Some(time) = answer.pointer_mut("/result/timestamp") {
        let text = time.as_str().expect("hex").trim_start_matches("0x");
        let seconds = u64::from_str_radix(text, 16).expect("hex");
        *time = json!(format!("{:#x}", seconds - 172_800));
    }
}

/// Names every block anew.
fn forked(_: &Value, answer: &mut Value) {
    if let Some(hash) = answer.pointer_mut("/result/hash") {
        *hash = json!(format!("0x{}", "ab".repeat(32)));
    }
}

#[test]
fn a_node_whose_newest_block_is_old_lags() {
    let shop = Shop::open();
    let node = node_behind(&shop.net.rpc_url(), old);
    shop.write(&[&node.url()], "");
    let diagnosis = shop.diagnosis();
    assert_eq!(diagnosis.severity("rpc_lags"), "error");
    assert!(diagnosis.text("rpc_lags", "message").contains("2 days"));
}

#[test]
fn nodes_that_have_different_blocks_disagree() {
    let shop = Shop::open();
    let node = node_behind(&shop.net.rpc_url(), forked);
    shop.write(&[&shop.net.rpc_url(), &node.url()], "");
    let diagnosis = shop.diagnosis();
    assert_eq!(diagnosis.severity("rpc_disagrees"), "error");
    let subject = diagnosis.text("rpc_disagrees", "subject");
    assert!(
        node.url()
            .ends_with(subject.rsplit(' ').next().expect("a node")),
        "{subject}"
    );
}

#[test]
fn a_token_that_is_not_what_the_file_says_is_an_error_with_the_right_words() {
    let shop = Shop::open();
    let token = |name: &str, decimals: u8, address: &str| {
        format!(
            "[[network.\"eip155:84532\".asset]]\naddress = \"{address}\"\nsymbol = \"USDC\"\n\
             name = {name:?}\nversion = \"2\"\ndecimals = {decimals}\nusd = \"1 USD\"\n"
        )
    };
    let usdc = shop.net.usdc().to_string();
    let node = shop.net.rpc_url();
    shop.write(&[&node], &token("USD Coin", 6, &usdc));
    let diagnosis = shop.diagnosis();
    assert_eq!(diagnosis.severity("token_domain"), "error");
    let advice = diagnosis.text("token_domain", "advice");
    assert!(
        advice.contains("name = \"USDC\" and version = \"2\""),
        "{advice}"
    );
    shop.write(&[&node], &token("USDC", 18, &usdc));
    assert_eq!(shop.diagnosis().severity("token_decimals"), "error");
    let nobody = "0x000000000000000000000000000000000000dEaD";
    shop.write(&[&node], &token("USDC", 6, nobody));
    assert_eq!(shop.diagnosis().severity("token_missing"), "error");
    let multicall = "0xcA11bde05977b3631167028862bE2a173976CA11";
    shop.write(&[&node], &token("USDC", 6, multicall));
    assert_eq!(shop.diagnosis().severity("token_unsuitable"), "error");
}

#[test]
fn a_gas_key_without_money_is_an_error_and_one_with_little_a_warning() {
    let shop = Shop::open();
    let address = shop.net.accounts()[0].address;
    shop.net.set_ether_balance(address, U256::ZERO);
    let diagnosis = shop.diagnosis();
    assert_eq!(diagnosis.severity("gas_unfunded"), "error");
    assert!(
        diagnosis
            .text("gas_unfunded", "advice")
            .contains(&address.to_checksum(None))
    );
    // Some twenty settlements: an idle chain asks for little more than the usual tip of 1 gwei.
    let wei = 2_000_000_000_000_000_u64;
    shop.net.set_ether_balance(address, U256::from(wei));
    let diagnosis = shop.diagnosis();
    assert_eq!(diagnosis.severity("gas_low"), "warning");
    assert!(diagnosis.ok);
}

#[test]
fn a_transaction_that_gets_into_no_block_is_stuck() {
    let shop = Shop::open();
    shop.net.hold_mining();
    let deploy = ["facilitator", "deploy-settler", "--config", "seller.toml"];
    let mut child = run_until_it_waits(&shop, &deploy);
    child.kill().expect("it is ours");
    child.wait().expect("it ends");
    let diagnosis = shop.diagnosis();
    assert_eq!(diagnosis.severity("nonce_stuck"), "warning");
    assert!(diagnosis.text("nonce_stuck", "message").contains("nonce 0"));
    shop.net.release_mining();
    while shop.net.waiting_transactions() > 0 {
        look_again();
    }
    assert!(!shop.diagnosis().has("nonce_stuck"));
}

#[test]
fn a_transaction_that_the_node_has_dropped_is_missing() {
    let shop = Shop::open();
    let buyer = shop.net.accounts()[1].key_hex();
    shop.user.write("buyer.key", &buyer);
    shop.user.write(
        "buyer.toml",
        &format!(
            "ledger = \"sqlite:buyer.db\"\n[network.\"eip155:84532\"]\nrpc = [{:?}]\nfinal = 0\n\
             [wallet]\nevm_key = \"file:buyer.key\"\n[budget]\nper_payment = \"1 USD\"\n",
            shop.net.rpc_url()
        ),
    );
    let upstream = crate::market::Upstream::start();
    let gate: Running = shop.user.start(&[
        "gate",
        "--config",
        "seller.toml",
        "--upstream",
        &upstream.url(),
        "--price",
        "0.001 USD",
        "--listen",
        "127.0.0.1:0",
        "--json",
    ]);
    shop.net.hold_mining();
    let url = format!("{}/ok", gate.text("/listening"));
    let mut fetch = run_until_it_waits(&shop, &["fetch", "--config", "buyer.toml", &url]);
    drop(gate);
    fetch.wait().expect("it ends");
    for hash in shop.net.waiting_hashes() {
        assert!(shop.net.drop_transaction(hash));
    }
    let diagnosis = shop.diagnosis();
    assert_eq!(diagnosis.severity("nonce_missing"), "warning");
}
