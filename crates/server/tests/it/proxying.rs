//! What passes through the gate, and how it stops.

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Plan, within};

/// Answers with the request as it arrived.
fn mirror() -> Router {
    Router::new().fallback(any(|request: Request<Body>| async move {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let mut seen = format!("{} {}\n", parts.method, parts.uri);
        for (name, value) in &parts.headers {
            seen.push_str(&format!("{name}: {}\n", value.to_str().expect("text")));
        }
        seen.push_str(&format!("\n{}", String::from_utf8_lossy(&body)));
        ([("farebox-x", "1"), ("x-own", "2")], seen)
    }))
}

#[tokio::test]
async fn the_upstream_sees_the_path_byte_for_byte_and_who_asked() {
    let town = Plan::app(mirror()).await.open().await;
    let path = "/free/z%C3%BCrich/;a=b/?q=%2f..//&&x";
    let seen = town
        .send(
            "POST",
            path,
            &[
                ("x-forwarded-for", "10.0.0.1"),
                ("x-own", "1"),
                ("connection", "x-hop"),
                ("x-hop", "1"),
                ("payment-signature", "a secret"),
                ("farebox-y", "1"),
            ],
            "a body",
        )
        .await;
    assert_eq!(seen.status, StatusCode::OK);
    let text = String::from_utf8(seen.body.to_vec()).expect("text");
    let (head, body) = text.split_once("\n\n").expect("a body");
    assert_eq!(body, "a body");
    let mut lines: Vec<&str> = head.lines().collect();
    assert_eq!(lines.remove(0), format!("POST {path}"));
    lines.sort_unstable();
    let gate = format!("x-forwarded-host: {}", town.gate);
    assert_eq!(lines.len(), 6, "{lines:?}");
    assert_eq!(lines[0], "content-length: 6");
    assert!(lines[1].starts_with("host: 127.0.0.1:"));
    assert_eq!(lines[2], "x-forwarded-for: 127.0.0.1");
    assert_eq!(lines[3], gate);
    assert_eq!(lines[4..], ["x-forwarded-proto: http", "x-own: 1"]);
    assert_eq!(seen.headers["x-own"], "2");
    assert!(!seen.headers.contains_key("farebox-x"));
}

#[tokio::test]
async fn a_stopped_gate_finishes_what_it_answers_and_accepts_nothing() {
    let (writers, mut written) = tokio::sync::mpsc::unbounded_channel();
    let app = Router::new().fallback(any(move || {
        let (chunks, mut body) =
            tokio::sync::mpsc::unbounded_channel::<Result<&'static str, std::io::Error>>();
        writers.send(chunks).expect("the test listens");
        let body = futures_util::stream::poll_fn(move |cx| body.poll_recv(cx));
        async move { Body::from_stream(body) }
    }));
    let mut town = Plan::app(app).await.open().await;
    let mut idle = TcpStream::connect(town.gate).await.expect("connected");
    let mut answer = town.open("GET", "/free/slow", &[], "").await;
    let chunks = within(written.recv()).await.expect("reached");
    chunks.send(Ok("first")).expect("open");
    within(answer.body_mut().frame())
        .await
        .expect("a frame")
        .expect("data");

    let gate = town.gate;
    let rest = tokio::spawn(async move {
        // An idle connection is closed by the stop; then the rest of the answer is written.
        let mut end = [0; 1];
        let closed = idle.read(&mut end).await;
        assert!(matches!(closed, Ok(0) | Err(_)));
        assert!(TcpStream::connect(gate).await.is_err());
        chunks.send(Ok("last")).expect("still open");
    });
    let body = tokio::spawn(async move { answer.into_body().collect().await });
    town.close().await;
    rest.await.expect("no panic");
    let body = within(body)
        .await
        .expect("no panic")
        .expect("whole")
        .to_bytes();
    assert_eq!(body, "last");
}

#[tokio::test]
async fn a_stopped_gate_cuts_off_what_does_not_end() {
    let app = Router::new().fallback(any(|| async {
        let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>("again "));
        Body::from_stream(endless)
    }));
    let mut plan = Plan::app(app).await;
    plan.options.drain_ms = 50;
    let mut town = plan.open().await;
    let answer = town.open("GET", "/free/endless", &[], "").await;
    town.close().await;
    assert!(within(answer.into_body().collect()).await.is_err());
}

#[tokio::test]
async fn a_request_body_streams_to_the_upstream_and_is_paid_for() {
    let (frames, mut arrived) = tokio::sync::mpsc::unbounded_channel();
    let app = Router::new().fallback(any(move |request: Request<Body>| {
        let frames = frames.clone();
        async move {
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                frames
                    .send(frame.into_data().expect("data"))
                    .expect("the test listens");
            }
            "all read"
        }
    }));
    let town = Plan::app(app).await.open().await;
    let credential = town.sign("/upload", &town.payer()).await;
    let mut stream = TcpStream::connect(town.gate).await.expect("connected");
    let head = format!(
        "PUT /upload HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\npayment-signature: {credential}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    for (chunk, data) in [
        (&b"5\r\nfirst\r\n"[..], "first"),
        (b"4\r\nlast\r\n", "last"),
    ] {
        stream.write_all(chunk).await.expect("written");
        // It arrives although the rest of the body does not exist yet.
        assert_eq!(within(arrived.recv()).await.expect("arrived"), data);
    }
    assert_eq!(town.revenue(), 0);
    stream.write_all(b"0\r\n\r\n").await.expect("written");
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer))
        .await
        .expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.ends_with("all read"));
    assert_eq!(town.revenue(), crate::support::PRICE);
    town.seller.finish().await;
    let side = town.payment().await.seller.expect("a seller's payment");
    assert_eq!(side.body_digest, Some(Sha256::digest("firstlast").into()));
}
