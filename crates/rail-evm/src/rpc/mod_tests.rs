//! JSON-RPC answers: sorted, cut, and never believed without reading.

use super::*;

fn answer(body: &str, calls: usize) -> Result<Vec<Found>, String> {
    read_answer(body.as_bytes(), calls)
}

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

#[test]
fn answers_are_sorted_by_id() {
    let body = r#"[{"id":1,"result":"b"},{"id":0,"result":"a"}]"#;
    let results = answer(body, 2).unwrap();
    let texts: Vec<_> = results.iter().map(|r| r.as_ref().unwrap().get()).collect();
    assert_eq!(texts, [r#""a""#, r#""b""#]);
}

#[test]
fn a_null_result_is_a_result_and_a_null_error_none() {
    let results = answer(r#"{"id":0,"result":null,"error":null}"#, 1).unwrap();
    assert_eq!(results[0].as_ref().unwrap().get(), "null");
}

#[test]
fn one_error_for_a_whole_batch_is_every_calls_error() {
    let body = r#"{"id":null,"error":{"code":-32600,"message":"batch too large"}}"#;
    let results = answer(body, 3).unwrap();
    assert_eq!(results.len(), 3);
    assert!(
        results
            .iter()
            .all(|r| matches!(r, Err(RpcError::Refused { code: -32600, .. })))
    );
}

#[test]
fn what_is_no_answer_is_garbage() {
    for (body, calls) in [
        ("", 1),
        ("<html>502 Bad Gateway</html>", 1),
        ("null", 1),
        ("[]", 1),
        ("[]", 2),
        ("{}", 1),
        (r#"{"id":0}"#, 1),
        (r#"{"id":0,"error":{"code":1}}"#, 1),
        (r#"{"id":0,"result":"a"}"#, 2),
        (r#"[{"id":0,"result":"a"}]"#, 2),
        (r#"[{"id":0,"result":"a"},{"id":0,"result":"a"}]"#, 2),
        (r#"[{"id":0,"result":"a"},{"id":7,"result":"a"}]"#, 2),
        (
            r#"[{"id":0,"result":"a"},{"id":1,"result":"a"},{"id":0,"result":"b"}]"#,
            2,
        ),
        (r#"[{"id":0,"result":"a"},{"result":"a"}]"#, 2),
        (r#"[{"id":0,"result":"a"},3]"#, 2),
    ] {
        assert!(answer(body, calls).is_err(), "{body}");
    }
}

#[test]
fn a_nodes_words_are_cut() {
    let long = "x".repeat(100_000);
    let body = json!({"id": 0, "error": {"code": 3, "message": long, "data": long}});
    let results = answer(&body.to_string(), 1).unwrap();
    let Err(RpcError::Refused { message, data, .. }) = &results[0] else {
        panic!("{results:?}");
    };
    assert_eq!(message.len(), MESSAGE_CHARS_MAX);
    assert_eq!(data.as_ref().map(String::len), Some(DATA_CHARS_MAX));
}

#[test]
fn only_http_urls_are_endpoints_and_their_paths_stay_secret() {
    for url in ["", "127.0.0.1:8545", "ftp://x", "ws://x", "http://"] {
        assert!(Rpc::new(&[url.into()], 1).is_err(), "{url}");
    }
    let endpoint = Endpoint::new("https://mainnet.example.com/v3/secret-access-key").unwrap();
    assert_eq!(endpoint.node, "mainnet.example.com");
    let error = Rpc::new(&["x://secret-access-key".into()], 1)
        .err()
        .unwrap();
    assert!(!error.message.contains("secret"));
}

#[test]
fn quantities_are_strict() {
    let read = |text: &str| decode::<Quantity>(raw(&json!(text))).ok().map(|q| q.0);
    assert_eq!(read("0x0"), Some(0));
    assert_eq!(read("0x1a"), Some(26));
    for text in ["", "0x", "1a", "0x+1", "0x-1", "0xg", "0x 1"] {
        assert_eq!(read(text), None, "{text}");
    }
    assert_eq!(read(&format!("0x1{}", "0".repeat(32))), None);
    assert!(decode::<Quantity>(raw(&json!(5))).is_err());
}

#[test]
fn damaged_receipts_and_blocks_are_garbage_not_a_panic() {
    let good = json!({
        "transactionHash": format!("0x{}", "11".repeat(32)),
        "blockNumber": "0x1",
        "status": "0x1",
        "logs": [],
    });
    assert!(decode::<Receipt>(raw(&good)).is_ok());
    for field in ["transactionHash", "blockNumber", "status", "logs"] {
        let mut damaged = good.clone();
        damaged[field] = json!("0xzz");
        assert!(decode::<Receipt>(raw(&damaged)).is_err(), "{field}");
    }
    assert!(decode::<Block>(raw(&json!({"number": "0x1"}))).is_err());
    assert!(decode::<Block>(raw(&json!(null))).is_err());
}

#[tokio::test]
async fn nothing_listening_means_that_nothing_was_sent() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let rpc = Rpc::new(&[format!("http://127.0.0.1:{port}")], 1).unwrap();
    assert!(matches!(
        rpc.probe().await,
        Err(RpcError::Unreachable { .. })
    ));
    assert!(matches!(
        rpc.send_raw(&[1]).await,
        Err(SendError::NotSent(_))
    ));
}

#[tokio::test]
async fn without_endpoints_nothing_can_be_asked() {
    let rpc = Rpc::new(&[], 1).unwrap();
    assert!(matches!(
        rpc.probe().await,
        Err(RpcError::Unreachable { .. })
    ));
}

#[test]
fn what_an_op_stack_chain_asks_on_top_is_part_of_the_cost() {
    let receipt = |more: serde_json::Value| {
        let mut receipt = serde_json::json!({
            "transactionHash": farebox_wire::evm::Word([1; 32]),
            "blockNumber": "0x1",
            "status": "0x1",
            "logs": [],
            "gasUsed": "0x64",
            "effectiveGasPrice": "0x3",
        });
        receipt["l1Fee"] = more;
        serde_json::from_value::<Receipt>(receipt)
            .unwrap()
            .cost_wei()
    };
    assert_eq!(receipt(serde_json::json!("0x7")), Some(307));
    assert_eq!(receipt(serde_json::Value::Null), Some(300));
}
