//! Certificates: how long they are good, and whether the next one will come by itself.
//!
//! The authority is asked whether it is there, nothing more.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Finding;
use super::patient::Patient;
use crate::assemble::{self, CertificateFacts, OrderFacts, Span};

const DAY_S: u64 = 24 * 3600;
/// How soon before its end a certificate in a file is named: time enough to get another one.
const ENDS_SOON_S: u64 = 14 * DAY_S;
/// The same for those that live for days, as a part of their life.
const ENDS_SOON_PART: u64 = 6;

/// Looks at every certificate of the front door.
pub(super) async fn check(patient: &Patient) -> Vec<Finding> {
    let facts = assemble::certificate_facts(&patient.entrance, &patient.data_dir);
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_s = now_s.unwrap_or_default().as_secs();
    match facts.await {
        Err(why) => vec![Finding::refused(
            "acme_invalid",
            "tls.acme",
            why,
            "correct acme in tls",
        )],
        Ok((files, order)) => {
            let mut findings: Vec<Finding> =
                files.iter().map(|file| of_file(file, now_s)).collect();
            if let Some(order) = order {
                findings.extend(of_order(&order, patient.public_url.as_deref(), now_s));
            }
            findings
        }
    }
}

fn of_file(facts: &CertificateFacts, now_s: u64) -> Finding {
    let Span { from_s, until_s } = facts.span;
    let left_s = until_s.saturating_sub(now_s);
    let soon_s = ENDS_SOON_S.min(until_s.saturating_sub(from_s) / ENDS_SOON_PART);
    let advice = "put a new one into its place, it is read while the server runs; or have it obtained with acme in tls";
    if let Some(finding) = unusable(&facts.file, facts.span, now_s, advice) {
        return finding;
    }
    let message = format!("this certificate ends in {}", days(left_s));
    match left_s < soon_s {
        true => Finding::warning("certificate_ends", show(&facts.file), message, advice),
        false => Finding::ok("certificate", show(&facts.file), message),
    }
}

fn of_order(facts: &OrderFacts, public_url: Option<&str>, now_s: u64) -> Vec<Finding> {
    let mut findings = vec![of_obtained(facts, now_s)];
    if facts.failures > 0 {
        let next = match facts.next_s.checked_sub(now_s) {
            None | Some(0) => "at the next start".to_owned(),
            Some(left_s) => format!("in {}", spoken(left_s)),
        };
        let (message, advice) = facts
            .why
            .rsplit_once("; ")
            .unwrap_or((&facts.why, "look into the log of the server"));
        let message = format!(
            "{} orders in a row have failed, the next is {next}; the last: {message}",
            facts.failures
        );
        // Without a certificate that is the end of it; with one there is time.
        findings.push(match facts.span {
            Some(_) => Finding::warning("acme_failing", &facts.directory, message, advice),
            None => Finding::error("acme_failing", &facts.directory, message, advice),
        });
    }
    if let Some(why) = &facts.unreachable {
        let advice = "let this machine reach it";
        findings.push(Finding::told(
            "acme_unreachable",
            &facts.directory,
            why,
            advice,
        ));
    }
    let host = public_url.and_then(host_of);
    if let Some(host) = host.filter(|host| !facts.domains.contains(host)) {
        findings.push(Finding::error(
            "acme_domain",
            &host,
            format!("public_url says {host}, which is none of acme.domains: clients that go there find no certificate for it"),
            format!("add {host:?} to domains of acme in tls"),
        ));
    }
    findings
}

/// The certificate that is obtained, if there is one.
fn of_obtained(facts: &OrderFacts, now_s: u64) -> Finding {
    let names = facts.domains.join(", ");
    let Some(span) = facts.span else {
        return Finding::warning(
            "certificate_missing",
            names,
            format!(
                "there is no certificate yet; it is obtained from {} while the server runs",
                facts.directory
            ),
            format!(
                "start the server, let port {} of each name lead to it, and look at its log",
                facts.port
            ),
        );
    };
    let advice = "start the server, which renews it, and look at its log";
    if let Some(finding) = unusable(&facts.file, span, now_s, advice) {
        return finding;
    }
    let left = days(span.until_s.saturating_sub(now_s));
    let due_s = facts.renew_s.unwrap_or(span.until_s);
    match due_s.checked_sub(now_s) {
        Some(until_s) => Finding::ok(
            "certificate",
            names,
            format!(
                "its certificate ends in {left} and is renewed in {}",
                days(until_s)
            ),
        ),
        None => Finding::warning(
            "certificate_ends",
            names,
            format!(
                "its certificate ends in {left} and was due {} ago",
                spoken(now_s.saturating_sub(due_s))
            ),
            advice,
        ),
    }
}

/// One that has ended or has not begun.
fn unusable(file: &Path, span: Span, now_s: u64, advice: &str) -> Option<Finding> {
    if span.until_s <= now_s {
        let ago = spoken(now_s.saturating_sub(span.until_s));
        let message = format!("this certificate ended {ago} ago: no client goes on");
        return Some(Finding::error(
            "certificate_ended",
            show(file),
            message,
            advice,
        ));
    }
    (span.from_s > now_s).then(|| {
        Finding::error(
            "certificate_ended",
            show(file),
            format!(
                "this certificate begins in {}",
                spoken(span.from_s.saturating_sub(now_s))
            ),
            "look at the clock of this machine",
        )
    })
}

/// The name in an address, as certificates have it.
fn host_of(address: &str) -> Option<String> {
    let uri: http::Uri = address.parse().ok()?;
    uri.host().map(str::to_ascii_lowercase)
}

fn days(seconds: u64) -> String {
    match seconds / DAY_S {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        count => format!("{count} days"),
    }
}

/// A span of time, rounded down.
fn spoken(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} seconds"),
        60..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3_600),
        _ => days(seconds),
    }
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
#[path = "certificates_tests.rs"]
mod tests;
