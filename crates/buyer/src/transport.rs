//! One HTTP request and the head of its answer, within a time. Follows nothing, retries nothing.
//!
//! Called by `walk` and `show`. Guarded calls go through a client of their own, whose every
//! address passes the guard; what stays on this machine goes through no proxy.

use std::error::Error as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use farebox_core::fault::{Blame, Fault, Kind};
use farebox_core::rail::Credential;
use http::{HeaderMap, HeaderValue, Method};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Request, Response};
use url::Url;

use crate::guard::{Guard, PrivateAddress};
use crate::options::{BuyerOptions, CONNECT_TIMEOUT, RESPONSE_HEADERS_MAX};
use crate::origin;

const USER_AGENT: &str = concat!("farebox/", env!("CARGO_PKG_VERSION"));

/// A request to one URL.
#[derive(Clone)]
pub(crate) struct Hop {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) is_guarded: bool,
    pub(crate) max_time: Duration,
}

/// The clients, each made when it is first needed: reading the system's certificates takes time.
pub(crate) struct Transport {
    /// For people; uses the proxy that the environment names.
    open: OnceLock<Client>,
    /// For this machine: plain http is safe here, and would not be in the hands of a proxy.
    local: OnceLock<Client>,
    /// For agents. A proxy would do the looking up, out of the guard's sight.
    guarded: OnceLock<Client>,
    guard: Guard,
}

impl Transport {
    /// # Errors
    /// `tls_provider_missing` where the program has installed none.
    pub(crate) fn new(options: &BuyerOptions) -> Result<Self, Fault> {
        // Without this check the first client would panic.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(Fault::harmless(
                "tls_provider_missing",
                Kind::Internal,
                Blame::Us,
                "no TLS provider is installed; call rustls::crypto::ring::default_provider().install_default() first thing in main",
            ));
        }
        Ok(Self {
            open: OnceLock::new(),
            local: OnceLock::new(),
            guarded: OnceLock::new(),
            guard: Guard::new(options.allow_private.clone()),
        })
    }

    /// Sends, with a credential or without, and waits for the head of the answer.
    pub(crate) async fn send(
        &self,
        hop: &Hop,
        credential: Option<&Credential>,
    ) -> Result<Response, Fault> {
        let client = self.client_for(hop)?;
        let mut request = Request::new(hop.method.clone(), hop.url.clone());
        *request.headers_mut() = hop.headers.clone();
        if !hop.body.is_empty() {
            *request.body_mut() = Some(hop.body.clone().into());
        }
        if let Some(credential) = credential {
            let (name, value) = header_of(credential)?;
            request.headers_mut().insert(name, value);
        }
        match tokio::time::timeout(hop.max_time, client.execute(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(network_fault(&hop.url, &error)),
            Err(_) => Err(timed_out(&hop.url, hop.max_time)),
        }
    }

    fn client_for(&self, hop: &Hop) -> Result<&Client, Fault> {
        if hop.is_guarded {
            let why = self.guard.check_url(&hop.url);
            why.map_err(|why| refused(&why))?;
            let resolver = Arc::new(self.guard.clone());
            return made(&self.guarded, || {
                builder().no_proxy().dns_resolver(resolver.clone())
            });
        }
        match origin::is_loopback(&hop.url) {
            true => made(&self.local, || builder().no_proxy()),
            false => made(&self.open, builder),
        }
    }
}

fn builder() -> ClientBuilder {
    Client::builder()
        .user_agent(USER_AGENT)
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .http1_max_headers(RESPONSE_HEADERS_MAX)
}

/// The client of a cell, made now if it is not there yet.
fn made(cell: &OnceLock<Client>, builder: impl Fn() -> ClientBuilder) -> Result<&Client, Fault> {
    if let Some(client) = cell.get() {
        return Ok(client);
    }
    let client = builder().build().or_else(|why| {
        // A bare container has no certificates of authorities. Plain http to this machine works
        // without them; https will say that the issuer is unknown.
        tracing::warn!(%why, "https cannot be used; install the ca-certificates of this system");
        builder().tls_certs_only([]).build()
    });
    let client = client.map_err(|why| {
        Fault::harmless(
            "http_client_unusable",
            Kind::Internal,
            Blame::Us,
            format!("the HTTP client cannot be set up: {why}"),
        )
    })?;
    Ok(cell.get_or_init(|| client))
}

fn header_of(credential: &Credential) -> Result<(http::HeaderName, HeaderValue), Fault> {
    let unusable = || {
        Fault::harmless(
            "credential_unwritable",
            Kind::Internal,
            Blame::Us,
            "the credential does not fit into an HTTP header; report this",
        )
    };
    let name = http::HeaderName::try_from(&credential.header).map_err(|_| unusable())?;
    let mut value = HeaderValue::try_from(&credential.value).map_err(|_| unusable())?;
    // Keeps it out of every debug output below us.
    value.set_sensitive(true);
    Ok((name, value))
}

fn network_fault(url: &Url, error: &reqwest::Error) -> Fault {
    let mut cause = error.source();
    let mut innermost = None;
    while let Some(inner) = cause {
        if let Some(private) = inner.downcast_ref::<PrivateAddress>() {
            return refused(private);
        }
        innermost = Some(inner);
        cause = inner.source();
    }
    let host = url.host_str().unwrap_or_default();
    let why = innermost.map_or_else(|| error.to_string(), ToString::to_string);
    let (code, message) = match (error.is_timeout(), error.is_connect()) {
        (true, _) => ("timeout", format!("{host} did not answer in time: {why}")),
        (_, true) => (
            "connect_failed",
            format!("no connection to {host}: {why}; check the URL and the network"),
        ),
        _ => (
            "no_answer",
            format!("{host} gave no readable answer: {why}"),
        ),
    };
    Fault::harmless(code, Kind::Network, Blame::Peer, message)
}

fn timed_out(url: &Url, max_time: Duration) -> Fault {
    Fault::harmless(
        "timeout",
        Kind::Network,
        Blame::Peer,
        format!(
            "{} did not answer within {} s; --max-time waits longer",
            url.host_str().unwrap_or_default(),
            max_time.as_secs_f32()
        ),
    )
}

fn refused(why: &PrivateAddress) -> Fault {
    Fault::harmless(
        "private_address_refused",
        Kind::Policy,
        Blame::User,
        why.to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No test of this binary installs a provider; those in `tests/` do.
    #[test]
    fn a_program_without_a_tls_provider_gets_a_fault_and_no_panic() {
        let fault = Transport::new(&BuyerOptions::default()).err();
        assert_eq!(fault.map(|fault| fault.code), Some("tls_provider_missing"));
    }
}
