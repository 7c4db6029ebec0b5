//! What is wanted of traces: `--otlp` over `FAREBOX_OTLP` over `[telemetry]` over the variables that
//! OpenTelemetry has for every program.
//!
//! Headers go to the collector that is named beside them, and to no other: those of the file to the
//! one of the file, those of `OTEL_EXPORTER_OTLP_HEADERS` to that of `OTEL_EXPORTER_OTLP_ENDPOINT`.

use std::path::Path;

use farebox_wallet::secret::Secret;
use reqwest::Url;

use crate::assemble::load_secret;
use crate::config::{Config, TelemetrySection, TracedRequests};
use crate::failure::Failure;

/// What is appended to the address of a collector.
const TRACES_PATH: &str = "v1/traces";

/// Names and values of headers.
type Headers = Vec<(String, Secret)>;

/// See the module. No `Debug`: it has secrets.
#[cfg_attr(
    not(feature = "telemetry"),
    expect(dead_code, reason = "such a build refuses what it reads")
)]
pub(crate) struct Plan {
    /// Where spans are posted.
    pub(super) to: Url,
    /// What the collector wants to see.
    pub(super) headers: Headers,
    /// How it calls this process; `None` leaves that to `OTEL_SERVICE_NAME`.
    pub(super) service_name: Option<String>,
    /// And where that is not set.
    pub(super) usual_name: &'static str,
    /// Which part of the requests is traced.
    pub(super) sample: f64,
    /// Whether those are traced that are not about a payment.
    pub(super) is_for_all: bool,
}

/// A variable that is set to something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

impl Plan {
    /// `None` where nobody wants traces.
    ///
    /// # Errors
    /// Exit 2: a section without a collector, an address that is none, a secret that is not there.
    pub(crate) fn of(
        config: &Config,
        flag: Option<&str>,
        usual_name: &'static str,
    ) -> Result<Option<Self>, Failure> {
        let section = config.file.telemetry.as_ref();
        let of_file = section.and_then(|section| section.otlp.as_deref());
        let is_files = flag.is_none_or(|flag| Some(flag) == of_file);
        let (to, headers) = match flag.or(of_file) {
            Some(base) => {
                let headers = match section {
                    Some(section) if is_files => headers_of(section, &config.base)?,
                    _ => Vec::new(),
                };
                (under(base, "otlp of [telemetry] or --otlp")?, headers)
            }
            None => match of_environment()? {
                Some(found) => found,
                None if section.is_some() => {
                    return Err(invalid(
                        "[telemetry] names no collector; write otlp = \"http://127.0.0.1:4318\"",
                    ));
                }
                None => return Ok(None),
            },
        };
        if !headers.is_empty() && to.scheme() == "http" && !is_loopback(&to) {
            return Err(invalid(
                "headers for a collector beyond this machine need https: they are secrets",
            ));
        }
        let section = section.cloned().unwrap_or_default();
        Ok(Some(Self {
            to,
            headers,
            service_name: section.service_name,
            usual_name,
            sample: section.sample.map_or(1.0, |part| part.0),
            is_for_all: section.requests == TracedRequests::All,
        }))
    }
}

/// What OpenTelemetry's own variables name. A build without traces does not look at them: they are
/// for every program of a machine.
fn of_environment() -> Result<Option<(Url, Headers)>, Failure> {
    let is_off = variable("OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true"));
    if is_off || cfg!(not(feature = "telemetry")) {
        return Ok(None);
    }
    let whole = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    let base = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let to = match (variable(whole), variable(base)) {
        (Some(to), _) => address(&to, whole)?,
        (None, Some(to)) => under(&to, base)?,
        (None, None) => return Ok(None),
    };
    let headers = variable("OTEL_EXPORTER_OTLP_TRACES_HEADERS")
        .or_else(|| variable("OTEL_EXPORTER_OTLP_HEADERS"));
    let headers = headers.map(|text| listed(&text)).unwrap_or_default();
    Ok(Some((to, headers)))
}

/// `name=value` with commas between, the values percent-encoded.
fn listed(text: &str) -> Headers {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| {
            let value = percent_decoded(value.trim());
            (name.trim().to_owned(), Secret::new(value))
        })
        .collect()
}

#[cfg(feature = "telemetry")]
fn percent_decoded(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}

#[cfg(not(feature = "telemetry"))]
fn percent_decoded(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn headers_of(section: &TelemetrySection, base: &Path) -> Result<Headers, Failure> {
    let pairs = section.headers.iter().map(|(name, reference)| {
        let key = format!("[telemetry] headers.{name}");
        let secret = load_secret(reference, base, &key)?;
        // A file ends with a line break, which is no part of the secret.
        let trimmed = Secret::new(secret.expose().trim_ascii().to_vec());
        Ok((name.clone(), trimmed))
    });
    pairs.collect()
}

/// Where a collector at this address takes traces.
fn under(base: &str, key: &str) -> Result<Url, Failure> {
    let mut to = address(base, key)?;
    let path = format!("{}/{TRACES_PATH}", to.path().trim_end_matches('/'));
    to.set_path(&path);
    Ok(to)
}

fn address(text: &str, key: &str) -> Result<Url, Failure> {
    let parsed = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    // What it says may be a secret, and is not shown.
    parsed.ok_or_else(|| {
        invalid(&format!(
            "{key} is no address of a collector; write \"http://127.0.0.1:4318\", without user or query, and put tokens into headers"
        ))
    })
}

/// Whether a URL stays on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

fn invalid(message: &str) -> Failure {
    Failure::config("config_invalid", message)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
