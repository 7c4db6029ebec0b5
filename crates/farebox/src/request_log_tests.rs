//! How a line looks, and that it is in the file.

use std::time::Duration;

use farebox_core::ledger::PaymentId;
use farebox_server::{RequestLine, RequestLog as _};
use http::Method;
use serde_json::Value;

use super::{LogWriter, as_json, as_text};
use crate::config::{LogFormat, RequestLogPlan};

fn line(payment: &PaymentId) -> RequestLine<'_> {
    RequestLine {
        method: &Method::GET,
        path: "/a\"b",
        route: Some("GET /*"),
        status: 200,
        took: Duration::from_micros(1_234),
        payment: Some(payment),
        credential: Some([7; 32]),
    }
}

#[test]
fn a_line_of_json_is_one_object_with_every_key() {
    let payment = PaymentId("pay_1".to_owned());
    let text = as_json(&line(&payment));
    assert!(text.ends_with("}\n"));
    let read: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(read["path"], "/a\"b");
    assert_eq!(read["route"], "GET /*");
    assert_eq!(read["status"], 200);
    assert_eq!(read["duration_us"], 1_234);
    assert_eq!(read["payment"], "pay_1");
    assert_eq!(read["credential"], "07".repeat(32));
    assert!(
        read["time"]
            .as_str()
            .is_some_and(|time| time.ends_with('Z'))
    );
    let free = RequestLine {
        route: None,
        payment: None,
        credential: None,
        ..line(&payment)
    };
    let read: Value = serde_json::from_str(&as_json(&free)).expect("JSON");
    assert_eq!(read["payment"], Value::Null);
    assert_eq!(read.as_object().expect("an object").len(), 8);
}

#[test]
fn a_line_of_text_stays_one_line_whatever_the_path_is() {
    let payment = PaymentId("pay_1".to_owned());
    let text = as_text(&RequestLine {
        path: "/a\nb\u{1b}",
        ..line(&payment)
    });
    assert_eq!(text.matches('\n').count(), 1);
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.contains("status=200 duration_us=1234 route=\"GET /*\" payment=pay_1"));
}

#[test]
fn what_was_written_before_the_end_is_in_the_file_also_after_a_move() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("requests.log");
    let plan = RequestLogPlan {
        format: LogFormat::Json,
        file: Some(path.clone()),
    };
    let log = LogWriter::open(&plan).expect("a log");
    let payment = PaymentId("pay_1".to_owned());
    log.write(&line(&payment));
    let moved = folder.path().join("requests.log.1");
    std::fs::rename(&path, &moved).expect("moved");
    log.reopen();
    log.write(&line(&payment));
    log.write(&line(&payment));
    log.close();
    let lines = |path| {
        let text = std::fs::read_to_string(path).expect("a file");
        text.lines().count()
    };
    assert_eq!((lines(&moved), lines(&path)), (1, 2));
}

#[test]
fn a_log_that_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = RequestLogPlan {
        format: LogFormat::Text,
        file: Some(folder.path().join("none").join("requests.log")),
    };
    assert!(LogWriter::open(&plan).is_err());
}
