//! One HTTP exchange with a facilitator, within a time and a size.
//!
//! What it must tell apart is what the next step depends on: provably nothing was sent, or
//! something may have been. It follows a permanent redirect to the same origin, as the SDKs do,
//! and no other. It never shows a path, which may hold an access key, and never a header.

use std::time::Duration;

use farebox_core::rail::RailError;
use farebox_core::span;
use farebox_core::trace::{self, TRACEPARENT, TRACESTATE};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode, Url};
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::options::is_loopback;

/// A facilitator that takes longer to accept a connection is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Redirects that are followed: a trailing slash, then a moved API.
const REDIRECTS_MAX: usize = 2;
/// Characters of a reason that go into the log; more is noise.
const WHY_CHARS_MAX: usize = 200;
const USER_AGENT: &str = concat!("farebox/", env!("CARGO_PKG_VERSION"));
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) enum NoAnswer {
    /// No connection: not a byte has left.
    NotSent(String),
    /// It may have been received, and may be carried out.
    MaybeSent(String),
}

impl NoAnswer {
    pub(crate) fn why(self) -> String {
        match self {
            Self::NotSent(why) | Self::MaybeSent(why) => why,
        }
    }
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// `Retry-After`, as it stands there.
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// A request.
pub(crate) struct Ask<'a> {
    /// Behind the facilitator's address.
    pub(crate) path: &'a str,
    /// A POST's body; without one it is a GET.
    pub(crate) body: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
    /// How long the whole exchange may take.
    pub(crate) within: Duration,
    /// Bytes of the answer that are read.
    pub(crate) bytes_max: usize,
}

/// The way to one facilitator. No `Debug`: it holds tokens.
pub(crate) struct Transport {
    http: Client,
    base: Url,
    headers: HeaderMap,
}

impl Transport {
    pub(crate) fn new(base: Url, headers: HeaderMap) -> Result<Self, RailError> {
        // Idempotent: the embedding program may have installed a provider of its own.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            let builder = Client::builder()
                .user_agent(USER_AGENT)
                .connect_timeout(CONNECT_TIMEOUT)
                .redirect(Policy::none())
                .retry(reqwest::retry::never());
            match is_loopback(&base) {
                true => builder.no_proxy(),
                false => builder,
            }
        };
        let http = builder().build().or_else(|why| {
            // A bare container has no certificates of authorities; this machine is reached without.
            tracing::warn!(%why, "https cannot be used; install the ca-certificates of this system");
            builder().tls_certs_only([]).build()
        });
        Ok(Self {
            http: http.map_err(|why| RailError {
                code: "facilitator_client",
                message: format!("no HTTP client: {why}"),
            })?,
            base,
            headers,
        })
    }

    /// Host and port, for messages.
    pub(crate) fn host(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        match self.base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    pub(crate) fn url(&self) -> &str {
        self.base.as_str()
    }

    /// Asks once.
    pub(crate) async fn ask(&self, ask: &Ask<'_>) -> Result<Answer, NoAnswer> {
        let span = span!(
            "facilitator",
            otel.name = format_args!("facilitator {}", ask.path),
            otel.kind = "client",
            otel.status_code = Empty,
            server.address = self.host(),
            http.response.status_code = Empty,
        );
        let exchange = self.exchange(ask).instrument(span.clone());
        let answer = tokio::time::timeout(ask.within, exchange).await;
        let answer = answer.unwrap_or_else(|_| {
            Err(NoAnswer::MaybeSent(format!(
                "no answer within {} ms",
                ask.within.as_millis()
            )))
        });
        match &answer {
            Ok(answer) => span.record("http.response.status_code", answer.status.as_u16()),
            Err(_) => span.record("otel.status_code", "ERROR"),
        };
        answer
    }

    async fn exchange(&self, ask: &Ask<'_>) -> Result<Answer, NoAnswer> {
        let mut url = self.at(ask.path);
        for hop in 0..=REDIRECTS_MAX {
            let sent = self.send(ask, url.clone()).await;
            let response = sent.map_err(|why| match (hop, why) {
                // The first request has left, whatever became of the second.
                (1.., NoAnswer::NotSent(why)) => NoAnswer::MaybeSent(why),
                (_, why) => why,
            })?;
            if !response.status().is_redirection() {
                return read(response, ask.bytes_max).await;
            }
            url = self.moved_to(&url, &response).ok_or_else(|| {
                NoAnswer::MaybeSent("it redirects elsewhere, which is not followed".to_owned())
            })?;
        }
        Err(NoAnswer::MaybeSent("it redirects in circles".to_owned()))
    }

    async fn send(&self, ask: &Ask<'_>, url: Url) -> Result<Response, NoAnswer> {
        let method = match ask.body {
            Some(_) => Method::POST,
            None => Method::GET,
        };
        let mut request = self.http.request(method, url).headers(self.headers.clone());
        if let Some(body) = ask.body {
            let json = HeaderValue::from_static("application/json");
            request = request.header(CONTENT_TYPE, json).body(body.to_owned());
        }
        if let Some(key) = ask.key {
            request = request.header(IDEMPOTENCY_KEY, key);
        }
        if let Some(carried) = trace::tracer().and_then(|tracer| tracer.carry()) {
            request = request.header(TRACEPARENT, carried.parent);
            if let Some(state) = carried.state {
                request = request.header(TRACESTATE, state);
            }
        }
        request.send().await.map_err(|error| {
            let is_connect = error.is_connect();
            let why = causes(&error.without_url());
            match is_connect {
                true => NoAnswer::NotSent(why),
                false => NoAnswer::MaybeSent(why),
            }
        })
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let joined = format!("{}/{path}", url.path().trim_end_matches('/'));
        url.set_path(&joined);
        url
    }

    /// Where a permanent redirect leads, if to the same origin.
    fn moved_to(&self, from: &Url, response: &Response) -> Option<Url> {
        if response.status() != StatusCode::PERMANENT_REDIRECT {
            return None;
        }
        let location = response.headers().get(LOCATION)?.to_str().ok()?;
        let to = from.join(location).ok()?;
        (to.origin() == self.base.origin()).then_some(to)
    }
}

async fn read(mut response: Response, bytes_max: usize) -> Result<Answer, NoAnswer> {
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok());
    let retry_after = retry_after.map(str::to_owned);
    let mut body = Vec::new();
    loop {
        let chunk = response.chunk().await;
        let chunk = chunk.map_err(|error| NoAnswer::MaybeSent(causes(&error.without_url())))?;
        let Some(chunk) = chunk else { break };
        if body.len().saturating_add(chunk.len()) > bytes_max {
            return Err(NoAnswer::MaybeSent(format!("more than {bytes_max} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status,
        retry_after,
        body,
    })
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.chars().take(WHY_CHARS_MAX).collect()
}
