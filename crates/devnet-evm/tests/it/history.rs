//! Going back: snapshots and reorgs.

use alloy_primitives::{B256, U256};
use farebox_devnet_evm::DevnetError;
use serde_json::{Value, json};

use crate::client::*;

#[tokio::test]
async fn a_snapshot_brings_everything_back() {
    let (devnet, client) = quiet();
    let account = &devnet.accounts()[0];
    devnet.set_ether_balance(FRIEND, U256::from(7));
    let id = client.ok("evm_snapshot", json!([])).await;
    let before = client
        .ok("eth_getBlockByNumber", json!(["latest", false]))
        .await;
    devnet.set_ether_balance(FRIEND, U256::from(1000));
    let hash = client
        .send_raw(&sign_transaction(account, gift(&client, 0)))
        .await
        .expect("it is taken");
    client
        .send_raw(&sign_transaction(account, gift(&client, 9)))
        .await
        .expect("it is queued");
    assert_eq!(devnet.ether_balance(FRIEND), U256::from(1001));
    assert_eq!(client.ok("evm_revert", json!([id])).await, json!(true));
    assert_eq!(
        client
            .ok("eth_getBlockByNumber", json!(["latest", false]))
            .await,
        before
    );
    assert_eq!(
        (
            devnet.ether_balance(FRIEND),
            client.nonce(account.address).await
        ),
        (U256::from(7), 0)
    );
    assert_eq!(
        (client.receipt(hash).await, devnet.waiting_transactions()),
        (Value::Null, 0)
    );
    assert_eq!(
        client.ok("evm_revert", json!([id])).await,
        json!(false),
        "a snapshot is used up"
    );
    assert!(matches!(devnet.revert(99), Err(DevnetError::TooFarBack)));
}

#[tokio::test]
async fn a_reorg_takes_a_settlement_back_and_changes_the_hashes() {
    let (devnet, client) = quiet();
    let (gas, payer) = (devnet.accounts()[0], devnet.accounts()[1]);
    let payment = authorization(&payer, FRIEND, 1);
    let settle = settle_bytes(
        &payment,
        &sign_typed(&payer, &client.domain("USDC", "2"), &payment),
    );
    devnet.mine();
    let receipt = client.transact(&gas, client.token, settle).await;
    let hash: B256 = serde_json::from_value(receipt["transactionHash"].clone()).expect("a hash");
    devnet.mine();
    let old = client
        .ok("eth_getBlockByNumber", json!(["0x2", false]))
        .await;
    client.ok("anvil_reorg", json!([2])).await;
    let new = client
        .ok("eth_getBlockByNumber", json!(["0x2", false]))
        .await;
    assert_eq!(
        (devnet.block_number(), &new["parentHash"]),
        (3, &old["parentHash"])
    );
    assert_ne!(new["hash"], old["hash"]);
    assert_eq!(
        client
            .ok("eth_getBlockByHash", json!([old["hash"], false]))
            .await,
        Value::Null
    );
    assert_eq!(
        (client.receipt(hash).await, client.balance(FRIEND).await),
        (Value::Null, U256::ZERO)
    );
    let used = client
        .read(
            client.token,
            Usd::authorizationStateCall {
                authorizer: payer.address,
                nonce: payment.nonce,
            },
        )
        .await;
    assert!(!used && devnet.reorg(4, false).is_err());
}

#[tokio::test]
async fn a_reorg_can_put_its_transactions_back_into_the_mempool() {
    let (devnet, client) = quiet();
    let hash = client
        .send_raw(&sign_transaction(&devnet.accounts()[0], gift(&client, 0)))
        .await
        .expect("it is taken");
    let first = client.receipt(hash).await;
    devnet.hold_mining();
    devnet.reorg(1, true).expect("one block is there");
    assert_eq!(
        (client.receipt(hash).await, devnet.waiting_transactions()),
        (Value::Null, 1)
    );
    devnet.mine();
    let second = client.receipt(hash).await;
    assert!(succeeded(&second) && first["blockHash"] != second["blockHash"]);
}

#[tokio::test]
async fn every_block_has_its_own_hash_and_names_its_parent() {
    let (devnet, client) = quiet();
    let mut hashes = vec![
        client
            .ok("eth_getBlockByNumber", json!(["0x0", false]))
            .await["hash"]
            .clone(),
    ];
    for number in 1..=5 {
        devnet.mine();
        let block = client
            .ok("eth_getBlockByNumber", json!([number, false]))
            .await;
        assert_eq!(Some(&block["parentHash"]), hashes.last());
        assert!(!hashes.contains(&block["hash"]));
        hashes.push(block["hash"].clone());
    }
    let id = devnet.snapshot();
    let abandoned = devnet.mine();
    devnet.revert(id).expect("the snapshot is there");
    assert_ne!(
        devnet.mine(),
        abandoned,
        "a block after a revert is another block"
    );
}
