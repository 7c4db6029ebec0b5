//! WebSockets through the gate: when they are paid for, what they carry, and how they end.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::routing::any;
use farebox_core::payment::{Delivery, Phase};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::{PRICE, Plan, Town, eventually, within};
use crate::upstream_connections::{read_head, say, upstream};

const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
const HANDSHAKE: [(&str, &str); 2] = [("connection", "Upgrade"), ("upgrade", "websocket")];

/// Says everything again.
async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn echoing() -> Plan {
    let upgrade = |upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) };
    Plan::app(Router::new().fallback(any(upgrade))).await
}

type Client = (WebSocketStream<TcpStream>, http::Response<Option<Vec<u8>>>);

async fn dial(gate: SocketAddr, path: &str, credential: Option<&str>) -> Result<Client, Error> {
    let stream = TcpStream::connect(gate).await.expect("connected");
    let request = format!("ws://{gate}{path}").into_client_request();
    let mut request = request.expect("a request");
    if let Some(credential) = credential {
        let value = HeaderValue::try_from(credential).expect("a header");
        request.headers_mut().insert("payment-signature", value);
    }
    within(tokio_tungstenite::client_async(request, stream)).await
}

/// A handshake in bytes, whose answer nobody waits for.
async fn knock(town: &Town, path: &str, credential: &str) -> TcpStream {
    let mut client = TcpStream::connect(town.gate).await.expect("connected");
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\npayment-signature: {credential}\r\n\r\n"
    );
    say(&mut client, &head).await;
    client
}

async fn next(accepted: &mut UnboundedReceiver<TcpStream>) -> TcpStream {
    within(accepted.recv()).await.expect("a connection")
}

/// Reads to the end, whatever ends it.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = within(stream.read_to_end(&mut rest)).await;
    rest
}

#[tokio::test]
async fn a_paid_websocket_settles_on_101_and_then_carries_messages_both_ways() {
    // One settles after, one before.
    for path in ["/weather", "/dear/weather"] {
        let town = echoing().await.open().await;
        match dial(town.gate, path, None).await {
            Err(Error::Http(answer)) => assert_eq!(answer.status(), StatusCode::PAYMENT_REQUIRED),
            other => panic!("{:?}", other.map(|(_, answer)| answer)),
        }
        assert_eq!(town.visits.count(), 0);
        let credential = town.sign(path, &town.payer()).await;
        let (mut socket, answer) = dial(town.gate, path, Some(&credential))
            .await
            .expect("open");
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert!(answer.headers().contains_key("payment-response"));
        assert_eq!(town.revenue(), PRICE);
        for text in ["hello", &"long ".repeat(20_000)] {
            socket.send(Message::text(text)).await.expect("sent");
            let heard = within(socket.next())
                .await
                .expect("a message")
                .expect("sound");
            assert_eq!(heard, Message::text(text));
        }
        eventually(|| async { town.payment().await.state.delivery == Delivery::Delivered }).await;
        // It was opened, and that is what was paid for.
        let again = town.pay(path, &credential).await;
        assert_eq!(again.status, StatusCode::CONFLICT);
        assert!(again.receipt().expect("the first receipt").success);
        socket.close(None).await.expect("closing");
        while within(socket.next())
            .await
            .is_some_and(|message| message.is_ok())
        {}
        assert_eq!((town.visits.count(), town.revenue()), (1, PRICE));
        town.audit().await;
    }
}

#[tokio::test]
async fn nothing_is_settled_before_101_and_no_byte_passes_before_it_is() {
    let (address, mut accepted) = upstream().await;
    let town = Plan::in_front_of(address, Default::default()).open().await;
    let credential = town.sign("/weather", &town.payer()).await;
    let mut client = knock(&town, "/weather", &credential).await;
    say(&mut client, "early").await;
    let mut stream = next(&mut accepted).await;
    let head = read_head(&mut stream).await.to_lowercase();
    assert!(head.contains("upgrade: websocket") && head.contains("connection: upgrade"));
    assert!(!head.contains("payment-signature"), "{head}");
    assert_eq!(town.revenue(), 0);
    // Twins of a request that is being served, without the upgrade and with it.
    let twin = town.pay("/weather", &credential).await;
    assert_eq!(twin.status, StatusCode::CONFLICT);
    assert_eq!(twin.code(), "payment_in_flight");
    let mut twin = knock(&town, "/weather", &credential).await;
    let answer = read_head(&mut twin).await;
    assert!(answer.starts_with("HTTP/1.1 409"), "{answer}");

    say(&mut stream, &format!("{SWITCHED}prompt")).await;
    let answer = read_head(&mut client).await.to_lowercase();
    assert!(answer.starts_with("http/1.1 101"), "{answer}");
    assert!(answer.contains("upgrade: websocket") && answer.contains("payment-response: "));
    assert_eq!(town.revenue(), PRICE);
    let mut heard = [0; 6];
    within(client.read_exact(&mut heard)).await.expect("bytes");
    assert_eq!(&heard, b"prompt");
    let mut heard = [0; 5];
    within(stream.read_exact(&mut heard)).await.expect("bytes");
    assert_eq!(&heard, b"early");
    // The end of either side reaches the other.
    client.shutdown().await.expect("shut");
    assert!(rest(&mut stream).await.is_empty());
    say(&mut stream, "bye").await;
    drop(stream);
    assert_eq!(rest(&mut client).await, b"bye");
    town.audit().await;
}

#[tokio::test]
async fn an_upstream_that_opens_no_websocket_charges_nobody() {
    for (bytes, status) in [
        (
            &b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"[..],
            403,
        ),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
            502,
        ),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", 502),
        (b"", 502),
    ] {
        let town = Plan::script(bytes).await.open().await;
        let credential = town.sign("/weather", &town.payer()).await;
        let mut client = knock(&town, "/weather", &credential).await;
        let head = read_head(&mut client).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
        assert_eq!(town.payment().await.state.phase, Phase::Released);
        assert_eq!(town.revenue(), 0);
        town.audit().await;
    }
}

#[tokio::test]
async fn an_answer_that_stays_with_http_is_passed_on_and_paid_for_like_any_other() {
    let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nsunny";
    let town = Plan::script(bytes).await.open().await;
    let credential = town.sign("/weather", &town.payer()).await;
    let headers = [&HANDSHAKE[..], &[("payment-signature", &credential)]].concat();
    let seen = town.get("/weather", &headers).await;
    seen.assert_served();
    assert_eq!(&*seen.body, b"sunny");
    assert_eq!(town.revenue(), PRICE);
}

#[tokio::test]
async fn a_websocket_whose_settlement_is_pending_is_dropped_and_opened_once_it_is_settled() {
    let (address, mut accepted) = upstream().await;
    let mut plan = Plan::in_front_of(address, Default::default());
    plan.settle_wait_ms = 200;
    let town = plan.open().await;
    town.devnet.hold_mining();
    let credential = town.sign("/weather", &town.payer()).await;
    let mut client = knock(&town, "/weather", &credential).await;
    let mut stream = next(&mut accepted).await;
    read_head(&mut stream).await;
    say(&mut stream, SWITCHED).await;
    let answer = read_head(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 402"), "{answer}");
    assert!(answer.contains("payment-response: "), "{answer}");
    assert!(rest(&mut stream).await.is_empty());

    town.devnet.release_mining();
    let watching = town.seller.clone().watch(std::future::pending());
    let settled = eventually(|| async { town.payment().await.state.phase == Phase::Settled });
    tokio::select! { () = watching => {}, () = settled => {} }
    let mut client = knock(&town, "/weather", &credential).await;
    let mut stream = next(&mut accepted).await;
    read_head(&mut stream).await;
    say(&mut stream, SWITCHED).await;
    let answer = read_head(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    say(&mut client, "hello").await;
    let mut heard = [0; 5];
    within(stream.read_exact(&mut heard)).await.expect("bytes");
    assert_eq!(town.revenue(), PRICE);
    town.audit().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_between_101_and_settlement_may_open_it_once_more() {
    let (address, mut accepted) = upstream().await;
    let town = Plan::in_front_of(address, Default::default()).open().await;
    town.devnet.hold_mining();
    let credential = town.sign("/weather", &town.payer()).await;
    let client = knock(&town, "/weather", &credential).await;
    let mut stream = next(&mut accepted).await;
    read_head(&mut stream).await;
    say(&mut stream, SWITCHED).await;
    eventually(|| async { town.devnet.waiting_transactions() == 1 }).await;
    drop(client);
    town.devnet.release_mining();
    assert!(rest(&mut stream).await.is_empty());
    eventually(|| async { town.payment().await.state.phase == Phase::Settled }).await;
    assert_eq!(town.payment().await.state.delivery, Delivery::Undelivered);

    let mut client = knock(&town, "/weather", &credential).await;
    let mut stream = next(&mut accepted).await;
    read_head(&mut stream).await;
    say(&mut stream, SWITCHED).await;
    let answer = read_head(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    eventually(|| async { town.payment().await.state.delivery == Delivery::Delivered }).await;
    assert_eq!(town.revenue(), PRICE);
    town.audit().await;
}

#[tokio::test]
async fn what_is_no_proper_handshake_is_refused_before_anybody_pays() {
    let town = echoing().await.open().await;
    for (method, headers, body) in [
        ("POST", &HANDSHAKE[..], ""),
        ("GET", &HANDSHAKE[1..], ""),
        (
            "GET",
            &[("connection", "upgrade"), ("upgrade", "h2c, websocket")],
            "a body",
        ),
    ] {
        for path in ["/weather", "/free/x"] {
            let seen = town.send(method, path, headers, body).await;
            assert_eq!(seen.status, StatusCode::BAD_REQUEST);
            assert_eq!(seen.code(), "bad_upgrade");
        }
    }
    let old = "GET /free/x HTTP/1.0\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let answer = town.raw(old.as_bytes()).await;
    assert!(answer.contains("bad_upgrade"), "{answer}");
    assert_eq!(town.visits.count(), 0);
}

#[tokio::test]
async fn an_upgrade_to_anything_else_is_ignored() {
    let app = Router::new().fallback(any(|headers: http::HeaderMap| async move {
        format!("{}", headers.contains_key("upgrade"))
    }));
    let town = Plan::app(app).await.open().await;
    let headers = [("connection", "upgrade"), ("upgrade", "h2c")];
    let seen = town.get("/free/x", &headers).await;
    assert_eq!((seen.status, &*seen.body), (StatusCode::OK, &b"false"[..]));
}

#[tokio::test]
async fn a_stopped_gate_cuts_off_a_websocket_that_does_not_end() {
    let mut plan = echoing().await;
    plan.options.drain_ms = 50;
    let mut town = plan.open().await;
    let (mut socket, _) = dial(town.gate, "/free/x", None).await.expect("open");
    town.close().await;
    assert!(
        within(socket.next())
            .await
            .is_none_or(|message| message.is_err())
    );
}

#[tokio::test]
async fn a_websocket_may_end_while_the_gate_stops() {
    let mut town = echoing().await.open().await;
    let (mut socket, _) = dial(town.gate, "/free/x", None).await.expect("open");
    let gate = town.gate;
    let talk = async {
        eventually(|| async { TcpStream::connect(gate).await.is_err() }).await;
        socket.send(Message::text("late")).await.expect("sent");
        let heard = within(socket.next())
            .await
            .expect("a message")
            .expect("sound");
        assert_eq!(heard, Message::text("late"));
        drop(socket);
    };
    tokio::join!(town.close(), talk);
}

#[tokio::test]
async fn a_websocket_that_carries_nothing_for_too_long_is_cut_off() {
    let (address, mut accepted) = upstream().await;
    let mut plan = Plan::in_front_of(address, Default::default());
    plan.options.upstream_idle_ms = 50;
    let town = plan.open().await;
    let mut client = knock(&town, "/free/x", "").await;
    let mut stream = next(&mut accepted).await;
    read_head(&mut stream).await;
    say(&mut stream, SWITCHED).await;
    read_head(&mut client).await;
    assert!(rest(&mut stream).await.is_empty());
    assert!(rest(&mut client).await.is_empty());
}
