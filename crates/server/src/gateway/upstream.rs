//! Where requests go: the servers behind the routes.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use http::{HeaderValue, Uri};

use super::dial;

/// A server behind the gate: `http://host[:port]`, `https://…`, or `h2c://…` for HTTP/2 in the clear,
/// without a path, because the path that was matched is the path that is forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    address: Uri,
    /// What requests to it have in their `Host`.
    host: HeaderValue,
    speech: Speech,
    /// Certificates, in PEM, of whom its own has to convince; else those whom this machine trusts.
    authority: Option<Arc<[u8]>>,
    timeouts: Timeouts,
}

/// How long a server may take, where that differs from what
/// [`GatewayOptions`](super::GatewayOptions) says for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Until it has accepted a connection.
    pub connect_ms: Option<u64>,
    /// Until the head of its answer, uploads included.
    pub head_ms: Option<u64>,
    /// While it sends nothing of a body, or a WebSocket is silent.
    pub idle_ms: Option<u64>,
}

/// What is spoken to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    /// HTTP/1.1 in the clear.
    Http1,
    /// HTTP/2 in the clear, known beforehand: nothing in the clear could agree upon it.
    Http2,
    /// What TLS agrees upon: HTTP/2, or else HTTP/1.1.
    Tls,
}

/// Why a text is not an upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// Not an URL of a server.
    #[error(
        "upstream {0:?} is not a server; write it like \"http://127.0.0.1:3000\", \
         \"https://api.internal\", or \"h2c://127.0.0.1:50051\" for HTTP/2 without TLS"
    )]
    Form(String),
    /// A path, a query, or a user.
    #[error(
        "upstream {0:?} has a path, query or user; write scheme, host and port alone: requests \
         keep their own path"
    )]
    MoreThanServer(String),
    /// Certificates for what has none.
    #[error("upstream_ca is for an upstream with https, and {0:?} has none")]
    NothingToTrust(String),
    /// TLS that cannot be spoken.
    #[error(
        "upstream {0:?}: whom to trust cannot be told: {1}; name PEM certificates in upstream_ca = \"file:…\""
    )]
    Trust(String, String),
}

impl Upstream {
    /// The same, if it shows a certificate that leads to one of those in `pem`.
    ///
    /// # Errors
    /// Where it shows none, or there is none in `pem`.
    pub fn trusting(mut self, pem: &[u8]) -> Result<Self, UpstreamError> {
        if self.speech != Speech::Tls {
            return Err(UpstreamError::NothingToTrust(self.address.to_string()));
        }
        dial::roots(pem).map_err(|why| UpstreamError::Trust(self.address.to_string(), why))?;
        self.authority = Some(pem.into());
        Ok(self)
    }

    /// The same with times of its own. Routes whose times differ share no connections.
    #[must_use]
    pub fn waiting(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// How long it may take, where that is said.
    pub(crate) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Where to connect.
    pub(crate) fn address(&self) -> Uri {
        self.address.clone()
    }

    /// What requests to it have in their `Host`.
    pub(crate) fn host(&self) -> HeaderValue {
        self.host.clone()
    }

    /// What is spoken to it.
    pub(crate) fn speech(&self) -> Speech {
        self.speech
    }

    /// Whom it has to convince, where that is said.
    pub(crate) fn authority(&self) -> Option<&[u8]> {
        self.authority.as_deref()
    }
}

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || UpstreamError::Form(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| form())?;
        let (speech, implied_port) = match uri.scheme_str() {
            Some("http") => (Speech::Http1, 80),
            Some("h2c") => (Speech::Http2, 80),
            Some("https") => (Speech::Tls, 443),
            _ => return Err(form()),
        };
        let authority = uri.authority().ok_or_else(form)?;
        let has_path = !matches!(uri.path(), "" | "/");
        if authority.as_str().contains('@') || has_path || uri.query().is_some() {
            return Err(UpstreamError::MoreThanServer(text.to_owned()));
        }
        let host = match uri.port_u16() {
            Some(port) if port == implied_port => authority.host(),
            _ => authority.as_str(),
        };
        let host = host.to_ascii_lowercase();
        Ok(Self {
            host: HeaderValue::try_from(host).map_err(|_| form())?,
            address: uri,
            speech,
            authority: None,
            timeouts: Timeouts::default(),
        })
    }
}

/// The upstream of every route.
#[derive(Clone, Debug, Default)]
pub struct Upstreams {
    /// By the name of the route.
    pub by_route: HashMap<String, Upstream>,
    /// For requests that no route covers, where the seller lets them through.
    pub unmatched: Option<Upstream>,
}

#[cfg(test)]
#[path = "upstream_tests.rs"]
mod tests;
