//! From flags to a call, and from a plan to text.

use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use farebox_buyer::{Call, Decision, OfferView, Plan, without_userinfo};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method};

use super::Fetch;
use crate::config::{Config, Timespan};
use crate::failure::Failure;
use crate::output;

/// What curl says of a body that nothing else is said about.
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

impl Fetch {
    /// The call that the flags ask for.
    ///
    /// # Errors
    /// Exit 2, naming the flag.
    pub(super) fn call(&self) -> Result<Call, Failure> {
        let default = if self.data.is_some() { "POST" } else { "GET" };
        let method = self.method.as_deref().unwrap_or(default);
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| usage(format!("-X {method:?} is no HTTP method")))?;
        let mut call = Call::new(method, &self.url)?;
        for header in &self.headers {
            let (name, value) = parse_header(header)?;
            call.headers.append(name, value);
        }
        if let Some(data) = &self.data {
            call.body = read_data(data)?;
            call.headers.entry(CONTENT_TYPE).or_insert(FORM);
        }
        call.agent.clone_from(&self.agent);
        call.idempotency_key.clone_from(&self.idempotency_key);
        call.max_cost = self.max_cost.map(|usd| usd.0);
        call.fresh = self.fresh;
        call.dry_run = self.dry_run;
        call.protocol.clone_from(&self.protocol);
        call.rail.clone_from(&self.rail);
        call.prefer = names(&self.prefer);
        call.assets = names(&self.assets);
        call.follow_redirects = self.location;
        if let Some(max_time) = self.max_time {
            call.max_time = max_time;
        }
        Ok(call)
    }

    /// The file that was asked for; `None` is stdout.
    ///
    /// # Errors
    /// Exit 2 where -O finds no name in the URL.
    pub(super) fn target(&self) -> Result<Option<PathBuf>, Failure> {
        if !self.remote_name {
            let stdout = |path: &PathBuf| path.as_os_str() == "-";
            return Ok(self.output.clone().filter(|path| !stdout(path)));
        }
        let path = self.url.split(['?', '#']).next().unwrap_or_default();
        let after_host = path.split_once("://").map_or(path, |(_, rest)| rest);
        let name = after_host.rsplit_once('/').map_or("", |(_, name)| name);
        if name.is_empty() || name == "." || name == ".." {
            return Err(usage(format!(
                "-O finds no file name at the end of {:?}; use -o FILE",
                without_userinfo(&self.url)
            )));
        }
        Ok(Some(PathBuf::from(name)))
    }
}

/// What the flags leave open, the configuration's `[prefer]` says.
pub(super) fn prefer(call: &mut Call, no_mainnet: Option<bool>, config: &Config) {
    let section = &config.file.prefer;
    if call.protocol.is_none() {
        call.protocol.clone_from(&section.protocol);
    }
    if call.rail.is_none() {
        call.rail.clone_from(&section.rail);
    }
    if call.prefer.is_empty() {
        call.prefer = names(&section.order);
    }
    if call.assets.is_empty() {
        call.assets = names(&section.assets);
    }
    call.no_mainnet = no_mainnet.unwrap_or(section.mainnets == Some(false));
}

/// Names as people write them in a list, with blanks after the commas.
fn names(list: &[String]) -> Vec<String> {
    let names = list.iter().map(|name| name.trim().to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

/// Reads `60`, as curl does, or `2m`.
pub(super) fn seconds_or_span(text: &str) -> Result<Duration, String> {
    let span = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => text.parse::<Timespan>()?.0,
    };
    if span.is_zero() {
        return Err("no time at all is not enough".to_owned());
    }
    Ok(span)
}

/// A dry run for people.
pub(super) fn plan_text(plan: &Plan) -> String {
    let (verdict, rule) = match &plan.decision {
        Decision::Allow(rule) => ("would be paid", rule),
        Decision::Ask(rule) => ("would need an approval", rule),
        Decision::Deny(rule) => ("would be refused", rule),
    };
    if plan.offers.is_empty() {
        return "Nothing is asked for: it is free.".to_owned();
    }
    let rows: Vec<Vec<String>> = plan.offers.iter().map(offer_row).collect();
    let offers = output::table(
        &["protocol", "network", "atomic", "cost", "payable", "why"],
        &rows,
    );
    format!("{offers}\n\nIt {verdict} (rule: {rule}). Nothing was paid.")
}

fn offer_row(offer: &OfferView) -> Vec<String> {
    let dash = || "-".to_owned();
    let cost = offer.cost.as_ref();
    vec![
        offer.protocol.unwrap_or("-").to_owned(),
        offer.network.clone().unwrap_or_else(dash),
        offer.amount.map_or_else(dash, |amount| amount.to_string()),
        cost.map_or_else(dash, |cost| format!("{} {}", cost.amount, cost.currency)),
        if offer.payable { "yes" } else { "no" }.to_owned(),
        offer.reason.clone().unwrap_or_default(),
    ]
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    // What follows the name may be a secret.
    let name = text.split([':', ' ', '\t']).next().unwrap_or_default();
    let refuse = || {
        usage(format!(
            "-H {name:?} … is no header; write it like \"accept: text/plain\""
        ))
    };
    let (name, value) = text.split_once(':').ok_or_else(refuse)?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| refuse())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_| refuse())?;
    Ok((name, value))
}

/// The body: the text itself, `@FILE` or `@-`, byte for byte.
fn read_data(data: &str) -> Result<Bytes, Failure> {
    let failed = |error: std::io::Error| usage(format!("-d {data}: {error}"));
    match data.strip_prefix('@') {
        None => Ok(Bytes::copy_from_slice(data.as_bytes())),
        Some("-") => {
            let mut bytes = Vec::new();
            std::io::stdin()
                .lock()
                .read_to_end(&mut bytes)
                .map_err(failed)?;
            Ok(bytes.into())
        }
        Some(path) => std::fs::read(path).map(Bytes::from).map_err(failed),
    }
}

fn usage(message: String) -> Failure {
    Failure::config("usage", message)
}
