//! One wish: a request, who makes it, and how much it may cost.
//!
//! Built by the command line or an embedder. [`Call::key`] is the name of the logical call
//! (ARCHITECTURE law 3), so what goes into it decides what counts as "the same request again".

use std::time::Duration;

use bytes::Bytes;
use farebox_core::fault::{Blame, Fault, Kind};
use farebox_core::ledger::CallKey;
use farebox_wire::money::UsdMicros;
use farebox_wire::x402;
use http::{HeaderMap, Method};
use sha2::{Digest, Sha256};
use url::Url;

use crate::options::{MAX_TIME_DEFAULT, REQUEST_BODY_BYTES_MAX};
use crate::origin;

/// A request to be made, and paid for if it must be.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// `http` or `https`.
    pub url: Url,
    /// The caller's own headers.
    pub headers: HeaderMap,
    /// The body, at most 16 MiB; it is sent again with the credential.
    pub body: Bytes,
    /// Who spends; `None` is the owner. An agent reaches no private addresses.
    pub agent: Option<String>,
    /// Names the logical call instead of (agent, method, URL, body).
    pub idempotency_key: Option<String>,
    /// The most that this call may cost.
    pub max_cost: Option<UsdMicros>,
    /// Sign afresh although the call has an open payment (`--new`).
    pub fresh: bool,
    /// Ask and explain, but never pay.
    pub dry_run: bool,
    /// Only this protocol: `x402` or `l402`.
    pub protocol: Option<String>,
    /// Only this rail: `evm` or `lightning`.
    pub rail: Option<String>,
    /// Networks, rails, protocols or assets in order of preference; cost decides the rest.
    pub prefer: Vec<String>,
    /// Only these assets, by symbol or CAIP-19 name; none named allows all that are known.
    pub assets: Vec<String>,
    /// Nothing that is real money.
    pub no_mainnet: bool,
    /// How long to wait for a twin, for each head of an answer, and between two parts of its
    /// body.
    pub max_time: Duration,
    /// Follow redirects before paying (`-L`). After paying none is followed.
    pub follow_redirects: bool,
    /// Whether private addresses may be reached; an agent never may without `allow_private`.
    pub private_ok: bool,
}

impl Call {
    /// A call without headers and body, for the owner.
    ///
    /// # Errors
    /// `invalid_url` for anything but an absolute `http` or `https` URL.
    pub fn new(method: Method, url: &str) -> Result<Self, Fault> {
        let url = Url::parse(url).map_err(|why| invalid_url(url, &why.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid_url(url.as_str(), "the scheme is not http or https"));
        }
        Ok(Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            agent: None,
            idempotency_key: None,
            max_cost: None,
            fresh: false,
            dry_run: false,
            protocol: None,
            rail: None,
            prefer: Vec::new(),
            assets: Vec::new(),
            no_mainnet: false,
            max_time: MAX_TIME_DEFAULT,
            follow_redirects: false,
            private_ok: true,
        })
    }

    /// The name of the logical call: of its idempotency key, else of (agent, method, URL without
    /// fragment, body).
    #[must_use]
    pub fn key(&self) -> CallKey {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            // A length before each part: no two lists of parts run together.
            hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(bytes);
        };
        match &self.idempotency_key {
            Some(key) => {
                part(b"idempotency-key");
                part(key.as_bytes());
            }
            None => {
                part(b"call");
                // "No agent" and an agent without a name are two spenders.
                part(&[u8::from(self.agent.is_some())]);
                part(self.agent.as_deref().unwrap_or_default().as_bytes());
                part(self.method.as_str().as_bytes());
                part(origin::without_fragment(&self.url).as_str().as_bytes());
                part(&Sha256::digest(&self.body));
            }
        }
        CallKey(hex::encode(hash.finalize()))
    }

    /// Whether private addresses are out of reach.
    pub(crate) fn is_guarded(&self) -> bool {
        self.agent.is_some() || !self.private_ok
    }

    /// Refuses what cannot be sent twice, or would get in the way of our own headers.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        if self.body.len() > REQUEST_BODY_BYTES_MAX {
            return Err(usage(
                "request_body_too_large",
                format!(
                    "the request's body has {} bytes, more than the {REQUEST_BODY_BYTES_MAX} that can be kept to be sent again after paying",
                    self.body.len()
                ),
            ));
        }
        let ours = [x402::PAYMENT_SIGNATURE, x402::X_PAYMENT];
        if let Some(name) = ours.iter().find(|name| self.headers.contains_key(**name)) {
            return Err(usage(
                "payment_header_given",
                format!("the header {name} is ours to set; leave it out"),
            ));
        }
        Ok(())
    }
}

fn invalid_url(url: &str, why: &str) -> Fault {
    let url: String = origin::without_userinfo(url).chars().take(200).collect();
    usage(
        "invalid_url",
        format!("{url:?} cannot be fetched: {why}; write it like https://host/path"),
    )
}

fn usage(code: &'static str, message: String) -> Fault {
    Fault::harmless(code, Kind::Config, Blame::User, message)
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
