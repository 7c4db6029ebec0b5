//! Requests that leave HTTP for a WebSocket, and the tunnel after them.
//!
//! Called by the gateway, which refuses what is no proper handshake before anybody pays, and by the
//! proxy. Other upgrades are not forwarded: their request is answered as if it had none. To the
//! seller in front, 101 is an answer without a body: it is settled when the upstream's head has come
//! (`after`) or before (`before`), and delivered when its own head goes to the client. The price buys
//! the opening of a WebSocket, however long it lasts. No byte passes before that.
//!
//! | so far | the gate dies | the client leaves | too late | the same credential again, or a twin |
//! |---|---|---|---|---|
//! | nothing of the upstream | released at the next start | goes on as if it had not | 504, released | 409, in flight |
//! | its 101, settling | what the chain tells | settled, undelivered | 402, pending | 409, in flight |
//! | settled, undelivered | stays so | stays so | — | through once more, on a new connection |
//! | 101 is with the client | delivered | delivered | the idle limit | 409 and the receipt |
//!
//! Whatever ends in anything but 101 drops the answer, the tunnel with it, and so the connection to
//! the upstream.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use farebox_seller::answer::problem;
use http::header::{CONNECTION, UPGRADE};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Body as _;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::headers;
use super::lane::Left;
use super::pool::{Failed, Pool};
use super::relay::{self, Side, Silence};
use crate::front::tunnel::Tunnel;

/// How long one side may go on once the other has ended: all that is left is to say goodbye.
const ALONE: Duration = Duration::from_secs(10);

/// What is wrong with a request for a WebSocket.
pub(super) fn refusal(request: &Request<Body>) -> Option<Response<Body>> {
    if !wants_websocket(request) {
        return None;
    }
    let is_handshake = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && headers::lists(request.headers(), &CONNECTION, "upgrade")
        && request.body().is_end_stream();
    (!is_handshake).then(|| {
        problem(
            StatusCode::BAD_REQUEST,
            "bad_upgrade",
            "a WebSocket is asked for by GET in HTTP/1.1, with `Connection: upgrade` and no body",
        )
    })
}

fn wants_websocket<B>(request: &Request<B>) -> bool {
    headers::lists(request.headers(), &UPGRADE, "websocket")
}

/// The client's side of the connection, where the request wants a WebSocket.
pub(super) fn asked(request: &mut Request<Body>) -> Option<OnUpgrade> {
    wants_websocket(request).then(|| hyper::upgrade::on(request))
}

/// Sends such a request. An answer with 101 has its tunnel; one that lacks it has switched to
/// something that nobody asked for.
pub(super) async fn send(
    pool: &Arc<Pool>,
    mut request: Request<Body>,
    deadline: Instant,
    client: OnUpgrade,
    idle: Duration,
) -> Result<Response<Body>, Failed> {
    headers::say_websocket(request.headers_mut());
    let (mut answer, left) = pool.send_leaving(request, deadline).await?;
    if let Some(left) = left
        && headers::lists(answer.headers(), &UPGRADE, "websocket")
    {
        let tunnel = Tunnel::new(tunnel(client, left, idle));
        answer.extensions_mut().insert(tunnel);
    }
    Ok(answer)
}

async fn tunnel(client: OnUpgrade, upstream: Left, idle: Duration) {
    let client = match client.await {
        Ok(client) => Side {
            stream: TokioIo::new(client),
            early: Bytes::new(),
        },
        Err(error) => {
            tracing::debug!(%error, "a client has left before its WebSocket was open");
            return;
        }
    };
    let upstream = Side {
        stream: upstream.stream,
        early: upstream.early,
    };
    let silence = Silence {
        of_both: idle,
        of_one: idle.min(ALONE),
    };
    match relay::run(client, upstream, silence).await {
        Ok(()) => tracing::debug!("a WebSocket has ended"),
        Err(error) => tracing::debug!(%error, "a WebSocket was cut off"),
    }
}
