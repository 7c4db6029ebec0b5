//! What the rooms know of traces: whether the work at hand is a part of one, and how a trace goes over
//! the border of a process (W3C Trace Context).
//!
//! The rooms make spans with [`span!`](crate::span) and `tracing`; who records and sends them is the
//! binary, which [installs](install) itself here once. Without it a span costs the look at one
//! pointer. Nothing here reads a trace by itself, and no span may hold what anybody could pay or get
//! in with: no query, header, body or parameter, and of a credential its digest alone (law 15).

use std::sync::OnceLock;

/// The target of every span that belongs to a trace, so that the log can tell them from its own.
pub const TARGET: &str = "farebox::trace";
/// The header that names a trace and the span in it that asks.
pub const TRACEPARENT: &str = "traceparent";
/// The header with what others on the way have to say of a trace.
pub const TRACESTATE: &str = "tracestate";

/// A trace as requests carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// `traceparent`.
    pub parent: String,
    /// `tracestate`, where there is one.
    pub state: Option<String>,
}

/// A request that has come in, as far as it matters to traces.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The trace that it says it belongs to.
    pub carried: Option<&'a Carried>,
    /// Whether whoever says so is believed.
    pub is_trusted: bool,
    /// Whether it is about a payment.
    pub is_paying: bool,
}

/// What became of the spans that have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanCounts {
    /// The collector has taken them.
    pub exported: u64,
    /// They are lost: the collector was away, too slow, or did not want them.
    pub dropped: u64,
}

/// Records spans and sends them away. It must return at once and never fail.
pub trait Tracer: Send + Sync {
    /// Whether a request is to be traced.
    fn wants(&self, arrival: &Arrival<'_>) -> bool;

    /// Whether the work at hand is a part of a trace.
    fn is_traced(&self) -> bool;

    /// Makes the current span, which has just begun, a part of the trace that a request carries, or
    /// links it to that where whoever says so is not believed.
    fn join(&self, carried: &Carried, is_trusted: bool);

    /// The current span, for whoever is asked next.
    fn carry(&self) -> Option<Carried>;

    /// What became of the spans up to now.
    fn counts(&self) -> SpanCounts;
}

static TRACER: OnceLock<Box<dyn Tracer>> = OnceLock::new();

/// Has spans recorded from now on, for as long as the process lives. Only the first call counts.
pub fn install(tracer: Box<dyn Tracer>) {
    // A second one would split traces in two.
    let _ = TRACER.set(tracer);
}

/// Who records spans, if anybody does.
#[must_use]
pub fn tracer() -> Option<&'static dyn Tracer> {
    TRACER.get().map(AsRef::as_ref)
}

/// Whether the work at hand is a part of a trace.
#[must_use]
pub fn is_traced() -> bool {
    tracer().is_some_and(Tracer::is_traced)
}

/// A span below the current one: the arguments of `tracing::info_span!` without a target. It is none
/// where the work at hand is no part of a trace, so that nothing ever begins one by accident.
#[macro_export]
macro_rules! span {
    ($($arguments:tt)+) => {
        match $crate::trace::is_traced() {
            true => ::tracing::info_span!(target: $crate::trace::TARGET, $($arguments)+),
            false => ::tracing::Span::none(),
        }
    };
}
