//! Where requests go: the servers behind the routes.

use std::collections::HashMap;
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, InvalidUriParts, Parts, PathAndQuery, Scheme};

/// A server behind the gate: `http://host[:port]`, without a path, because the path that was
/// matched is the path that is forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    authority: Authority,
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
    /// The address of one request: this server, and the request's own path and query.
    pub(crate) fn locate(&self, target: Option<&PathAndQuery>) -> Result<Uri, InvalidUriParts> {
        let mut parts = Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(
            target
                .cloned()
                .unwrap_or_else(|| PathAndQuery::from_static("/")),
        );
        Uri::from_parts(parts)
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
        Ok(Self {
            authority: authority.clone(),
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
