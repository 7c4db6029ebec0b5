//! How the gate treats its connections to upstreams.

use std::net::SocketAddr;
use std::sync::Arc;

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::support::{Plan, Town, Visits, within};

/// Where a test's upstream is, and the connections that it gets.
pub(crate) async fn upstream() -> (SocketAddr, UnboundedReceiver<TcpStream>) {
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
    (address, accepted)
}

pub(crate) async fn town_in_front_of(upstream: SocketAddr) -> Town {
    Plan::in_front_of(upstream, Default::default()).open().await
}

/// Reads a request to the end of its head.
pub(crate) async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = within(stream.read_u8()).await.expect("a head");
        head.push(byte);
    }
    String::from_utf8(head).expect("text")
}

pub(crate) async fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.expect("written");
}

#[tokio::test]
async fn a_connection_is_used_again_whatever_ends_its_answers() {
    const ANSWERS: [&str; 4] = [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    ];
    let (address, mut accepted) = upstream().await;
    let town = town_in_front_of(address).await;
    let serving = tokio::spawn(async move {
        let mut stream = accepted.recv().await.expect("a connection");
        for answer in ANSWERS {
            read_head(&mut stream).await;
            say(&mut stream, answer).await;
        }
        accepted
    });
    for answer in ANSWERS {
        let seen = town.get("/free/x", &[]).await;
        assert!(answer.contains(seen.status.as_str()));
        assert_eq!(answer.contains("ok"), &*seen.body == b"ok", "{answer}");
    }
    let mut accepted = serving.await.expect("no panic");
    assert!(accepted.try_recv().is_err(), "there was a second one");
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_costs_no_request() {
    let (address, mut accepted) = upstream().await;
    let town = town_in_front_of(address).await;
    for _ in 0..3 {
        let serving = tokio::spawn(async move {
            let mut stream = accepted.recv().await.expect("a connection");
            read_head(&mut stream).await;
            say(
                &mut stream,
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            )
            .await;
            // It said nothing of an end.
            drop(stream);
            accepted
        });
        let seen = town.get("/free/x", &[]).await;
        assert_eq!((seen.status, &*seen.body), (StatusCode::OK, &b"ok"[..]));
        accepted = serving.await.expect("no panic");
    }
}

/// A client that has sent half of its body, and the connection that it leads to.
async fn half_an_upload(
    town: &Town,
    accepted: &mut UnboundedReceiver<TcpStream>,
) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect(town.gate).await.expect("connected");
    say(
        &mut client,
        "PUT /free/x HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabc",
    )
    .await;
    let mut stream = within(accepted.recv()).await.expect("a connection");
    read_head(&mut stream).await;
    (client, stream)
}

#[tokio::test]
async fn an_upload_goes_on_after_its_answer() {
    let (address, mut accepted) = upstream().await;
    let town = town_in_front_of(address).await;
    let (mut client, mut stream) = half_an_upload(&town, &mut accepted).await;
    say(
        &mut stream,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    )
    .await;
    let head = read_head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    say(&mut client, "def").await;
    let mut body = [0; 6];
    within(stream.read_exact(&mut body)).await.expect("a body");
    assert_eq!(&body, b"abcdef");
}

#[tokio::test]
async fn an_upload_that_stops_after_its_answer_keeps_no_connection() {
    let (address, mut accepted) = upstream().await;
    let mut plan = Plan::in_front_of(address, Visits::default());
    plan.options.upstream_idle_ms = 200;
    let town = plan.open().await;
    let (mut client, mut stream) = half_an_upload(&town, &mut accepted).await;
    say(
        &mut stream,
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    let head = read_head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    // Neither end has hung up, and the gate does.
    let mut rest = Vec::new();
    let _ = within(stream.read_to_end(&mut rest)).await;
    assert_eq!(rest, b"abc");
    let _ = within(client.read_to_end(&mut rest)).await;
    assert_eq!(rest, b"abcok");
}

#[tokio::test]
async fn those_who_wait_for_an_upstream_that_is_away_give_up_together() {
    // It accepts, and says nothing: no connection of HTTP/2 ever opens.
    let (address, mut accepted) = upstream().await;
    let mut plan = Plan::behind(&format!("h2c://{address}"), Visits::default());
    plan.options.upstream_connect_ms = 200;
    let town = Arc::new(plan.open().await);
    let asking = (0..50).map(|_| {
        let town = Arc::clone(&town);
        tokio::spawn(async move { town.get("/free/x", &[]).await })
    });
    for asked in asking.collect::<Vec<_>>() {
        let seen = within(asked).await.expect("no panic");
        assert_eq!(seen.status, StatusCode::BAD_GATEWAY);
    }
    let mut dialled = 0;
    while accepted.try_recv().is_ok() {
        dialled += 1;
    }
    assert!(dialled < 25, "each of 50 waited for its own: {dialled}");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_upstream_connection_with_it() {
    let (address, mut accepted) = upstream().await;
    let town = town_in_front_of(address).await;
    for started in ["", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"] {
        let mut client = TcpStream::connect(town.gate).await.expect("connected");
        say(&mut client, "GET /free/x HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut stream = within(accepted.recv()).await.expect("a connection");
        read_head(&mut stream).await;
        say(&mut stream, started).await;
        if !started.is_empty() {
            read_head(&mut client).await;
        }
        drop(client);
        let mut rest = Vec::new();
        // It may be reset: there is something that nobody read.
        let _ = within(stream.read_to_end(&mut rest)).await;
        assert!(rest.is_empty());
    }
}

#[tokio::test]
async fn a_burst_at_a_slow_upstream_gets_a_connection_for_each_request() {
    // More than are opened at once.
    const BURST: usize = 100;
    let (address, mut accepted) = upstream().await;
    let town = town_in_front_of(address).await;
    let mut clients = Vec::new();
    for _ in 0..BURST {
        let mut client = TcpStream::connect(town.gate).await.expect("connected");
        say(&mut client, "GET /free/x HTTP/1.1\r\nhost: a\r\n\r\n").await;
        clients.push(client);
    }
    // None is answered before all are there.
    let mut streams = Vec::new();
    for _ in 0..BURST {
        let mut stream = within(accepted.recv()).await.expect("a connection");
        read_head(&mut stream).await;
        streams.push(stream);
    }
    for stream in &mut streams {
        say(stream, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    }
    for client in &mut clients {
        let head = read_head(client).await;
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    }
}
