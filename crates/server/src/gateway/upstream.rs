//! Where requests go: the servers behind the routes.

use std::collections::HashMap;
use std::str::FromStr;

use http::{HeaderValue, Uri};

/// The port that URLs of plain HTTP leave out.
const HTTP_PORT: u16 = 80;

/// A server behind the gate: `http://host[:port]`, without a path, because the path that was
/// matched is the path that is forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    address: Uri,
    /// What requests to it have in their `Host`.
    host: HeaderValue,
}

/// Why a text is not an upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// Not an URL of a server.
    #[error("upstream {0:?} is not a server; write it like \"http://127.0.0.1:3000\"")]
    Form(String),
    /// A path, a query, or a user.
    #[error(
        "upstream {0:?} has a path, query or user; write scheme, host and port alone: requests \
         keep their own path"
    )]
    MoreThanServer(String),
    /// TLS to upstreams.
    #[error("upstream {0:?} wants TLS, which the gate does not speak to upstreams yet; use http")]
    Tls(String),
}

impl Upstream {
    /// Where to connect.
    pub(crate) fn address(&self) -> Uri {
        self.address.clone()
    }

    /// What requests to it have in their `Host`.
    pub(crate) fn host(&self) -> HeaderValue {
        self.host.clone()
    }
}

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || UpstreamError::Form(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| form())?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(UpstreamError::Tls(text.to_owned())),
            _ => return Err(form()),
        }
        let authority = uri.authority().ok_or_else(form)?;
        if authority.as_str().contains('@') || uri.path() != "/" || uri.query().is_some() {
            return Err(UpstreamError::MoreThanServer(text.to_owned()));
        }
        let host = match uri.port_u16() {
            Some(HTTP_PORT) => authority.host(),
            _ => authority.as_str(),
        };
        let host = host.to_ascii_lowercase();
        Ok(Self {
            host: HeaderValue::try_from(host).map_err(|_| form())?,
            address: uri,
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
