//! A request as a span of a trace, at gate and facilitator alike.
//!
//! Whether it is traced is asked first, so that all others cost that question alone. A trace that a
//! client carries is continued for those who are trusted; anybody else's is linked, so that no
//! stranger chooses what is recorded or under which name. The span has the path without its query,
//! and of a credential its digest (law 15).

use std::sync::Arc;

use axum::body::Body;
use farebox_core::trace::{self, Arrival, Carried, TARGET, TRACEPARENT, TRACESTATE};
use farebox_seller::layer::PaidBy;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use tracing::Span;
use tracing::field::Empty;

use crate::request_log;

/// Bytes of a `traceparent`; version 0 has 55, and later ones may append to it.
const PARENT_BYTES_MAX: usize = 256;
/// Bytes of a `tracestate` that everybody has to pass on.
const STATE_BYTES_MAX: usize = 512;

/// What has to be known of where a request comes from; asked only where it matters.
pub(crate) struct Origin<T, P> {
    /// Whether the trace that it carries is believed.
    pub(crate) is_trusted: T,
    /// Whether it is about a payment.
    pub(crate) is_paying: P,
}

/// A request that is traced.
pub(crate) struct Traced(Span);

impl Traced {
    /// `None` where it is not.
    pub(crate) fn begin<B>(
        request: &Request<B>,
        route: impl FnOnce() -> Option<Arc<str>>,
        from: Origin<impl FnOnce() -> bool, impl FnOnce() -> bool>,
    ) -> Option<Self> {
        let tracer = trace::tracer()?;
        let carried = carried_by(request.headers());
        let is_trusted = carried.is_some() && (from.is_trusted)();
        let arrival = Arrival {
            carried: carried.as_ref(),
            is_trusted,
            is_paying: (from.is_paying)(),
        };
        if !tracer.wants(&arrival) {
            return None;
        }
        let span = span_of(request, route().as_deref());
        if let Some(carried) = &carried {
            span.in_scope(|| tracer.join(carried, is_trusted));
        }
        Some(Self(span))
    }

    /// What its answering belongs to.
    pub(crate) const fn span(&self) -> &Span {
        &self.0
    }

    /// How it was answered.
    pub(crate) fn end(self, answer: &Response<Body>) {
        let status = answer.status();
        self.0.record("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            self.0.record("otel.status_code", "ERROR");
        }
        if let Some(PaidBy(payment)) = answer.extensions().get() {
            self.0.record("farebox.payment", payment.0.as_str());
        }
    }
}

fn span_of<B>(request: &Request<B>, route: Option<&str>) -> Span {
    let method = known(request.method());
    let name = match route {
        // The name of a route may begin with its method.
        Some(route) if route.contains(' ') => route.to_owned(),
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    };
    let path = request_log::path_in_line(request.uri().path());
    let credential = request_log::credential_in(request.headers());
    tracing::info_span!(
        target: TARGET,
        parent: None,
        "request",
        otel.name = name,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        url.path = path,
        farebox.credential = credential.map(|digest| hex(&digest)),
        farebox.payment = Empty,
    )
}

/// Anybody can invent methods, and what counts spans counts them by name.
fn known(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::DELETE
        | Method::PATCH
        | Method::OPTIONS
        | Method::TRACE
        | Method::CONNECT => method.as_str(),
        _ => "_OTHER",
    }
}

/// The trace that a request carries, if it says so once and in as many bytes as one has.
fn carried_by(headers: &HeaderMap) -> Option<Carried> {
    let short = |value: &HeaderValue, bytes_max| {
        let text = value.to_str().ok()?;
        (text.len() <= bytes_max).then(|| text.to_owned())
    };
    let mut parents = headers.get_all(TRACEPARENT).iter();
    let parent = short(parents.next()?, PARENT_BYTES_MAX)?;
    if parents.next().is_some() {
        return None;
    }
    let mut states = headers.get_all(TRACESTATE).iter();
    let state = states
        .next()
        .and_then(|state| short(state, STATE_BYTES_MAX));
    Some(Carried {
        parent,
        state: state.filter(|_| states.next().is_none()),
    })
}

/// Tells whoever is asked next which span asks. A request that is not traced keeps what it carries.
pub(crate) fn carry_on(span: &Span, headers: &mut HeaderMap) {
    if span.is_disabled() {
        return;
    }
    let carry = || trace::tracer().and_then(|tracer| tracer.carry());
    let Some(carried) = span.in_scope(carry) else {
        return;
    };
    // What it came with is not what it leaves with.
    headers.remove(TRACESTATE);
    let values = [
        (TRACEPARENT, Some(carried.parent)),
        (TRACESTATE, carried.state),
    ];
    for (name, value) in values {
        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
            headers.insert(name, value);
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "traced_tests.rs"]
mod tests;
