//! Which requests a route covers: `[METHOD ]path`, byte for byte.
//!
//! The seller asks its routes in order and the first that matches wins. Nothing is decoded here:
//! [`crate::path`] has refused every path that could be spelled in another way.

use std::fmt;
use std::str::FromStr;

use http::Method;

use crate::path;
use crate::spelling::{Spelling, fold};

/// `[METHOD ]path`: no method covers every method, `GET` covers `HEAD`, and `*` stands for any
/// characters, slashes too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMatcher {
    method: Option<Method>,
    /// What stands before, between and after the stars: never empty.
    pieces: Vec<Box<str>>,
    /// The same, as [`crate::spelling`] folds it.
    folded: Vec<Box<str>>,
}

/// Why a text is not a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseRouteError {
    /// Not `[METHOD ]path`.
    #[error("{0:?} is not a route; write it like \"GET /weather/*\" or \"/weather/*\"")]
    Form(String),
    /// A path that no request can have.
    #[error("no request can match {path:?}: {why}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: path::AmbiguousPath,
    },
}

impl RouteMatcher {
    /// Covers every method and path.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            method: None,
            pieces: vec!["/".into(), "".into()],
            folded: vec!["/".into(), "".into()],
        }
    }

    /// Whether a request with this method and path is covered.
    #[must_use]
    pub fn matches(&self, method: &Method, path: &str) -> bool {
        let method_ok = match &self.method {
            None => true,
            Some(Method::GET) => method == Method::GET || method == Method::HEAD,
            Some(own) => own == method,
        };
        method_ok && self.matches_path(path)
    }

    /// Whether the path alone is covered.
    #[must_use]
    pub fn matches_path(&self, path: &str) -> bool {
        covers(&self.pieces, path)
    }

    /// Whether a server that overlooks how a request is spelled may take it for one of these.
    pub(crate) fn may_be_read_as(&self, method: &Method, spelling: &Spelling) -> bool {
        let reads_as = |own: &Method| method.as_str().eq_ignore_ascii_case(own.as_str());
        let method_ok = match &self.method {
            None => true,
            Some(Method::GET) => reads_as(&Method::GET) || reads_as(&Method::HEAD),
            Some(own) => reads_as(own),
        };
        method_ok
            && match self.folded.as_slice() {
                [only] => spelling.bare() == only.trim_end_matches('/'),
                pieces => covers(pieces, spelling.bare()) || covers(pieces, &spelling.with_slash()),
            }
    }

    /// The one path that is covered, where there is no star.
    #[must_use]
    pub fn exact_path(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}

/// Whether a path has these pieces, with anything in between.
fn covers(pieces: &[Box<str>], path: &str) -> bool {
    let Some((first, rest)) = pieces.split_first() else {
        return false;
    };
    let Some((last, middle)) = rest.split_last() else {
        return path == &**first;
    };
    let Some(mut left) = path.strip_prefix(&**first) else {
        return false;
    };
    for piece in middle {
        let Some((_, after)) = left.split_once(&**piece) else {
            return false;
        };
        left = after;
    }
    left.ends_with(&**last)
}

impl FromStr for RouteMatcher {
    type Err = ParseRouteError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || ParseRouteError::Form(text.to_owned());
        let (method, path) = match text.split_once(' ') {
            None => (None, text),
            Some((method, path)) if method.bytes().all(|b| b.is_ascii_uppercase()) => {
                let method = method.parse::<Method>().map_err(|_| form())?;
                (Some(method), path)
            }
            Some(_) => return Err(form()),
        };
        if !path.starts_with('/') || !path.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(form());
        }
        if path.contains(['?', '#']) {
            return Err(form());
        }
        // A star may stand for anything: check the path with a harmless character in its place.
        path::check(&path.replace('*', "x")).map_err(|why| ParseRouteError::Path {
            path: path.to_owned(),
            why,
        })?;
        Ok(Self {
            method,
            pieces: path.split('*').map(Box::from).collect(),
            folded: path.split('*').map(|piece| fold(piece).into()).collect(),
        })
    }
}

impl fmt::Display for RouteMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(method) = &self.method {
            write!(f, "{method} ")?;
        }
        f.write_str(&self.pieces.join("*"))
    }
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
