//! Serves HTTP/2 on one connection.
//!
//! Called by [`super::connections`] when ALPN or the preface says so. Frames, header compression,
//! pseudo-headers and flow control are h2's; [`super::plain`] makes each request what HTTP/1.1 would
//! have made of it, so that nobody behind the door can tell them apart, and [`super::streams`] limits
//! what h2 does not: streams whose answer nobody takes, connections without streams, and clients
//! that ask only to take it back.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::task::TaskTracker;

use super::client::Client;
use super::connections::{Limits, Stops};
use super::opening::Opened;
use super::plain;
use super::stall::Impatient;
use super::streams::{Streams, Watched};
use super::{FrontDoor, HEAD_BYTES_MAX};

/// Requests of one connection at the same time, as many as RFC 9113 §6.5.2 asks for.
const STREAMS_MAX: u32 = 100;
/// Bytes that a client may send before they are read: of one request, and of all on a connection. They bound
/// what a connection keeps in memory of bodies; 256 KiB are 40 Mbit/s at 50 ms.
const STREAM_WINDOW_BYTES: u32 = 128 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// Bytes of one answer that wait for the client.
const SEND_BYTES_MAX: usize = 32 * 1024;
/// Bytes of the table of headers, the protocol's own default.
const HEADER_TABLE_BYTES: u32 = 4 * 1024;
/// Streams that were taken back before they were looked at (the "rapid reset"), and that we had to
/// reset because they broke the rules; then the connection ends.
const EARLY_RESETS_MAX: usize = 20;
const OUR_RESETS_MAX: usize = 200;
/// How often a client that says nothing is asked whether it is there, and how long it may take to
/// say so.
const PING_EVERY: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(20);

/// Serves until the client goes, or the stop. Requests run in `tasks`.
pub(super) async fn serve<A, F>(
    opened: Opened,
    limits: Limits,
    front: Arc<FrontDoor>,
    answer: A,
    (stops, tasks): (Stops, TaskTracker),
) where
    A: Fn(Request<Incoming>, Client) -> F + Send,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let arrival = opened.arrival;
    let streams = Streams::new(limits.stall, tasks);
    let counted = streams.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        plain::make(&mut request);
        let client = arrival.client(request.headers(), &front);
        let answering = counted.begin();
        let answered = answer(request, client);
        async move {
            let mut answer = answered.await;
            answering.done();
            plain::strip_answer(answer.headers_mut());
            Ok::<_, Infallible>(answer.map(Watched::new))
        }
    });
    let stream = TokioIo::new(Impatient::new(opened.stream, limits.stall));
    let serving = builder(&streams).serve_connection(stream, service);
    let mut serving = std::pin::pin!(serving);
    let mut has_said_goodbye = false;
    let mut begun = None;
    let ended = loop {
        let patience = match has_said_goodbye {
            // It has to go, and may still have to take the end of an answer.
            true => limits.stall,
            false => limits.head,
        };
        tokio::select! {
            ended = serving.as_mut() => break ended,
            () = stops.now.cancelled() => return,
            () = streams.too_many_taken_back() => {
                tracing::debug!(peer = %arrival.peer, "a client asks only to take it back");
                return;
            }
            () = stops.gently.cancelled(), if !has_said_goodbye => {}
            () = tokio::time::sleep(patience) => {
                if !streams.is_idle_since(&mut begun) {
                    continue;
                }
                if has_said_goodbye {
                    return;
                }
            }
        }
        serving.as_mut().graceful_shutdown();
        has_said_goodbye = true;
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %arrival.peer, %error, "a connection has ended early");
    }
}

fn builder(streams: &Streams) -> http2::Builder<Streams> {
    // h2 refuses from this size on.
    let head_bytes = u32::try_from(HEAD_BYTES_MAX)
        .unwrap_or(u32::MAX)
        .saturating_add(1);
    let mut builder = http2::Builder::new(streams.clone());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES_MAX)
        .max_header_list_size(head_bytes)
        .header_table_size(HEADER_TABLE_BYTES)
        .max_pending_accept_reset_streams(EARLY_RESETS_MAX)
        .max_local_error_reset_streams(OUR_RESETS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_WITHIN);
    builder
}
