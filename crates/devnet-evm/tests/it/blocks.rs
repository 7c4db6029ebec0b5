//! When blocks come, what they hold and what time they show.

use std::time::Duration;

use alloy_consensus::{TxEip1559, TxEip2930, TxLegacy};
use alloy_primitives::{Bytes, TxKind, U256};
use farebox_devnet_evm::{Devnet, DevnetOptions};
use serde_json::{Value, json};

use crate::client::*;
use crate::socket::Heads;

#[tokio::test]
async fn a_mined_transaction_has_its_receipt_when_the_reply_comes() {
    let (devnet, client) = quiet();
    let hash = client
        .send_raw(&sign_transaction(&devnet.accounts()[0], gift(&client, 0)))
        .await
        .expect("it is taken");
    let receipt = client.receipt(hash).await;
    assert!(succeeded(&receipt));
    assert_eq!(quantity(&receipt["gasUsed"]), 21_000);
    assert_eq!(devnet.block_number(), 1);
    let tx = client.ok("eth_getTransactionByHash", json!([hash])).await;
    assert_eq!(
        (&tx["blockNumber"], &tx["from"]),
        (&json!("0x1"), &json!(devnet.accounts()[0].address))
    );
    let block = client
        .ok("eth_getBlockByNumber", json!(["latest", false]))
        .await;
    assert_eq!(block["transactions"], json!([hash]));
    assert_eq!(
        client.ok("eth_getBlockReceipts", json!(["latest"])).await,
        json!([receipt])
    );
}

#[tokio::test]
async fn transactions_that_arrive_together_share_a_block_in_order_of_arrival() {
    let (devnet, client) = quiet();
    devnet.hold_mining();
    let mut sent = Vec::new();
    for account in &devnet.accounts()[..3] {
        sent.push(
            client
                .send_raw(&sign_transaction(account, gift(&client, 0)))
                .await
                .expect("it is taken"),
        );
    }
    devnet.mine();
    let block = client
        .ok("eth_getBlockByNumber", json!(["latest", false]))
        .await;
    assert_eq!(block["transactions"], json!(sent));
    assert_eq!(
        quantity(&client.receipt(sent[2]).await["cumulativeGasUsed"]),
        63_000
    );
}

#[tokio::test]
async fn a_batch_of_transactions_is_answered_in_order_once_all_are_mined() {
    let (devnet, client) = quiet();
    let account = &devnet.accounts()[0];
    let send = |nonce: u64| {
        let raw = sign_transaction(account, gift(&client, nonce));
        json!({"jsonrpc": "2.0", "id": nonce, "method": "eth_sendRawTransaction", "params": [raw]})
    };
    let batch: Vec<_> = (0..20).map(send).collect();
    let (_, body) = client
        .post(json!(batch).to_string())
        .await
        .expect("the devnet answers");
    let replies: Vec<Value> = serde_json::from_slice(&body).expect("the reply is a batch");
    let ids: Vec<_> = replies.iter().map(|reply| reply["id"].as_u64()).collect();
    assert_eq!(ids, (0..20).map(Some).collect::<Vec<_>>());
    assert!(
        replies.iter().all(|reply| reply["result"].is_string()),
        "{replies:?}"
    );
    assert_eq!(
        (devnet.nonce(account.address), devnet.waiting_transactions()),
        (20, 0)
    );
}

#[tokio::test]
async fn a_block_holds_no_more_than_its_gas_limit() {
    let options = DevnetOptions {
        gas_limit: 1_000_000,
        ..DevnetOptions::quiet()
    };
    let devnet = Devnet::start(options).expect("the devnet starts");
    let client = Client::new(&devnet);
    devnet.hold_mining();
    for nonce in 0..5 {
        let tx = TxEip1559 {
            gas_limit: 500_000,
            ..gift(&client, nonce)
        };
        client
            .send_raw(&sign_transaction(&devnet.accounts()[0], tx))
            .await
            .expect("it is taken");
    }
    devnet.mine();
    // Room is taken by what is used, so every transaction fits whose limit fits into what is left.
    assert_eq!(devnet.waiting_transactions(), 0);
    let refused = client
        .send_raw(&sign_transaction(
            &devnet.accounts()[0],
            TxEip1559 {
                gas_limit: 1_000_001,
                ..gift(&client, 5)
            },
        ))
        .await;
    assert_eq!(
        refused.expect_err("it can never fit").message,
        "exceeds block gas limit"
    );
    for account in &devnet.accounts()[1..4] {
        let burner = TxEip1559 {
            to: TxKind::Create,
            gas_limit: 600_000,
            input: Bytes::from_static(&[0xfe]),
            ..gift(&client, 0)
        };
        client
            .send_raw(&sign_transaction(account, burner))
            .await
            .expect("it is taken");
    }
    let burned = |devnet: &Devnet| {
        devnet.mine();
        devnet.waiting_transactions()
    };
    assert_eq!(
        [burned(&devnet), burned(&devnet), burned(&devnet)],
        [2, 1, 0]
    );
}

#[tokio::test]
async fn legacy_and_access_list_transactions_are_mined() {
    let (devnet, client) = quiet();
    let account = &devnet.accounts()[0];
    let legacy = TxLegacy {
        chain_id: Some(client.chain_id),
        nonce: 0,
        gas_price: 2 * GWEI,
        gas_limit: GAS,
        to: TxKind::Call(FRIEND),
        value: U256::from(1),
        input: Bytes::new(),
    };
    let hash = client
        .send_raw(&sign_transaction(account, legacy.clone()))
        .await
        .expect("it is taken");
    let tx = client.ok("eth_getTransactionByHash", json!([hash])).await;
    assert!(
        [84532 * 2 + 35, 84532 * 2 + 36].contains(&quantity(&tx["v"])),
        "{tx}"
    );
    let list = TxEip2930 {
        chain_id: client.chain_id,
        nonce: 1,
        gas_price: 2 * GWEI,
        gas_limit: GAS,
        to: TxKind::Call(FRIEND),
        value: U256::from(1),
        ..Default::default()
    };
    let hash = client
        .send_raw(&sign_transaction(account, list))
        .await
        .expect("it is taken");
    assert_eq!(quantity(&client.receipt(hash).await["type"]), 1);
    let unprotected = TxLegacy {
        chain_id: None,
        nonce: 2,
        ..legacy
    };
    let refused = client
        .send_raw(&sign_transaction(account, unprotected))
        .await
        .expect_err("it could be replayed");
    assert_eq!(
        refused.message,
        "only replay-protected (EIP-155) transactions allowed over RPC"
    );
}

#[tokio::test]
async fn time_is_moved_and_set() {
    let (devnet, client) = quiet();
    let start = devnet.timestamp();
    client.ok("evm_increaseTime", json!([1000])).await;
    devnet.mine();
    assert!(devnet.timestamp() >= start + 1000);
    client
        .ok("evm_setNextBlockTimestamp", json!([start + 5000]))
        .await;
    devnet.mine();
    assert_eq!(devnet.timestamp(), start + 5000);
    client
        .ok("evm_mine", json!([format!("{:#x}", start + 9000)]))
        .await;
    assert_eq!(devnet.timestamp(), start + 9000);
    let refused = client
        .rpc("evm_setNextBlockTimestamp", json!([start]))
        .await
        .expect_err("time does not go back");
    assert_eq!(refused.code, -32602);
    client.ok("anvil_mine", json!(["0x3", "0x64"])).await;
    assert!(devnet.timestamp() >= start + 9200);
}

#[tokio::test]
async fn a_block_time_gathers_transactions_until_the_beat() {
    let options = DevnetOptions {
        block_time: Some(Duration::from_millis(50)),
        ..DevnetOptions::quiet()
    };
    let devnet = Devnet::start(options).expect("the devnet starts");
    let client = Client::new(&devnet);
    let hash = client
        .send_raw(&sign_transaction(&devnet.accounts()[0], gift(&client, 0)))
        .await
        .expect("it is taken");
    let mut heads = Heads::of(&devnet).await;
    while client.receipt(hash).await.is_null() {
        heads.next().await;
    }
    let before = devnet.block_number();
    heads.next().await;
    heads.next().await;
    assert!(
        devnet.block_number() > before,
        "blocks come without transactions"
    );
}

#[tokio::test]
async fn automine_moves_chain_time_while_idle() {
    let devnet = Devnet::start(DevnetOptions::default()).expect("the devnet starts");
    let mut heads = Heads::of(&devnet).await;
    let (first, second) = (heads.next().await, heads.next().await);
    assert_eq!(quantity(&second["number"]), quantity(&first["number"]) + 1);
    assert!(quantity(&second["timestamp"]) > 0);
}

#[tokio::test]
async fn a_quiet_chain_stands_still_until_told() {
    let (devnet, client) = quiet();
    client.ok("evm_setAutomine", json!([false])).await;
    let hash = client
        .send_raw(&sign_transaction(&devnet.accounts()[0], gift(&client, 0)))
        .await
        .expect("it is taken");
    assert_eq!(
        (client.receipt(hash).await, devnet.block_number()),
        (Value::Null, 0)
    );
    client.ok("evm_mine", json!([])).await;
    assert!(succeeded(&client.receipt(hash).await));
}
