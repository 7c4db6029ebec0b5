//! A small client of LND's REST, and the devnet that all tests share.

use std::sync::{Arc, LazyLock};

use axum::body::Bytes;
use axum::http::Request;
use farebox_devnet_ln::{Devnet, DevnetOptions, LndNode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// One devnet for the tests that switch nothing off.
pub(crate) static SHARED: LazyLock<Devnet> =
    LazyLock::new(|| Devnet::start(DevnetOptions::default()).unwrap());

pub(crate) fn own() -> Devnet {
    Devnet::start(DevnetOptions::default()).unwrap()
}

#[derive(Clone)]
pub(crate) struct Client {
    node: LndNode,
    tls: TlsConnector,
}

/// An answer that is still coming.
pub(crate) struct Answer {
    pub(crate) status: u16,
    body: Incoming,
    rest: Vec<u8>,
}

impl Answer {
    /// The next line; `None` where the stream ends, in order or not.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.rest.extend(frame.into_data().unwrap_or_default()),
                Some(Err(_)) | None if self.rest.is_empty() => return None,
                Some(Err(_)) | None => {
                    let rest = std::mem::take(&mut self.rest);
                    return serde_json::from_slice(&rest).ok();
                }
            }
        }
    }
}

impl Client {
    pub(crate) fn new(node: &LndNode) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(node.cert.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            node: node.clone(),
            tls: TlsConnector::from(Arc::new(config)),
        }
    }

    pub(crate) fn with_macaroon(mut self, macaroon: &str) -> Self {
        self.node.macaroon = macaroon.to_owned();
        self
    }

    /// Sends a request; an error where the connection ends without an answer.
    pub(crate) async fn open(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, hyper::Error> {
        let address = self.node.url.strip_prefix("https://").unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = self.tls.connect(name, stream).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", address);
        if !self.node.macaroon.is_empty() {
            request = request.header("Grpc-Metadata-macaroon", &self.node.macaroon);
        }
        let body = body
            .map(|body| Bytes::from(body.to_string()))
            .unwrap_or_default();
        let answer = sender
            .send_request(request.body(Full::new(body)).unwrap())
            .await?;
        Ok(Answer {
            status: answer.status().as_u16(),
            body: answer.into_body(),
            rest: Vec::new(),
        })
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let mut answer = self.open("GET", path, None).await.unwrap();
        (answer.status, answer.next().await.unwrap_or_default())
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let mut answer = self.open("POST", path, Some(body)).await.unwrap();
        (answer.status, answer.next().await.unwrap_or_default())
    }

    /// An invoice: its text, and its hash in hexadecimal.
    pub(crate) async fn invoice(&self, msat: u64) -> (String, String) {
        let body = json!({"value_msat": msat.to_string(), "memo": "a test", "expiry": "600"});
        let (status, answer) = self.post("/v1/invoices", body).await;
        assert_eq!(status, 200, "{answer}");
        let bolt11 = answer["payment_request"].as_str().unwrap().to_owned();
        let hash = farebox_node_ldk::decode(&bolt11).unwrap().payment_hash;
        (bolt11, hash.to_string())
    }

    pub(crate) async fn send(&self, bolt11: &str) -> Answer {
        let body = json!({
            "payment_request": bolt11, "fee_limit_msat": "1000", "timeout_seconds": 30,
            "no_inflight_updates": true,
        });
        self.open("POST", "/v2/router/send", Some(body))
            .await
            .unwrap()
    }

    pub(crate) async fn state(&self, hash: &str) -> Value {
        self.get(&format!("/v1/invoice/{hash}")).await.1["state"].clone()
    }
}
