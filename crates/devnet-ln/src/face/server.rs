//! The TLS side of a face: connections, the macaroon, faults, and which call is which. Each connection is a task, so that
//! a fault can cut it.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Extension, State};
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use serde_json::Value;
use subtle::ConstantTimeEq as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::{Face, Status, code};
use crate::faults::Fault;

/// The largest request: an invoice and some fields.
const MAX_REQUEST_BYTES: usize = 64 * 1024;
/// Connections at once; more wait in the listener's queue.
const MAX_CONNECTIONS: usize = 4096;
/// Where LND's gateway looks for the macaroon.
const MACAROON: &str = "grpc-metadata-macaroon";
/// What the garbage fault answers.
const GARBAGE: &str = "<html><body>502 Bad Gateway</body></html>";

/// Closes the connection that it belongs to.
#[derive(Clone, Default)]
struct Cut(Arc<Notify>);

/// A call, by its method and path.
enum Call<'a> {
    GetInfo,
    ChannelBalance,
    AddInvoice,
    SubscribeInvoices,
    LookupInvoice(&'a str),
    CancelInvoice,
    DecodePayReq(&'a str),
    SendPayment,
    TrackPayment(&'a str),
}

impl<'a> Call<'a> {
    fn of(method: &Method, path: &'a str) -> Option<Self> {
        let get = method == Method::GET;
        let post = method == Method::POST;
        Some(match path {
            "/v1/getinfo" if get => Self::GetInfo,
            "/v1/balance/channels" if get => Self::ChannelBalance,
            "/v1/invoices" if post => Self::AddInvoice,
            "/v1/invoices/subscribe" if get => Self::SubscribeInvoices,
            "/v2/invoices/cancel" if post => Self::CancelInvoice,
            "/v2/router/send" if post => Self::SendPayment,
            _ if get => {
                if let Some(hash) = path.strip_prefix("/v1/invoice/") {
                    Self::LookupInvoice(hash)
                } else if let Some(bolt11) = path.strip_prefix("/v1/payreq/") {
                    Self::DecodePayReq(bolt11)
                } else {
                    Self::TrackPayment(path.strip_prefix("/v2/router/track/")?)
                }
            }
            _ => return None,
        })
    }

    /// The name that faults know it by.
    const fn name(&self) -> &'static str {
        match self {
            Self::GetInfo => "getinfo",
            Self::ChannelBalance => "channelbalance",
            Self::AddInvoice => "addinvoice",
            Self::SubscribeInvoices => "subscribeinvoices",
            Self::LookupInvoice(_) => "lookupinvoice",
            Self::CancelInvoice => "cancelinvoice",
            Self::DecodePayReq(_) => "decodepayreq",
            Self::SendPayment => "sendpayment",
            Self::TrackPayment(_) => "trackpayment",
        }
    }

    /// Whether its answers, errors too, are those of a stream.
    const fn streams(&self) -> bool {
        matches!(
            self,
            Self::SubscribeInvoices | Self::SendPayment | Self::TrackPayment(_)
        )
    }
}

/// Accepts connections until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, tls: Arc<ServerConfig>, face: Face) {
    let acceptor = TlsAcceptor::from(tls);
    let router = Router::new().fallback(handle).with_state(face);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, acceptor.clone(), router.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a face cannot accept a connection");
                    tokio::task::yield_now().await;
                }
            },
        }
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, router: Router) {
    let _ = stream.set_nodelay(true);
    let stream = match acceptor.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "a TLS handshake failed");
            return;
        }
    };
    let cut = Cut::default();
    let service = TowerToHyperService::new(router.layer(Extension(cut.clone())));
    let served =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        result = served => if let Err(error) = result {
            tracing::trace!(%error, "connection ended");
        },
        () = cut.0.notified() => {}
    }
}

async fn handle(
    State(face): State<Face>,
    Extension(cut): Extension<Cut>,
    request: Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let Some(call) = Call::of(&head.method, head.uri.path()) else {
        return Status::new(code::NOT_FOUND, "Not Found").plain();
    };
    let refused = |status: Status| {
        if call.streams() {
            status.streamed()
        } else {
            status.plain()
        }
    };
    let given = head
        .headers
        .get(MACAROON)
        .map(|value| value.as_bytes().to_ascii_lowercase());
    match given {
        None => return refused(Status::new(code::UNKNOWN, "expected 1 macaroon, got 0")),
        Some(given) if !bool::from(given.ct_eq(face.side.macaroon.as_bytes())) => {
            let why = "verification failed: signature mismatch after caveat verification";
            return refused(Status::new(code::UNKNOWN, why));
        }
        Some(_) => {}
    }
    let fault = face.side.faults.meet(call.name());
    match &fault {
        Some(Fault::Hang) => return pending().await,
        Some(Fault::Garbage) => return GARBAGE.into_response(),
        Some(Fault::HttpStatus(status)) => {
            let status = StatusCode::from_u16(*status);
            return status
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
                .into_response();
        }
        Some(Fault::Refuse { code, message }) => return refused(Status::new(*code, message)),
        Some(Fault::Disconnect) => return disconnect(&cut).await,
        Some(Fault::Delay(time)) => tokio::time::sleep(*time).await,
        Some(Fault::LoseReply | Fault::NoPreimage) | None => {}
    }
    let proofs = fault != Some(Fault::NoPreimage);
    let body = match to_bytes(body, MAX_REQUEST_BYTES).await {
        Ok(body) => body,
        Err(error) => return refused(Status::new(code::INVALID, error.to_string())),
    };
    let body: Value = if body.is_empty() {
        Value::Null
    } else {
        match serde_json::from_slice(&body) {
            Ok(body) => body,
            Err(error) => return refused(Status::new(code::INVALID, error.to_string())),
        }
    };
    let query = query(head.uri.query().unwrap_or_default());
    let answered = face.call(&call, &query, &body, proofs).await;
    if fault == Some(Fault::LoseReply) {
        return disconnect(&cut).await;
    }
    answered.unwrap_or_else(refused)
}

impl Face {
    async fn call(
        &self,
        call: &Call<'_>,
        query: &Value,
        body: &Value,
        proofs: bool,
    ) -> Result<Response, Status> {
        match call {
            Call::GetInfo => self.get_info().await,
            Call::ChannelBalance => self.channel_balance().await,
            Call::AddInvoice => self.add_invoice(body).await,
            Call::SubscribeInvoices => self.subscribe_invoices(query).await,
            Call::LookupInvoice(hash) => self.lookup_invoice(hash).await,
            Call::CancelInvoice => self.cancel_invoice(body).await,
            Call::DecodePayReq(bolt11) => self.decode_pay_req(bolt11).await,
            Call::SendPayment => self.send_payment(body, proofs).await,
            Call::TrackPayment(hash) => self.track_payment(hash, query, proofs).await,
        }
    }
}

async fn disconnect(cut: &Cut) -> Response {
    cut.0.notify_one();
    // The connection's task ends here, and this future with it.
    pending().await
}

/// The query as a JSON object, so that both kinds of request are read alike. LND's parameters need no escapes.
fn query(text: &str) -> Value {
    let pairs: HashMap<&str, Value> = text
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| match value {
            "true" => (name, Value::Bool(true)),
            "false" => (name, Value::Bool(false)),
            _ => (name, Value::String(value.to_owned())),
        })
        .collect();
    serde_json::json!(pairs)
}
