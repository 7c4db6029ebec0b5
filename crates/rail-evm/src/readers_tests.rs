//! Damaged answers and signatures on the stable toolchain; `fuzz/` goes on where this stops.

use alloy_primitives::hex;
use serde_json::{Value, json};

use super::*;
use crate::abi::number_word;

#[path = "../../wire/tests/it/damage.rs"]
mod damage;

use damage::{Dice, damage};

/// Damaged copies of each input.
const COPIES: u64 = 400;

fn data(words: &[u128]) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|w| number_word(*w)).collect();
    hex::encode_prefixed(bytes)
}

fn word(byte: u8) -> String {
    hex::encode_prefixed([byte; 32])
}

/// Answers to one, two and four calls: the Lens, single calls, refusals, a receipt.
fn answers() -> Vec<(Value, usize)> {
    let result = |id: u64, result: Value| json!({"jsonrpc": "2.0", "id": id, "result": result});
    let refused = json!({
        "jsonrpc": "2.0", "id": 1,
        "error": {"code": 3, "message": "execution reverted", "data": "0x08c379a0"},
    });
    let receipt = json!({
        "transactionHash": word(1), "blockNumber": "0x10", "status": "0x1", "gasUsed": "0x5208",
        "effectiveGasPrice": "0x3b9aca00", "l1Fee": "0x0",
        "logs": [{
            "address": "0x036cbd53842c5426634e7929541ec2318f3dcf7e", "topics": [word(2)],
            "data": data(&[1_000]), "transactionHash": word(1), "blockNumber": "0x10",
            "removed": false,
        }],
    });
    vec![
        (result(0, json!(data(&[500, 0, 7, 0]))), 1),
        (
            result(0, json!(data(&[500, 0, 7, 0, 23, 8, 1, 0, 9, 2]))),
            1,
        ),
        (result(0, receipt), 1),
        (
            result(0, json!({"number": "0x10", "timestamp": "0x6553f100"})),
            1,
        ),
        (json!([result(0, json!("0x14a34")), refused]), 2),
        (
            json!([
                result(0, json!("0x60")),
                result(1, json!("0x")),
                result(2, json!(data(&[7]))),
                result(3, json!(data(&[1]))),
            ]),
            4,
        ),
    ]
}

/// The signatures of the vectors, good and bad.
fn signatures() -> Vec<Vec<u8>> {
    let vectors = include_str!("../../../conformance/erc6492.json");
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let lists = ["cases", "refused"].map(|list| vectors[list].as_array().unwrap());
    let texts = lists.into_iter().flatten();
    let texts = texts.map(|case| case["signature"].as_str().unwrap());
    let signatures: Vec<_> = texts.map(|text| hex::decode(text).unwrap()).collect();
    assert!(!signatures.is_empty());
    signatures
}

#[test]
fn damaged_answers_of_nodes_never_panic_and_tell_nothing_that_was_not_asked() {
    let mut dice = Dice::new(402);
    for (answer, calls) in answers() {
        let answer = answer.to_string();
        node(answer.as_bytes(), calls);
        for _ in 0..COPIES {
            let damaged = damage(&mut dice, answer.as_bytes());
            node(&damaged, calls);
            node(&damaged, dice.below(5));
        }
    }
}

#[test]
fn answers_of_the_lens_with_damaged_words_never_panic() {
    let mut dice = Dice::new(8402);
    let whole: Vec<u8> = [500, 0, 7, 0, 23, 8, 1, 0, 9, 2]
        .into_iter()
        .flat_map(number_word)
        .collect();
    for _ in 0..COPIES * 4 {
        let damaged = damage(&mut dice, &whole);
        let answer = json!({"id": 0, "result": hex::encode_prefixed(&damaged)});
        node(answer.to_string().as_bytes(), 1);
        probe(&damaged);
    }
}

#[test]
fn damaged_wrappers_are_refused_or_read_one_way() {
    let mut dice = Dice::new(6492);
    for bytes in signatures() {
        signature(&bytes);
        for _ in 0..COPIES {
            let mut damaged = damage(&mut dice, &bytes);
            signature(&damaged);
            // Most damage breaks the trailer, behind which the readers begin.
            damaged.extend_from_slice(&MAGIC);
            signature(&damaged);
        }
    }
}

#[test]
fn numbers_at_the_edges_of_offsets_and_lengths_are_refused_or_read_one_way() {
    let edges = [
        0,
        1,
        31,
        32,
        33,
        95,
        96,
        u128::from(u32::MAX),
        u128::from(u64::MAX) - 31,
        u128::from(u64::MAX),
        u128::MAX,
    ];
    for bytes in signatures() {
        for place in (32..bytes.len().min(256)).step_by(32) {
            for edge in edges {
                let mut strange = bytes.clone();
                let Some(place) = strange.get_mut(place..place + 32) else {
                    continue;
                };
                place.copy_from_slice(&number_word(edge));
                signature(&strange);
            }
        }
    }
}

#[test]
fn answers_that_are_long_or_deep_are_refused_in_a_line() {
    let long = "0x".to_owned() + &"00".repeat(1 << 20);
    let bomb = "[".repeat(1 << 20);
    let braces = r#"{"result":"#.repeat(1 << 16);
    let nested = format!(
        r#"{{"id":0,"result":{}{}}}"#,
        "[".repeat(4_000),
        "]".repeat(4_000)
    );
    for body in [
        json!({"id": 0, "result": long}).to_string(),
        json!({"id": 0, "result": {"logs": long, "status": long}}).to_string(),
        json!({"id": 0, "error": {"code": 3, "message": long, "data": long}}).to_string(),
        json!([{"id": 0, "result": long}, {"id": 0, "result": long}]).to_string(),
        bomb,
        braces,
        nested,
    ] {
        node(body.as_bytes(), 1);
        node(body.as_bytes(), 2);
    }
}

#[test]
fn a_tokens_words_are_one_short_line_whatever_a_node_makes_of_them() {
    let text = "line\n".repeat(10_000);
    let mut answer = [0_u128, 23, 1, 0].map(number_word).concat();
    answer.extend_from_slice(&[0x08, 0xc3, 0x79, 0xa0]);
    answer.extend(abi::encode(&[Arg::Dynamic(abi::bytes(text.as_bytes()))]));
    probe(&answer);
    let words = probe::read(&answer).unwrap().words().unwrap();
    assert!(words.starts_with("lineline"));
}
