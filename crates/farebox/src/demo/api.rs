//! The API that is sold: a page for free, the weather for a little, a report for too much.
//!
//! It knows nothing about payments and counts who reaches it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The running API. Dropping it stops it.
pub(super) struct Api {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl Api {
    /// Starts it on a free port of 127.0.0.1.
    pub(super) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let calls = Arc::new(AtomicUsize::new(0));
        let router = Router::new()
            .route("/", get(index))
            .route("/weather/{city}", get(weather))
            .route("/report", get(report))
            .with_state(Arc::clone(&calls));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the sample API broke off");
            }
        });
        Ok(Self {
            address,
            calls,
            server,
        })
    }

    /// Where it listens.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests have reached it.
    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Calls = State<Arc<AtomicUsize>>;

async fn index(State(calls): Calls) -> Json<Value> {
    calls.fetch_add(1, Ordering::SeqCst);
    Json(json!({"sells": ["/weather/{city}", "/report"]}))
}

async fn weather(State(calls): Calls, Path(city): Path<String>) -> Json<Value> {
    calls.fetch_add(1, Ordering::SeqCst);
    Json(json!({"city": city, "sky": "clear", "celsius": 21}))
}

async fn report(State(calls): Calls) -> Json<Value> {
    calls.fetch_add(1, Ordering::SeqCst);
    Json(json!({"report": "everything about the weather"}))
}
