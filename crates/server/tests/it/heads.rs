//! Heads of requests at the edge: how long they may be, and methods that no gate has.

use http::StatusCode;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use axum::Router;
use axum::routing::any;
use bytes::Bytes;
use http_body_util::Empty;

use crate::frames::{
    END_STREAM_AND_HEADERS, GOAWAY, HEADERS, RST_STREAM, SETTINGS, block, frame, next_frame,
};
use crate::http2::raw;
use crate::support::{Plan, Town, within};

const LIMIT: usize = 64 * 1024;

async fn town() -> Town {
    Plan::app(Router::new().fallback(any(|| async { "here" })))
        .await
        .open()
        .await
}

/// A head of exactly so many bytes.
fn head(bytes: usize) -> String {
    let start = "GET /free/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-a: ";
    let end = "\r\n\r\n";
    let filler = "a".repeat(bytes - start.len() - end.len());
    format!("{start}{filler}{end}")
}

#[tokio::test]
async fn a_head_of_http_1_may_have_64_kib_and_not_a_byte_more() {
    let town = town().await;
    for (bytes, status) in [
        (LIMIT - 1, "200"),
        (LIMIT, "200"),
        (LIMIT + 1, "431"),
        (80 * 1024, "431"),
        (200 * 1024, "431"),
    ] {
        let head = head(bytes);
        let answer = town.raw(head.as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{bytes}: {answer}"
        );
        // Behind another one, and in pieces, whose last has all that is too much.
        let first = "GET /free/x HTTP/1.1\r\nhost: a\r\n\r\n";
        let mut stream = TcpStream::connect(town.gate).await.expect("connected");
        stream.set_nodelay(true).expect("no delay");
        let (early, late) = head.split_at(LIMIT - 10);
        for piece in [first, early, late] {
            // It may be refused before all is sent.
            let _ = stream.write_all(piece.as_bytes()).await;
            tokio::task::yield_now().await;
        }
        let mut answers = Vec::new();
        let _ = within(stream.read_to_end(&mut answers)).await;
        let answers = String::from_utf8_lossy(&answers);
        let expected = format!("HTTP/1.1 {status}");
        let found = answers.match_indices("HTTP/1.1 ").nth(1);
        let (at, _) = found.expect("a second answer");
        assert!(answers[at..].starts_with(&expected), "{bytes}: {answers}");
    }
}

#[tokio::test]
async fn a_head_of_http_2_may_have_64_kib_and_not_a_byte_more() {
    let town = town().await;
    let stream = TcpStream::connect(town.gate).await.expect("connected");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
    tokio::spawn(connection);
    let gate = town.gate.to_string();
    let named = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", &gate),
        (":path", "/free/x"),
        ("x-a", ""),
    ];
    // Each header counts 32 bytes besides.
    let without: usize = named.iter().map(|(n, v)| n.len() + v.len() + 32).sum();
    for (bytes, status) in [
        (LIMIT - 1, StatusCode::OK),
        (LIMIT, StatusCode::OK),
        (LIMIT + 1, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        (80 * 1024, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        (LIMIT, StatusCode::OK),
    ] {
        let request = http::Request::get(format!("http://{gate}/free/x"));
        let request = request.header("x-a", "a".repeat(bytes - without));
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        let answer = within(sender.send_request(request)).await;
        assert_eq!(answer.expect("an answer").status(), status, "{bytes}");
    }
    assert_eq!(town.visits.count(), 3);
}

#[tokio::test]
async fn a_tunnel_by_connect_is_refused_in_http_1() {
    let town = town().await;
    let credential = town.sign("/weather", &town.payer()).await;
    for target in ["evil.example:443", "/free/x", "http://a/free/x", "/weather"] {
        let request = format!(
            "CONNECT {target} HTTP/1.1\r\nhost: evil.example:443\r\nconnection: close\r\n\
             payment-signature: {credential}\r\n\r\n"
        );
        let answer = town.raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{target}: {answer}");
    }
    assert_eq!(town.visits.count(), 0);
    assert!(town.payments().await.is_empty());
}

/// With `:protocol` (RFC 8441) and without.
#[tokio::test]
async fn a_tunnel_by_connect_is_refused_in_http_2() {
    let town = town().await;
    let plain = [(":method", "CONNECT"), (":authority", "evil.example:443")];
    let extended = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", "/free/x"),
        (":authority", "a"),
        ("sec-websocket-version", "13"),
    ];
    for fields in [&plain[..], &extended] {
        let mut stream = raw(&town).await;
        let request = frame(HEADERS, END_STREAM_AND_HEADERS & !1, 1, &block(fields));
        stream.write_all(&request).await.expect("written");
        loop {
            match next_frame(&mut stream).await.expect("an answer") {
                // 400, as HPACK knows it without a table.
                (HEADERS, 1, payload) => break assert_eq!(payload[0], 0x8c),
                (RST_STREAM, 1, _) | (GOAWAY, 0, _) => break,
                (SETTINGS, _, settings) => {
                    // SETTINGS_ENABLE_CONNECT_PROTOCOL is offered to nobody.
                    assert!(settings.chunks(6).all(|one| one[..2] != [0, 8]));
                }
                _ => {}
            }
        }
    }
    assert_eq!(town.visits.count(), 0);
}
