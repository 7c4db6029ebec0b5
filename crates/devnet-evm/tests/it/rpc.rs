//! The JSON-RPC methods that clients lean on, and what they say to bad input.

use alloy_consensus::{TxEip1559, TxEip7702};
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::SolCall as _;
use farebox_devnet_evm::{Devnet, DevnetOptions};
use serde_json::{Value, json};

use crate::client::*;

async fn post(client: &Client, body: &str) -> Value {
    let (status, body) = client
        .post(body.to_owned())
        .await
        .expect("the devnet answers");
    assert_eq!(status, 200);
    serde_json::from_slice(&body).expect("the reply is JSON")
}

#[tokio::test]
async fn junk_is_answered_with_the_standard_codes() {
    let (_devnet, client) = quiet();
    assert_eq!(post(&client, "{").await["error"]["code"], -32700);
    assert_eq!(post(&client, "[]").await["error"]["code"], -32600);
    assert_eq!(post(&client, "7").await["error"]["code"], -32600);
    assert_eq!(
        post(&client, r#"{"id":1,"method":"eth_chainId","params":{}}"#).await["error"]["code"],
        -32602
    );
    for method in ["eth_mystery", "evm_mystery", "mystery", ""] {
        assert_eq!(
            client
                .rpc(method, json!([]))
                .await
                .expect_err("it is unknown")
                .code,
            -32601
        );
    }
    for (method, params) in [
        ("eth_getBalance", json!([])),
        ("eth_getBalance", json!(["0x12", "latest"])),
        ("eth_getBalance", json!([FRIEND, "someday"])),
        ("eth_getTransactionReceipt", json!(["0x12"])),
        ("eth_call", json!([{"to": 7}, "latest"])),
        ("eth_getLogs", json!([{"topics": [1]}])),
    ] {
        assert_eq!(
            client
                .rpc(method, params)
                .await
                .expect_err("it is wrong")
                .code,
            -32602,
            "{method}"
        );
    }
}

#[tokio::test]
async fn a_batch_is_answered_call_by_call() {
    let (_devnet, client) = quiet();
    let replies = post(&client, r#"[{"id":1,"method":"eth_chainId"},{"method":"eth_chainId"},{"id":"two","method":"nope"}]"#).await;
    assert_eq!(
        (&replies[0]["id"], &replies[0]["result"]),
        (&json!(1), &json!("0x14a34"))
    );
    assert_eq!(
        (&replies[1]["id"], &replies[1]["error"]["code"]),
        (&json!("two"), &json!(-32601))
    );
    assert_eq!(
        replies.as_array().map(Vec::len),
        Some(2),
        "a notification has no reply"
    );
    let large: Vec<_> = (0..1001)
        .map(|id| json!({"id": id, "method": "eth_chainId"}))
        .collect();
    assert_eq!(
        post(&client, &Value::Array(large).to_string()).await["error"]["code"],
        -32600
    );
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let (_devnet, client) = quiet();
    let (status, _) = client
        .post(vec![b' '; 16 * 1024 * 1024 + 1])
        .await
        .expect("the devnet answers");
    assert_eq!(status, 413);
}

#[tokio::test]
async fn an_estimate_suffices_and_is_not_far_off() {
    let (devnet, client) = quiet();
    let payer = devnet.accounts()[1];
    let payment = authorization(&payer, FRIEND, 1);
    let data = settle_bytes(
        &payment,
        &sign_typed(&payer, &client.domain("USDC", "2"), &payment),
    );
    let gas = devnet.accounts()[0];
    let call =
        json!([{"from": gas.address, "to": client.token, "data": Bytes::from(data.clone())}]);
    let estimate = client.number("eth_estimateGas", call).await;
    let tx = TxEip1559 {
        gas_limit: estimate,
        ..client.eip1559(0, client.token, data)
    };
    let hash = client
        .send_raw(&sign_transaction(&gas, tx))
        .await
        .expect("it is taken");
    let receipt = client.receipt(hash).await;
    let used = quantity(&receipt["gasUsed"]);
    assert!(
        succeeded(&receipt) && estimate < used + used / 20,
        "estimated {estimate}, used {used}"
    );
    let plain = json!([{"from": gas.address, "to": FRIEND, "value": "0x1"}]);
    assert_eq!(client.number("eth_estimateGas", plain).await, 21_000);
    let poor = client
        .rpc(
            "eth_estimateGas",
            json!([{"from": FRIEND, "to": gas.address, "value": "0x1"}]),
        )
        .await;
    assert!(
        poor.expect_err("the friend is poor")
            .message
            .starts_with("insufficient funds")
    );
}

#[tokio::test]
async fn a_delegation_can_be_estimated() {
    let (devnet, client) = quiet();
    let account = devnet.accounts()[1];
    let delegation = Authorization {
        chain_id: U256::from(client.chain_id),
        address: client.token,
        nonce: 1,
    };
    let signature = sign(&account, delegation.signature_hash());
    let signed = json!({
        "chainId": delegation.chain_id, "address": delegation.address, "nonce": "0x1",
        "yParity": u8::from(signature.v()).to_string(), "r": signature.r(), "s": signature.s(),
    });
    let name = Bytes::from(Usd::nameCall {}.abi_encode());
    let call = json!([{"from": account.address, "to": account.address, "data": name, "authorizationList": [signed]}]);
    let estimate = client.number("eth_estimateGas", call).await;
    let tx = TxEip7702 {
        chain_id: client.chain_id,
        nonce: 0,
        gas_limit: estimate,
        max_fee_per_gas: 2 * GWEI,
        max_priority_fee_per_gas: 1,
        to: account.address,
        authorization_list: vec![delegation.into_signed(signature)],
        input: name,
        ..Default::default()
    };
    let hash = client
        .send_raw(&sign_transaction(&account, tx))
        .await
        .expect("the gas suffices");
    assert!(succeeded(&client.receipt(hash).await));
    let short = client
        .rpc("eth_call", json!([{"to": FRIEND, "gas": "0x5207"}]))
        .await
        .expect_err("nothing runs for so little");
    assert_eq!(
        short.message,
        "err: intrinsic gas too low: have 20999, want 21000 (supplied gas 20999)"
    );
}

#[tokio::test]
async fn a_call_can_pretend_other_code_balances_and_storage() {
    let (_devnet, client) = quiet();
    // Returns its own balance plus what is in slot 0.
    let code = "0x476000540160005260206000f3";
    let call = async |change: Value| {
        client
            .rpc(
                "eth_call",
                json!([{"to": FRIEND}, "latest", {FRIEND.to_string(): change}]),
            )
            .await
    };
    let word = |number: u64| json!(B256::from(U256::from(number)));
    assert_eq!(
        call(json!({"code": code, "balance": "0x5"}))
            .await
            .expect("it runs"),
        word(5)
    );
    let slots = json!({B256::ZERO.to_string(): word(10)});
    assert_eq!(
        call(json!({"code": code, "stateDiff": slots}))
            .await
            .expect("it runs"),
        word(10)
    );
    assert_eq!(
        call(json!({"code": code, "state": slots, "balance": "0x1"}))
            .await
            .expect("it runs"),
        word(11)
    );
    assert_eq!(
        call(json!({"code": code, "state": slots, "stateDiff": slots}))
            .await
            .expect_err("both make no sense")
            .code,
        -32602
    );
    assert_eq!(
        client
            .ok("eth_call", json!([{"to": FRIEND}, "latest"]))
            .await,
        json!("0x"),
        "nothing stays"
    );
}

#[tokio::test]
async fn the_past_can_be_read() {
    let (devnet, client) = quiet();
    for nonce in 1..=3 {
        settle_to_friend(&devnet, &client, nonce).await;
    }
    let call = json!({"to": client.token, "data": Bytes::from(Usd::balanceOfCall { owner: FRIEND }.abi_encode())});
    let gas = devnet.accounts()[0].address;
    for block in 0..=3_u64 {
        let balance = client
            .ok("eth_call", json!([call, format!("{block:#x}")]))
            .await;
        assert_eq!(balance, json!(B256::from(U256::from(1000 * block))));
        assert_eq!(
            client
                .number(
                    "eth_getTransactionCount",
                    json!([gas, format!("{block:#x}")])
                )
                .await,
            block
        );
    }
    let ahead = client
        .rpc("eth_getBalance", json!([gas, "0x4"]))
        .await
        .expect_err("there is no block 4");
    assert_eq!(
        (ahead.code, ahead.message.as_str()),
        (-32000, "header not found")
    );
    let genesis = client
        .ok("eth_getBlockByNumber", json!(["earliest", false]))
        .await["hash"]
        .clone();
    assert_eq!(
        client
            .number(
                "eth_getTransactionCount",
                json!([gas, {"blockHash": genesis}])
            )
            .await,
        0
    );
}

#[tokio::test]
async fn safe_and_finalized_follow_latest_at_the_distance_asked_for() {
    let devnet = Devnet::start(DevnetOptions {
        finality_blocks: 2,
        ..DevnetOptions::quiet()
    })
    .expect("the devnet starts");
    let client = Client::new(&devnet);
    for _ in 0..5 {
        devnet.mine();
    }
    for (tag, number) in [
        ("latest", 5),
        ("safe", 3),
        ("finalized", 3),
        ("earliest", 0),
        ("pending", 5),
    ] {
        assert_eq!(
            quantity(&client.ok("eth_getBlockByNumber", json!([tag, false])).await["number"]),
            number,
            "{tag}"
        );
    }
}

#[tokio::test]
async fn fees_are_suggested_and_recorded() {
    let (devnet, client) = quiet();
    devnet.mine();
    let history = client
        .ok("eth_feeHistory", json!(["0x5", "latest", [50]]))
        .await;
    assert_eq!(history["oldestBlock"], json!("0x0"));
    assert_eq!(history["baseFeePerGas"].as_array().map(Vec::len), Some(3));
    assert_eq!(history["reward"].as_array().map(Vec::len), Some(2));
    let tip = client.number("eth_maxPriorityFeePerGas", json!([])).await;
    assert_eq!(
        client.number("eth_gasPrice", json!([])).await,
        1_000_000_000 + tip
    );
}

#[tokio::test]
async fn accounts_can_be_edited() {
    let (devnet, client) = quiet();
    client.ok("anvil_setBalance", json!([FRIEND, "0x2a"])).await;
    client.ok("hardhat_setNonce", json!([FRIEND, "0x7"])).await;
    client
        .ok("anvil_setCode", json!([FRIEND, "0x60005460005260206000f3"]))
        .await;
    client
        .ok(
            "anvil_setStorageAt",
            json!([FRIEND, "0x0", B256::repeat_byte(3)]),
        )
        .await;
    assert_eq!(
        (devnet.ether_balance(FRIEND), devnet.nonce(FRIEND)),
        (U256::from(42), 7)
    );
    assert_eq!(
        client
            .ok("eth_getStorageAt", json!([FRIEND, "0x0", "latest"]))
            .await,
        json!(B256::repeat_byte(3))
    );
    assert_eq!(
        client
            .ok("eth_call", json!([{"to": FRIEND}, "latest"]))
            .await,
        json!(B256::repeat_byte(3))
    );
    client.ok("anvil_setCode", json!([FRIEND, "0x"])).await;
    assert_eq!(
        client.ok("eth_getCode", json!([FRIEND, "latest"])).await,
        json!("0x")
    );
}

#[tokio::test]
async fn the_well_known_accounts_belong_to_their_keys() {
    let (devnet, client) = quiet();
    for account in devnet.accounts() {
        let hash = client
            .send_raw(&client.transaction(account, 0, FRIEND, Vec::new()))
            .await
            .expect("it is taken");
        let tx = client.ok("eth_getTransactionByHash", json!([hash])).await;
        assert_eq!(tx["from"], json!(account.address));
    }
}
