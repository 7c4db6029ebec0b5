//! A stand-in for lnd: its REST interface over memory, and orders for bad days.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use farebox_rail_lightning::{Bolt11, LndNode, LndOptions, Macaroon};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::invoices::{Wanted, hash_of, now_s, pubkey};

/// The key of the node behind the stub.
pub(crate) const OWN_KEY: [u8; 32] = [0x21; 32];
/// Bytes that look like a macaroon of lnd.
pub(crate) const MACAROON: [u8; 40] = [2; 40];

/// What the stub does with the next payment.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// It arrives.
    Succeed { fee_msat: u64 },
    /// It arrives, and the node has a preimage of zeros.
    SucceedBlank,
    /// It arrives, and the node has another preimage.
    SucceedWrong,
    /// It fails, with one of lnd's reasons.
    Fail(&'static str),
    /// It is taken on, told so, and stays on its way.
    Hang,
    /// It is taken on, the connection breaks, and it arrives all the same.
    BreakThenSucceed,
    /// It is taken on and nobody hears of it.
    SwallowAndTakeOn,
    /// Nothing is taken on, and nobody hears of it.
    Swallow,
    /// Somebody in front of lnd answers.
    Proxy502,
    /// lnd refuses.
    Refuse(u32, &'static str),
}

#[derive(Clone)]
pub(crate) struct Payment {
    pub(crate) status: &'static str,
    pub(crate) preimage: String,
    pub(crate) fee_msat: u64,
    pub(crate) reason: &'static str,
    pub(crate) begun_s: u64,
}

#[derive(Default)]
pub(crate) struct Books {
    /// Preimages by hash: what the network would reveal.
    pub(crate) preimages: BTreeMap<String, [u8; 32]>,
    pub(crate) payments: BTreeMap<String, Payment>,
    /// As lnd writes them, in the order in which they were made.
    pub(crate) invoices: Vec<Value>,
    pub(crate) acts: VecDeque<Act>,
    /// Requests to send, with their bodies.
    pub(crate) sends: Vec<Value>,
    /// Paths of all requests.
    pub(crate) asked: Vec<String>,
    /// What the macaroon lacks, by the start of paths.
    pub(crate) forbidden: Vec<&'static str>,
    pub(crate) outbound_msat: u64,
    pub(crate) inbound_msat: u64,
    pub(crate) is_synced: bool,
    pub(crate) network: &'static str,
    /// Said in the place of every other answer.
    pub(crate) junk: Option<String>,
    settled: u64,
}

#[derive(Clone)]
pub(crate) struct Stub {
    books: Arc<Mutex<Books>>,
    /// Rises with every change of a payment or invoice.
    changes: watch::Sender<u64>,
}

impl Stub {
    pub(crate) fn new() -> Self {
        let books = Books {
            outbound_msat: 1_000_000_000,
            inbound_msat: 1_000_000_000,
            is_synced: true,
            network: "regtest",
            ..Books::default()
        };
        Self {
            books: Arc::new(Mutex::new(books)),
            changes: watch::Sender::new(0),
        }
    }

    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Serves on a free port; the address. Ends with the runtime of the test.
    pub(crate) async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = self.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    pub(crate) async fn node(&self) -> Arc<LndNode> {
        Arc::new(node_at(&self.serve().await))
    }

    /// An invoice of somebody on the network that the stub can pay.
    pub(crate) fn payable(&self, amount_msat: u64, seed: u8) -> (String, [u8; 32]) {
        let wanted = Wanted::msat(amount_msat, [seed; 32]);
        let hash = hash_of(&wanted.preimage);
        let mut books = self.books();
        books.preimages.insert(hex::encode(hash), wanted.preimage);
        (wanted.text(), hash)
    }

    pub(crate) fn next(&self, act: Act) {
        self.books().acts.push_back(act);
    }

    /// Puts a payment into lnd's database.
    pub(crate) fn put(&self, hash: &[u8; 32], status: &'static str, begun_s: u64) {
        let payment = Payment {
            status,
            preimage: "0".repeat(64),
            fee_msat: 0,
            reason: "FAILURE_REASON_NO_ROUTE",
            begun_s,
        };
        self.books().payments.insert(hex::encode(hash), payment);
        self.changed();
    }

    /// Ends a payment that hangs.
    pub(crate) fn succeed(&self, hash: &[u8; 32], fee_msat: u64) {
        let key = hex::encode(hash);
        let mut books = self.books();
        let preimage = hex::encode(books.preimages[&key]);
        let payment = books.payments.get_mut(&key).unwrap();
        payment.status = "SUCCEEDED";
        payment.preimage = preimage;
        payment.fee_msat = fee_msat;
        drop(books);
        self.changed();
    }

    /// Somebody pays an invoice of ours; its place among the paid ones.
    pub(crate) fn settle(&self, hash: &[u8; 32]) -> u64 {
        let mut books = self.books();
        books.settled += 1;
        let index = books.settled;
        let key = STANDARD.encode(hash);
        let mut invoices = books.invoices.iter_mut();
        let invoice = invoices.find(|i| i["r_hash"] == key).unwrap();
        invoice["state"] = json!("SETTLED");
        invoice["settle_index"] = json!(index.to_string());
        invoice["settle_date"] = json!("1700000000");
        invoice["amt_paid_msat"] = invoice["value_msat"].clone();
        drop(books);
        self.changed();
        index
    }

    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/v1/getinfo", get(info))
            .route("/v1/balance/channels", get(balance))
            .route("/v1/invoices", post(create).get(list))
            .route("/v1/invoice/{hash}", get(look_up))
            .route("/v1/invoices/subscribe", get(subscribe))
            .route("/v2/invoices/cancel", post(cancel))
            .route("/v2/router/send", post(send))
            .route("/v2/router/track/{hash}", get(track))
            .layer(from_fn_with_state(self.clone(), guard))
            .with_state(self.clone())
    }
}

/// The way to a stub, or to anything else.
pub(crate) fn node_at(url: &str) -> LndNode {
    let macaroon = Macaroon::read(&MACAROON).unwrap();
    LndNode::new(LndOptions::new(url, macaroon).unwrap()).unwrap()
}

fn refusal(status: StatusCode, code: u32, message: &str) -> Response {
    let body = json!({"code": code, "message": message, "details": []});
    (status, Json(body)).into_response()
}

fn failed(message: &str) -> Response {
    refusal(StatusCode::INTERNAL_SERVER_ERROR, 2, message)
}

async fn guard(
    State(stub): State<Stub>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    let (is_forbidden, junk) = {
        let mut books = stub.books();
        books.asked.push(path.clone());
        let is_forbidden = books.forbidden.iter().any(|start| path.starts_with(start));
        (is_forbidden, books.junk.clone())
    };
    let shown = headers.get("grpc-metadata-macaroon");
    if shown.is_none_or(|shown| *shown != hex::encode(MACAROON)) {
        return failed("expected 1 macaroon, got 0");
    }
    if is_forbidden {
        return failed("permission denied");
    }
    match junk {
        Some(junk) => junk.into_response(),
        None => next.run(request).await,
    }
}

async fn info(State(stub): State<Stub>) -> Json<Value> {
    let books = stub.books();
    Json(json!({
        "version": "0.20.0-beta", "identity_pubkey": pubkey(&OWN_KEY), "alias": "stub",
        "num_active_channels": 1, "block_height": 101, "synced_to_chain": books.is_synced,
        "chains": [{"chain": "bitcoin", "network": books.network}],
    }))
}

async fn balance(State(stub): State<Stub>) -> Json<Value> {
    let books = stub.books();
    let amount = |msat: u64| json!({"sat": (msat / 1_000).to_string(), "msat": msat.to_string()});
    Json(json!({
        "balance": "0",
        "local_balance": amount(books.outbound_msat),
        "remote_balance": amount(books.inbound_msat),
    }))
}

async fn create(State(stub): State<Stub>, Json(asked): Json<Value>) -> Json<Value> {
    let mut books = stub.books();
    let number = books.invoices.len() + 1;
    let preimage = hash_of(&[u8::try_from(number % 250).unwrap(); 32]);
    let value = |name: &str| asked[name].as_str().unwrap().parse().unwrap();
    let wanted = Wanted {
        key: OWN_KEY,
        expiry_s: value("expiry"),
        ..Wanted::msat(value("value_msat"), preimage)
    };
    let (hash, bolt11) = (STANDARD.encode(hash_of(&preimage)), wanted.text());
    books.invoices.push(json!({
        "memo": asked["memo"], "r_preimage": STANDARD.encode(preimage), "r_hash": hash,
        "value_msat": asked["value_msat"], "settled": false, "creation_date": now_s().to_string(),
        "settle_date": "0", "payment_request": bolt11, "expiry": asked["expiry"],
        "private": asked["private"], "add_index": number.to_string(), "settle_index": "0",
        "amt_paid_msat": "0", "state": "OPEN", "htlcs": [], "is_amp": false,
    }));
    Json(json!({"r_hash": hash, "payment_request": bolt11, "add_index": number.to_string()}))
}

/// A number of a query, as `name=1&other=2`.
fn asked_for(query: &RawQuery, name: &str) -> u64 {
    let query = query.0.as_deref().unwrap();
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(known, _)| *known == name).unwrap();
    value.parse().unwrap()
}

async fn list(State(stub): State<Stub>, query: RawQuery) -> Json<Value> {
    let books = stub.books();
    let offset = usize::try_from(asked_for(&query, "index_offset")).unwrap();
    // Smaller pages than were asked for, so that there are several.
    let rest = books.invoices.iter().skip(offset);
    let page: Vec<_> = rest.take(2).cloned().collect();
    let last = (offset + page.len()).to_string();
    Json(json!({"invoices": page, "last_index_offset": last, "first_index_offset": "0"}))
}

async fn look_up(State(stub): State<Stub>, Path(hash): Path<String>) -> Response {
    let key = STANDARD.encode(hex::decode(hash).unwrap());
    let books = stub.books();
    let found = books.invoices.iter().find(|i| i["r_hash"] == key);
    match found.cloned() {
        Some(invoice) => Json(invoice).into_response(),
        None => refusal(StatusCode::NOT_FOUND, 5, "unable to locate invoice"),
    }
}

async fn cancel(State(stub): State<Stub>, Json(asked): Json<Value>) -> Response {
    let mut books = stub.books();
    let mut invoices = books.invoices.iter_mut();
    match invoices.find(|i| i["r_hash"] == asked["payment_hash"]) {
        None => failed("unable to locate invoice"),
        Some(invoice) if invoice["state"] == "SETTLED" => failed("invoice already settled"),
        Some(invoice) => {
            invoice["state"] = json!("CANCELED");
            Json(json!({})).into_response()
        }
    }
}

/// As lnd: the head of the answer comes with the first invoice.
async fn subscribe(State(stub): State<Stub>, query: RawQuery) -> Response {
    let after = asked_for(&query, "settle_index");
    let mut told = match after {
        0 => stub.books().settled,
        after => after,
    };
    let mut changes = stub.changes.subscribe();
    let (lines, body) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
    let (first, ready) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut first = Some(first);
        loop {
            for invoice in settled_after(&stub, told) {
                told = index(&invoice);
                let line = format!("{}\n", json!({ "result": invoice }));
                let _ = lines.send(line.into());
                let _ = first.take().map(|first| first.send(()));
            }
            if changes.changed().await.is_err() || lines.is_closed() {
                return;
            }
        }
    });
    let _ = ready.await;
    let stream = futures_util::stream::unfold(body, |mut body| async move {
        let line = body.recv().await?;
        Some((Ok::<_, std::io::Error>(line), body))
    });
    Body::from_stream(stream).into_response()
}

fn settled_after(stub: &Stub, told: u64) -> Vec<Value> {
    let books = stub.books();
    let due = books.invoices.iter().filter(|i| index(i) > told);
    let mut due: Vec<_> = due.cloned().collect();
    due.sort_by_key(index);
    due
}

fn index(invoice: &Value) -> u64 {
    invoice["settle_index"].as_str().unwrap().parse().unwrap()
}

async fn send(State(stub): State<Stub>, Json(asked): Json<Value>) -> Response {
    let invoice = Bolt11::read(asked["payment_request"].as_str().unwrap()).unwrap();
    let hash = invoice.payment_hash;
    let key = hex::encode(hash);
    let act = {
        let mut books = stub.books();
        books.sends.push(asked);
        let exists = |message| refusal(StatusCode::CONFLICT, 6, message);
        match books.payments.get(&key).map(|payment| payment.status) {
            Some("SUCCEEDED") => return exists("invoice is already paid"),
            Some("IN_FLIGHT") => return exists("payment is in transition"),
            _ => books
                .acts
                .pop_front()
                .unwrap_or(Act::Succeed { fee_msat: 0 }),
        }
    };
    let zeros = "0".repeat(64);
    let in_flight = Payment {
        status: "IN_FLIGHT",
        preimage: zeros.clone(),
        fee_msat: 0,
        reason: "FAILURE_REASON_NONE",
        begun_s: now_s(),
    };
    match act {
        Act::Refuse(code, message) => {
            return refusal(StatusCode::INTERNAL_SERVER_ERROR, code, message);
        }
        Act::Proxy502 => return (StatusCode::BAD_GATEWAY, "<html>").into_response(),
        Act::Swallow => return broken(String::new()),
        _ => stub.put(&hash, "IN_FLIGHT", now_s()),
    }
    match act {
        Act::Succeed { fee_msat } => stub.succeed(&hash, fee_msat),
        Act::SucceedBlank => stub.put(&hash, "SUCCEEDED", now_s()),
        Act::SucceedWrong => {
            stub.put(&hash, "SUCCEEDED", now_s());
            stub.books().payments.get_mut(&key).unwrap().preimage = "9".repeat(64);
        }
        Act::Fail(reason) => {
            stub.put(&hash, "FAILED", now_s());
            stub.books().payments.get_mut(&key).unwrap().reason = reason;
        }
        Act::BreakThenSucceed => {
            stub.succeed(&hash, 7);
            return broken(line(&key, &in_flight));
        }
        Act::SwallowAndTakeOn => return broken(String::new()),
        _ => {}
    }
    followed(&stub, key)
}

async fn track(State(stub): State<Stub>, Path(hash): Path<String>) -> Response {
    let key = hex::encode(URL_SAFE.decode(hash).unwrap());
    if stub.books().payments.contains_key(&key) {
        return followed(&stub, key);
    }
    let error = json!({"code": 5, "message": "payment isn't initiated", "details": []});
    (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response()
}

/// A line for each state, until one is an end.
fn followed(stub: &Stub, key: String) -> Response {
    let begin = Some((stub.clone(), stub.changes.subscribe(), None));
    let stream = futures_util::stream::unfold(begin, move |at| {
        let key = key.clone();
        async move {
            let (stub, mut changes, told) = at?;
            loop {
                let payment = stub.books().payments[&key].clone();
                if told != Some(payment.status) {
                    let line = Bytes::from(line(&key, &payment));
                    let is_open = payment.status == "IN_FLIGHT";
                    let next = is_open.then_some((stub, changes, Some(payment.status)));
                    return Some((Ok::<_, std::io::Error>(line), next));
                }
                changes.changed().await.ok()?;
            }
        }
    });
    Body::from_stream(stream).into_response()
}

/// A line, then the connection breaks.
fn broken(line: String) -> Response {
    let parts = [Ok(Bytes::from(line)), Err(std::io::Error::other("cut"))];
    Body::from_stream(futures_util::stream::iter(parts)).into_response()
}

fn line(key: &str, payment: &Payment) -> String {
    let body = json!({"result": {
        "payment_hash": key, "payment_preimage": payment.preimage, "status": payment.status,
        "fee_msat": payment.fee_msat.to_string(), "failure_reason": payment.reason,
        "creation_time_ns": (payment.begun_s * 1_000_000_000).to_string(),
        "htlcs": [], "payment_index": "1",
    }});
    format!("{body}\n")
}
