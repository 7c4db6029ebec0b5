//! Serves HTTP/1.1 on one connection.
//!
//! Called by [`super::connections`] when [`super::opening`] has found nothing else. hyper reads heads
//! and bodies; [`super::framing`] below it finds what two servers could read in two ways.

use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::FrontDoor;
use super::client::Client;
use super::connections::{Limits, Stops};
use super::framing::{self, Ambiguous};
use super::opening::Opened;
use super::stall::Impatient;
use super::timer::OneTimer;
use super::tunnel::Tunnel;
use super::{HEAD_BYTES_MAX, HEADERS_MAX};

/// Serves until the client goes, or the stop.
pub(super) async fn serve<A, F>(
    opened: Opened,
    limits: Limits,
    front: Arc<FrontDoor>,
    answer: A,
    stops: Stops,
) where
    A: Fn(Request<Incoming>, Client) -> F + Send,
    F: Future<Output = Response<Body>> + Send,
{
    // HTTP is over, and its future gone, before a tunnel gets the stream.
    if let Some(tunnel) = http(opened, limits, front, answer, &stops).await {
        tokio::select! {
            () = tunnel.run() => {}
            () = stops.now.cancelled() => {}
        }
    }
}

/// Serves until the connection ends, or leaves for a tunnel.
async fn http<A, F>(
    opened: Opened,
    limits: Limits,
    front: Arc<FrontDoor>,
    answer: A,
    stops: &Stops,
) -> Option<Tunnel>
where
    A: Fn(Request<Incoming>, Client) -> F + Send,
    F: Future<Output = Response<Body>> + Send,
{
    let arrival = opened.arrival;
    let (stream, framings) = framing::guard(opened.stream);
    let left = OnceLock::new();
    let leaving = &left;
    let service = service_fn(move |mut request: Request<Incoming>| {
        if framings.next_is_ambiguous() {
            request.extensions_mut().insert(Ambiguous);
        }
        let client = arrival.client(request.headers(), &front);
        let answered = answer(request, client);
        async move {
            let mut answer = answered.await;
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS
                && let Some(tunnel) = answer.extensions_mut().remove::<Tunnel>()
            {
                // There is one at most: nothing of HTTP follows it.
                let _ = leaving.set(tunnel);
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let serving = http1::Builder::new()
        .timer(OneTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES_MAX)
        // The buffer alone lets a head through that one read has made longer.
        .max_header_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(Impatient::new(stream, limits.stall)), service)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => Some(ended),
        () = stops.gently.cancelled() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                ended = serving.as_mut() => ended,
                () = stops.now.cancelled() => return None,
            }
        }
    };
    match ended {
        Ok(()) => left.get().cloned(),
        Err(error) => {
            // Clients that hang up are the ordinary case.
            tracing::debug!(peer = %arrival.peer, %error, "a connection has ended early");
            None
        }
    }
}
