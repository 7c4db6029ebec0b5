//! One HTTP exchange with lnd, within a time and a size, and what its refusals mean.
//!
//! What it must tell apart is what the books hang on: provably nothing was sent, lnd itself has
//! answered, or nobody knows. It never shows a macaroon, and follows no redirect.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, Url};
use serde::Deserialize;

use super::options::{LndOptions, OptionsError, is_loopback};
use super::stream::Lines;
use super::tls;
use crate::node::{NodeError, NodeErrorKind};

/// A node that takes longer to accept a connection is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// Characters of a reason that are shown; more is noise.
const WHY_CHARS_MAX: usize = 200;
/// Bytes of an error's body that are read.
const ERROR_BYTES_MAX: usize = 16 * 1024;
const USER_AGENT: &str = concat!("farebox/", env!("CARGO_PKG_VERSION"));
const MACAROON: HeaderName = HeaderName::from_static("grpc-metadata-macaroon");
/// A gateway's words for a path that it does not have.
const NO_SUCH_PATH: &str = "Not Found";
/// gRPC's states that say something here.
const NOT_FOUND: u32 = 5;
const ALREADY_EXISTS: u32 = 6;
const PERMISSION_DENIED: u32 = 7;
const UNIMPLEMENTED: u32 = 12;
const UNAVAILABLE: u32 = 14;
const UNAUTHENTICATED: u32 = 16;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// No connection: not a byte of the request has left.
    NotSent(String),
    /// It may have been received, and may be carried out.
    MaybeSent(String),
    /// lnd has answered that it did not do it.
    Refused(Refusal),
}

/// An error in lnd's own form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// gRPC's number.
    pub(crate) code: u32,
    /// lnd's sentence, cut short.
    pub(crate) message: String,
}

impl Refusal {
    /// Reads an error: of a plain answer, of a stream, and of the older gateway.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Plain {
            code: Option<u32>,
            message: Option<String>,
            error: Option<serde_json::Value>,
        }
        let said: Plain = serde_json::from_slice(body).ok()?;
        let nested = said.error.as_ref().filter(|error| error.is_object());
        let (code, message) = match nested {
            Some(error) => (
                error
                    .get("code")
                    .or_else(|| error.get("grpc_code"))
                    .and_then(serde_json::Value::as_u64)
                    .and_then(|code| u32::try_from(code).ok()),
                error
                    .get("message")
                    .and_then(serde_json::Value::as_str)
                    .map(str::to_owned),
            ),
            None => (said.code, said.message),
        };
        Some(Self {
            code: code?,
            message: plain(&message?),
        })
    }

    fn says(&self, what: &[&str]) -> bool {
        what.iter().any(|text| self.message.contains(text))
    }

    /// The macaroon does not allow it, or is of another node.
    pub(crate) fn is_permission(&self) -> bool {
        matches!(self.code, PERMISSION_DENIED | UNAUTHENTICATED)
            || self.says(&["permission denied", "macaroon", "verification failed"])
    }

    /// lnd is locked or starting.
    pub(crate) fn is_not_ready(&self) -> bool {
        self.code == UNAVAILABLE
            || self.says(&[
                "wallet locked",
                "wallet not created",
                "waiting to start",
                "in the process of starting",
            ])
    }

    /// Not a path of this node.
    pub(crate) fn is_no_such_path(&self) -> bool {
        self.code == UNIMPLEMENTED || (self.code == NOT_FOUND && self.message == NO_SUCH_PATH)
    }

    /// lnd does not have it. A gateway says the same of a path that it does not have, in other words.
    fn is_not_found(&self) -> bool {
        self.code == NOT_FOUND && self.message != NO_SUCH_PATH
    }

    pub(crate) fn is_unknown_payment(&self) -> bool {
        self.is_not_found() || self.says(&["payment isn't initiated"])
    }

    pub(crate) fn is_known_payment(&self) -> bool {
        self.code == ALREADY_EXISTS
            || self.says(&[
                "invoice is already paid",
                "payment is in transition",
                "payment already exists",
            ])
    }

    pub(crate) fn is_unknown_invoice(&self) -> bool {
        self.is_not_found()
            || self.says(&["unable to locate invoice", "there are no existing invoices"])
    }

    pub(crate) fn is_closed_invoice(&self) -> bool {
        self.is_unknown_invoice()
            || self.says(&["invoice already settled", "invoice already canceled"])
    }
}

impl NoAnswer {
    /// For people, with what to do.
    pub(crate) fn told(self, name: &str) -> NodeError {
        let (kind, message) = match self {
            Self::NotSent(why) | Self::MaybeSent(why) => (
                NodeErrorKind::Unreachable,
                format!(
                    "the Lightning node at {name} does not answer ({why}); check that it runs, its address and its certificate"
                ),
            ),
            Self::Refused(refusal) if refusal.is_not_ready() => (
                NodeErrorKind::NotReady,
                format!(
                    "the Lightning node at {name} is locked or still starting ({}); unlock it, or wait",
                    refusal.message
                ),
            ),
            Self::Refused(refusal) if refusal.is_permission() => (
                NodeErrorKind::Permission,
                format!(
                    "the macaroon does not allow this at the Lightning node at {name} ({}); bake one with the permissions that docs/configuration.md lists",
                    refusal.message
                ),
            ),
            Self::Refused(refusal) => (
                NodeErrorKind::Refused,
                format!("the Lightning node at {name} refuses: {}", refusal.message),
            ),
        };
        NodeError { kind, message }
    }
}

/// A request.
pub(crate) struct Ask<'a> {
    path: &'a str,
    body: Option<&'a str>,
    within: Duration,
    bytes_max: usize,
}

impl<'a> Ask<'a> {
    pub(crate) const fn get(path: &'a str, within: Duration, bytes_max: usize) -> Self {
        Self {
            path,
            body: None,
            within,
            bytes_max,
        }
    }

    pub(crate) const fn post(
        path: &'a str,
        body: &'a str,
        within: Duration,
        bytes_max: usize,
    ) -> Self {
        Self {
            path,
            body: Some(body),
            within,
            bytes_max,
        }
    }
}

/// The client. No `Debug`: it holds a macaroon.
pub(crate) struct Http {
    client: Client,
    base: Url,
    macaroon: HeaderValue,
    name: String,
}

impl Http {
    pub(crate) fn new(options: LndOptions) -> Result<Self, OptionsError> {
        // Idempotent: the embedding program may have installed a provider of its own.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(Policy::none())
            .retry(reqwest::retry::never());
        if is_loopback(&options.url) {
            builder = builder.no_proxy();
        }
        if !options.certificates.is_empty() {
            builder = builder.tls_backend_preconfigured(tls::pinned(options.certificates)?);
        } else if options.url.scheme() == "http" {
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build();
        let host = options.url.host_str().unwrap_or_default();
        Ok(Self {
            client: client.map_err(|why| OptionsError::Client(why.to_string()))?,
            name: match options.url.port() {
                Some(port) => format!("{host}:{port}"),
                None => host.to_owned(),
            },
            macaroon: options.macaroon.header()?,
            base: options.url,
        })
    }

    /// Host and port.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Asks once, and reads the whole answer.
    pub(crate) async fn ask(&self, ask: &Ask<'_>) -> Result<Vec<u8>, NoAnswer> {
        let exchange = async {
            let response = self.send(ask).await?;
            read(response, ask.bytes_max).await
        };
        let answer = tokio::time::timeout(ask.within, exchange).await;
        answer.unwrap_or_else(|_| Err(late(ask.within)))
    }

    /// Asks once, and gives the lines of the answer as they come.
    pub(crate) async fn open(&self, ask: &Ask<'_>) -> Result<Lines, NoAnswer> {
        let opened = tokio::time::timeout(ask.within, self.send(ask)).await;
        let response = opened.unwrap_or_else(|_| Err(late(ask.within)))?;
        Ok(Lines::of(response, ask.bytes_max))
    }

    /// An answer that is no error.
    async fn send(&self, ask: &Ask<'_>) -> Result<Response, NoAnswer> {
        let url = self.base.join(ask.path);
        let url = url.map_err(|why| NoAnswer::NotSent(why.to_string()))?;
        let method = match ask.body {
            Some(_) => Method::POST,
            None => Method::GET,
        };
        let mut request = self.client.request(method, url);
        request = request.header(MACAROON, self.macaroon.clone());
        if let Some(body) = ask.body {
            let json = HeaderValue::from_static("application/json");
            request = request.header(CONTENT_TYPE, json).body(body.to_owned());
        }
        let response = request.send().await.map_err(|error| {
            let is_connect = error.is_connect();
            let why = causes(&error.without_url());
            match is_connect {
                true => NoAnswer::NotSent(why),
                false => NoAnswer::MaybeSent(why),
            }
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = read(response, ERROR_BYTES_MAX).await?;
        match Refusal::read(&body) {
            Some(refusal) => Err(NoAnswer::Refused(refusal)),
            None => Err(NoAnswer::MaybeSent(format!(
                "HTTP {status}, and not from lnd"
            ))),
        }
    }
}

fn late(within: Duration) -> NoAnswer {
    NoAnswer::MaybeSent(format!("no answer within {} ms", within.as_millis()))
}

async fn read(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, NoAnswer> {
    let mut body = Vec::new();
    loop {
        let chunk = response.chunk().await;
        let chunk = chunk.map_err(|error| NoAnswer::MaybeSent(causes(&error.without_url())))?;
        let Some(chunk) = chunk else { return Ok(body) };
        if body.len().saturating_add(chunk.len()) > bytes_max {
            return Err(NoAnswer::MaybeSent(format!("more than {bytes_max} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
}

pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    plain(&text)
}

/// A stranger's text as it may be shown and stored: one line, short.
fn plain(text: &str) -> String {
    let shown = text.chars().filter(|c| !c.is_control());
    shown.take(WHY_CHARS_MAX).collect()
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
