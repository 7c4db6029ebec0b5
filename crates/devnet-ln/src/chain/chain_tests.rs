//! Blocks, coins and the answers of the chain.

use std::str::FromStr as _;

use bitcoin::consensus::encode::serialize_hex;
use serde_json::{Value, json};

use super::*;

fn address() -> Address {
    Address::from_str("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080")
        .unwrap()
        .assume_checked()
}

fn call(chain: &mut Chain, method: &str, params: Value) -> Result<Value, rpc::Fault> {
    rpc::call(chain, method, params.as_array().unwrap())
}

#[test]
fn blocks_follow_each_other_with_work_and_commitments() {
    let mut chain = Chain::new();
    chain.fund(&address(), Amount::from_sat(5_000)).unwrap();
    chain.mine(3);
    assert_eq!(chain.height(), 4);
    for pair in chain.blocks.windows(2) {
        let (parent, block) = (&pair[0], &pair[1]);
        assert_eq!(block.header.prev_blockhash, parent.block_hash());
        assert!(block.header.time > parent.header.time);
        assert!(block.header.validate_pow(block.header.target()).is_ok());
        assert!(block.check_merkle_root());
        assert!(block.check_witness_commitment());
    }
    assert_eq!(chain.blocks[2].txdata.len(), 2);
}

#[test]
fn a_coin_is_spent_once_and_for_no_more_than_it_is_worth() {
    let mut chain = Chain::new();
    let txid = chain.fund(&address(), Amount::from_sat(5_000)).unwrap();
    let funding = chain.transaction(&txid).unwrap().clone();
    assert_eq!(
        chain.submit(funding.clone()),
        Ok(txid),
        "known, and no second"
    );
    assert_eq!(chain.waiting(), 1);

    let mut twin = funding.clone();
    twin.output[0].value = Amount::from_sat(6_000);
    assert_eq!(chain.submit(twin.clone()), Err(Refused::Conflict));
    chain.mine(1);
    assert_eq!(chain.submit(twin), Err(Refused::Missing));

    let mut spend = funding.clone();
    spend.input[0].previous_output = OutPoint::new(txid, 0);
    spend.output.truncate(1);
    spend.output[0].value = Amount::from_sat(5_001);
    assert_eq!(chain.submit(spend.clone()), Err(Refused::TooMuch));
    spend.output[0].value = Amount::from_sat(4_000);
    spend.input[0].sequence = Sequence::ZERO;
    spend.lock_time = LockTime::from_height(500).unwrap();
    assert_eq!(chain.submit(spend.clone()), Err(Refused::TooEarly));
    spend.lock_time = LockTime::from_height(3).unwrap();
    let child_of_it = chain.submit(spend).unwrap();
    let mut child = funding;
    child.input[0].previous_output = OutPoint::new(child_of_it, 0);
    child.output.truncate(1);
    child.output[0].value = Amount::from_sat(3_000);
    chain.submit(child.clone()).unwrap();
    chain.mine(1);
    assert_eq!(chain.waiting(), 0);
    assert!(
        chain
            .coins
            .contains_key(&OutPoint::new(child.compute_txid(), 0))
    );
    child.input.clear();
    assert_eq!(chain.submit(child), Err(Refused::Empty));
    assert_eq!(chain.fund(&address(), SUBSIDY), Err(Dry));
}

#[test]
fn the_rpc_answers_as_bitcoind_does() {
    let mut chain = Chain::new();
    let txid = chain.fund(&address(), Amount::from_sat(5_000)).unwrap();
    let waiting = call(&mut chain, "getrawmempool", json!([false])).unwrap();
    assert_eq!(waiting, json!([txid.to_string()]));
    assert!(
        call(&mut chain, "getmempoolentry", json!([txid.to_string()])).unwrap()["time"].is_u64()
    );
    let unspent = json!([txid.to_string(), 0, false]);
    assert_eq!(
        call(&mut chain, "gettxout", unspent.clone()).unwrap(),
        Value::Null
    );
    chain.mine(1);
    let coin = call(&mut chain, "gettxout", unspent).unwrap();
    assert_eq!(
        coin["scriptPubKey"]["hex"],
        json!(address().script_pubkey().to_hex_string())
    );

    let info = call(&mut chain, "getblockchaininfo", json!([])).unwrap();
    assert_eq!(
        (&info["chain"], &info["blocks"]),
        (&json!("regtest"), &json!(2))
    );
    let hash = call(&mut chain, "getblockhash", json!([2])).unwrap();
    assert_eq!(hash, info["bestblockhash"]);
    let header = call(&mut chain, "getblockheader", json!([hash])).unwrap();
    assert_eq!(
        (&header["height"], &header["confirmations"]),
        (&json!(2), &json!(1))
    );
    // Two hashes of work for each block, the genesis included.
    assert_eq!(header["chainwork"], json!(format!("{:064x}", 6)));
    let plain = call(&mut chain, "getblock", json!([hash, 0])).unwrap();
    assert_eq!(plain, json!(serialize_hex(chain.tip().unwrap())));
    let known = call(&mut chain, "getrawtransaction", json!([txid.to_string()])).unwrap();
    assert_eq!(
        known,
        json!(serialize_hex(chain.transaction(&txid).unwrap()))
    );

    let to = address().to_string();
    let sent = call(&mut chain, "sendtoaddress", json!([to, 0.5])).unwrap();
    let mined = call(&mut chain, "generatetoaddress", json!([2, to])).unwrap();
    assert_eq!(mined.as_array().unwrap().len(), 2);
    let coin = call(&mut chain, "gettxout", json!([sent, 0])).unwrap();
    assert_eq!(coin["value"], json!(0.5));
}

#[test]
fn the_rpc_refuses_in_bitcoinds_codes() {
    let mut chain = Chain::new();
    let hash = call(&mut chain, "getblockhash", json!([0])).unwrap();
    let to = address().to_string();
    let nowhere = "00".repeat(32);
    let refusals = [
        ("getblockheader", json!([nowhere]), -5),
        ("getblockheader", json!(["x"]), -8),
        ("getblock", json!([hash, 1]), -8),
        ("getblockhash", json!([99]), -8),
        ("sendtoaddress", json!([to, 50.0]), -8),
        (
            "sendtoaddress",
            json!(["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", 1.0]),
            -8,
        ),
        ("generatetoaddress", json!([1_001, to]), -8),
        ("getmempoolentry", json!([nowhere]), -5),
        ("getrawtransaction", json!([nowhere]), -5),
        ("gettxout", json!([nowhere]), -8),
        ("sendrawtransaction", json!(["00"]), -22),
        ("sendrawtransaction", json!([]), -8),
        ("stop", json!([]), -32_601),
    ];
    for (method, params, code) in refusals {
        assert_eq!(
            call(&mut chain, method, params).unwrap_err().0,
            code,
            "{method}"
        );
    }
}
