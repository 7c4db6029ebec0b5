//! A proxy before a node, which changes what the node says of receipts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const HONEST: u8 = 0;
const HIDES_LOGS: u8 = 1;
const SAYS_FAILED: u8 = 2;

/// The proxy. It forwards for as long as its test runs.
pub(crate) struct Liar {
    url: String,
    mood: Arc<AtomicU8>,
}

impl Liar {
    pub(crate) async fn start(node: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mood = Arc::new(AtomicU8::new(HONEST));
        let shared = Arc::clone(&mood);
        tokio::spawn(async move {
            // The rail's own provider: none is installed before a collector exists.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let http = reqwest::Client::builder().no_proxy().build().unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(
                    stream,
                    http.clone(),
                    node.clone(),
                    Arc::clone(&shared),
                ));
            }
        });
        Self { url, mood }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// From now on receipts have no logs.
    pub(crate) fn hide_logs(&self) {
        self.mood.store(HIDES_LOGS, Ordering::SeqCst);
    }

    /// From now on every transaction has failed.
    pub(crate) fn say_failed(&self) {
        self.mood.store(SAYS_FAILED, Ordering::SeqCst);
    }
}

/// Answers one request and closes. A client who goes away is no fault of the test.
async fn serve(mut stream: TcpStream, http: reqwest::Client, node: String, mood: Arc<AtomicU8>) {
    let Some(body) = read_body(&mut stream).await else {
        return;
    };
    let Ok(answer) = http.post(node).body(body.clone()).send().await else {
        return;
    };
    let Ok(text) = answer.text().await else {
        return;
    };
    let text = match mood.load(Ordering::SeqCst) {
        HONEST => text,
        mood => lie(&text, mood),
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        text.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(text.as_bytes()).await;
}

async fn read_body(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let bytes = stream.read(&mut buffer).await.ok()?;
        read.extend_from_slice(&buffer[..bytes]);
        let end = read.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1)?;
            let length: usize = length.lines().next()?.trim().parse().ok()?;
            if read.len() >= end + 4 + length {
                return Some(read[end + 4..].to_vec());
            }
        }
        if bytes == 0 {
            return None;
        }
    }
}

fn lie(text: &str, mood: u8) -> String {
    let mut answer: Value = serde_json::from_str(text).unwrap();
    let items = match &mut answer {
        Value::Array(items) => items.iter_mut().collect(),
        item => vec![item],
    };
    for item in items {
        if item["result"]["transactionHash"].is_string() && item["result"]["logs"].is_array() {
            item["result"]["logs"] = json!([]);
            if mood == SAYS_FAILED {
                item["result"]["status"] = json!("0x0");
            }
        }
    }
    answer.to_string()
}
