//! The TCP side: HTTP and WebSocket on one port of 127.0.0.1. Each connection is a task, so that a fault can cut it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;

use super::{Reply, Rpc, ws};

/// The largest request, as agave's default: some thirty transactions.
const MAX_REQUEST_BYTES: usize = 50 * 1024;
/// Connections at once; more wait in the listener's queue.
const MAX_CONNECTIONS: usize = 4096;
/// A connection without a request for so long is closed; clients' own pools give up far earlier.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// A pause after the listener failed, for example out of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// What the garbage fault answers.
pub(crate) const GARBAGE: &str = "<html><body>502 Bad Gateway</body></html>";

/// Closes the connection that it belongs to.
#[derive(Clone, Debug, Default)]
struct Cut(Arc<Notify>);

/// Accepts connections until told to stop, then drops them all.
pub(crate) async fn serve(listener: TcpListener, rpc: Rpc, mut stop: oneshot::Receiver<()>) {
    let router = Router::new()
        .route("/", axum::routing::any(handle))
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .with_state(rpc);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stop => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, router: Router) {
    let _ = stream.set_nodelay(true);
    let cut = Cut::default();
    let service = TowerToHyperService::new(router.layer(Extension(cut.clone())));
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::select! {
        result = served => if let Err(error) = result {
            tracing::trace!(%error, "connection ended");
        },
        () = cut.0.notified() => {}
    }
}

async fn handle(
    State(rpc): State<Rpc>,
    Extension(cut): Extension<Cut>,
    method: Method,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Response {
    if let Ok(upgrade) = upgrade {
        return upgrade
            .max_message_size(MAX_REQUEST_BYTES)
            .on_upgrade(move |socket| ws::serve(rpc, socket));
    }
    let mut response = match (method, body) {
        (Method::POST, Ok(body)) => reply(rpc.message(&body).await, &cut).await,
        (Method::POST, Err(rejection)) => rejection.into_response(),
        (Method::OPTIONS, _) => StatusCode::NO_CONTENT.into_response(),
        _ => (
            StatusCode::METHOD_NOT_ALLOWED,
            "POST a JSON-RPC request, or open a WebSocket\n",
        )
            .into_response(),
    };
    // A page that shows the chain may live anywhere; the chain holds nothing that is worth protecting.
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("content-type"),
    );
    response
}

async fn reply(reply: Reply, cut: &Cut) -> Response {
    let json = [(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    )];
    match reply {
        Reply::Json(text) => (json, text).into_response(),
        Reply::Nothing => StatusCode::NO_CONTENT.into_response(),
        Reply::Garbage => (json, GARBAGE).into_response(),
        Reply::Status(status) => StatusCode::from_u16(status)
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            .into_response(),
        Reply::Hang => std::future::pending().await,
        Reply::Cut => {
            cut.0.notify_one();
            // The connection's task ends here, and this future with it.
            std::future::pending().await
        }
    }
}
