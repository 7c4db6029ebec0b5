//! Upstreams over HTTP/2: connections that requests share, and what is sent again.

use std::sync::Arc;

use bytes::Bytes;
use farebox_core::payment::Phase;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::support::{PRICE, Plan, Town, Visits, within};

type Served = h2::server::Connection<TcpStream, Bytes>;
pub(crate) type Asked = (Request<RecvStream>, SendResponse<Bytes>);

/// A town in front of a server with HTTP/2 in the clear, and the connections that it gets.
pub(crate) async fn town() -> (Town, UnboundedReceiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (send, accepted) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if send.send(stream).is_err() {
                return;
            }
        }
    });
    let plan = Plan::behind(&format!("h2c://{address}"), Visits::default());
    (plan.open().await, accepted)
}

/// Serves the next connection, with so many streams at once; gives its requests.
pub(crate) async fn serve(
    accepted: &mut UnboundedReceiver<TcpStream>,
    streams: u32,
) -> (UnboundedReceiver<Asked>, UnboundedSender<()>) {
    let stream = within(accepted.recv()).await.expect("a connection");
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(streams);
    let (asked, requests) = unbounded_channel();
    let (goodbye, mut going) = unbounded_channel::<()>();
    tokio::spawn(async move {
        let mut served: Served = builder.handshake(stream).await.expect("HTTP/2");
        loop {
            tokio::select! {
                request = served.accept() => match request {
                    Some(Ok(request)) => drop(asked.send(request)),
                    _ => return,
                },
                Some(()) = going.recv() => served.graceful_shutdown(),
            }
        }
    });
    (requests, goodbye)
}

pub(crate) async fn next(requests: &mut UnboundedReceiver<Asked>) -> Asked {
    within(requests.recv()).await.expect("a request")
}

pub(crate) fn answer((request, mut respond): Asked) -> String {
    let body = format!("{} {}", request.method(), request.uri());
    let mut stream = respond
        .send_response(Response::new(()), false)
        .expect("open");
    stream
        .send_data(Bytes::from(body.clone()), true)
        .expect("open");
    body
}

#[tokio::test]
async fn requests_share_a_connection_and_one_more_is_opened_where_it_is_full() {
    let (town, mut accepted) = town().await;
    let town = Arc::new(town);
    let ask = |path: &'static str| {
        let town = Arc::clone(&town);
        tokio::spawn(async move { town.get(path, &[]).await })
    };
    let first = ask("/free/1");
    let (mut requests, _goodbye) = serve(&mut accepted, 2).await;
    let one = next(&mut requests).await;
    let second = ask("/free/2");
    let two = next(&mut requests).await;
    assert!(accepted.try_recv().is_err(), "there was a second one");
    // It carries two.
    let third = ask("/free/3");
    let (mut others, _goodbye) = serve(&mut accepted, 2).await;
    let three = next(&mut others).await;
    for (asked, answered) in [(one, first), (two, second), (three, third)] {
        let body = answer(asked);
        let seen = answered.await.expect("no panic");
        assert_eq!(
            (seen.status, &*seen.body),
            (StatusCode::OK, body.as_bytes())
        );
    }
}

#[tokio::test]
async fn what_an_upstream_refuses_to_begin_with_is_sent_again_once_if_it_has_no_body() {
    let (town, mut accepted) = town().await;
    let serving = tokio::spawn(async move {
        let (mut requests, goodbye) = serve(&mut accepted, 100).await;
        let (_, mut respond) = next(&mut requests).await;
        respond.send_reset(Reason::REFUSED_STREAM);
        answer(next(&mut requests).await);
        // Twice refused, and one with a body.
        for _ in 0..3 {
            let (_, mut respond) = next(&mut requests).await;
            respond.send_reset(Reason::REFUSED_STREAM);
        }
        (requests, goodbye)
    });
    let seen = town.get("/free/x", &[]).await;
    assert_eq!(seen.status, StatusCode::OK);
    let seen = town.get("/free/x", &[]).await;
    assert_eq!(seen.status, StatusCode::BAD_GATEWAY);
    // What was read of a body is gone.
    let seen = town.send("POST", "/free/x", &[], "a body").await;
    assert_eq!(seen.status, StatusCode::BAD_GATEWAY);
    assert_eq!(seen.code(), "upstream_failed");
    let (mut requests, _goodbye) = within(serving).await.expect("no panic");
    assert!(requests.try_recv().is_err(), "it was asked again");
}

#[tokio::test]
async fn what_is_paid_for_is_sent_once_even_where_it_is_refused() {
    let (town, mut accepted) = town().await;
    let credential = town.sign("/weather", &town.payer()).await;
    let serving = tokio::spawn(async move {
        let (mut requests, goodbye) = serve(&mut accepted, 100).await;
        let (_, mut respond) = next(&mut requests).await;
        respond.send_reset(Reason::REFUSED_STREAM);
        (requests, goodbye)
    });
    let seen = town.pay("/weather", &credential).await;
    assert_eq!(seen.code(), "upstream_failed");
    let (mut requests, _goodbye) = within(serving).await.expect("no panic");
    assert!(requests.try_recv().is_err(), "it was asked again");
    assert_eq!(town.payment().await.state.phase, Phase::Released);
    // The buyer may show it again.
    let serving = tokio::spawn(async move { answer(next(&mut requests).await) });
    town.pay("/weather", &credential).await.assert_served();
    within(serving).await.expect("no panic");
    assert_eq!(town.revenue(), PRICE);
    town.audit().await;
}

#[tokio::test]
async fn an_upstream_that_breaks_a_stream_off_charges_nobody_and_is_not_asked_again() {
    let (town, mut accepted) = town().await;
    let credential = town.sign("/weather", &town.payer()).await;
    let serving = tokio::spawn(async move {
        let (mut requests, goodbye) = serve(&mut accepted, 100).await;
        let (_, mut respond) = next(&mut requests).await;
        respond.send_reset(Reason::INTERNAL_ERROR);
        (requests, goodbye)
    });
    let seen = town.pay("/weather", &credential).await;
    assert_eq!(seen.code(), "upstream_failed");
    let (mut requests, _goodbye) = serving.await.expect("no panic");
    assert!(requests.try_recv().is_err(), "it was asked again");
    assert_eq!(town.payment().await.state.phase, Phase::Released);
    assert_eq!(town.revenue(), 0);
}

#[tokio::test]
async fn after_a_goodbye_requests_go_to_another_connection() {
    let (town, mut accepted) = town().await;
    for _ in 0..3 {
        let serving = tokio::spawn(async move {
            let (mut requests, goodbye) = serve(&mut accepted, 100).await;
            let asked = next(&mut requests).await;
            // While it is being answered.
            goodbye.send(()).expect("open");
            answer(asked);
            // Until both ends know.
            let more = within(requests.recv()).await;
            assert!(more.is_none(), "on a connection that is closing");
            accepted
        });
        let seen = town.get("/free/x", &[]).await;
        assert_eq!(seen.status, StatusCode::OK);
        accepted = within(serving).await.expect("no panic");
    }
}

#[tokio::test]
async fn an_upstream_with_http_2_in_the_clear_is_asked_for_no_websocket() {
    let (town, mut accepted) = town().await;
    let credential = town.sign("/weather", &town.payer()).await;
    let headers = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("payment-signature", &credential),
    ];
    let seen = town.get("/weather", &headers).await;
    assert_eq!(seen.status, StatusCode::NOT_IMPLEMENTED);
    assert_eq!(seen.code(), "upgrade_not_supported");
    assert!(accepted.try_recv().is_err());
    assert_eq!(town.payment().await.state.phase, Phase::Released);
}

#[tokio::test]
async fn target_and_host_are_as_they_would_be_in_http_1() {
    let (town, mut accepted) = town().await;
    let path = "/free/z%C3%BCrich/;a=b?q=%2f..//&&x";
    let serving = tokio::spawn(async move {
        let (mut requests, goodbye) = serve(&mut accepted, 100).await;
        let asked = next(&mut requests).await;
        let (uri, headers) = (asked.0.uri().clone(), asked.0.headers().clone());
        answer(asked);
        (uri, headers, goodbye)
    });
    town.get(path, &[("payment-signature", "a secret"), ("te", "gzip")])
        .await;
    let (uri, headers, _goodbye): (http::Uri, HeaderMap, _) = serving.await.expect("no panic");
    assert_eq!(uri.path_and_query().expect("a path"), path);
    assert_eq!(uri.scheme_str(), Some("http"));
    assert!(uri.host() == Some("127.0.0.1"));
    assert!(!headers.contains_key("host") && !headers.contains_key("payment-signature"));
    assert_eq!(headers["te"], "trailers");
    assert_eq!(headers["x-forwarded-host"], town.gate.to_string());
}
