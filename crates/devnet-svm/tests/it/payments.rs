//! Payments run through the real token programs, once.

use serde_json::{Value, json};
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;

use crate::client::*;

#[tokio::test]
async fn a_payment_moves_tokens_and_is_final_at_once_where_asked() {
    let (devnet, client) = quick();
    let (buyer, payee) = (devnet.accounts()[1].address, devnet.accounts()[9].address);
    let tx = client.payment(&devnet, 1000).await;
    assert_eq!(client.status(&tx).await, Value::Null);
    assert_eq!(
        client.send(&tx).await.expect("it is taken"),
        json!(name(&tx))
    );
    let status = client.status(&tx).await;
    assert_eq!(status["confirmationStatus"], json!("finalized"));
    assert_eq!(status["err"], Value::Null);
    assert_eq!(status["confirmations"], Value::Null);
    assert_eq!(devnet.token_balance(payee, devnet.usdc()), 1000);
    assert_eq!(
        devnet.token_balance(buyer, devnet.usdc()),
        1_000_000_000_000 - 1000
    );
}

#[tokio::test]
async fn a_message_runs_once_whoever_signs_it() {
    let (devnet, client) = quick();
    let tx = client.payment(&devnet, 1000).await;
    client.send(&tx).await.expect("it is taken");
    let again = client.send(&tx).await.expect_err("it has run");
    assert_eq!(again.code, -32002);
    assert_eq!(
        again.message,
        "Transaction simulation failed: This transaction has already been processed"
    );
    assert_eq!(again.data["err"], json!("AlreadyProcessed"));
    // Without the fee payer's signature, as a facilitator would simulate it before signing.
    let unsigned = VersionedTransaction {
        signatures: vec![Signature::default(), tx.signatures[1]],
        message: tx.message.clone(),
    };
    let simulated = client
        .simulate(&unsigned, json!({"sigVerify": false}))
        .await;
    assert_eq!(simulated["err"], json!("AlreadyProcessed"));
    // A node that does not look first takes it, and nothing happens.
    client
        .send_with(&tx, json!({"skipPreflight": true}))
        .await
        .expect("it is taken");
    let payee = devnet.accounts()[9].address;
    assert_eq!(devnet.token_balance(payee, devnet.usdc()), 1000);
}
