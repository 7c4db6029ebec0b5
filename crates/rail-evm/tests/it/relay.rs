//! A proxy before a node that says what a test wants instead of what the node said.

use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Makes of a request and the node's answer to it what is said.
type Says = dyn Fn(&Value, Value) -> Value + Send + Sync;

/// Forwards until the test's runtime ends; gives its address.
pub(crate) async fn before(
    node: String,
    says: impl Fn(&Value, Value) -> Value + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let says: Arc<Says> = Arc::new(says);
    // The rail's own provider: none is installed before a collector exists.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, http.clone(), node.clone(), Arc::clone(&says)));
        }
    });
    url
}

/// Serves one connection; ends with it. A client or a node that goes away is no fault of the test.
async fn serve(mut stream: TcpStream, http: reqwest::Client, node: String, says: Arc<Says>) {
    while let Some(request) = read_body(&mut stream).await {
        let Ok(answer) = http.post(&node).body(request.clone()).send().await else {
            return;
        };
        let Ok(answer) = answer.bytes().await else {
            return;
        };
        let request: Value = serde_json::from_slice(&request).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let body = says(&request, answer).to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all((head + &body).as_bytes()).await.is_err() {
            return;
        }
    }
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
