//! The chain's port: JSON-RPC over HTTP on 127.0.0.1, with a user and a password as bitcoind has them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{Chain, rpc};

/// The largest request: a transaction of a full block, in hexadecimal.
const MAX_REQUEST_BYTES: usize = 8 * 1024 * 1024;

/// The chain, as everybody in this process has it.
#[derive(Clone)]
pub(crate) struct SharedChain {
    chain: Arc<Mutex<Chain>>,
    /// What the header `Authorization` must hold.
    authorization: Arc<str>,
    /// Told whenever a transaction came.
    changes: Arc<watch::Sender<()>>,
}

impl SharedChain {
    /// An empty chain behind this user and password.
    pub(crate) fn new(user: &str, password: &str) -> Self {
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        Self {
            chain: Arc::new(Mutex::new(Chain::new())),
            authorization: format!("Basic {credentials}").into(),
            changes: Arc::new(watch::Sender::new(())),
        }
    }

    /// The newest block's height and hash.
    pub(crate) fn tip(&self) -> (usize, String) {
        let chain = self.lock();
        let hash = chain.tip().map(|tip| tip.block_hash().to_string());
        (chain.height(), hash.unwrap_or_default())
    }

    /// Learns when a transaction came.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Tells that a transaction came.
    pub(crate) fn changed(&self) {
        self.changes.send_replace(());
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, chain: SharedChain) {
    let router = Router::new()
        .route("/", post(answer))
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .with_state(chain);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::warn!(%error, "the chain's server ended");
    }
}

async fn answer(State(chain): State<SharedChain>, headers: HeaderMap, body: Bytes) -> Response {
    let given = headers.get(header::AUTHORIZATION);
    let given = given
        .map(axum::http::HeaderValue::as_bytes)
        .unwrap_or_default();
    if !bool::from(given.ct_eq(chain.authorization.as_bytes())) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let request: Value = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            return failed(
                StatusCode::INTERNAL_SERVER_ERROR,
                -32_700,
                &error.to_string(),
                &Value::Null,
            );
        }
    };
    let id = request.get("id").cloned().unwrap_or_default();
    let method = request
        .get("method")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let params = request.get("params").and_then(Value::as_array);
    let params = params.map(Vec::as_slice).unwrap_or_default();
    let result = rpc::call(&mut chain.lock(), method, params);
    if matches!(method, "sendrawtransaction" | "sendtoaddress") {
        chain.changed();
    }
    match result {
        Ok(result) => Json(json!({"result": result, "error": null, "id": id})).into_response(),
        Err((code, message)) => {
            tracing::debug!(method, code, message, "the chain refused a call");
            let status = if code == -32_601 {
                StatusCode::NOT_FOUND
            } else {
                StatusCode::INTERNAL_SERVER_ERROR
            };
            failed(status, code, &message, &id)
        }
    }
}

/// bitcoind's errors have a status of their own beside the code in the body.
fn failed(status: StatusCode, code: i64, message: &str, id: &Value) -> Response {
    let body = json!({"result": null, "error": {"code": code, "message": message}, "id": id});
    (status, Json(body)).into_response()
}
