//! Makes spans of what the rooms tell through `tracing`, and of nothing else: only their own target
//! is looked at, so that no message of the log ever becomes a part of a trace.
//!
//! Which requests are traced is decided once, when they come; everything below one that is traced
//! is traced too.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use farebox_core::trace::{self, Arrival, Carried, SpanCounts, TARGET, TRACEPARENT, TRACESTATE};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    IdGenerator as _, RandomIdGenerator, Sampler, SamplingDecision, SdkTracerProvider,
    ShouldSample as _,
};
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::{LookupSpan as _, Registry};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use super::plan::Plan;
use super::sender::{self, Counts, Queue, Sender};
use crate::failure::Failure;

/// Traces that are recorded as soon as they are installed.
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    recorder: Recorder,
    queue: Queue,
    sender: Sender,
}

/// What goes on until the process ends.
struct Running {
    /// Spans are recorded for as long as it lives.
    _provider: SdkTracerProvider,
    queue: Queue,
    /// Until it has been started.
    sender: Mutex<Option<Sender>>,
}

static RUNNING: OnceLock<Running> = OnceLock::new();

impl Traces {
    /// Gets ready to send.
    ///
    /// # Errors
    /// Exit 2: a header that is none.
    pub(crate) fn new(plan: Plan) -> Result<Self, Failure> {
        let mut resource = Resource::builder();
        if let Some(name) = plan.service_name.clone() {
            resource = resource.with_service_name(name);
        } else if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(plan.usual_name);
        }
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = resource.with_attribute(version).build();
        let counts = Arc::<Counts>::default();
        let recorder = Recorder {
            sampler: Sampler::TraceIdRatioBased(plan.sample),
            is_for_all: plan.is_for_all,
            ids: RandomIdGenerator::default(),
            counts: Arc::clone(&counts),
        };
        let (queue, sender) = sender::new(plan, &resource, counts)?;
        let provider = SdkTracerProvider::builder()
            // Which requests are traced is decided before there is a span.
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource)
            .with_span_processor(queue.clone())
            .build();
        Ok(Self {
            provider,
            recorder,
            queue,
            sender,
        })
    }

    /// Opens the log with `filter`, and records from now on.
    pub(crate) fn install(self, filter: EnvFilter, is_coloured: bool) {
        let log = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(is_coloured)
            .with_target(false)
            .with_filter(filter);
        let spans = tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("farebox"))
            .with_location(false)
            .with_threads(false)
            .with_level(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(Targets::new().with_target(TARGET, LevelFilter::INFO));
        tracing_subscriber::registry().with(log).with(spans).init();
        let running = Running {
            _provider: self.provider,
            queue: self.queue,
            sender: Mutex::new(Some(self.sender)),
        };
        // There is one command in a process.
        let _ = RUNNING.set(running);
        trace::install(Box::new(self.recorder));
    }
}

/// Sends what is recorded from now on, in a task of the runtime that calls.
pub(crate) fn start() {
    let Some(running) = RUNNING.get() else {
        return;
    };
    let mut sender = running
        .sender
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(sender) = sender.take() {
        tokio::spawn(sender.run());
    }
}

/// Sends what there is, for at most so long.
pub(crate) async fn flush(within: Duration) {
    if let Some(running) = RUNNING.get() {
        running.queue.flush(within).await;
    }
}

/// What the rooms ask.
struct Recorder {
    sampler: Sampler,
    is_for_all: bool,
    ids: RandomIdGenerator,
    counts: Arc<Counts>,
}

impl Recorder {
    /// Whether this one is among those that are traced.
    fn draws(&self) -> bool {
        let id = self.ids.new_trace_id();
        let drawn = self
            .sampler
            .should_sample(None, id, "", &SpanKind::Server, &[], &[]);
        drawn.decision == SamplingDecision::RecordAndSample
    }
}

impl trace::Tracer for Recorder {
    fn wants(&self, arrival: &Arrival<'_>) -> bool {
        let believed = arrival.carried.filter(|_| arrival.is_trusted);
        match believed.and_then(read) {
            Some(context) => context.is_sampled(),
            None => (self.is_for_all || arrival.is_paying) && self.draws(),
        }
    }

    fn is_traced(&self) -> bool {
        let within = tracing::Span::current().with_subscriber(|(id, dispatch)| {
            let registry = dispatch.downcast_ref::<Registry>()?;
            // The log has spans of its own between ours.
            let mut scope = registry.span(id)?.scope();
            Some(scope.any(|span| span.metadata().target() == TARGET))
        });
        within.flatten().unwrap_or(false)
    }

    fn join(&self, carried: &Carried, is_trusted: bool) {
        let Some(context) = read(carried) else {
            return;
        };
        let span = tracing::Span::current();
        match is_trusted {
            // An error means that nobody records it.
            true => drop(span.set_parent(Context::new().with_remote_span_context(context))),
            false => span.add_link(context),
        }
    }

    fn carry(&self) -> Option<Carried> {
        if !self.is_traced() {
            return None;
        }
        let mut written = Written::default();
        let context = tracing::Span::current().context();
        TraceContextPropagator::new().inject_context(&context, &mut written);
        Some(Carried {
            parent: written.parent?,
            state: written.state,
        })
    }

    fn counts(&self) -> SpanCounts {
        self.counts.get()
    }
}

/// What a request carries; `None` where that is no trace.
fn read(carried: &Carried) -> Option<SpanContext> {
    let context = TraceContextPropagator::new().extract(&Headers(carried));
    let context = context.span().span_context().clone();
    context.is_valid().then_some(context)
}

struct Headers<'a>(&'a Carried);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            TRACEPARENT => Some(&self.0.parent),
            TRACESTATE => self.0.state.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE]
    }
}

#[derive(Default)]
struct Written {
    parent: Option<String>,
    state: Option<String>,
}

impl Injector for Written {
    fn set(&mut self, key: &str, value: String) {
        match key {
            TRACEPARENT => self.parent = Some(value),
            TRACESTATE if !value.is_empty() => self.state = Some(value),
            _ => {}
        }
    }
}
