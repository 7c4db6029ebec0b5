//! Rules of header carriage: standard base64, bounded, JSON objects only.

use serde_json::json;

use super::*;
use crate::x402::types::{PaymentRequired, SettleResponse};

fn json_of(text: &[u8]) -> Result<Value, HeaderError> {
    decode(text)
}

#[test]
fn padding_may_be_missing_but_stands_nowhere_else() {
    // {"a":1} is 7 bytes: two characters of padding.
    assert_eq!(json_of(b"eyJhIjoxfQ==").expect("padded"), json!({"a": 1}));
    assert_eq!(json_of(b"eyJhIjoxfQ").expect("bare"), json!({"a": 1}));
    for text in ["eyJhIjoxfQ===", "=eyJhIjoxfQ", "eyJh=IjoxfQ", "eyJhIjoxf"] {
        assert!(
            matches!(json_of(text.as_bytes()), Err(HeaderError::Base64)),
            "{text}"
        );
    }
}

#[test]
fn only_the_standard_alphabet_is_read() {
    // {"a":"???>>>"} needs + and /, which base64url writes - and _.
    let text = encode(&json!({"a": "???>>>~~~"})).expect("it is JSON");
    assert!(text.contains(['+', '/']));
    assert!(json_of(text.as_bytes()).is_ok());
    let url = text.replace('+', "-").replace('/', "_");
    assert!(matches!(json_of(url.as_bytes()), Err(HeaderError::Base64)));
    for text in [
        "eyJh IjoxfQ==",
        "eyJhIjoxfQ==\n",
        " eyJhIjoxfQ==",
        "eyJhIjoxfQ\u{3d}\u{a0}",
        "{\"a\":1}",
    ] {
        assert!(
            matches!(json_of(text.as_bytes()), Err(HeaderError::Base64)),
            "{text:?}"
        );
    }
}

#[test]
fn a_header_of_a_megabyte_is_refused_unread() {
    for byte in [b'A', b'!'] {
        let text = vec![byte; 1024 * 1024];
        assert!(matches!(
            json_of(&text),
            Err(HeaderError::TooLong { bytes: 1_048_576 })
        ));
    }
    let text = vec![b'A'; HEADER_BYTES_MAX];
    assert!(matches!(json_of(&text), Err(HeaderError::Json(_))));
}

#[test]
fn damaged_json_is_refused() {
    for json in [
        b"".as_slice(),
        b"{",
        b"{}{}",
        b"{} x",
        b"null",
        b"[]",
        b"\"x\"",
        b"1",
        b"\xef\xbb\xbf{}",
        b"{\"a\":\"\xff\"}",
        b"{\"a\":\"\\ud800\"}",
        b"{'a':1}",
        b"{\"a\":1,}",
        b"{\"a\":NaN}",
        b"{\"a\":1e999}",
    ] {
        let text = BASE64.encode(json);
        assert!(
            matches!(json_of(text.as_bytes()), Err(HeaderError::Json(_))),
            "{json:?}"
        );
    }
}

#[test]
fn an_array_is_never_read_as_a_receipt() {
    let body = br#"[true,"0x11","eip155:84532"]"#;
    assert!(from_json::<SettleResponse>(body).is_err());
    assert!(decode::<SettleResponse>(BASE64.encode(body).as_bytes()).is_err());
}

#[test]
fn text_beyond_ascii_travels_as_utf_8() {
    let body = PaymentRequired {
        x402_version: 2,
        error: None,
        resource: crate::x402::types::ResourceInfo {
            url: "https://h.example/q".to_owned(),
            description: Some("x\": Café ☕".to_owned()),
            ..Default::default()
        },
        accepts: vec![],
        extensions: None,
    };
    let text = encode(&body).expect("it is JSON");
    assert_eq!(
        decode::<PaymentRequired>(text.as_bytes()).expect("readable"),
        body
    );
}

#[test]
fn a_credential_of_another_version_is_told_from_a_damaged_one() {
    let v1 = json!({"x402Version": 1, "scheme": "exact", "network": "base-sepolia", "payload": {}});
    let text = encode(&v1).expect("it is JSON");
    assert!(matches!(
        decode_payment(text.as_bytes()),
        Err(HeaderError::Version(1))
    ));
    for body in [
        json!({}),
        json!({"x402Version": "2"}),
        json!({"x402Version": 2}),
        json!([2]),
    ] {
        let text = encode(&body).expect("it is JSON");
        assert!(matches!(
            decode_payment(text.as_bytes()),
            Err(HeaderError::Json(_))
        ));
    }
    let payment = json!({"x402Version": 2, "accepted": {"a": 1}, "payload": {}});
    let text = encode(&payment).expect("it is JSON");
    assert_eq!(
        decode_payment(text.as_bytes()).expect("readable").accepted,
        json!({"a": 1})
    );
}

#[test]
fn an_error_about_a_strangers_header_is_a_line_at_most() {
    let body = json!({"x402Version": "x".repeat(20_000), "accepted": {}, "payload": {}});
    let text = encode(&body).expect("it is JSON");
    let error = decode::<PaymentPayload>(text.as_bytes()).expect_err("no number");
    assert!(error.to_string().len() < 400);
}

#[test]
fn kept_json_is_read_as_strictly_as_fresh_json() {
    let receipt = json!({"success": false, "transaction": "", "network": "eip155:84532"});
    assert!(from_value::<SettleResponse>(&receipt).is_ok());
    assert!(from_value::<SettleResponse>(&json!([false, "", "eip155:84532"])).is_err());
    let long = json!({"success": "x".repeat(20_000)});
    let error = from_value::<SettleResponse>(&long).expect_err("no boolean");
    assert!(error.to_string().len() < 400);
}
