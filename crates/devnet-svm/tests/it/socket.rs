//! A WebSocket client, and what subscriptions tell.

use farebox_devnet_svm::{DevnetSvm, DevnetSvmOptions};
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
    pub(crate) async fn open(devnet: &DevnetSvm) -> Self {
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

    /// The next notice.
    async fn notice(&mut self) -> Value {
        if self.notices.is_empty() {
            self.receive().await.expect("the socket stays open")
        } else {
            self.notices.remove(0)
        }
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

fn signature_notice(subscription: &Value, slot: u64, value: Value) -> Value {
    json!({
        "jsonrpc": "2.0",
        "method": "signatureNotification",
        "params": {
            "subscription": subscription,
            "result": {"context": {"apiVersion": "4.0.0", "slot": slot}, "value": value},
        },
    })
}

#[tokio::test]
async fn a_subscriber_hears_of_every_slot() {
    let (devnet, _) = quiet();
    let mut socket = Socket::open(&devnet).await;
    let subscription = socket.call("slotSubscribe", json!([])).await["result"].take();
    let first = devnet.slot();
    for slot in first + 1..first + 4 {
        devnet.advance(1);
        let result = json!({"parent": slot - 1, "root": slot - 32, "slot": slot});
        let params = json!({"result": result, "subscription": subscription});
        assert_eq!(
            socket.notice().await,
            json!({"jsonrpc": "2.0", "method": "slotNotification", "params": params})
        );
    }
    let ended = socket.call("slotUnsubscribe", json!([subscription])).await;
    assert_eq!(ended["result"], json!(true));
    devnet.advance(1);
    let health = socket.call("getHealth", json!([])).await;
    assert_eq!(health["result"], json!("ok"));
    assert_eq!(socket.notices.len(), 0, "nobody listens any more");
    let twice = socket.call("slotUnsubscribe", json!([subscription])).await;
    assert_eq!(twice["error"]["code"], json!(-32602));
}

#[tokio::test]
async fn a_signature_is_told_once_when_its_block_is_that_far() {
    let (devnet, client) = quiet();
    let mut socket = Socket::open(&devnet).await;
    let tx = client.payment(&devnet, 1000).await;
    let mut subscriptions = Vec::new();
    for commitment in ["processed", "confirmed", "finalized"] {
        let params = json!([name(&tx), {"commitment": commitment}]);
        let answer = socket.call("signatureSubscribe", params).await;
        subscriptions.push(answer["result"].clone());
    }
    let config = json!({"preflightCommitment": "processed"});
    client.send_with(&tx, config).await.expect("it is taken");
    let slot = devnet.slot() + 1;
    for (subscription, slots) in subscriptions.iter().zip([1, 1, 31]) {
        devnet.advance(slots);
        let value = json!({"err": null});
        assert_eq!(
            socket.notice().await,
            signature_notice(subscription, slot, value)
        );
    }
    for subscription in subscriptions {
        let ended = socket
            .call("signatureUnsubscribe", json!([subscription]))
            .await;
        assert_eq!(ended["error"]["message"], json!("Invalid subscription id."));
    }
}

#[tokio::test]
async fn a_signature_that_is_final_already_is_told_at_once_with_its_error() {
    let (devnet, client) = start(DevnetSvmOptions {
        slot_time: None,
        ..DevnetSvmOptions::quick()
    });
    let tx = client.payment(&devnet, 1_000_000_000_001).await;
    client
        .send_with(&tx, json!({"skipPreflight": true}))
        .await
        .expect("it is taken");
    let mut socket = Socket::open(&devnet).await;
    let params = json!([name(&tx), {"enableReceivedNotification": true}]);
    let subscription = socket.call("signatureSubscribe", params).await["result"].take();
    let slot = devnet.slot();
    assert_eq!(
        socket.notice().await,
        signature_notice(&subscription, slot, json!("receivedSignature"))
    );
    let failed = json!({"err": {"InstructionError": [2, {"Custom": 1}]}});
    assert_eq!(
        socket.notice().await,
        signature_notice(&subscription, slot, failed)
    );
}

#[tokio::test]
async fn subscriptions_are_limited_in_number() {
    let (devnet, _) = quiet();
    let mut socket = Socket::open(&devnet).await;
    for _ in 0..1000 {
        let answer = socket.call("slotSubscribe", json!([])).await;
        assert!(answer["result"].is_u64());
    }
    let refused = socket.call("slotSubscribe", json!([])).await;
    assert_eq!(refused["error"]["code"], json!(-32603));
}
