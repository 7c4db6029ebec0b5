//! Requests that two servers could read in two ways, over raw sockets: what the corpus has no words for.

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use http::Request;
use http_body_util::BodyExt;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Plan, Town, within};

async fn town() -> Town {
    let app = Router::new().fallback(any(|request: Request<Body>| async move {
        let length = request.headers().contains_key("content-length");
        let body = request.into_body().collect().await.expect("a body");
        format!("length={length} body={:?}", body.to_bytes())
    }));
    Plan::app(app).await.open().await
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or(answer)
}

#[tokio::test]
async fn connection_names_no_header_that_is_for_all() {
    let town = town().await;
    for path in ["/weather", "/free/x"] {
        for named in [
            "payment-signature",
            "close, Content-Length",
            "x-forwarded-for",
        ] {
            let seen = town.get(path, &[("connection", named)]).await;
            assert_eq!(seen.code(), "bad_connection_header", "{named}");
            assert_eq!(seen.status, http::StatusCode::BAD_REQUEST);
        }
    }
    assert_eq!(town.visits.count(), 0);
}

#[tokio::test]
async fn a_length_beside_chunks_is_refused() {
    let town = town().await;
    let credential = town.sign("/weather", &town.payer()).await;
    let smuggled = "GET /free/smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    for head in [
        "content-length: 4\r\ntransfer-encoding: chunked",
        "Transfer-Encoding: chunked\r\nCONTENT-LENGTH: 4",
    ] {
        for path in ["/free/x", "/weather"] {
            let request = format!(
                "POST {path} HTTP/1.1\r\nhost: a\r\npayment-signature: {credential}\r\n\
                 {head}\r\n\r\n0\r\n\r\n{smuggled}"
            );
            let answer = town.raw(request.as_bytes()).await;
            assert_eq!(status(&answer), "400", "{answer}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
            assert!(answer.contains("ambiguous_framing"), "{answer}");
            assert!(answer.contains("connection: close"), "{answer}");
        }
    }
    assert_eq!(town.visits.count(), 0);
    assert!(town.payments().await.is_empty());
}

#[tokio::test]
async fn sound_requests_before_an_ambiguous_one_are_served() {
    let town = town().await;
    let sound = "POST /free/x HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi";
    let ambiguous = "POST /free/x HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\
                     transfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let answer = town
        .raw(format!("{sound}{ambiguous}{sound}").as_bytes())
        .await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 2, "{answer}");
    assert!(answer.contains("ambiguous_framing"), "{answer}");
    assert_eq!(town.visits.count(), 1);
}

#[tokio::test]
async fn headers_and_targets_over_the_limits_are_refused() {
    let town = town().await;
    let head = |line: &str| format!("GET /free/x HTTP/1.1\r\nhost: a\r\n{line}\r\n\r\n");
    let megabyte = head(&format!("payment-signature: {}", "A".repeat(1 << 20)));
    assert_eq!(status(&town.raw(megabyte.as_bytes()).await), "431");
    let many = head(&vec!["x-a: 1"; 200].join("\r\n"));
    assert_eq!(status(&town.raw(many.as_bytes()).await), "431");
    let between = format!(
        "GET /weather HTTP/1.1\r\nhost: a\r\nconnection: close\r\npayment-signature: {}\r\n\r\n",
        "A".repeat(40 * 1024)
    );
    let answer = town.raw(between.as_bytes()).await;
    assert_eq!(status(&answer), "431");
    assert!(answer.contains("payment_header_too_long"));
    let long = format!(
        "GET /free/{} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        "a".repeat(10 * 1024)
    );
    assert_eq!(status(&town.raw(long.as_bytes()).await), "414");
    assert_eq!(town.visits.count(), 0);
}

#[tokio::test]
async fn a_broken_body_is_the_clients_fault() {
    let town = town().await;
    let request = "POST /free/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    let answer = town.raw(request.as_bytes()).await;
    assert_eq!(status(&answer), "400", "{answer}");
    assert!(answer.contains("body_unreadable"));
}

#[tokio::test]
async fn a_client_that_uploads_before_it_reads_sees_its_challenge() {
    let town = town().await;
    let body = "x".repeat(1024 * 1024);
    let first = format!(
        "POST /weather HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let second = "GET /free/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = town.raw(format!("{first}{second}").as_bytes()).await;
    assert_eq!(status(&answer), "402", "{answer}");
    // The connection is as good as new afterwards.
    assert!(answer.ends_with("length=false body=b\"\""), "{answer}");
    assert_eq!(town.visits.count(), 1);
}

#[tokio::test]
async fn a_body_is_not_asked_for_before_it_is_paid() {
    let town = town().await;
    let request =
        "POST /weather HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    let answer = town.raw(request.as_bytes()).await;
    assert_eq!(status(&answer), "402", "{answer}");
    let request = request.replace("/weather", "/free/x");
    let mut stream = tokio::net::TcpStream::connect(town.gate)
        .await
        .expect("connected");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut asked = [0; 25];
    within(stream.read_exact(&mut asked)).await.expect("asked");
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.expect("written");
    stream.shutdown().await.expect("shut");
}
