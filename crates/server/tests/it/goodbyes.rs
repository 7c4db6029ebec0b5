//! Upstreams with HTTP/2 that say goodbye while requests are on their way: what is sent again, and
//! what never is.

use std::sync::Arc;

use farebox_core::payment::Phase;
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use crate::frames::{
    END_STREAM_AND_HEADERS, GOAWAY, HEADERS, PING, PREFACE, SETTINGS, frame, next_frame,
};
use crate::support::{Plan, Seen, Town, Visits, within};
use crate::upstream_connections::upstream;

const ACK: u8 = 1;
/// `:status: 200`, as HPACK knows it without a table.
const OK: &[u8] = &[0x88];
const NO_ERROR: u8 = 0;
const INTERNAL_ERROR: u8 = 2;

/// One connection of an upstream that reads and writes every frame itself.
struct Upstream(TcpStream);

impl Upstream {
    async fn next(accepted: &mut UnboundedReceiver<TcpStream>) -> Self {
        let mut stream = within(accepted.recv()).await.expect("a connection");
        let mut preface = [0; PREFACE.len()];
        within(stream.read_exact(&mut preface))
            .await
            .expect("a preface");
        assert_eq!(preface, PREFACE);
        let mut upstream = Self(stream);
        upstream.write(SETTINGS, 0, 0, &[]).await;
        upstream
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let frame = frame(kind, flags, stream, payload);
        self.0.write_all(&frame).await.expect("written");
    }

    /// The stream of the next request, or `None` where a ping has come back before there was one.
    async fn request(&mut self) -> Option<u32> {
        loop {
            match next_frame(&mut self.0).await.expect("the gate is there") {
                (HEADERS, stream, _) => return Some(stream),
                (PING, _, payload) if payload == *b"no more?" => return None,
                (PING, _, payload) => self.write(PING, ACK, 0, &payload).await,
                (SETTINGS, _, payload) if !payload.is_empty() => {
                    self.write(SETTINGS, ACK, 0, &[]).await;
                }
                _ => {}
            }
        }
    }

    async fn answer(&mut self, stream: u32) {
        self.write(HEADERS, END_STREAM_AND_HEADERS, stream, OK)
            .await;
    }

    /// Says goodbye to all streams after `last`.
    async fn goodbye(&mut self, last: u8, reason: u8) {
        let payload = [0, 0, 0, last, 0, 0, 0, reason];
        self.write(GOAWAY, 0, 0, &payload).await;
    }

    /// Whether everything that the gate has sent until now has been read.
    async fn has_no_more(&mut self) -> bool {
        self.write(PING, 0, 0, b"no more?").await;
        self.request().await.is_none()
    }
}

async fn town() -> (Arc<Town>, UnboundedReceiver<TcpStream>) {
    let (address, accepted) = upstream().await;
    let plan = Plan::behind(&format!("h2c://{address}"), Visits::default());
    (Arc::new(plan.open().await), accepted)
}

/// Asks in a task of its own, with a credential where there is one.
fn ask(town: &Arc<Town>, path: &'static str, credential: Option<String>) -> JoinHandle<Seen> {
    let town = Arc::clone(town);
    tokio::spawn(async move {
        match credential {
            Some(credential) => town.pay(path, &credential).await,
            None => town.get(path, &[]).await,
        }
    })
}

async fn status(asked: JoinHandle<Seen>) -> StatusCode {
    within(asked).await.expect("no panic").status
}

#[tokio::test]
async fn beyond_a_goodbye_what_is_free_is_sent_again_once_and_what_is_paid_for_is_not() {
    let (town, mut accepted) = town().await;
    let credential = town.sign("/weather", &town.payer()).await;
    let first = ask(&town, "/free/1", None);
    let mut one = Upstream::next(&mut accepted).await;
    assert_eq!(one.request().await, Some(1));
    let second = ask(&town, "/free/2", None);
    assert_eq!(one.request().await, Some(3));
    let third = ask(&town, "/weather", Some(credential));
    assert_eq!(one.request().await, Some(5));
    one.goodbye(1, NO_ERROR).await;
    // What it has begun with, it ends.
    one.answer(1).await;
    assert_eq!(status(first).await, StatusCode::OK);

    let mut other = Upstream::next(&mut accepted).await;
    assert_eq!(other.request().await, Some(1));
    let third = within(third).await.expect("no panic");
    assert_eq!(third.code(), "upstream_failed");
    assert!(other.has_no_more().await, "what is paid for was sent twice");
    // Refused again: that was all.
    other.goodbye(0, NO_ERROR).await;
    assert_eq!(status(second).await, StatusCode::BAD_GATEWAY);
    assert!(accepted.try_recv().is_err(), "it was sent a third time");
    assert_eq!(town.payment().await.state.phase, Phase::Released);
    assert_eq!(town.revenue(), 0);
}

#[tokio::test]
async fn what_an_upstream_has_begun_with_is_not_sent_again_however_it_goes() {
    for (last, reason) in [
        (1, NO_ERROR),
        (1, INTERNAL_ERROR),
        // That is no orderly goodbye, and nothing that it says is relied on.
        (0, INTERNAL_ERROR),
    ] {
        let (town, mut accepted) = town().await;
        let asked = ask(&town, "/free/1", None);
        let mut upstream = Upstream::next(&mut accepted).await;
        assert_eq!(upstream.request().await, Some(1));
        upstream.goodbye(last, reason).await;
        drop(upstream);
        assert_eq!(status(asked).await, StatusCode::BAD_GATEWAY);
        assert!(accepted.try_recv().is_err(), "it was sent again");
    }
}
