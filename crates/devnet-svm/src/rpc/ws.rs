//! JSON-RPC over a WebSocket, with the subscriptions that confirm transactions. Called by `rpc::server` for each upgraded
//! connection.

use std::collections::HashMap;

use axum::extract::ws::{Message, WebSocket};
use serde_json::{Value, json};
use solana_signature::Signature;
use tokio::sync::broadcast::error::RecvError;

use super::params::Params;
use super::{Answer, Reply, Rpc, RpcError, context, response};
use crate::chain::Event;
use crate::world::Commitment;

/// Subscriptions of one connection.
const MAX_SUBSCRIPTIONS: usize = 1000;

/// The connection is over.
struct Closed;

/// What is told.
#[derive(Clone, Copy)]
enum Topic {
    /// Each slot.
    Slots,
    /// Once, when the transaction's block is this far.
    Signature {
        signature: Signature,
        commitment: Commitment,
        /// Whether the client still waits to hear that the node has the transaction.
        awaits_receipt: bool,
    },
}

struct Session {
    rpc: Rpc,
    socket: WebSocket,
    subscriptions: HashMap<u64, Topic>,
    last_id: u64,
}

/// Serves one connection until either side closes it.
pub(crate) async fn serve(rpc: Rpc, socket: WebSocket) {
    let mut events = rpc.chain.subscribe();
    let mut session = Session {
        rpc,
        socket,
        subscriptions: HashMap::new(),
        last_id: 0,
    };
    loop {
        let step = tokio::select! {
            message = session.socket.recv() => match message {
                Some(Ok(message)) => session.receive(message).await,
                Some(Err(_)) | None => Err(Closed),
            },
            event = events.recv() => match event {
                Ok(event) => session.notify(Some(event)).await,
                // Slots were missed, as on any slow connection; signatures are looked up whatever was missed.
                Err(RecvError::Lagged(_)) => session.notify(None).await,
                Err(RecvError::Closed) => Err(Closed),
            },
        };
        if step.is_err() {
            return;
        }
    }
}

impl Session {
    async fn receive(&mut self, message: Message) -> Result<(), Closed> {
        let text = match &message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
            Message::Close(_) => return Err(Closed),
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
        };
        let reply = match self.subscription(text) {
            Some(reply) => reply,
            None => self.rpc.message(text).await,
        };
        match reply {
            Reply::Json(text) => self.send(text).await?,
            Reply::Garbage => self.send(super::server::GARBAGE.to_owned()).await?,
            Reply::Nothing | Reply::Hang => {}
            Reply::Status(_) | Reply::Cut => return Err(Closed),
        }
        // What is to be told may have happened before it was asked for.
        self.notify(None).await
    }

    /// Methods that only a connection can answer.
    fn subscription(&mut self, text: &[u8]) -> Option<Reply> {
        let request: Value = serde_json::from_slice(text).ok()?;
        let method = request.get("method")?.as_str()?;
        let is_ours = matches!(
            method,
            "slotSubscribe" | "slotUnsubscribe" | "signatureSubscribe" | "signatureUnsubscribe"
        );
        if !is_ours {
            return None;
        }
        let fault = self.rpc.faults.meet(method);
        let answer = match fault {
            None => Params::new(request.get("params")).and_then(|params| match method {
                "slotSubscribe" => self.subscribe(Topic::Slots),
                "signatureSubscribe" => self.signature_topic(&params),
                _ => self.unsubscribe(&params),
            }),
            Some(crate::Fault::Refuse { code, message }) => Err(RpcError::new(code, message)),
            Some(crate::Fault::Hang) => return Some(Reply::Hang),
            Some(_) => return Some(Reply::Cut),
        };
        let id = request.get("id").unwrap_or(&Value::Null);
        Some(Reply::Json(response(id, answer)))
    }

    fn signature_topic(&mut self, params: &Params) -> Answer {
        let signature = params.base58(0)?;
        let config = params.config(1)?;
        self.subscribe(Topic::Signature {
            signature,
            commitment: config.commitment(),
            awaits_receipt: config.enable_received_notification,
        })
    }

    fn subscribe(&mut self, topic: Topic) -> Answer {
        if self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            return Err(RpcError::new(
                -32603,
                "Internal error: subscription refused. Node subscription limit reached",
            ));
        }
        self.last_id = self.last_id.saturating_add(1);
        self.subscriptions.insert(self.last_id, topic);
        Ok(json!(self.last_id))
    }

    fn unsubscribe(&mut self, params: &Params) -> Answer {
        let id: u64 = params.required(0)?;
        match self.subscriptions.remove(&id) {
            Some(_) => Ok(json!(true)),
            None => Err(RpcError::params("Invalid subscription id.")),
        }
    }

    /// Tells what is new. Without an event, only what is known of signatures.
    async fn notify(&mut self, event: Option<Event>) -> Result<(), Closed> {
        let notices = self.notices(event);
        for notice in notices {
            self.send(notice.to_string()).await?;
        }
        Ok(())
    }

    fn notices(&mut self, event: Option<Event>) -> Vec<Value> {
        let mut notices = Vec::new();
        let world = self.rpc.chain.world();
        self.subscriptions.retain(|id, topic| match topic {
            Topic::Slots => {
                if let Some(Event::Slot { slot, root }) = event {
                    let parent = slot.saturating_sub(1);
                    let result = json!({"parent": parent, "root": root, "slot": slot});
                    notices.push(notice("slotNotification", *id, &result));
                }
                true
            }
            Topic::Signature {
                signature,
                commitment,
                awaits_receipt,
            } => {
                let landed = world.landed(signature);
                let is_waiting = || {
                    let mut waiting = world.waiting();
                    waiting.any(|tx| tx.signatures.first() == Some(signature))
                };
                let block = world.block(*commitment);
                if *awaits_receipt && (landed.is_some() || is_waiting()) {
                    *awaits_receipt = false;
                    let result = context(block, json!("receivedSignature"));
                    notices.push(notice("signatureNotification", *id, &result));
                }
                match landed.filter(|landed| landed.slot <= block.slot) {
                    Some(landed) => {
                        let result = context(block, json!({"err": landed.error}));
                        notices.push(notice("signatureNotification", *id, &result));
                        false
                    }
                    None => true,
                }
            }
        });
        notices
    }

    async fn send(&mut self, text: String) -> Result<(), Closed> {
        self.socket
            .send(Message::Text(text.into()))
            .await
            .map_err(|_| Closed)
    }
}

fn notice(method: &str, id: u64, result: &Value) -> Value {
    let params = json!({"result": result, "subscription": id});
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}
