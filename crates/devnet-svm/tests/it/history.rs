//! What a node tells of transactions that are in blocks, and how far those blocks are.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::client::*;

#[tokio::test]
async fn a_payment_is_processed_then_confirmed_then_finalized() {
    let (devnet, client) = quiet();
    let payee = associated(
        &devnet.accounts()[9].address,
        &devnet.usdc(),
        farebox_devnet_svm::TokenProgram::Token,
    );
    let balance = async |commitment: &str| {
        let params = json!([payee.to_string(), {"commitment": commitment}]);
        let value = client.value("getTokenAccountBalance", params).await;
        value["amount"].as_str().expect("an amount").to_owned()
    };
    let tx = client.payment(&devnet, 1000).await;
    let config = json!({"preflightCommitment": "processed"});
    client.send_with(&tx, config).await.expect("it is taken");
    assert_eq!(client.status(&tx).await, Value::Null);
    assert_eq!(devnet.waiting_transactions(), 1);
    let stages = [
        (1, "processed", json!(0), ["1000", "0", "0"]),
        (1, "confirmed", json!(1), ["1000", "1000", "0"]),
        (30, "confirmed", json!(31), ["1000", "1000", "0"]),
        (1, "finalized", Value::Null, ["1000", "1000", "1000"]),
    ];
    for (slots, level, confirmations, balances) in stages {
        devnet.advance(slots);
        let status = client.status(&tx).await;
        assert_eq!(status["confirmationStatus"], json!(level));
        assert_eq!(status["confirmations"], confirmations);
        for (commitment, amount) in ["processed", "confirmed", "finalized"].iter().zip(balances) {
            assert_eq!(balance(commitment).await, amount, "{level} {commitment}");
        }
    }
}

#[tokio::test]
async fn a_transaction_is_told_whole_when_its_block_is_that_far() {
    let (devnet, client) = quiet();
    let tx = client.payment(&devnet, 1000).await;
    let config = json!({"preflightCommitment": "processed"});
    client.send_with(&tx, config).await.expect("it is taken");
    devnet.advance(2);
    let ask = |commitment: &str| {
        json!([name(&tx), {
            "encoding": "base64", "commitment": commitment, "maxSupportedTransactionVersion": 0,
        }])
    };
    let unknown = client.ok("getTransaction", ask("finalized")).await;
    assert_eq!(unknown, Value::Null);
    let found = client.ok("getTransaction", ask("confirmed")).await;
    assert_eq!(found["slot"], json!(devnet.slot() - 1));
    assert_eq!(found["version"], json!(0));
    assert_eq!(found["transaction"], json!([base64(&tx), "base64"]));
    assert!(found["blockTime"].as_i64() > Some(1_700_000_000));
    let meta = &found["meta"];
    assert_eq!(meta["err"], Value::Null);
    assert_eq!(meta["status"], json!({"Ok": null}));
    assert_eq!(meta["fee"], json!(10_001));
    assert_eq!(meta["innerInstructions"], json!([]));
    let lamports = |when: &str| meta[when][0].as_u64().expect("lamports");
    assert_eq!(lamports("preBalances") - lamports("postBalances"), 10_001);
    let payment = Payment::usdc(&devnet, 1000);
    let keys = tx.message.static_account_keys();
    let tokens = |when: &str, address| {
        let held = meta[when].as_array().expect("token balances");
        let of = |held: &&Value| {
            let index = held["accountIndex"].as_u64().expect("an index");
            keys[usize::try_from(index).expect("an index")] == address
        };
        held.iter().find(of).expect("a balance").clone()
    };
    let before = tokens("preTokenBalances", payment.destination());
    let after = tokens("postTokenBalances", payment.destination());
    assert_eq!(before["uiTokenAmount"]["amount"], json!("0"));
    assert_eq!(
        after,
        json!({
            "accountIndex": after["accountIndex"],
            "mint": devnet.usdc().to_string(),
            "owner": payment.payee.to_string(),
            "programId": payment.program.address().to_string(),
            "uiTokenAmount": {
                "amount": "1000", "decimals": 6, "uiAmount": 0.001, "uiAmountString": "0.001",
            },
        })
    );
    let unspoken = json!([name(&tx), {"encoding": "base64", "commitment": "confirmed"}]);
    let refused = client.refused("getTransaction", unspoken).await;
    assert_eq!(refused.code, -32015);
    let processed = client.refused("getTransaction", ask("processed")).await;
    assert_eq!(processed.code, -32602);
    assert_eq!(
        processed.message,
        "Method does not support commitment below `confirmed`"
    );
}

#[tokio::test]
async fn the_transactions_of_an_address_come_newest_first_and_in_pages() {
    let (devnet, client) = quick();
    let hash = client.blockhash("processed").await;
    let mut sent = Vec::new();
    for number in 0..4 {
        let payment = Payment {
            memo: format!("number {number}"),
            ..Payment::usdc(&devnet, 1000)
        };
        let tx = payment.signed(hash);
        client.send(&tx).await.expect("it is taken");
        sent.push(name(&tx));
    }
    let source = Payment::usdc(&devnet, 0).source().to_string();
    let page = async |config: Value| {
        let page = client
            .ok("getSignaturesForAddress", json!([source, config]))
            .await;
        let page = page.as_array().expect("a list").clone();
        page.into_iter()
            .map(|entry| entry["signature"].as_str().expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    let newest_first: Vec<_> = sent.iter().rev().cloned().collect();
    assert_eq!(page(json!({})).await, newest_first);
    assert_eq!(page(json!({"limit": 2})).await, newest_first[..2]);
    assert_eq!(
        page(json!({"before": newest_first[1]})).await,
        newest_first[2..]
    );
    assert_eq!(
        page(json!({"until": newest_first[2]})).await,
        newest_first[..2]
    );
    let all = client.ok("getSignaturesForAddress", json!([source])).await;
    assert_eq!(
        all[0],
        json!({
            "signature": sent[3],
            "slot": all[0]["slot"],
            "err": null,
            "memo": "[8] number 3",
            "blockTime": all[0]["blockTime"],
            "confirmationStatus": "finalized",
        })
    );
    for limit in [0, 1001] {
        let params = json!([source, {"limit": limit}]);
        let refused = client.refused("getSignaturesForAddress", params).await;
        assert_eq!(refused.message, "Invalid limit; max 1000");
    }
}

#[tokio::test]
async fn old_statuses_are_found_in_the_history_alone() {
    let (devnet, client) = quick();
    let tx = client.payment(&devnet, 1000).await;
    client.send(&tx).await.expect("it is taken");
    devnet.advance(300);
    assert_eq!(client.status(&tx).await, Value::Null);
    let params = json!([[name(&tx)], {"searchTransactionHistory": true}]);
    let found = client.value("getSignatureStatuses", params).await;
    assert_eq!(found[0]["confirmationStatus"], json!("finalized"));
    let many = json!([vec![name(&tx); 257]]);
    let refused = client.refused("getSignatureStatuses", many).await;
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (-32602, "Too many inputs provided; max 256")
    );
}

#[tokio::test]
async fn a_legacy_transaction_is_told_to_clients_that_know_no_versions() {
    let (devnet, client) = quick();
    let account = devnet.accounts()[1];
    let hash = client.blockhash("processed").await;
    let instructions = Payment::usdc(&devnet, 1000).instructions();
    let tx = sign(&account, &instructions, hash);
    client.send(&tx).await.expect("it is taken");
    let found = client
        .ok("getTransaction", json!([name(&tx), "base64"]))
        .await;
    let bytes = found["transaction"][0].as_str().expect("bytes");
    assert_eq!(
        BASE64_STANDARD.decode(bytes).expect("base64"),
        bincode::serialize(&tx).expect("bytes")
    );
    assert_eq!(found.get("version"), None);
    let params = json!([name(&tx), {"encoding": "base64", "maxSupportedTransactionVersion": 0}]);
    let found = client.ok("getTransaction", params).await;
    assert_eq!(found["version"], json!("legacy"));
}
