//! A stand-in for a Lightning node: what the gate asks of lnd over REST to sell tokens, and nothing else.
//!
//! The node is not what is measured: tokens are minted by the gate itself, and what makes a credential of one is
//! the preimage of its invoice. Invoices are real and signed, and whoever pays one learns its preimage by asking
//! [`Lnd::pay`], which moves no money. It tells of no payment, so the gate books each by its first use.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::{All, PublicKey, Secp256k1, SecretKey};
use bytes::Bytes;
use farebox_wire::l402::preimage::Preimage;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lightning_invoice::{Bolt11Invoice, Currency, InvoiceBuilder, PaymentSecret};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::Fallible;
use crate::aside::Aside;

/// The network that the gate collects on.
const NETWORK: &str = "lightning:regtest";
/// What signs its invoices.
const KEY: [u8; 32] = [0x42; 32];
/// As lnd's: blocks that the payee asks for.
const FINAL_BLOCKS: u64 = 40;
/// What others could pay it, in millisatoshi: a bitcoin.
const INBOUND_MSAT: u64 = 100_000_000_000;

/// The stand-in; it ends when this is dropped.
pub(crate) struct Lnd {
    server: Aside,
    macaroon: PathBuf,
    desk: Arc<Desk>,
}

impl Lnd {
    /// Listens, and leaves a macaroon in `folder`.
    pub(crate) fn start(folder: &Path) -> Fallible<Self> {
        let desk = Arc::new(Desk::new()?);
        let macaroon = folder.join("bench.macaroon");
        // The second format, as lnd's; nobody checks the rest.
        std::fs::write(&macaroon, hex::encode([2; 64]))?;
        let served = Arc::clone(&desk);
        let server = Aside::start("lnd", |listener| serve(listener, served))?;
        Ok(Self {
            server,
            macaroon,
            desk,
        })
    }

    /// How a gate's configuration names it.
    pub(crate) fn configuration(&self) -> String {
        let (address, macaroon) = (self.server.address, self.macaroon.display());
        format!(
            "[network.\"{NETWORK}\"]\n\
             node = {{ kind = \"lnd\", url = \"http://{address}\", macaroon = \"file:{macaroon}\" }}\n\n"
        )
    }

    /// What paying one of its invoices reveals, once.
    pub(crate) fn pay(&self, invoice: &str) -> Fallible<Preimage> {
        let invoice = Bolt11Invoice::from_str(invoice)
            .map_err(|why| format!("an invoice that cannot be read: {why}"))?;
        let hash = invoice.payment_hash().to_byte_array();
        let mut unpaid = self.desk.lock();
        let preimage = unpaid
            .remove(&hash)
            .ok_or("nobody waits for this payment")?;
        Ok(Preimage::from_bytes(preimage))
    }
}

/// Makes invoices.
struct Desk {
    secp: Secp256k1<All>,
    key: SecretKey,
    /// Preimages by payment hash.
    unpaid: Mutex<HashMap<[u8; 32], [u8; 32]>>,
}

impl Desk {
    fn new() -> Fallible<Self> {
        Ok(Self {
            secp: Secp256k1::new(),
            key: SecretKey::from_slice(&KEY)?,
            unpaid: Mutex::default(),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], [u8; 32]>> {
        self.unpaid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, method: &Method, path: &str, body: &[u8]) -> Fallible<Option<Value>> {
        Ok(Some(match (method, path) {
            (&Method::GET, "/v1/getinfo") => json!({
                "identity_pubkey": PublicKey::from_secret_key(&self.secp, &self.key).to_string(),
                "chains": [{"chain": "bitcoin", "network": "regtest"}],
                "synced_to_chain": true,
                "block_height": 1,
                "num_active_channels": 1,
            }),
            (&Method::GET, "/v1/balance/channels") => json!({
                "local_balance": {"msat": "0"},
                "remote_balance": {"msat": INBOUND_MSAT.to_string()},
            }),
            (&Method::GET, "/v1/invoices") => json!({"invoices": [], "last_index_offset": "0"}),
            (&Method::POST, "/v1/invoices") => {
                json!({"payment_request": self.invoice(&serde_json::from_slice(body)?)?})
            }
            (&Method::POST, "/v2/invoices/cancel") => json!({}),
            _ => return Ok(None),
        }))
    }

    fn invoice(&self, wanted: &Value) -> Fallible<String> {
        let number = |name: &str| -> Fallible<u64> {
            let text = wanted[name].as_str().ok_or("an invoice over nothing")?;
            Ok(text.parse()?)
        };
        let mut preimage = [0; 32];
        getrandom::fill(&mut preimage)?;
        let hash = sha256::Hash::hash(&preimage);
        let invoice = InvoiceBuilder::new(Currency::Regtest)
            .description(wanted["memo"].as_str().unwrap_or_default().to_owned())
            .payment_hash(hash)
            .payment_secret(PaymentSecret(secret_for(&hash)))
            .amount_milli_satoshis(number("value_msat")?)
            .duration_since_epoch(SystemTime::now().duration_since(UNIX_EPOCH)?)
            .expiry_time(Duration::from_secs(number("expiry")?))
            .min_final_cltv_expiry_delta(FINAL_BLOCKS)
            .build_signed(|message| self.secp.sign_ecdsa_recoverable(message, &self.key))
            .map_err(|why| format!("no invoice: {why}"))?;
        self.lock().insert(hash.to_byte_array(), preimage);
        Ok(invoice.to_string())
    }
}

/// A payment secret: some bytes that nobody asks for here.
fn secret_for(hash: &sha256::Hash) -> [u8; 32] {
    sha256::Hash::hash(hash.as_byte_array()).to_byte_array()
}

async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    while let Ok((stream, _)) = listener.accept().await {
        let desk = Arc::clone(&desk);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let desk = Arc::clone(&desk);
                async move { Ok::<_, Infallible>(respond(&desk, request).await) }
            });
            // Gates hang up when they end.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn respond(desk: &Desk, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    if path == "/v1/invoices/subscribe" {
        // It is told when something was paid, which is never.
        std::future::pending::<()>().await;
    }
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let answer = body
        .map_err(Into::into)
        .and_then(|body| desk.answer(&head.method, path, &body));
    let (status, answer) = match answer {
        Ok(Some(answer)) => (StatusCode::OK, answer),
        Ok(None) => (
            StatusCode::NOT_FOUND,
            json!({"code": 5, "message": "Not Found"}),
        ),
        Err(why) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            json!({"code": 2, "message": why.to_string()}),
        ),
    };
    let mut answer = Response::new(Full::new(Bytes::from(answer.to_string())));
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Connection, request};

    fn asked(lnd: &Lnd, method: &str, path: &str, body: Option<&[u8]>) -> (u16, Value) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mut connection = Connection::open(lnd.server.address)
                .await
                .expect("a connection");
            let request = request(method, path, &[], body);
            let answer = connection.ask(&request).await.expect("an answer");
            let said = serde_json::from_slice(answer.body).expect("JSON");
            (answer.status, said)
        })
    }

    #[test]
    fn an_invoice_is_its_own_over_what_was_asked_and_paid_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let lnd = Lnd::start(folder.path()).expect("a stand-in");
        let (_, info) = asked(&lnd, "GET", "/v1/getinfo", None);
        let body = br#"{"value_msat": "1500", "memo": "some", "expiry": "300", "private": false}"#;
        let (status, made) = asked(&lnd, "POST", "/v1/invoices", Some(body));
        assert_eq!(status, 200);
        let text = made["payment_request"].as_str().expect("an invoice");
        let invoice = Bolt11Invoice::from_str(text).expect("readable");
        assert_eq!(invoice.amount_milli_satoshis(), Some(1_500));
        assert_eq!(invoice.expiry_time(), Duration::from_secs(300));
        assert_eq!(
            info["identity_pubkey"],
            invoice.get_payee_pub_key().to_string()
        );
        let preimage = lnd.pay(text).expect("paid");
        let hash = invoice.payment_hash().to_byte_array();
        assert_eq!(preimage.payment_hash().0, hash);
        assert!(lnd.pay(text).is_err(), "paid twice");
    }

    #[test]
    fn what_no_gate_asks_is_refused_as_lnd_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let lnd = Lnd::start(folder.path()).expect("a stand-in");
        let (status, why) = asked(&lnd, "GET", "/v1/payments", None);
        assert_eq!((status, &why["code"]), (404, &json!(5)));
        let (status, _) = asked(&lnd, "POST", "/v1/invoices", Some(b"{}"));
        assert_eq!(status, 500);
    }
}
