//! The span of a transaction, for whoever traces the payments in it.
//!
//! One payment's transaction is a part of its trace. One that many payments share is nobody's alone:
//! it is a trace of its own, with a link to each payment, and each payment has a link to it.

use std::sync::Arc;

use farebox_core::trace::TARGET;
use tracing::Span;
use tracing::field::Empty;

use super::payment::Ticket;

/// What sending these together belongs to; none where nobody traces them.
pub(super) fn span(tickets: &[Arc<Ticket>]) -> Span {
    let mut traced = tickets.iter().map(|ticket| ticket.span()).filter(is_traced);
    let Some(first) = traced.next() else {
        return Span::none();
    };
    let payments = tickets.len();
    if payments == 1 {
        return tracing::info_span!(
            target: TARGET, parent: first, "send", payments, farebox.transaction = Empty,
        );
    }
    let span = tracing::info_span!(
        target: TARGET, parent: None, "send", payments, farebox.transaction = Empty,
    );
    for payment in std::iter::once(first).chain(traced) {
        span.follows_from(payment);
        payment.follows_from(&span);
    }
    span
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the shape that a filter wants"
)]
fn is_traced(span: &&Span) -> bool {
    span.metadata().is_some_and(|of| of.target() == TARGET)
}
