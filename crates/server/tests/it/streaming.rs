//! Answers that go on: nothing of them is held back, and silence alone ends them.

use std::io::Error;

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use farebox_core::payment::Delivery;
use farebox_server::Timeouts;
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::support::{PRICE, Plan, eventually, within};

type Events = UnboundedSender<Result<&'static str, Error>>;

/// Each answer is a stream of events, written by the test.
async fn events() -> (Plan, UnboundedReceiver<Events>) {
    let (writers, written) = unbounded_channel();
    let app = Router::new().fallback(any(move || {
        let (events, mut body) = unbounded_channel();
        writers.send(events).expect("the test listens");
        let body = futures_util::stream::poll_fn(move |cx| body.poll_recv(cx));
        let body = Body::from_stream(body);
        async move { ([("content-type", "text/event-stream")], body) }
    }));
    (Plan::app(app).await, written)
}

async fn next(body: &mut Incoming) -> bytes::Bytes {
    let frame = within(body.frame()).await.expect("a frame").expect("sound");
    frame.into_data().expect("data")
}

#[tokio::test]
async fn a_paid_event_arrives_before_the_next_one_is_made() {
    let (plan, mut written) = events().await;
    let mut town = plan.open().await;
    let credential = town.sign("/events", &town.payer()).await;
    let headers = [("payment-signature", &*credential)];
    let mut answer = town.open("GET", "/events", &headers, "").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(town.revenue(), PRICE);
    let events = within(written.recv()).await.expect("reached");
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        events.send(Ok(event)).expect("open");
        assert_eq!(next(answer.body_mut()).await, event);
    }
    // A stop lets it go on.
    let gate = town.gate;
    let last = async {
        eventually(|| async { TcpStream::connect(gate).await.is_err() }).await;
        events.send(Ok("data: 3\n\n")).expect("open");
        assert_eq!(next(answer.body_mut()).await, "data: 3\n\n");
        drop(events);
        assert!(within(answer.body_mut().frame()).await.is_none());
    };
    tokio::join!(town.close(), last);
    assert_eq!(town.payment().await.state.delivery, Delivery::Delivered);
    town.audit().await;
}

#[tokio::test]
async fn an_answer_that_is_silent_for_too_long_breaks_off_and_is_recorded_aborted() {
    for is_for_all in [true, false] {
        let (mut plan, mut written) = events().await;
        if is_for_all {
            plan.options.upstream_idle_ms = 50;
        } else {
            let own = Timeouts {
                idle_ms: Some(50),
                ..Timeouts::default()
            };
            plan.upstream = plan.upstream.waiting(own);
        }
        let town = plan.open().await;
        let credential = town.sign("/events", &town.payer()).await;
        let headers = [("payment-signature", &*credential)];
        let answer = town.open("GET", "/events", &headers, "").await;
        let events = within(written.recv()).await.expect("reached");
        events.send(Ok("data: 1\n\n")).expect("open");
        assert!(within(answer.into_body().collect()).await.is_err());
        // The upstream is told that nobody listens any more.
        within(events.closed()).await;
        eventually(|| async { town.payment().await.state.delivery == Delivery::Aborted }).await;
        town.audit().await;
    }
}
