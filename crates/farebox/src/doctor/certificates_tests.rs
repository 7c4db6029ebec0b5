//! Certificates and orders as they may be found, on a day that never changes.

use std::path::PathBuf;

use super::super::Severity;
use super::*;

const NOW_S: u64 = 1_800_000_000;
const NINETY: u64 = 90 * DAY_S;

fn file(from_s: u64, until_s: u64) -> Finding {
    let facts = CertificateFacts {
        file: PathBuf::from("cert.pem"),
        span: Span { from_s, until_s },
    };
    of_file(&facts, NOW_S)
}

/// An order whose certificate has so many of its 90 days left.
fn order(days_left: Option<u64>) -> OrderFacts {
    let span = days_left.map(|left| Span {
        from_s: NOW_S + left * DAY_S - NINETY,
        until_s: NOW_S + left * DAY_S,
    });
    OrderFacts {
        domains: vec!["api.example.com".to_owned()],
        directory: "https://ca.example/directory".to_owned(),
        port: 443,
        file: PathBuf::from("bundle.pem"),
        span,
        renew_s: span.map(|span| span.from_s + NINETY / 3 * 2),
        failures: 0,
        next_s: 0,
        why: String::new(),
        unreachable: None,
    }
}

fn found(findings: &[Finding]) -> Vec<(&'static str, Severity)> {
    findings
        .iter()
        .map(|finding| (finding.id, finding.severity))
        .collect()
}

#[test]
fn a_certificate_in_a_file_is_named_before_it_ends() {
    let day = |days: u64| NOW_S + days * DAY_S;
    for (from_s, until_s, id, severity) in [
        (NOW_S - 9, day(80), "certificate", Severity::Ok),
        (
            day(13) - NINETY,
            day(13),
            "certificate_ends",
            Severity::Warning,
        ),
        (day(15) - NINETY, day(15), "certificate", Severity::Ok),
        // One of six days is not always at its end.
        (day(4) - 6 * DAY_S, day(4), "certificate", Severity::Ok),
        (NOW_S - NINETY, NOW_S, "certificate_ended", Severity::Error),
        (NOW_S + 60, day(90), "certificate_ended", Severity::Error),
    ] {
        let finding = file(from_s, until_s);
        assert_eq!(
            (finding.id, finding.severity),
            (id, severity),
            "{finding:?}"
        );
    }
}

#[test]
fn an_obtained_certificate_that_was_not_renewed_in_time_is_named() {
    let findings = of_order(&order(Some(50)), Some("https://api.example.com"), NOW_S);
    assert_eq!(found(&findings), [("certificate", Severity::Ok)]);
    assert!(findings[0].message.contains("50 days"), "{findings:?}");
    assert!(findings[0].message.contains("in 20 days"), "{findings:?}");
    let findings = of_order(&order(Some(20)), None, NOW_S);
    assert_eq!(found(&findings), [("certificate_ends", Severity::Warning)]);
    let findings = of_order(&order(None), None, NOW_S);
    assert_eq!(
        found(&findings),
        [("certificate_missing", Severity::Warning)]
    );
}

#[test]
fn orders_that_fail_are_told_with_their_reason() {
    for (days_left, severity) in [(Some(20), Severity::Warning), (None, Severity::Error)] {
        let mut facts = order(days_left);
        facts.failures = 3;
        facts.next_s = NOW_S + 600;
        facts.why = "it refuses (dns): no such name; the name needs a record".to_owned();
        let findings = of_order(&facts, None, NOW_S);
        let failing = findings.iter().find(|finding| finding.id == "acme_failing");
        let failing = failing.expect("it is told");
        assert_eq!(failing.severity, severity);
        assert!(failing.message.contains("in 10 minutes"), "{failing:?}");
        assert!(failing.message.contains("no such name"), "{failing:?}");
        assert_eq!(failing.advice.as_deref(), Some("the name needs a record"));
    }
}

#[test]
fn an_authority_that_is_away_and_a_name_without_certificate_are_told() {
    let mut facts = order(Some(50));
    facts.unreachable = Some("cannot reach it; look at the network".to_owned());
    let findings = of_order(&facts, Some("https://Shop.Example.com:8443"), NOW_S);
    let expected = [
        ("certificate", Severity::Ok),
        ("acme_unreachable", Severity::Error),
        ("acme_domain", Severity::Error),
    ];
    assert_eq!(found(&findings), expected);
    assert_eq!(findings[2].subject, "shop.example.com");
}
