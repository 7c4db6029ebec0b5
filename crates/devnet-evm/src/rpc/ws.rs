//! JSON-RPC over a WebSocket, with `eth_subscribe`. Called by `rpc::server` for each upgraded connection.

use std::collections::HashMap;

use axum::extract::ws::{Message, WebSocket};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::filters::Topic;
use super::params::Params;
use super::{Answer, Reply, Rpc, RpcError, Said, render, response};
use crate::chain::ChainEvent;

/// Subscriptions of one connection.
const MAX_SUBSCRIPTIONS: usize = 100;

/// The connection is over.
struct Closed;

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
                Ok(event) => session.notify(&event).await,
                // A client that cannot keep up would miss blocks without knowing: it has to start again.
                Err(RecvError::Lagged(_) | RecvError::Closed) => Err(Closed),
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
            Some(reply) => Reply::Json(reply),
            None => self.rpc.message(text).await,
        };
        match reply {
            Reply::Json(text) => self.send(text).await,
            Reply::Garbage => self.send(super::server::GARBAGE.to_owned()).await,
            Reply::Nothing | Reply::Hang => Ok(()),
            Reply::Status(_) | Reply::Cut => Err(Closed),
        }
    }

    /// `eth_subscribe` and `eth_unsubscribe`, which only a connection can answer.
    fn subscription(&mut self, text: &[u8]) -> Option<String> {
        let request: Value = serde_json::from_slice(text).ok()?;
        let answer = match request.get("method")?.as_str()? {
            "eth_subscribe" => {
                Params::new(request.get("params")).and_then(|params| self.subscribe(&params))
            }
            "eth_unsubscribe" => Params::new(request.get("params")).and_then(|params| {
                let id = params.number(0)?.unwrap_or_default();
                Ok(json!(self.subscriptions.remove(&id).is_some()))
            }),
            _ => return None,
        };
        let id = request.get("id").unwrap_or(&Value::Null);
        Some(response(id, answer.map(Said::Tree)))
    }

    fn subscribe(&mut self, params: &Params) -> Answer {
        if self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            return Err(RpcError::limit(format!(
                "at most {MAX_SUBSCRIPTIONS} subscriptions on one connection"
            )));
        }
        let topic = match params.required::<String>(0)?.as_str() {
            "newHeads" => Topic::Blocks,
            "newPendingTransactions" => Topic::Pending,
            "logs" => {
                let filter: super::logs::LogFilter = params.optional(1)?.unwrap_or_default();
                filter.check()?;
                Topic::Logs(filter)
            }
            other => return Err(RpcError::params(format!("no \"{other}\" subscription"))),
        };
        self.last_id = self.last_id.saturating_add(1);
        self.subscriptions.insert(self.last_id, topic);
        Ok(render::quantity(self.last_id))
    }

    async fn notify(&mut self, event: &ChainEvent) -> Result<(), Closed> {
        let mut notices = Vec::new();
        for (id, topic) in &self.subscriptions {
            let mut found = Vec::new();
            topic.notify(event, &mut found);
            notices.extend(found.into_iter().map(|result| notice(*id, &result)));
        }
        for notice in notices {
            self.send(notice.to_string()).await?;
        }
        Ok(())
    }

    async fn send(&mut self, text: String) -> Result<(), Closed> {
        self.socket
            .send(Message::Text(text.into()))
            .await
            .map_err(|_| Closed)
    }
}

fn notice(id: u64, result: &Value) -> Value {
    let params = json!({"subscription": render::quantity(id), "result": result});
    json!({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})
}
