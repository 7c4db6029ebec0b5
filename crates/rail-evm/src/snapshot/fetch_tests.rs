//! The Lens's question to the byte, and answers that are none.

use super::*;

const TOKEN: EvmAddress = EvmAddress([0x11; 20]);

fn group(queries: usize) -> Group {
    let query = |index: usize| Query {
        payer: EvmAddress([u8::try_from(index % 250).unwrap(); 20]),
        nonce: Word([0x33; 32]),
    };
    Group {
        token: TOKEN,
        queries: (0..queries).map(query).collect(),
    }
}

fn raw(value: serde_json::Value) -> Found {
    Ok(serde_json::value::to_raw_value(&value).unwrap())
}

fn answer(words: &[u128]) -> Found {
    let bytes: Vec<u8> = words.iter().flat_map(|w| abi::number_word(*w)).collect();
    raw(json!(hex::encode_prefixed(bytes)))
}

fn payer(has_code: bool, balance: u128, is_used: bool) -> Told {
    let balance = Amount::from_atomic(balance);
    Told::Payer {
        seen: Seen { has_code, balance },
        is_used,
    }
}

#[test]
fn the_question_is_creation_code_and_arguments_as_solidity_encodes_them() {
    let call = lens_call(&group(2));
    assert_eq!(call.method, "eth_call");
    assert_eq!(call.params[1], "latest");
    let to_and_from: Vec<_> = call.params[0].as_object().unwrap().keys().collect();
    assert_eq!(to_and_from, ["data"]);
    let data = call.params[0]["data"].as_str().unwrap();
    let arguments = data.strip_prefix(LENS.trim()).unwrap();
    let expected = [
        "0000000000000000000000001111111111111111111111111111111111111111",
        "0000000000000000000000000000000000000000000000000000000000000040",
        "0000000000000000000000000000000000000000000000000000000000000068",
        "0000000000000000000000000000000000000000",
        "3333333333333333333333333333333333333333333333333333333333333333",
        "0101010101010101010101010101010101010101",
        "3333333333333333333333333333333333333333333333333333333333333333",
        // Padded to whole words.
        "000000000000000000000000000000000000000000000000",
    ];
    assert_eq!(arguments, expected.concat());
}

#[test]
fn the_largest_question_is_within_the_limits_of_code() {
    let call = lens_call(&group(QUERIES_MAX));
    let digits = call.params[0]["data"].as_str().unwrap().len();
    assert!(digits / 2 <= 49_152);
    const { assert!(32 + 96 * QUERIES_MAX <= 24_576) };
}

#[test]
fn an_answer_is_read_word_by_word() {
    let words = answer(&[500, 0, 7, 0, 23, 8, 1, 0, 9, 2]);
    let told = read_lens(words, 3).unwrap().unwrap();
    assert_eq!(
        told,
        [
            payer(false, 7, false),
            payer(true, 8, true),
            Told::NoAuthorizations
        ]
    );
    let told = read_lens(answer(&[0, 0, 0, 2]), 1).unwrap().unwrap();
    assert_eq!(told, [Told::NoToken]);
}

#[test]
fn more_than_128_bits_are_more_than_any_payment() {
    let mut bytes = [1_u128, 0, 0, 0].map(abi::number_word).concat();
    bytes[64] = 1;
    let told = read_lens(raw(json!(hex::encode_prefixed(bytes))), 1);
    assert_eq!(told.unwrap().unwrap(), [payer(false, u128::MAX, false)]);
}

#[test]
fn an_answer_of_any_other_shape_tells_nothing() {
    let megabyte = format!("0x{}", "00".repeat(1 << 20));
    for (result, queries) in [
        (answer(&[1, 0, 7, 0]), 2),
        (answer(&[1, 0, 7, 0]), 0),
        (answer(&[1, 0, 7]), 1),
        (answer(&[1, 0, 7, 0, 0]), 1),
        (answer(&[1, 0, 7, 3]), 1),
        (raw(json!("0x00")), 1),
        (raw(json!("0x0")), 1),
        (raw(json!("nonsense")), 1),
        (raw(json!(null)), 1),
        (raw(json!({})), 1),
        (raw(json!(megabyte)), 1),
        (Err(RpcError::garbage("")), 1),
    ] {
        let shown = format!("{result:?}").chars().take(80).collect::<String>();
        let read = read_lens(result, queries);
        assert!(read.is_some_and(|told| told.is_err()), "{shown}");
    }
}

#[test]
fn a_node_that_does_not_run_the_lens_is_asked_in_another_way() {
    let refused = RpcError::Refused {
        code: -32602,
        message: "missing to".into(),
        data: None,
    };
    assert!(read_lens(Err(refused), 1).is_none());
    assert!(read_lens(raw(json!("0x")), 1).is_none());
}

fn single(token: &str, code: &str, balance: u128, state: u128) -> Vec<Found> {
    vec![
        raw(json!(token)),
        raw(json!(code)),
        answer(&[balance]),
        answer(&[state]),
    ]
}

#[test]
fn single_calls_tell_the_same() {
    for (results, told) in [
        (single("0x60", "0x", 7, 0), payer(false, 7, false)),
        (single("0x60", "0xef0100", 7, 1), payer(true, 7, true)),
        (single("0x", "0x", 7, 0), Told::NoToken),
    ] {
        assert_eq!(read_single(results, 1)[0].as_ref().unwrap(), &told);
    }
    let mut silent = single("0x60", "0x", 7, 0);
    silent[3] = Err(RpcError::Refused {
        code: 3,
        message: "execution reverted".into(),
        data: None,
    });
    let told = read_single(silent, 1).remove(0).unwrap();
    assert_eq!(told, Told::NoAuthorizations);
}

#[test]
fn single_calls_that_fail_or_are_left_out_tell_nothing() {
    for place in 0..4 {
        let mut failed = single("0x60", "0x", 7, 0);
        failed[place] = Err(RpcError::garbage(""));
        assert!(read_single(failed, 1)[0].is_err(), "{place}");
    }
    let mut short = single("0x60", "0x", 7, 0);
    short.pop();
    assert!(read_single(short, 1)[0].is_err());
    let mut narrow = single("0x60", "0x", 7, 0);
    narrow[2] = raw(json!("0x07"));
    assert!(read_single(narrow, 1)[0].is_err());
}
