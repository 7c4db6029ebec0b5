//! JSON-RPC answers: sorted, cut, and never believed without reading.

use super::*;

fn answer(body: &str, calls: usize) -> Result<Vec<Found>, String> {
    read_answer(body.as_bytes(), calls)
}

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, RpcError> {
    decode(raw(value))
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
        (r#"[{"id":0,"result":"a"},{"result":"a"}]"#, 2),
        (r#"[{"id":0,"result":"a"},3]"#, 2),
    ] {
        assert!(answer(body, calls).is_err(), "{body}");
    }
}

#[test]
fn a_nodes_words_are_cut_and_a_failure_is_kept_where_it_is_short() {
    let refused = |failure: Value| {
        let body = json!({"id": 0, "error": {"code": -32002, "message": "x".repeat(100_000), "data": {"err": failure}}});
        match answer(&body.to_string(), 1).unwrap().remove(0) {
            Err(RpcError::Refused {
                message, failure, ..
            }) => (message.len(), failure),
            other => panic!("{other:?}"),
        }
    };
    let failure = json!({"InstructionError": [2, {"Custom": 1}]});
    assert_eq!(refused(failure.clone()), (MESSAGE_CHARS_MAX, Some(failure)));
    for none in [json!(null), json!("y".repeat(100_000))] {
        assert_eq!(refused(none), (MESSAGE_CHARS_MAX, None));
    }
}

#[test]
fn only_http_urls_are_endpoints_and_their_paths_stay_secret() {
    for url in ["", "127.0.0.1:8899", "ftp://x", "ws://x", "http://"] {
        assert!(Rpc::new(&[url.into()], "4242").is_err(), "{url}");
    }
    let endpoint = Endpoint::new("https://mainnet.example.com/v3/secret-access-key").unwrap();
    assert_eq!(endpoint.node, "mainnet.example.com");
    let error = Rpc::new(&["x://secret-access-key".into()], "4242")
        .err()
        .unwrap();
    assert!(!error.message.contains("secret"));
}

#[test]
fn a_chain_is_told_by_the_start_of_its_genesis_hash() {
    let rpc = Rpc::new(&[], "EtWTRABZaYq6iMfeYKouRu166VU2xqa1").unwrap();
    let is_ours = |genesis: &str| rpc.is_genesis("node", genesis).is_ok();
    assert!(is_ours("EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG"));
    assert!(!is_ours("5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"));
    assert!(!is_ours("EtWT"));
    assert!(!is_ours(""));
}

#[test]
fn the_level_of_a_transaction_is_read_from_either_of_its_spellings() {
    let level = |more: Value| {
        let mut status = json!({"slot": 1, "err": null});
        let fields = more.as_object().unwrap().clone();
        status.as_object_mut().unwrap().extend(fields);
        read::<Status>(&status).unwrap().level()
    };
    assert_eq!(
        level(json!({"confirmations": 3, "confirmationStatus": "confirmed"})),
        Level::Confirmed
    );
    assert_eq!(
        level(json!({"confirmations": null, "confirmationStatus": "finalized"})),
        Level::Finalized
    );
    // Nodes of before say it by what is left out, and a word that is not known is no promise.
    assert_eq!(level(json!({"confirmations": null})), Level::Finalized);
    assert_eq!(level(json!({"confirmations": 31})), Level::Processed);
    assert_eq!(
        level(json!({"confirmations": null, "confirmationStatus": "rooted"})),
        Level::Processed
    );
}

#[test]
fn damaged_accounts_statuses_and_transactions_are_garbage_not_a_panic() {
    let owner = "1".repeat(32);
    let account = |data: Value| {
        read::<Account>(&json!({"data": data, "owner": owner, "lamports": 1, "space": 3}))
            .map(|account| account.data)
    };
    assert_eq!(account(json!(["AQID", "base64"])).unwrap(), [1, 2, 3]);
    for odd in [
        json!(null),
        json!("AQID"),
        json!(["AQID", "base58"]),
        json!(["AQI", "base64"]),
        json!(["A".repeat(100_000), "base64"]),
        json!(["AQID"]),
    ] {
        assert!(account(odd.clone()).is_err(), "{odd}");
    }
    assert!(read::<At<bool>>(&json!(true)).is_err());
    assert!(read::<At<bool>>(&json!({"context": {"slot": -1}, "value": true})).is_err());
    assert!(read::<FoundTransaction>(&json!({"slot": 1, "transaction": "AQID"})).is_err());
    assert!(read::<Listed>(&json!({"slot": 1, "signature": "1"})).is_err());
    assert!(read::<Latest>(&json!({"blockhash": owner})).is_err());
}

#[tokio::test]
async fn nothing_listening_means_that_nothing_was_sent() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let rpc = Rpc::new(&[format!("http://127.0.0.1:{port}")], "4242").unwrap();
    assert!(matches!(
        rpc.probe().await,
        Err(RpcError::Unreachable { .. })
    ));
    let transaction = SvmTransaction::new(vec![1]).unwrap();
    assert!(matches!(
        rpc.send(0, &transaction).await,
        Err(SendError::NotSent(_))
    ));
}

#[tokio::test]
async fn without_endpoints_nothing_can_be_asked() {
    let rpc = Rpc::new(&[], "4242").unwrap();
    assert!(matches!(
        rpc.probe().await,
        Err(RpcError::Unreachable { .. })
    ));
}
