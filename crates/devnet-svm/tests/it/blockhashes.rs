//! A blockhash lives for 150 blocks, and no block knows one that is newer than itself.

use serde_json::json;
use solana_hash::Hash;

use crate::client::*;

async fn is_valid(client: &Client, hash: &Hash, commitment: &str) -> bool {
    let config = json!([hash.to_string(), {"commitment": commitment}]);
    let value = client.value("isBlockhashValid", config).await;
    value.as_bool().expect("yes or no")
}

#[tokio::test]
async fn a_blockhash_is_valid_for_150_blocks_after_its_own() {
    let (devnet, client) = quiet();
    let tx = client.payment(&devnet, 1000).await;
    let hash = *tx.message.recent_blockhash();
    devnet.advance(150);
    assert!(is_valid(&client, &hash, "processed").await);
    let simulated = client
        .simulate(&tx, json!({"commitment": "processed"}))
        .await;
    assert_eq!(simulated["err"], json!(null));
    devnet.advance(1);
    assert!(!is_valid(&client, &hash, "processed").await);
    let late = client
        .send_with(&tx, json!({"preflightCommitment": "processed"}))
        .await
        .expect_err("it is too late");
    assert_eq!(
        (late.code, &late.data["err"]),
        (-32002, &json!("BlockhashNotFound"))
    );
    assert_eq!(
        late.message,
        "Transaction simulation failed: Blockhash not found"
    );
}

#[tokio::test]
async fn the_finalized_block_does_not_know_a_newer_blockhash() {
    let (devnet, client) = quiet();
    devnet.advance(1);
    let hash = client.blockhash("confirmed").await;
    assert!(is_valid(&client, &hash, "confirmed").await);
    assert!(!is_valid(&client, &hash, "finalized").await);
    devnet.advance(31);
    assert!(is_valid(&client, &hash, "finalized").await);
}

#[tokio::test]
async fn an_expired_blockhash_is_invalid_at_every_commitment_and_its_payment_never_lands() {
    let (devnet, client) = quiet();
    let tx = client.payment(&devnet, 1000).await;
    devnet.expire_blockhashes();
    for commitment in ["processed", "confirmed", "finalized"] {
        assert!(!is_valid(&client, tx.message.recent_blockhash(), commitment).await);
    }
    client
        .send_with(&tx, json!({"skipPreflight": true}))
        .await
        .expect("a node that does not look takes it");
    devnet.advance(2);
    assert_eq!(client.status(&tx).await, json!(null));
    assert_eq!(
        devnet.token_balance(devnet.accounts()[9].address, devnet.usdc()),
        0
    );
}

#[tokio::test]
async fn what_is_no_hash_and_what_is_no_method_is_refused_in_agaves_words() {
    let (_devnet, client) = quick();
    let refused = client.refused("isBlockhashValid", json!(["abc"])).await;
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (-32602, "WrongSize")
    );
    let refused = client.refused("getLuckyNumber", json!([])).await;
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (-32601, "Method not found")
    );
}
