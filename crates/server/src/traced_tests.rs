//! What of a request goes into a trace, and what a trace may be.

use http::HeaderName;

use super::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        let value = HeaderValue::from_str(value).expect("a value");
        (HeaderName::from_static(name), value)
    });
    pairs.collect()
}

#[test]
fn a_trace_that_is_said_twice_or_too_long_is_none() {
    let long = "0".repeat(PARENT_BYTES_MAX + 1);
    let once = carried_by(&headers(&[(TRACEPARENT, PARENT), (TRACESTATE, "a=b")]));
    let once = once.expect("a trace");
    assert_eq!(
        (once.parent.as_str(), once.state.as_deref()),
        (PARENT, Some("a=b"))
    );
    assert_eq!(carried_by(&headers(&[(TRACESTATE, "a=b")])), None);
    assert_eq!(carried_by(&headers(&[(TRACEPARENT, &long)])), None);
    let mut twice = headers(&[(TRACEPARENT, PARENT)]);
    twice.append(TRACEPARENT, HeaderValue::from_static(PARENT));
    assert_eq!(carried_by(&twice), None);
    let long = "a".repeat(STATE_BYTES_MAX + 1);
    let without = carried_by(&headers(&[(TRACEPARENT, PARENT), (TRACESTATE, &long)]));
    assert_eq!(without.expect("a trace").state, None);
}

#[test]
fn methods_that_anybody_can_invent_share_a_name() {
    assert_eq!(known(&Method::PATCH), "PATCH");
    let invented = Method::from_bytes(b"SECRET").expect("a method");
    assert_eq!(known(&invented), "_OTHER");
}

#[test]
fn a_request_that_is_not_traced_keeps_what_it_carries() {
    let mut sent = headers(&[(TRACEPARENT, PARENT), (TRACESTATE, "a=b")]);
    let before = sent.clone();
    carry_on(&Span::none(), &mut sent);
    assert_eq!(sent, before);
}
