//! One HTTP request and the head of its answer, within a time. Follows nothing, retries nothing.
//!
//! Called by `walk`. Guarded calls go through a client of their own, whose every address passes
//! the guard.

use std::error::Error as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use farebox_core::fault::{Blame, Fault, Kind};
use farebox_core::rail::Credential;
use http::{HeaderMap, HeaderValue, Method};
use reqwest::redirect::Policy;
use reqwest::{Client, Request, Response};
use url::Url;

use crate::guard::{Guard, PrivateAddress};
use crate::options::{BuyerOptions, CONNECT_TIMEOUT, RESPONSE_HEADERS_MAX};

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

/// Two clients: one for people, one for agents.
pub(crate) struct Transport {
    open: Client,
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
            open: client(None)?,
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
        if !hop.is_guarded {
            return Ok(&self.open);
        }
        self.guard
            .check_url(&hop.url)
            .map_err(|why| refused(&why))?;
        if let Some(client) = self.guarded.get() {
            return Ok(client);
        }
        let client = client(Some(self.guard.clone()))?;
        Ok(self.guarded.get_or_init(|| client))
    }
}

fn client(guard: Option<Guard>) -> Result<Client, Fault> {
    let builder = || {
        let builder = Client::builder()
            .user_agent(USER_AGENT)
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .http1_max_headers(RESPONSE_HEADERS_MAX);
        match &guard {
            // A proxy would do the looking up, out of the guard's sight.
            Some(guard) => builder.no_proxy().dns_resolver(Arc::new(guard.clone())),
            None => builder,
        }
    };
    builder().build().or_else(|why| {
        // A bare container has no certificates of authorities. Plain http to this machine works
        // without them; https will say that the issuer is unknown.
        tracing::warn!(%why, "https cannot be used; install the ca-certificates of this system");
        builder().tls_certs_only([]).build().map_err(|why| {
            Fault::harmless(
                "http_client_unusable",
                Kind::Internal,
                Blame::Us,
                format!("the HTTP client cannot be set up: {why}"),
            )
        })
    })
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
