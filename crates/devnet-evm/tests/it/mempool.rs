//! What waits, what is refused and in which words.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Bytes, Signature, U256};
use serde_json::{Value, json};

use crate::client::*;

#[tokio::test]
async fn a_transaction_after_a_nonce_gap_waits_until_the_gap_is_filled() {
    let (devnet, client) = quiet();
    let account = &devnet.accounts()[0];
    let late = client
        .send_raw(&sign_transaction(account, gift(&client, 1)))
        .await
        .expect("it is queued");
    assert_eq!(client.receipt(late).await, Value::Null);
    assert_eq!(
        (devnet.waiting_transactions(), devnet.block_number()),
        (1, 0)
    );
    assert_eq!(
        client
            .number(
                "eth_getTransactionCount",
                json!([account.address, "pending"])
            )
            .await,
        0
    );
    client
        .send_raw(&sign_transaction(account, gift(&client, 0)))
        .await
        .expect("it fills the gap");
    assert!(succeeded(&client.receipt(late).await));
    assert_eq!(client.nonce(account.address).await, 2);
    assert_eq!(devnet.waiting_transactions(), 0);
}

#[tokio::test]
async fn pending_counts_what_waits_without_a_gap() {
    let (devnet, client) = quiet();
    devnet.hold_mining();
    for nonce in [0, 1, 3] {
        client
            .send_raw(&sign_transaction(
                &devnet.accounts()[0],
                gift(&client, nonce),
            ))
            .await
            .expect("it is taken");
    }
    let address = devnet.accounts()[0].address;
    assert_eq!(
        client
            .number("eth_getTransactionCount", json!([address, "pending"]))
            .await,
        2
    );
    assert_eq!(client.nonce(address).await, 0);
    devnet.mine();
    assert_eq!(
        (devnet.nonce(address), devnet.waiting_transactions()),
        (2, 1)
    );
}

#[tokio::test]
async fn the_mempool_refuses_in_geths_words() {
    let (devnet, client) = quiet();
    let account = &devnet.accounts()[0];
    let next = || gift(&client, 1);
    let (rich, junk) = (U256::from(10).pow(U256::from(30)), vec![1; 1000]);
    client
        .send_raw(&sign_transaction(account, gift(&client, 0)))
        .await
        .expect("the first is taken");
    let cases = [
        (gift(&client, 0), "already known"),
        (
            TxEip1559 {
                value: U256::from(2),
                ..gift(&client, 0)
            },
            "nonce too low: next nonce 1, tx nonce 0",
        ),
        (
            TxEip1559 {
                gas_limit: 20_999,
                ..next()
            },
            "intrinsic gas too low: gas 20999, minimum needed 21000",
        ),
        (
            TxEip1559 {
                gas_limit: 40_000,
                input: junk.into(),
                ..next()
            },
            "insufficient gas for floor data gas cost: gas 40000, minimum needed 61000",
        ),
        (
            TxEip1559 {
                chain_id: 1,
                ..next()
            },
            "invalid chain id for signer: have 1 want 84532",
        ),
        (
            TxEip1559 {
                value: rich,
                ..next()
            },
            "insufficient funds for gas * price + value: address 0xf39F",
        ),
    ];
    for (tx, words) in cases {
        let refused = client
            .send_raw(&sign_transaction(account, tx))
            .await
            .expect_err(words);
        assert_eq!(refused.code, -32000);
        assert!(
            refused.message.starts_with(words),
            "{} is not: {words}",
            refused.message
        );
    }
    assert_eq!(
        (devnet.nonce(account.address), devnet.waiting_transactions()),
        (1, 0)
    );
}

#[tokio::test]
async fn a_tip_above_the_fee_cap_is_refused() {
    let (devnet, client) = quiet();
    let tx = TxEip1559 {
        max_priority_fee_per_gas: 3 * GWEI,
        ..gift(&client, 0)
    };
    let refused = client
        .send_raw(&sign_transaction(&devnet.accounts()[0], tx))
        .await
        .expect_err("it contradicts itself");
    assert!(
        refused
            .message
            .starts_with("max priority fee per gas higher than max fee per gas: address"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_malleated_signature_is_refused() {
    let (devnet, client) = quiet();
    let tx = gift(&client, 0);
    let good = sign(&devnet.accounts()[0], tx.signature_hash());
    let order = U256::from_be_bytes(secp256k1::constants::CURVE_ORDER);
    for bad in [
        Signature::new(good.r(), order - good.s(), !good.v()),
        Signature::new(U256::ZERO, good.s(), true),
    ] {
        let raw = Bytes::from(TxEnvelope::from(tx.clone().into_signed(bad)).encoded_2718());
        let refused = client
            .send_raw(&raw)
            .await
            .expect_err("it is malleable or empty");
        assert_eq!(refused.message, "invalid transaction v, r, s values");
    }
}

#[tokio::test]
async fn what_is_no_transaction_is_refused() {
    let (_devnet, client) = quiet();
    for (raw, code) in [
        ("0x02c0", -32000),
        ("0x", -32000),
        ("0xff00", -32000),
        ("junk", -32602),
    ] {
        assert_eq!(
            client
                .rpc("eth_sendRawTransaction", json!([raw]))
                .await
                .expect_err(raw)
                .code,
            code
        );
    }
}

#[tokio::test]
async fn a_replacement_must_pay_a_tenth_more() {
    let (devnet, client) = quiet();
    devnet.hold_mining();
    let send = async |max_fee: u128, tip: u128| {
        let tx = TxEip1559 {
            max_fee_per_gas: max_fee,
            max_priority_fee_per_gas: tip,
            ..gift(&client, 0)
        };
        client
            .send_raw(&sign_transaction(&devnet.accounts()[0], tx))
            .await
    };
    let first = send(2 * GWEI, 1000).await.expect("it is taken");
    for (max_fee, tip) in [(2 * GWEI + 1, 1100), (22 * GWEI / 10, 1099)] {
        assert_eq!(
            send(max_fee, tip)
                .await
                .expect_err("it pays too little")
                .message,
            "replacement transaction underpriced"
        );
    }
    let second = send(22 * GWEI / 10, 1100)
        .await
        .expect("it replaces the first");
    devnet.mine();
    assert_eq!(client.receipt(first).await, Value::Null);
    assert!(succeeded(&client.receipt(second).await));
}

#[tokio::test]
async fn a_transaction_below_the_base_fee_waits_until_the_fee_falls() {
    let (devnet, client) = quiet();
    devnet.set_base_fee(3_000_000_000);
    let hash = client
        .send_raw(&sign_transaction(&devnet.accounts()[0], gift(&client, 0)))
        .await
        .expect("it waits");
    devnet.mine();
    assert_eq!(client.receipt(hash).await, Value::Null);
    devnet.set_base_fee(1_000_000_000);
    devnet.mine();
    assert_eq!(
        quantity(&client.receipt(hash).await["effectiveGasPrice"]),
        1_000_000_001
    );
}

#[tokio::test]
async fn a_dropped_transaction_is_forgotten() {
    let (devnet, client) = quiet();
    devnet.hold_mining();
    let hash = client
        .send_raw(&sign_transaction(&devnet.accounts()[0], gift(&client, 0)))
        .await
        .expect("it is taken");
    assert_eq!(
        client.ok("anvil_dropTransaction", json!([hash])).await,
        json!(hash)
    );
    assert_eq!(
        client.ok("eth_getTransactionByHash", json!([hash])).await,
        Value::Null
    );
    assert_eq!(
        client.ok("anvil_dropTransaction", json!([hash])).await,
        Value::Null
    );
}
