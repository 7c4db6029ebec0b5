//! A node in front of the devnet that treats calls without `to` in a way of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What it says instead of the result of a call without `to`.
pub(crate) type Instead = fn(Value) -> Value;

pub(crate) struct Relay {
    pub(crate) url: String,
    /// Calls without `to` that came.
    lenses: Arc<AtomicU64>,
}

impl Relay {
    /// Listens until the test's runtime ends.
    pub(crate) async fn start(node: String, instead: Instead) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let lenses = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&lenses);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, node.clone(), instead, Arc::clone(&count)));
            }
        });
        Self { url, lenses }
    }

    pub(crate) fn lenses(&self) -> u64 {
        self.lenses.load(Ordering::SeqCst)
    }
}

/// Serves one connection; ends with it.
async fn serve(mut stream: TcpStream, node: String, instead: Instead, lenses: Arc<AtomicU64>) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    while let Some(request) = read_body(&mut stream).await {
        let answer = http.post(&node).body(request.clone()).send().await;
        let answer = answer.unwrap().bytes().await.unwrap();
        let mut answer: Value = serde_json::from_slice(&answer).unwrap();
        let request: Value = serde_json::from_slice(&request).unwrap();
        if is_lens(&request) {
            lenses.fetch_add(1, Ordering::SeqCst);
            answer = instead(answer);
        }
        let body = answer.to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all((head + &body).as_bytes()).await.is_err() {
            return;
        }
    }
}

fn is_lens(request: &Value) -> bool {
    request["method"] == json!("eth_call") && request["params"][0].get("to").is_none()
}

/// Reads one HTTP request and gives its body.
async fn read_body(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.split("content-length:").nth(1).unwrap();
    let length = length.split("\r\n").next().unwrap().trim().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(body)
}
