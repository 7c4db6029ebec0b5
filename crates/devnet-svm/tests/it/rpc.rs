//! The rest of the JSON-RPC, and what it says to bad input.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use farebox_devnet_svm::GENESIS_HASH;
use serde_json::{Value, json};
use solana_address::Address;

use crate::client::*;

#[tokio::test]
async fn junk_is_answered_with_the_standard_codes() {
    let (_devnet, client) = quick();
    let code = async |body: &'static str| {
        let (status, body) = client.post(body).await.expect("a reply");
        assert_eq!(status, 200);
        let reply: Value = serde_json::from_slice(&body).expect("JSON");
        reply["error"]["code"].as_i64()
    };
    assert_eq!(code("{").await, Some(-32700));
    assert_eq!(code("[]").await, Some(-32600));
    assert_eq!(code("7").await, Some(-32600));
    assert_eq!(
        code(r#"{"id":1,"method":"getLuckyNumber"}"#).await,
        Some(-32601)
    );
    assert_eq!(
        code(r#"{"id":1,"method":"getSlot","params":{}}"#).await,
        Some(-32602)
    );
    for (method, params) in [
        ("getBalance", json!([])),
        ("getBalance", json!([7])),
        (
            "getBalance",
            json!(["11111111111111111111111111111111", {"commitment": "someday"}]),
        ),
        ("getSignatureStatuses", json!([["abc"]])),
        ("getTransaction", json!(["abc"])),
        ("sendTransaction", json!(["!", {"encoding": "base64"}])),
        ("sendTransaction", json!(["AAAA", {"encoding": "base64"}])),
        ("sendTransaction", json!(["AAAA", {"encoding": "hex"}])),
        ("simulateTransaction", json!(["x".repeat(1684)])),
        ("getFeeForMessage", json!(["AAAA"])),
        (
            "requestAirdrop",
            json!(["11111111111111111111111111111111"]),
        ),
    ] {
        let refused = client.refused(method, params).await;
        assert_eq!(refused.code, -32602, "{method}: {}", refused.message);
    }
}

#[tokio::test]
async fn a_batch_is_answered_call_by_call() {
    let (_devnet, client) = quick();
    let call = |id: u64, method: &str| json!({"jsonrpc": "2.0", "id": id, "method": method});
    let told = json!({"jsonrpc": "2.0", "method": "getHealth"});
    let batch = json!([call(1, "getHealth"), call(2, "getLuckyNumber"), told, 7]);
    let replies = client.exchange(&batch).await;
    assert_eq!(
        replies[0],
        json!({"jsonrpc": "2.0", "id": 1, "result": "ok"})
    );
    assert_eq!(replies[1]["error"]["code"], json!(-32601));
    assert_eq!(replies[2]["error"]["code"], json!(-32600));
    assert_eq!(replies.as_array().map(Vec::len), Some(3));
    let many = Value::Array(vec![call(1, "getHealth"); 1001]);
    // Shorter than the limit of a body, so that it is the number that is refused.
    let many = many.to_string().replace("\"jsonrpc\":\"2.0\",", "");
    let (status, body) = client.post(many).await.expect("a reply");
    let reply: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((status, &reply["error"]["code"]), (200, &json!(-32600)));
}

#[tokio::test]
async fn a_body_beyond_agaves_limit_is_refused() {
    let (_devnet, client) = quick();
    let body = "x".repeat(50 * 1024 + 1);
    assert_eq!(client.post(body).await.expect("a reply").0, 413);
}

#[tokio::test]
async fn the_network_says_who_it_is_and_how_far() {
    let (devnet, client) = quiet();
    assert_eq!(
        client.ok("getGenesisHash", json!([])).await,
        json!(GENESIS_HASH)
    );
    assert_eq!(devnet.network(), format!("solana:{}", &GENESIS_HASH[..32]));
    let version = client.ok("getVersion", json!([])).await;
    assert_eq!(version["solana-core"], json!("4.0.0"));
    let (slot, height) = (devnet.slot(), devnet.block_height());
    assert!(slot > height);
    for (commitment, depth) in [("processed", 0), ("confirmed", 1), ("finalized", 32)] {
        let config = json!([{"commitment": commitment}]);
        assert_eq!(
            client.ok("getSlot", config.clone()).await,
            json!(slot - depth)
        );
        assert_eq!(
            client.ok("getBlockHeight", config.clone()).await,
            json!(height - depth)
        );
        let epoch = client.ok("getEpochInfo", config.clone()).await;
        assert_eq!(epoch["absoluteSlot"], json!(slot - depth));
        assert_eq!(epoch["blockHeight"], json!(height - depth));
        let latest = client.ok("getLatestBlockhash", config).await;
        assert_eq!(latest["context"]["slot"], json!(slot - depth));
        assert_eq!(
            latest["value"]["lastValidBlockHeight"],
            json!(height - depth + 150)
        );
    }
    let early = client
        .refused("getSlot", json!([{"minContextSlot": slot}]))
        .await;
    assert_eq!(early.code, -32016);
    assert_eq!(early.data, json!({"contextSlot": slot - 32}));
}

#[tokio::test]
async fn time_is_the_wall_clocks_and_may_be_moved() {
    let (devnet, client) = quiet();
    let before = client.ok("getBlockTime", json!([devnet.slot()])).await;
    devnet.increase_time(std::time::Duration::from_secs(1_000_000));
    devnet.advance(1);
    let after = client.ok("getBlockTime", json!([devnet.slot()])).await;
    let (before, after) = (before.as_i64().expect("s"), after.as_i64().expect("s"));
    assert!(after - before >= 1_000_000, "{before} {after}");
    let none = client
        .refused("getBlockTime", json!([devnet.slot() + 1]))
        .await;
    assert_eq!(none.code, -32004);
}

#[tokio::test]
async fn a_message_costs_what_it_says_while_its_blockhash_lives() {
    let (devnet, client) = quick();
    let tx = client.payment(&devnet, 1000).await;
    let message = BASE64_STANDARD.encode(tx.message.serialize());
    let fee = client.value("getFeeForMessage", json!([message])).await;
    assert_eq!(fee, json!(10_001));
    devnet.expire_blockhashes();
    let fee = client.value("getFeeForMessage", json!([message])).await;
    assert_eq!(fee, Value::Null);
    let fees = client.ok("getRecentPrioritizationFees", json!([])).await;
    assert_eq!(fees[0]["prioritizationFee"], json!(0));
    let rent = client
        .ok("getMinimumBalanceForRentExemption", json!([165]))
        .await;
    assert_eq!(rent, json!(2_039_280));
}

#[tokio::test]
async fn an_airdrop_arrives_as_a_transaction() {
    let (devnet, client) = quick();
    let somebody = Address::new_from_array([7; 32]);
    let params = json!([somebody.to_string(), 5_000_000_000_u64]);
    let signature = client.ok("requestAirdrop", params).await;
    let statuses = client
        .value("getSignatureStatuses", json!([[signature]]))
        .await;
    assert_eq!(statuses[0]["err"], Value::Null);
    assert_eq!(devnet.balance(somebody), 5_000_000_000);
}

#[tokio::test]
async fn a_simulation_shows_accounts_as_they_would_be_and_changes_nothing() {
    let (devnet, client) = quick();
    let payment = Payment::usdc(&devnet, 1000);
    let hash = client.blockhash("processed").await;
    let tx = payment.half_signed(hash);
    devnet.expire_blockhashes();
    let late = client.simulate(&tx, json!({})).await;
    assert_eq!(late["err"], json!("BlockhashNotFound"));
    assert_eq!(late["logs"], json!([]));
    let destination = payment.destination().to_string();
    let accounts = json!({"encoding": "jsonParsed", "addresses": [destination]});
    let config = json!({"replaceRecentBlockhash": true, "accounts": accounts});
    let shown = client.simulate(&tx, config).await;
    assert_eq!(shown["err"], Value::Null);
    assert!(shown["replacementBlockhash"]["blockhash"].is_string());
    let info = &shown["accounts"][0]["data"]["parsed"]["info"];
    assert_eq!(info["tokenAmount"]["amount"], json!("1000"));
    assert_eq!(devnet.token_balance(payment.payee, payment.mint), 0);
    let both = json!([base64(&tx), {
        "encoding": "base64", "replaceRecentBlockhash": true, "sigVerify": true,
    }]);
    let refused = client.refused("simulateTransaction", both).await;
    assert_eq!(
        refused.message,
        "sigVerify may not be used with replaceRecentBlockhash"
    );
}

#[tokio::test]
async fn a_preflight_at_finalized_does_not_know_a_newer_blockhash() {
    let (devnet, client) = quiet();
    let tx = client.payment(&devnet, 1000).await;
    let refused = client.send(&tx).await.expect_err("it is too new");
    assert_eq!(refused.data["err"], json!("BlockhashNotFound"));
}
