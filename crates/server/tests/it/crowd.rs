//! More connections than there may be.

use axum::Router;
use axum::routing::any;
use farebox_server::GatewayOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Plan, Town, eventually, within};

const GET: &[u8] = b"GET /free/x HTTP/1.1\r\nhost: a\r\n\r\n";

/// A gate with room for two.
async fn town() -> Town {
    let app = Router::new().fallback(any(async || "here"));
    let options = GatewayOptions {
        connections_max: 2,
        ..GatewayOptions::default()
    };
    let plan = Plan {
        options,
        ..Plan::app(app).await
    };
    plan.open().await
}

async fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(GET).await.expect("written");
    let mut answer = vec![0; 4096];
    let read = within(stream.read(&mut answer)).await.expect("an answer");
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[tokio::test]
async fn who_comes_when_it_is_full_is_told_so_and_served_when_there_is_room() {
    let town = town().await;
    let mut inside = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(town.gate).await.expect("connected");
        assert!(ask(&mut stream).await.starts_with("HTTP/1.1 200"));
        inside.push(stream);
    }
    let answer = town.raw(GET).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
    assert!(
        head.contains(&format!("content-length: {}", body.len())),
        "{head}"
    );
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["error"], "too_many_connections");
    // Those inside notice nothing of it.
    assert!(ask(&mut inside[0]).await.starts_with("HTTP/1.1 200"));
    inside.pop();
    eventually(async || {
        let answer = town
            .raw(b"GET /free/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await;
        answer.starts_with("HTTP/1.1 200")
    })
    .await;
}
