//! Bad answers among many.

use farebox_core::clock::SystemClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::fees::Fee;
use super::*;

const BAD: Word = Word([0xbb; 32]);
const GOOD: Word = Word([0xaa; 32]);
/// In no block.
const WAITS: Word = Word([0xcc; 32]);
/// In a block that the node itself does not count yet.
const AHEAD: Word = Word([0xdd; 32]);

/// What a node says whose receipt of [`BAD`] nobody can read.
fn answer(call: &Value) -> Value {
    let result = match call["method"].as_str().unwrap() {
        "eth_chainId" => json!("0x1"),
        "eth_blockNumber" => json!("0x5"),
        _ if call["params"][0] == json!(BAD) => json!({"blockNumber": null}),
        _ if call["params"][0] == json!(WAITS) => Value::Null,
        _ => json!({
            "transactionHash": call["params"][0],
            "blockNumber": if call["params"][0] == json!(AHEAD) { "0x6" } else { "0x5" },
            "status": "0x1",
            "logs": [],
        }),
    };
    json!({"jsonrpc": "2.0", "id": call["id"], "result": result})
}

/// Answers one request and closes.
async fn serve(mut stream: TcpStream) {
    let mut read = Vec::new();
    let body = loop {
        let mut buffer = [0; 4096];
        let bytes = stream.read(&mut buffer).await.unwrap();
        read.extend_from_slice(&buffer[..bytes]);
        let text = String::from_utf8_lossy(&read).into_owned();
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
        if let Some(Ok(body)) = body.map(serde_json::from_str::<Value>) {
            break body;
        }
        assert!(bytes > 0, "{text}");
    };
    let answer = match &body {
        Value::Array(calls) => calls.iter().map(answer).collect(),
        call => answer(call),
    }
    .to_string();
    let length = answer.len();
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}");
    stream.write_all(answer.as_bytes()).await.unwrap();
}

/// A watcher of such a node, whose blocks count as deep from the first on.
async fn watcher() -> Watcher {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream));
        }
    });
    let rpc = Arc::new(Rpc::new(&[url], 1).unwrap());
    Watcher::new(rpc, Arc::new(SystemClock), 1)
}

fn tx(hash: Word) -> SignedTx {
    let (raw, fee) = (vec![], Fee { max: 1, tip: 1 });
    SignedTx { hash, raw, fee }
}

#[tokio::test]
async fn a_receipt_that_nobody_can_read_keeps_no_other_waiting() {
    let watcher = watcher().await;
    let register = |hash| watcher.register(&tx(hash), 1, u64::MAX).1;
    let _bad = register(BAD);
    // Many, so that some come after the bad one in whatever order they are asked for.
    let good: Vec<_> = (0..32)
        .map(|place| {
            let mut hash = GOOD;
            hash.0[0] = place;
            register(hash)
        })
        .collect();
    let looked = watcher.look().await;
    assert!(matches!(looked, Err(RpcError::Garbage { .. })));
    for mut told in good {
        assert!(matches!(told.recv().await, Some(News::Mined { .. })));
    }
}

#[tokio::test]
async fn a_receipt_that_nobody_can_read_keeps_no_other_from_paying_more() {
    let watcher = watcher().await;
    let (_bad, _unread) = watcher.register(&tx(BAD), 1, u64::MAX);
    let (waits, mut told) = watcher.register(&tx(WAITS), 1, u64::MAX);
    watcher.lock().head = Some(0);
    watcher.sent(waits, &tx(WAITS), u64::MAX);
    assert!(watcher.look().await.is_err());
    assert!(matches!(told.try_recv(), Ok(News::Waiting)));
}

#[tokio::test]
async fn a_receipt_above_the_newest_block_is_not_deep() {
    let watcher = watcher().await;
    let (id, mut told) = watcher.register(&tx(AHEAD), 1, u64::MAX);
    watcher.sent(id, &tx(AHEAD), u64::MAX);
    assert!(watcher.look().await.is_ok());
    assert!(told.try_recv().is_err());
    let state = watcher.lock();
    assert_eq!(state.waiting.get(&id).unwrap().shallow, Some(AHEAD));
}
