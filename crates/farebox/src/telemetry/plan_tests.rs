//! Which collector is meant, and what is refused.

use super::*;

fn plan(text: &str, flag: Option<&str>) -> Result<Option<Plan>, String> {
    let config = Config {
        file: toml::from_str(text).expect("a file"),
        path: None,
        base: std::env::temp_dir(),
        fixed: toml::Table::new(),
    };
    Plan::of(&config, flag, "farebox-gate")
        .map_err(|failure| failure.fault.expect("a sentence").message)
}

fn planned(text: &str, flag: Option<&str>) -> Plan {
    plan(text, flag).expect("it is meant").expect("a collector")
}

fn refused(text: &str) -> String {
    plan(text, None).err().expect("it cannot be meant")
}

#[test]
fn traces_go_to_the_collector_of_the_flag_before_that_of_the_file() {
    let file = "[telemetry]\notlp = \"http://127.0.0.1:4318/otel/\"\nsample = 0.25";
    let of_file = planned(file, None);
    assert_eq!(of_file.to.as_str(), "http://127.0.0.1:4318/otel/v1/traces");
    assert!((of_file.sample - 0.25).abs() < f64::EPSILON);
    let flagged = planned(file, Some("http://127.0.0.2:4318"));
    assert_eq!(flagged.to.as_str(), "http://127.0.0.2:4318/v1/traces");
    assert!((flagged.sample - 0.25).abs() < f64::EPSILON);
}

#[test]
fn headers_go_to_the_collector_that_is_named_beside_them_and_to_no_other() {
    // Every process has this one.
    let file = "[telemetry]\notlp = \"https://otel.example\"\nheaders = { key = \"env:PATH\" }";
    assert_eq!(planned(file, None).headers.len(), 1);
    assert_eq!(planned(file, Some("https://otel.example")).headers.len(), 1);
    assert!(
        planned(file, Some("https://other.example"))
            .headers
            .is_empty()
    );
}

#[test]
fn a_collector_that_cannot_be_meant_is_refused_with_what_to_write() {
    assert!(refused("[telemetry]\nsample = 1").contains("otlp = \"http://127.0.0.1:4318\""));
    for address in [
        "http://user:hidden@collector.example",
        "https://collector.example/?key=hidden",
        "127.0.0.1:4318-hidden",
    ] {
        let why = refused(&format!("[telemetry]\notlp = {address:?}"));
        assert!(why.contains("put tokens into headers"), "{why}");
        assert!(!why.contains("hidden"), "{why}");
    }
    let why =
        refused("[telemetry]\notlp = \"http://otel.example\"\nheaders = { key = \"env:PATH\" }");
    assert!(why.contains("need https"), "{why}");
    let why = refused(
        "[telemetry]\notlp = \"https://otel.example\"\nheaders = { key = \"written-out-secret\" }",
    );
    assert!(why.contains("headers.key"), "{why}");
    assert!(!why.contains("written-out-secret"), "{why}");
}

#[test]
fn a_sample_that_is_no_part_is_refused() {
    for sample in ["1.5", "-0.1", "2", "nan", "\"0.1\""] {
        let text = format!("[telemetry]\nsample = {sample}");
        let read: Result<crate::config::TelemetrySection, _> =
            toml::from_str(text.strip_prefix("[telemetry]\n").unwrap_or_default());
        assert!(read.is_err(), "{sample}");
    }
}
