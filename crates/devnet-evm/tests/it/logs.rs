//! Finding logs, and filters that are polled.

use alloy_primitives::B256;
use alloy_sol_types::SolEvent as _;
use serde_json::{Value, json};

use crate::client::*;

#[tokio::test]
async fn logs_are_found_by_block_address_and_topic() {
    let (devnet, client) = quiet();
    let mut receipts = Vec::new();
    for nonce in 1..=3 {
        receipts.push(settle_to_friend(&devnet, &client, nonce).await);
    }
    let count = async |filter: Value| {
        client
            .ok("eth_getLogs", json!([filter]))
            .await
            .as_array()
            .map(Vec::len)
    };
    let all = json!({"fromBlock": "earliest", "toBlock": "latest", "address": client.token});
    // The ten mints of genesis are no transactions, so they left no logs.
    assert_eq!(count(all).await, Some(6));
    assert_eq!(
        count(json!({})).await,
        Some(2),
        "without a range, the newest block"
    );
    assert_eq!(
        count(json!({"fromBlock": "0x2", "toBlock": "0x2"})).await,
        Some(2)
    );
    assert_eq!(
        count(json!({"blockHash": receipts[0]["blockHash"]})).await,
        Some(2)
    );
    let transfers = json!({"fromBlock": "0x0", "topics": [[Usd::Transfer::SIGNATURE_HASH], null, FRIEND.into_word()]});
    assert_eq!(count(transfers).await, Some(3));
    let used = json!({"fromBlock": "0x0", "topics": [Usd::AuthorizationUsed::SIGNATURE_HASH, null, B256::repeat_byte(2)]});
    assert_eq!(
        client.ok("eth_getLogs", json!([used])).await,
        json!([receipts[1]["logs"][0]])
    );
    assert_eq!(
        count(json!({"fromBlock": "0x0", "address": [FRIEND]})).await,
        Some(0)
    );
    assert_eq!(count(json!({"fromBlock": "0x9"})).await, Some(0));
    let both = client
        .rpc(
            "eth_getLogs",
            json!([{"blockHash": receipts[0]["blockHash"], "fromBlock": "0x0"}]),
        )
        .await;
    assert_eq!(both.expect_err("they exclude each other").code, -32602);
}

#[tokio::test]
async fn a_log_query_over_too_many_blocks_is_refused() {
    let (_devnet, client) = quiet();
    client.ok("anvil_mine", json!([10_000])).await;
    let refused = client
        .rpc(
            "eth_getLogs",
            json!([{"fromBlock": "0x0", "toBlock": "latest"}]),
        )
        .await
        .expect_err("the range is too long");
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (-32005, "query exceeds max block range 10000")
    );
    client
        .ok("eth_getLogs", json!([{"fromBlock": "0x1"}]))
        .await;
}

#[tokio::test]
async fn a_polled_filter_tells_only_what_is_new() {
    let (devnet, client) = quiet();
    let blocks = client.ok("eth_newBlockFilter", json!([])).await;
    let logs = client
        .ok("eth_newFilter", json!([{"address": client.token}]))
        .await;
    let changes = async |id: &Value| client.ok("eth_getFilterChanges", json!([id])).await;
    assert_eq!(
        (changes(&blocks).await, changes(&logs).await),
        (json!([]), json!([]))
    );
    let receipt = settle_to_friend(&devnet, &client, 1).await;
    assert_eq!(changes(&blocks).await, json!([receipt["blockHash"]]));
    assert_eq!(changes(&logs).await, receipt["logs"]);
    assert_eq!(
        (changes(&blocks).await, changes(&logs).await),
        (json!([]), json!([]))
    );
    assert_eq!(
        client.ok("eth_getFilterLogs", json!([logs])).await,
        receipt["logs"]
    );
    assert_eq!(
        client.ok("eth_uninstallFilter", json!([logs])).await,
        json!(true)
    );
    let gone = client
        .rpc("eth_getFilterChanges", json!([logs]))
        .await
        .expect_err("it is gone");
    assert_eq!(gone.message, "filter not found");
}

#[tokio::test]
async fn filters_are_limited_in_number() {
    let (_devnet, client) = quiet();
    for _ in 0..1000 {
        client.ok("eth_newBlockFilter", json!([])).await;
    }
    let refused = client
        .rpc("eth_newBlockFilter", json!([]))
        .await
        .expect_err("there are too many");
    assert_eq!(
        refused.message,
        "at most 1000 filters; remove some with eth_uninstallFilter"
    );
    client.ok("eth_uninstallFilter", json!(["0x1"])).await;
    client.ok("eth_newBlockFilter", json!([])).await;
}
