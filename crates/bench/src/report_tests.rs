//! What scripts read, and when a row passes.

use serde_json::Value;

use super::*;

fn sample(ops: f64) -> Sample {
    Sample {
        ops,
        limit: Some(10_000.0),
        cpu_us: Some(80.0),
        p50_ms: Some(1.0),
        p99_ms: Some(2.0),
    }
}

#[test]
fn the_keys_of_the_line_are_those_that_scripts_rely_on() {
    let line: Value = serde_json::from_str(&Report::new().as_json()).expect("JSON");
    let mut keys: Vec<&str> = line
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    let mut wanted = [
        "verify",
        "settle",
        "settle_400",
        "settle_block",
        "paid",
        "token",
        "token_uses",
        "challenge",
        "proxy",
        "verify_rtt",
        "settle_rtt",
        "memory",
    ];
    wanted.sort_unstable();
    assert_eq!(keys, wanted);
    for row in line.as_object().expect("an object").values() {
        for key in [
            "ops", "limit", "ratio", "cpu_us", "p50_ms", "p99_ms", "must", "aim", "pass",
        ] {
            assert!(row.get(key).is_some(), "{key} is missing in {row}");
        }
        assert_eq!(row["ops"], Value::Null);
        assert_eq!(row["pass"], Value::Null);
        assert!(row["reason"].is_string(), "{row}");
    }
    assert_eq!(line["verify"]["must"]["ops_min"], 8_000.0);
}

#[test]
fn a_row_passes_only_where_every_bound_of_its_must_holds() {
    let mut report = Report::new();
    assert!(report.is_passed());
    report.verify.fill(Ok(sample(9_000.0)));
    assert_eq!(
        (report.verify.pass, report.verify.verdict()),
        (Some(true), "must")
    );
    report.verify.fill(Ok(Sample {
        cpu_us: Some(91.0),
        ..sample(9_000.0)
    }));
    assert_eq!(report.verify.pass, Some(false));
    report.verify.fill(Ok(Sample {
        cpu_us: Some(60.0),
        ..sample(13_000.0)
    }));
    assert_eq!(report.verify.verdict(), "aim");
    assert!(report.is_passed());
    report
        .settle
        .fill(Err("3 payments are missing on chain".into()));
    assert_eq!(report.settle.pass, Some(false));
    assert!(!report.is_passed());
    assert!(report.as_text().contains("settle: 3 payments are missing"));
}

#[test]
fn a_first_sight_that_takes_too_long_fails_a_row_that_is_warm_enough() {
    let mut report = Report::new();
    report.verify_rtt.fill(Ok(sample(1.0)));
    assert_eq!(report.verify_rtt.pass, Some(false));
    report.verify_rtt.add_first(50.0);
    assert_eq!(report.verify_rtt.pass, Some(true));
    report.verify_rtt.add_first(56.0);
    assert_eq!(report.verify_rtt.pass, Some(false));
}

#[test]
fn the_rows_of_solana_are_in_the_line_only_where_they_were_asked_for() {
    let mut report = Report::new();
    let line: Value = serde_json::from_str(&report.as_json()).expect("JSON");
    assert_eq!(line.as_object().expect("an object").len(), 12);
    report.fill_svm("verify_svm", Ok(sample(9_000.0)));
    let line: Value = serde_json::from_str(&report.as_json()).expect("JSON");
    assert_eq!(line.as_object().expect("an object").len(), 13);
    assert_eq!(line["verify_svm"]["ratio"], 0.9);
    assert_eq!(line["verify_svm"]["pass"], true);
    let table = report.asked_as_text(true, false);
    assert!(
        table.contains("verify_svm:") && !table.contains("memory:"),
        "{table}"
    );
    report.fill_svm("settle_svm", Err("3 payments are missing on chain".into()));
    assert!(!report.is_passed());
}
