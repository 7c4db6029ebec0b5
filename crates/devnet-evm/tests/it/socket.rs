//! A WebSocket client, and what subscriptions tell.

use alloy_primitives::{Address, B256};
use farebox_devnet_evm::Devnet;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::client::*;

pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    notices: Vec<Value>,
}

impl Socket {
    pub(crate) async fn open(devnet: &Devnet) -> Self {
        let (stream, _) = connect_async(devnet.ws_url())
            .await
            .expect("the socket opens");
        Self {
            stream,
            notices: Vec::new(),
        }
    }

    /// Calls a method; notices that come first are kept for [`Socket::notice`].
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        let request = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        self.send(&request.to_string()).await;
        loop {
            let message = self.receive().await.expect("the socket stays open");
            if message.get("id").is_some() {
                return message;
            }
            self.notices.push(message);
        }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.stream
            .send(Message::text(text))
            .await
            .expect("the message is sent");
    }

    pub(crate) async fn subscribe(&mut self, params: Value) -> Value {
        self.call("eth_subscribe", params).await["result"].take()
    }

    /// The next notice: its subscription and its content.
    pub(crate) async fn notice(&mut self) -> (Value, Value) {
        let mut notice = if self.notices.is_empty() {
            self.receive().await.expect("the socket stays open")
        } else {
            self.notices.remove(0)
        };
        (
            notice["params"]["subscription"].take(),
            notice["params"]["result"].take(),
        )
    }

    /// The next message, or `None` once the connection is closed.
    pub(crate) async fn receive(&mut self) -> Option<Value> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).ok(),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }
}

/// New blocks, as they come.
pub(crate) struct Heads(Socket);

impl Heads {
    pub(crate) async fn of(devnet: &Devnet) -> Self {
        let mut socket = Socket::open(devnet).await;
        socket.subscribe(json!(["newHeads"])).await;
        Self(socket)
    }

    pub(crate) async fn next(&mut self) -> Value {
        self.0.notice().await.1
    }
}

#[tokio::test]
async fn a_subscriber_hears_of_every_block() {
    let (devnet, client) = quiet();
    let mut heads = Heads::of(&devnet).await;
    for number in 1..=3 {
        let hash = devnet.mine();
        let head = heads.next().await;
        assert_eq!(
            (&head["hash"], quantity(&head["number"])),
            (&json!(hash), number)
        );
        assert_eq!(
            head["parentHash"],
            client.ok("eth_getBlockByHash", json!([hash, false])).await["parentHash"]
        );
    }
}

#[tokio::test]
async fn a_subscriber_hears_of_matching_logs_and_of_their_removal() {
    let (devnet, client) = quiet();
    let (gas, payer, payee) = (
        devnet.accounts()[0],
        devnet.accounts()[1],
        Address::repeat_byte(9),
    );
    let mut socket = Socket::open(&devnet).await;
    let payment = authorization(&payer, payee, 1);
    let used = B256::from(<Usd::AuthorizationUsed as alloy_sol_types::SolEvent>::SIGNATURE_HASH);
    let id = socket
        .subscribe(
            json!(["logs", {"address": client.token, "topics": [used, null, [payment.nonce]]}]),
        )
        .await;
    for nonce in [2, 1] {
        let payment = authorization(&payer, payee, nonce);
        let data = settle_bytes(
            &payment,
            &sign_typed(&payer, &client.domain("USDC", "2"), &payment),
        );
        client.transact(&gas, client.token, data).await;
    }
    let (subscription, log) = socket.notice().await;
    assert_eq!(
        (&subscription, &log["topics"][2], &log["removed"]),
        (&id, &json!(payment.nonce), &json!(false))
    );
    devnet.reorg(1, false).expect("one block is there");
    let (_, removed) = socket.notice().await;
    assert_eq!(
        (&removed["blockHash"], &removed["removed"]),
        (&log["blockHash"], &json!(true))
    );
}

#[tokio::test]
async fn a_subscription_ends_when_it_is_given_up() {
    let (devnet, _) = quiet();
    let mut socket = Socket::open(&devnet).await;
    let id = socket.subscribe(json!(["newHeads"])).await;
    assert_eq!(
        socket.call("eth_unsubscribe", json!([id])).await["result"],
        json!(true)
    );
    assert_eq!(
        socket.call("eth_unsubscribe", json!([id])).await["result"],
        json!(false)
    );
    devnet.mine();
    assert_eq!(
        socket.call("eth_blockNumber", json!([])).await["result"],
        json!("0x1")
    );
    assert!(socket.notices.is_empty());
}

#[tokio::test]
async fn a_socket_answers_calls_batches_and_junk() {
    let (devnet, client) = quiet();
    let mut socket = Socket::open(&devnet).await;
    assert_eq!(
        socket.call("eth_chainId", json!([])).await["result"],
        json!("0x14a34")
    );
    assert_eq!(
        socket.call("eth_subscribe", json!(["weather"])).await["error"]["code"],
        json!(-32602)
    );
    socket.send("{").await;
    assert_eq!(
        socket.receive().await.expect("a reply")["error"]["code"],
        json!(-32700)
    );
    let refused = client
        .rpc("eth_subscribe", json!(["newHeads"]))
        .await
        .expect_err("HTTP cannot notify");
    assert_eq!(refused.code, -32601);
}

#[tokio::test]
async fn subscriptions_of_one_socket_are_limited_in_number() {
    let (devnet, _) = quiet();
    let mut socket = Socket::open(&devnet).await;
    for _ in 0..100 {
        assert!(socket.subscribe(json!(["newHeads"])).await.is_string());
    }
    assert_eq!(
        socket.call("eth_subscribe", json!(["newHeads"])).await["error"]["code"],
        json!(-32005)
    );
}
