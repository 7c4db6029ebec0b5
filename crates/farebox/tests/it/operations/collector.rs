//! A collector of traces: takes what gate and facilitator send and says what it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use crate::market::Server;

/// A span, and who has recorded it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) service: String,
    pub(crate) span: Span,
}

/// What has come.
#[derive(Clone, Default)]
struct Taken(Arc<Mutex<Vec<(HeaderMap, Bytes)>>>);

/// See the module.
pub(crate) struct Collector {
    server: Server,
    taken: Taken,
}

async fn take(State(taken): State<Taken>, headers: HeaderMap, body: Bytes) -> StatusCode {
    taken.0.lock().expect("whole").push((headers, body));
    StatusCode::OK
}

impl Collector {
    pub(crate) fn start() -> Self {
        let taken = Taken::default();
        let router = Router::new().route("/v1/traces", post(take));
        Self {
            server: Server::start(router.with_state(taken.clone())),
            taken,
        }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Everything that has come, as it came.
    pub(crate) fn bodies(&self) -> Vec<(HeaderMap, Bytes)> {
        self.taken.0.lock().expect("whole").clone()
    }

    /// The spans in it, in the order in which they began.
    pub(crate) fn spans(&self) -> Vec<Seen> {
        let mut seen = Vec::new();
        for (_, body) in self.bodies() {
            let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
            for of in request.resource_spans {
                let resource = of.resource.expect("a resource");
                let service = attribute(&resource.attributes, "service.name").expect("a name");
                let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
                seen.extend(spans.map(|span| Seen {
                    service: service.clone(),
                    span,
                }));
            }
        }
        seen.sort_by_key(|seen| seen.span.start_time_unix_nano);
        seen
    }
}

/// The text of an attribute.
pub(crate) fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|pair| pair.key == name)?;
    match found.value.as_ref()? {
        AnyValue {
            value: Some(Value::StringValue(text)),
        } => Some(text.clone()),
        AnyValue {
            value: Some(Value::IntValue(number)),
        } => Some(number.to_string()),
        other => panic!("{name} is {other:?}"),
    }
}

impl Seen {
    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        attribute(&self.span.attributes, name)
    }
}

/// Each span as `service: name < service: name of its parent`, without twins; those of one trace.
pub(crate) fn edges(spans: &[Seen]) -> Vec<String> {
    let by_id: BTreeMap<&[u8], &Seen> = spans
        .iter()
        .map(|seen| (seen.span.span_id.as_slice(), seen))
        .collect();
    let named = |seen: &Seen| format!("{}: {}", seen.service, seen.span.name);
    let mut edges: Vec<String> = Vec::new();
    for seen in spans {
        let parent = seen.span.parent_span_id.as_slice();
        let edge = match by_id.get(parent) {
            Some(parent) => format!("{} < {}", named(seen), named(parent)),
            None if parent.is_empty() => named(seen),
            None => format!("{} < ?", named(seen)),
        };
        if !edges.contains(&edge) {
            edges.push(edge);
        }
    }
    edges
}
