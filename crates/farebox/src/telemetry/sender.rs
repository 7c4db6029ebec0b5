//! Sends spans to a collector, by OTLP over HTTP in protobuf.
//!
//! Spans that have ended wait in a queue; one task takes them and posts them in batches. A collector
//! that is away, hangs, or answers nonsense costs its own time here and nobody else's: when the
//! queue is full, spans are lost and counted, and the log says so once a minute at most. It never
//! follows a redirect and shows nothing of an address or an answer: both may hold keys.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use farebox_core::trace::SpanCounts;
use opentelemetry::Context;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use prost::Message as _;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::plan::{Plan, is_loopback};
use crate::failure::Failure;

/// Spans that wait: some seconds of a busy gate that is not sampled, about 4 MiB.
const WAITING_MAX: usize = 4_096;
/// Spans in one post: some 200 KiB.
const BATCH_MAX: usize = 512;
/// How long a span waits for others.
const BATCH_WAIT: Duration = Duration::from_secs(1);
/// How long a post may take, its answer included.
const POST_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read: it says how many spans were refused, and why.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The longest that the last spans may keep the process.
const FLUSH_MAX: Duration = Duration::from_secs(5);
/// How often the log says that spans are lost.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// What became of spans.
#[derive(Debug, Default)]
pub(super) struct Counts {
    exported: AtomicU64,
    dropped: AtomicU64,
}

impl Counts {
    pub(super) fn get(&self) -> SpanCounts {
        SpanCounts {
            exported: self.exported.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }

    fn lose(&self, spans: u64) {
        self.dropped.fetch_add(spans, Ordering::Relaxed);
    }
}

enum Job {
    Span(Box<SpanData>),
    /// Send what came before, and say when that is done.
    Flush(oneshot::Sender<()>),
}

/// Where spans go when they end.
#[derive(Clone)]
pub(super) struct Queue {
    jobs: mpsc::Sender<Job>,
    counts: Arc<Counts>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queue(..)")
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if let Err(TrySendError::Full(_) | TrySendError::Closed(_)) =
            self.jobs.try_send(Job::Span(Box::new(span)))
        {
            self.counts.lose(1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl Queue {
    /// Has everything sent that has ended by now.
    pub(super) async fn flush(&self, within: Duration) {
        let flushing = async {
            let (done, told) = oneshot::channel();
            if self.jobs.send(Job::Flush(done)).await.is_ok() {
                // An error means that the sender has ended.
                let _ = told.await;
            }
        };
        let flushed = tokio::time::timeout(within.min(FLUSH_MAX), flushing).await;
        if flushed.is_err() {
            tracing::warn!("the collector did not take the last spans in time; they are lost");
        }
    }
}

/// A queue, and who empties it.
///
/// # Errors
/// Exit 2: a header that is none.
pub(super) fn new(
    plan: Plan,
    resource: &Resource,
    counts: Arc<Counts>,
) -> Result<(Queue, Sender), Failure> {
    let (jobs, waiting) = mpsc::channel(WAITING_MAX);
    let queue = Queue {
        jobs,
        counts: Arc::clone(&counts),
    };
    let sender = Sender {
        waiting,
        http: client(&plan.to)?,
        headers: headers_of(&plan)?,
        to: plan.to,
        resource: resource.into(),
        counts,
        complained: None,
        lost: 0,
    };
    Ok((queue, sender))
}

/// The way to the collector. No `Debug`: it holds tokens.
pub(super) struct Sender {
    waiting: mpsc::Receiver<Job>,
    http: Client,
    to: Url,
    headers: HeaderMap,
    resource: ResourceAttributesWithSchema,
    counts: Arc<Counts>,
    /// When the log was told last that spans are lost.
    complained: Option<Instant>,
    /// Of how many of the lost ones it knows.
    lost: u64,
}

impl Sender {
    /// Sends for as long as anybody records.
    pub(super) async fn run(mut self) {
        while let Some(first) = self.waiting.recv().await {
            let (batch, asked) = self.batch(first).await;
            self.send(batch).await;
            for told in asked {
                // Whoever asked may have gone.
                let _ = told.send(());
            }
        }
    }

    /// What is sent together, and who wants to know when it is.
    async fn batch(&mut self, first: Job) -> (Vec<SpanData>, Vec<oneshot::Sender<()>>) {
        let until = Instant::now() + BATCH_WAIT;
        let (mut batch, mut asked) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Span(span) => batch.push(*span),
                Job::Flush(told) => asked.push(told),
            }
            if batch.len() >= BATCH_MAX || !asked.is_empty() {
                break;
            }
            let more = tokio::time::timeout_at(until, self.waiting.recv()).await;
            next = more.ok().flatten();
        }
        (batch, asked)
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let spans = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let posted = match spans {
            0 => Ok(0),
            _ => {
                let posted = tokio::time::timeout(POST_TIMEOUT, self.post(batch)).await;
                posted.unwrap_or_else(|_| Err("no answer in time".to_owned()))
            }
        };
        // Nobody is believed who refuses more than he got.
        let refused = posted
            .as_ref()
            .map_or(spans, |refused| *refused.min(&spans));
        self.counts.lose(refused);
        let taken = spans.saturating_sub(refused);
        self.counts.exported.fetch_add(taken, Ordering::Relaxed);
        self.complain(posted.err().as_deref());
    }

    /// Says what was lost since it said so last, the first time at once.
    fn complain(&mut self, why: Option<&str>) {
        let lost = self.counts.get().dropped;
        let is_due = |at: Instant| at.elapsed() >= COMPLAIN_EVERY;
        if lost == self.lost || !self.complained.is_none_or(is_due) {
            return;
        }
        let spans = lost.saturating_sub(self.lost);
        let why = why.unwrap_or("it takes too little");
        tracing::warn!(
            spans,
            why,
            "the collector does not take all traces; spans are lost"
        );
        (self.lost, self.complained) = (lost, Some(Instant::now()));
    }

    /// Posts a batch: how many spans of it were refused.
    async fn post(&self, batch: Vec<SpanData>) -> Result<u64, String> {
        let request = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(batch, &self.resource),
        };
        let sent = self
            .http
            .post(self.to.clone())
            .headers(self.headers.clone())
            .body(request.encode_to_vec())
            .send();
        let mut answer = sent.await.map_err(|error| chain(&error.without_url()))?;
        if !answer.status().is_success() {
            return Err(format!("HTTP status {}", answer.status().as_u16()));
        }
        let mut body = Vec::new();
        let broken = |error: reqwest::Error| chain(&error.without_url());
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            if body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
                return Err("its answer is too long".to_owned());
            }
            body.extend_from_slice(&chunk);
        }
        // A success that says nothing that can be read is a success.
        let said = ExportTraceServiceResponse::decode(body.as_slice()).unwrap_or_default();
        let refused = said.partial_success.map_or(0, |part| part.rejected_spans);
        Ok(u64::try_from(refused).unwrap_or_default())
    }
}

fn client(to: &Url) -> Result<Client, Failure> {
    let builder = || {
        let builder = Client::builder()
            .user_agent(concat!("farebox/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(POST_TIMEOUT)
            .timeout(POST_TIMEOUT)
            .redirect(Policy::none());
        match is_loopback(to) {
            true => builder.no_proxy(),
            false => builder,
        }
    };
    // A bare container has no certificates of authorities; this machine is reached without.
    let built = builder()
        .build()
        .or_else(|_| builder().tls_certs_only([]).build());
    built.map_err(|why| Failure::internal("telemetry", format!("no HTTP client: {why}")))
}

fn headers_of(plan: &Plan) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for (name, secret) in &plan.headers {
        let refused = || {
            let message = format!("{name:?} is no header that can be sent to a collector");
            Failure::config("config_invalid", message)
        };
        let parsed = HeaderName::try_from(name.as_str()).map_err(|_| refused())?;
        let mut value = HeaderValue::from_bytes(secret.expose()).map_err(|_| refused())?;
        // Keeps it out of every debug output below us.
        value.set_sensitive(true);
        headers.insert(parsed, value);
    }
    let protobuf = HeaderValue::from_static("application/x-protobuf");
    headers.insert(CONTENT_TYPE, protobuf);
    Ok(headers)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
