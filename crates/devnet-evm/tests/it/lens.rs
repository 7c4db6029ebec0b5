//! `contracts/src/Lens.sol`: what `eth_call` without `to` tells of many payers at once.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolValue as _;
use farebox_devnet_evm::MULTICALL3_ADDRESS;
use serde_json::{Value, json};

use crate::client::*;
use crate::setup::*;

const LENS: &str = include_str!("../../../../contracts/artifacts/Lens.creation.hex");
const FLOODING: &str = include_str!("../../../../contracts/artifacts/FloodingWallet.runtime.hex");
/// So many answers fit into what a constructor may return (EIP-170).
const MAX_QUERIES: usize = 255;

fn creation(token: Address, queries: &[(Address, B256)]) -> Bytes {
    let packed: Vec<u8> = queries
        .iter()
        .flat_map(|(payer, nonce)| [payer.as_slice(), nonce.as_slice()].concat())
        .collect();
    raw(token, &packed)
}

fn raw(token: Address, queries: &[u8]) -> Bytes {
    let mut data = hex::decode(LENS.trim()).expect("the artifact is hex");
    data.extend((token, Bytes::copy_from_slice(queries)).abi_encode_params());
    data.into()
}

async fn look(client: &Client, data: Bytes) -> Result<Vec<U256>, Refused> {
    let answer = client
        .rpc("eth_call", json!([{"data": data}, "latest"]))
        .await?;
    let answer: Bytes = serde_json::from_value(answer).expect("bytes");
    assert_eq!(answer.len() % 32, 0);
    Ok(answer.chunks(32).map(U256::from_be_slice).collect())
}

#[tokio::test]
async fn one_call_tells_code_balance_and_used_nonces_of_many_payers() {
    let setup = setup();
    let used = authorization(&setup.payer, PAYEE, 1);
    setup.send(settle_bytes(&used, &setup.sign(&used))).await;
    let wallet = setup.deploy_smart_wallet(setup.payer.address).await;
    let delegated = Address::repeat_byte(0x77);
    let code = [&[0xef, 0x01, 0x00], wallet.as_slice()].concat();
    setup.devnet.set_code(delegated, code.into());
    let queries = [
        (setup.payer.address, B256::repeat_byte(1)),
        (setup.payer.address, B256::repeat_byte(2)),
        (PAYEE, B256::repeat_byte(1)),
        (wallet, B256::ZERO),
        (delegated, B256::ZERO),
    ];
    let words = look(&setup.client, creation(setup.client.token, &queries))
        .await
        .expect("an answer");
    let numbers: Vec<u64> = words.iter().map(|word| word.to()).collect();
    let left = FUNDED - 1000;
    let [token, payers @ ..] = &numbers[..] else {
        panic!("an answer");
    };
    assert!(*token > 5000, "the token's code has {token} bytes");
    assert_eq!(payers[..9], [0, left, 1, 0, left, 0, 0, 1000, 0]);
    assert!(payers[9] > 500, "the wallet's code has {} bytes", payers[9]);
    assert_eq!(payers[10..], [0, 0, 23, 0, 0]);
}

#[tokio::test]
async fn as_many_queries_fit_as_its_page_says_and_no_more() {
    let (devnet, client) = quiet();
    let payer = devnet.accounts()[1].address;
    let full = vec![(payer, B256::repeat_byte(9)); MAX_QUERIES];
    let words = look(&client, creation(client.token, &full))
        .await
        .expect("an answer");
    assert_eq!(words.len(), 1 + 3 * MAX_QUERIES);
    assert_eq!(words.last(), Some(&U256::ZERO));
    let over = vec![(payer, B256::repeat_byte(9)); MAX_QUERIES + 1];
    let refused = look(&client, creation(client.token, &over)).await;
    assert!(refused.is_err(), "{refused:?}");
}

#[tokio::test]
async fn what_is_no_token_is_told_apart_from_an_empty_account() {
    let (devnet, client) = quiet();
    let payer = devnet.accounts()[1].address;
    let query = [(payer, B256::ZERO)];
    let words = look(&client, creation(FRIEND, &query)).await;
    assert_eq!(
        words.expect("an answer"),
        [U256::ZERO, U256::ZERO, U256::ZERO, U256::from(2)]
    );
    // A contract that tells no balance gives no answer at all.
    let refused = look(&client, creation(MULTICALL3_ADDRESS, &query)).await;
    assert_eq!(refused.expect_err("no answer").code, 3);
    // One that answers a megabyte to everything does not fill our memory.
    let flooding = hex::decode(FLOODING.trim()).expect("hex");
    devnet.set_code(FRIEND, flooding.into());
    let words = look(&client, creation(FRIEND, &query)).await;
    assert_eq!(words.expect("an answer").len(), 4);
}

#[tokio::test]
async fn queries_that_are_no_whole_records_are_refused() {
    let (_devnet, client) = quiet();
    for length in [1, 51, 53] {
        let refused = look(&client, raw(client.token, &vec![1; length])).await;
        assert_eq!(refused.expect_err("no answer").code, 3);
    }
    let words = look(&client, raw(client.token, &[])).await;
    assert_eq!(words.expect("an answer").len(), 1);
}

#[tokio::test]
async fn a_call_without_to_runs_creation_code_and_keeps_nothing() {
    let (devnet, client) = quiet();
    let block = devnet.block_number();
    // PUSH1 42, PUSH0, MSTORE, PUSH1 32, PUSH0, RETURN
    let forty_two = "0x602a5f5260205ff3";
    let call = |data: &str| json!([{"from": FRIEND, "data": data}, "latest"]);
    let answer = client.ok("eth_call", call(forty_two)).await;
    assert_eq!(answer, json!(B256::with_last_byte(42)));
    // `to: null` is the same.
    let null = json!([{"to": Value::Null, "input": forty_two}, "latest"]);
    assert_eq!(client.ok("eth_call", null).await, answer);
    // A revert brings its data; code that may not be deployed is refused.
    let reverted = client.rpc("eth_call", call("0x602a5f5260205ffd")).await;
    let reverted = reverted.expect_err("a revert");
    assert_eq!((reverted.code, reverted.data), (3, answer));
    // PUSH1 0xef, PUSH0, MSTORE8, PUSH1 1, PUSH0, RETURN: EIP-3541.
    let forbidden = client.rpc("eth_call", call("0x60ef5f5360015ff3")).await;
    assert_eq!(forbidden.expect_err("refused").code, -32000);
    let large = format!("0x{}", "00".repeat(49_153));
    let refused = client.rpc("eth_call", call(&large)).await;
    assert_eq!(refused.expect_err("refused").code, -32000);
    assert_eq!((devnet.block_number(), devnet.nonce(FRIEND)), (block, 0));
}
