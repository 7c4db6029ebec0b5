//! Sellers, honest and not: each a handler that sees a request and its credential.

use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{Request, Response};
use farebox_wire::x402::header;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::purse::{PAYER, TOKEN};

pub(crate) const PRICE: u128 = 1_000;

/// One request as a seller saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) credential: Option<String>,
    pub(crate) is_version_1: bool,
    pub(crate) body: Vec<u8>,
    pub(crate) authorization: Option<String>,
}

/// A seller on a port of its own, and everything that it saw.
pub(crate) struct Seller {
    pub(crate) base: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Seller {
    /// Answers every request by `answer`.
    pub(crate) async fn with<F, A>(answer: F) -> Self
    where
        F: Fn(Seen) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let service = tower_service(move |request: Request<Body>| {
            let (answer, log) = (answer.clone(), Arc::clone(&log));
            async move {
                let seen = look_at(request).await;
                log.lock().unwrap().push(seen.clone());
                answer(seen).await
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { base, seen }
    }

    /// 402 without a credential, and with one whatever `paid` says.
    pub(crate) async fn answering<F>(paid: F) -> Self
    where
        F: Fn(Seen) -> Response<Body> + Clone + Send + Sync + 'static,
    {
        Self::with(move |seen| {
            let response = match seen.credential {
                None => asks(),
                Some(_) => paid(seen),
            };
            async move { response }
        })
        .await
    }

    /// Sells for a credential, whichever.
    pub(crate) async fn honest() -> Self {
        Self::answering(|seen| sold(&seen)).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The credentials that were shown, in order.
    pub(crate) fn shown(&self) -> Vec<String> {
        self.seen()
            .into_iter()
            .filter_map(|s| s.credential)
            .collect()
    }
}

fn tower_service<F, A>(handle: F) -> axum::Router
where
    F: Fn(Request<Body>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    axum::Router::new().fallback(move |request: Request<Body>| {
        let answer = handle(request);
        async move { Ok::<_, Infallible>(answer.await) }
    })
}

async fn look_at(request: Request<Body>) -> Seen {
    let (head, body) = request.into_parts();
    let text = |name: &str| {
        let value = head.headers.get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    Seen {
        path: head.uri.to_string(),
        credential: text("payment-signature").or_else(|| text("x-payment")),
        is_version_1: text("x-payment").is_some(),
        authorization: text("authorization"),
        body: axum::body::to_bytes(body, 64 << 20).await.unwrap().to_vec(),
    }
}

pub(crate) fn offer() -> Value {
    json!({
        "scheme": "exact", "network": "eip155:84532", "amount": PRICE.to_string(),
        "asset": TOKEN, "payTo": "0x2222222222222222222222222222222222222222",
        "maxTimeoutSeconds": 60, "extra": {"name": "USDC", "version": "2"}
    })
}

/// 402 with one good offer.
pub(crate) fn asks() -> Response<Body> {
    asks_with(&json!([offer()]))
}

pub(crate) fn asks_with(accepts: &Value) -> Response<Body> {
    let challenge = json!({
        "x402Version": 2, "error": "Payment required", "accepts": accepts,
        "resource": {"url": "http://seller.example/x"}
    });
    Response::builder()
        .status(402)
        .header("payment-required", header::encode(&challenge).unwrap())
        .body("please pay".into())
        .unwrap()
}

pub(crate) fn receipt() -> Value {
    json!({
        "success": true, "transaction": "0xabc", "network": "eip155:84532", "payer": PAYER
    })
}

pub(crate) fn refusal(reason: &str, transaction: &str) -> Value {
    json!({
        "success": false, "transaction": transaction, "network": "eip155:84532",
        "errorReason": reason
    })
}

pub(crate) fn answer(status: u16, receipt: Option<&Value>, body: &str) -> Response<Body> {
    let mut response = Response::builder().status(status);
    if let Some(receipt) = receipt {
        response = response.header("payment-response", header::encode(receipt).unwrap());
    }
    response.body(body.to_owned().into()).unwrap()
}

pub(crate) fn sold(seen: &Seen) -> Response<Body> {
    answer(200, Some(&receipt()), &format!("sold {}", seen.path))
}

pub(crate) fn redirect(status: u16, location: &str) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("location", location)
        .body(Body::empty())
        .unwrap()
}

/// A seller below HTTP: asks for payment properly, and writes `paid` byte for byte to whoever
/// shows a credential, then closes the connection.
pub(crate) async fn raw(unpaid: Vec<u8>, paid: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/x", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (unpaid, paid) = (unpaid.clone(), paid.clone());
            tokio::spawn(async move { raw_answer(stream, &unpaid, &paid).await });
        }
    });
    base
}

async fn raw_answer(mut stream: TcpStream, unpaid: &[u8], paid: &[u8]) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut part = [0; 1024];
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return,
            Ok(n) => request.extend_from_slice(&part[..n]),
        }
    }
    let has_paid = String::from_utf8_lossy(&request).contains("payment-signature:");
    // A peer that has gone is part of the play.
    let _ = stream.write_all(if has_paid { paid } else { unpaid }).await;
    let _ = stream.shutdown().await;
}

/// The bytes of a proper 402.
pub(crate) fn raw_asks() -> Vec<u8> {
    let response = asks();
    let challenge = response.headers()["payment-required"]
        .to_str()
        .unwrap()
        .to_owned();
    format!("HTTP/1.1 402 Payment Required\r\ncontent-length: 0\r\nconnection: close\r\npayment-required: {challenge}\r\n\r\n").into_bytes()
}

/// The bytes of a 200 that promises `promised` bytes of body and brings `brought`.
pub(crate) fn raw_sold(receipt: Option<&Value>, promised: usize, brought: &str) -> Vec<u8> {
    let receipt = receipt.map_or_else(String::new, |receipt| {
        format!("payment-response: {}\r\n", header::encode(receipt).unwrap())
    });
    format!("HTTP/1.1 200 OK\r\ncontent-length: {promised}\r\nconnection: close\r\n{receipt}\r\n{brought}").into_bytes()
}
