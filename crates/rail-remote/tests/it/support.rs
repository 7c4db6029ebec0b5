//! A devnet, a buyer, a collector without a gas key, and a facilitator that does as it is told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use farebox_core::clock::{Clock, SystemClock};
use farebox_core::rail::{
    CollectRail, Examined, Handle, Journal, Outcome, PayRail, Price, RailError, SellerOffer,
    SentTransaction,
};
use farebox_devnet_evm::{Devnet, DevnetOptions};
use farebox_rail_evm::{CollectorOptions, EvmCollector, EvmKey, EvmPayer, Finality, Network};
use farebox_rail_remote::{Place, RemoteCollector, RemoteOptions};
use farebox_wire::caip::ChainId;
use farebox_wire::challenge::Challenge;
use farebox_wire::evm::EvmAddress;
use farebox_wire::money::UsdMicros;
use farebox_wire::x402::header;
use farebox_wire::x402::types::{FacilitatorRequest, PaymentPayload};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) const CHAIN: u64 = 84532;
/// Longer than any settlement on a local chain takes.
pub(crate) const WAIT_MS: u64 = 20_000;
/// For settlements that are meant to end without a verdict.
pub(crate) const SHORT_MS: u64 = 700;

/// What a facilitator answers to one request.
#[derive(Clone)]
pub(crate) enum Say {
    /// The truth.
    Truth,
    /// Does the work, then these bytes.
    WorkThen(u16, String),
    /// These bytes.
    Words(u16, String),
    /// The same, with a header.
    Header(u16, &'static str, String, String),
    /// Does the work, then breaks off in its answer.
    WorkThenCut,
    /// Does the work, then nothing ever again.
    WorkThenHang,
    /// Nothing, ever.
    Hang,
    /// A body that does not end.
    Endless,
}

/// A request that came.
#[derive(Clone)]
pub(crate) struct Came {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A facilitator on loopback.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    heart: Arc<Heart>,
    door: Arc<Mutex<Option<JoinHandle<()>>>>,
}

struct Heart {
    rail: Option<Arc<dyn CollectRail>>,
    supported: String,
    plans: Mutex<VecDeque<(&'static str, Say)>>,
    came: Mutex<Vec<Came>>,
}

impl Peer {
    /// One that does what `rail` can, or knows nothing; either says that it supports this.
    pub(crate) async fn start(rail: Option<Arc<dyn CollectRail>>, supported: String) -> Self {
        let heart = Arc::new(Heart {
            rail,
            supported,
            plans: Mutex::default(),
            came: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let peer = Self {
            address,
            heart,
            door: Arc::default(),
        };
        peer.open(listener);
        peer
    }

    fn open(&self, listener: TcpListener) {
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&self.heart));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        *self.door.lock().expect("lock") = Some(serving);
    }

    /// Says what it supports on a connection that is not used again, which the next question is.
    pub(crate) fn hangs_up_after_supported(&self) {
        let close = "close".to_owned();
        self.say(
            "/supported",
            Say::Header(200, "connection", close, self.heart.supported.clone()),
        );
    }

    /// Refuses connections from now on.
    pub(crate) async fn leave(&self) {
        let serving = self.door.lock().expect("lock").take();
        let serving = serving.expect("it is open");
        serving.abort();
        assert!(serving.await.expect_err("it was ended").is_cancelled());
    }

    /// Listens again where it did.
    pub(crate) async fn come_back(&self) {
        self.open(TcpListener::bind(self.address).await.expect("its port"));
    }

    /// One that knows nothing and only says what it is told.
    pub(crate) async fn puppet() -> Self {
        Self::start(None, supported()).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it answers to the next request for a path; the truth when nothing is left.
    pub(crate) fn say(&self, path: &'static str, say: Say) {
        self.heart
            .plans
            .lock()
            .expect("lock")
            .push_back((path, say));
    }

    /// Drops what it was told.
    pub(crate) fn forget(&self) {
        self.heart.plans.lock().expect("lock").clear();
    }

    /// What came for a path.
    pub(crate) fn came(&self, path: &str) -> Vec<Came> {
        let came = self.heart.came.lock().expect("lock");
        came.iter().filter(|c| c.path == path).cloned().collect()
    }
}

async fn answer(
    State(heart): State<Arc<Heart>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let path = uri.path().to_owned();
    heart.came.lock().expect("lock").push(Came {
        path: path.clone(),
        headers,
        body: body.clone(),
    });
    let planned = {
        let mut plans = heart.plans.lock().expect("lock");
        let place = plans.iter().position(|(of, _)| *of == path);
        place.and_then(|place| plans.remove(place))
    };
    match planned.map_or(Say::Truth, |(_, say)| say) {
        Say::Truth => words(200, truth(&heart, &path, &body).await),
        Say::WorkThen(status, text) => {
            truth(&heart, &path, &body).await;
            words(status, text)
        }
        Say::Words(status, text) => words(status, text),
        Say::Header(status, name, value, text) => {
            let mut response = words(status, text);
            let value = value.parse().expect("a value");
            response.headers_mut().insert(name, value);
            response
        }
        Say::WorkThenCut => {
            truth(&heart, &path, &body).await;
            let cut = Err::<Bytes, _>(std::io::Error::other("cut"));
            Response::new(Body::from_stream(futures_util::stream::iter([cut])))
        }
        Say::WorkThenHang => {
            truth(&heart, &path, &body).await;
            std::future::pending().await
        }
        Say::Hang => std::future::pending().await,
        Say::Endless => {
            let chunk = Bytes::from(vec![b' '; 64 * 1024]);
            let chunk = move || Ok::<_, std::convert::Infallible>(chunk.clone());
            let chunks = futures_util::stream::repeat_with(chunk);
            Response::new(Body::from_stream(chunks))
        }
    }
}

fn words(status: u16, text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

fn supported() -> String {
    json!({"kinds": [{"x402Version": 2, "scheme": "exact", "network": format!("eip155:{CHAIN}")}]})
        .to_string()
}

/// What an honest facilitator does.
async fn truth(heart: &Heart, path: &str, body: &[u8]) -> String {
    let Some(rail) = heart.rail.as_ref().filter(|_| path != "/supported") else {
        return heart.supported.clone();
    };
    let request: FacilitatorRequest = header::from_json(body).expect("a request");
    let offer = rail
        .offer_of(&request.payment_requirements)
        .expect("an offer");
    let now_s = SystemClock.now_s();
    let is_settle = path == "/settle";
    let network = &request.payment_requirements.network;
    let no = |reason: &str| {
        match is_settle {
            true => json!({"success": false, "errorReason": reason, "transaction": "", "network": network}),
            false => json!({"isValid": false, "invalidReason": reason}),
        }
        .to_string()
    };
    let examined = match rail.examine(&request.payment_payload, &offer, now_s) {
        Ok(examined) => examined,
        Err(refusal) => return no(refusal.reason.code()),
    };
    if let Err(refusal) = rail.verify(&examined).await {
        return no(refusal.reason.code());
    }
    let payer = examined.terms.payer.clone();
    if !is_settle {
        return json!({"isValid": true, "payer": payer}).to_string();
    }
    match rail.settle(&examined.handle, Lines::new(), WAIT_MS).await {
        Outcome::Settled { transaction, .. } => {
            json!({"success": true, "transaction": transaction, "network": network, "payer": payer})
                .to_string()
        }
        Outcome::Rejected(refusal) => no(refusal.reason.code()),
        Outcome::Unknown { .. } => no("settlement_pending"),
    }
}

pub(crate) fn success(transaction: &str, payer: Option<&str>) -> String {
    json!({"success": true, "transaction": transaction, "network": format!("eip155:{CHAIN}"), "payer": payer}).to_string()
}

pub(crate) fn refusal(reason: &str) -> String {
    json!({"success": false, "errorReason": reason, "transaction": "", "network": format!("eip155:{CHAIN}")}).to_string()
}

/// A journal that keeps its lines.
#[derive(Default)]
pub(crate) struct Lines {
    hashes: Mutex<Vec<String>>,
    handles: Mutex<Vec<Handle>>,
    refuses: AtomicBool,
}

impl Lines {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn refusing() -> Arc<Self> {
        let lines = Self::new();
        lines.refuses.store(true, Ordering::SeqCst);
        lines
    }

    pub(crate) fn hashes(&self) -> Vec<String> {
        self.hashes.lock().expect("lock").clone()
    }

    /// Handles that were written before something was handed over.
    pub(crate) fn handles(&self) -> Vec<Handle> {
        self.handles.lock().expect("lock").clone()
    }

    /// Who has the payment as those lines have it, in their order.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = |handle: &Handle| {
            let fields = json_of(handle.text().as_bytes());
            fields["remote"]["asked"]
                .as_str()
                .expect("a name")
                .to_owned()
        };
        self.handles().iter().map(asked).collect()
    }

    fn allow(&self) -> Result<(), RailError> {
        match self.refuses.load(Ordering::SeqCst) {
            false => Ok(()),
            true => Err(RailError {
                code: "disk_full",
                message: "no room".into(),
            }),
        }
    }
}

#[async_trait]
impl Journal for Lines {
    async fn sending(&self, transaction: &SentTransaction) -> Result<(), RailError> {
        self.allow()?;
        let mut hashes = self.hashes.lock().expect("lock");
        hashes.push(transaction.hash.clone());
        Ok(())
    }

    async fn handing_over(&self, handle: &Handle) -> Result<(), RailError> {
        self.allow()?;
        self.handles.lock().expect("lock").push(handle.clone());
        Ok(())
    }
}

/// A chain and everybody on it.
pub(crate) struct Town {
    pub(crate) devnet: Devnet,
    network: Network,
    payer: EvmPayer,
}

impl Town {
    pub(crate) fn new() -> Self {
        let devnet = Devnet::start(DevnetOptions::quiet()).expect("a devnet");
        let mut network = Network::new(CHAIN);
        network.rpc = vec![devnet.rpc_url()];
        network.finality = Finality::Blocks(0);
        let payer = EvmPayer::new(
            vec![network.clone()],
            key(&devnet.accounts()[1].key_hex()),
            Arc::new(SystemClock),
        );
        Self {
            payer: payer.expect("a payer"),
            network,
            devnet,
        }
    }

    /// An honest facilitator with the gas key of account 0, which a test may make lie.
    pub(crate) async fn facilitator(&self) -> Peer {
        let options = CollectorOptions {
            signers: vec![key(&self.devnet.accounts()[0].key_hex())],
            ..CollectorOptions::default()
        };
        let rail = EvmCollector::new(vec![self.network.clone()], options, Arc::new(SystemClock));
        let rail = rail.expect("a rail");
        rail.start().await.expect("the devnet answers");
        Peer::start(Some(Arc::new(rail)), supported()).await
    }

    /// A collector that asks these, started.
    pub(crate) async fn collector(&self, has_rpc: bool, urls: &[&str]) -> RemoteCollector {
        let collector = self.collector_of(has_rpc, urls);
        collector.start().await.expect("it starts");
        collector
    }

    pub(crate) fn collector_of(&self, has_rpc: bool, urls: &[&str]) -> RemoteCollector {
        let headers = [("Authorization".to_owned(), "Bearer token".to_owned())];
        let places = urls.iter().map(|url| match *url {
            "local" => Place::Local,
            url => Place::remote(url, &headers).expect("a facilitator"),
        });
        let options = RemoteOptions {
            places: places.collect(),
            chains: has_rpc
                .then(|| ChainId::eip155(CHAIN))
                .into_iter()
                .collect(),
        };
        let mut network = self.network.clone();
        let mut local = CollectorOptions {
            pay_to: Some(EvmAddress(self.devnet.accounts()[9].address.into_array())),
            ..CollectorOptions::default()
        };
        if urls.contains(&"local") {
            local.signers = vec![key(&self.devnet.accounts()[8].key_hex())];
        }
        if !has_rpc {
            network.rpc.clear();
        }
        let inner = EvmCollector::new(vec![network], local, Arc::new(SystemClock));
        let inner = Arc::new(inner.expect("a rail"));
        RemoteCollector::new(inner, options, Arc::new(SystemClock)).expect("a collector")
    }

    /// A credential for a tenth of a cent, examined.
    pub(crate) async fn signed(&self, collector: &RemoteCollector) -> Examined {
        let (payload, offer) = self.credential(collector).await;
        examine(collector, &payload, &offer)
    }

    /// A credential for a tenth of a cent, and the offer that it answers.
    pub(crate) async fn credential(
        &self,
        collector: &RemoteCollector,
    ) -> (PaymentPayload, SellerOffer) {
        let price = Price {
            usd: UsdMicros(1_000),
            max_timeout_s: 60,
            upfront: false,
        };
        let offer = collector.offers(&price).expect("offers").remove(0);
        let read = offer.as_read();
        let quote = self.payer.quote(&read).await.expect("payable");
        let signed = self
            .payer
            .authorise(&quote, &Challenge::default(), 60)
            .await;
        let credential = signed
            .expect("signed")
            .credential
            .expect("a signature")
            .value;
        let payload = header::decode(credential.as_bytes()).expect("a payload");
        (payload, offer)
    }

    /// What the payee has got since the start.
    pub(crate) fn revenue(&self) -> u128 {
        let payee = self.devnet.accounts()[9].address;
        let has: u128 = self.devnet.token_balance(payee).expect("a token").to();
        has - 1_000_000_000_000
    }
}

pub(crate) fn examine(
    collector: &RemoteCollector,
    payload: &PaymentPayload,
    offer: &SellerOffer,
) -> Examined {
    let now_s = SystemClock.now_s();
    collector.examine(payload, offer, now_s).expect("good")
}

/// The price in atomic units of USDC.
pub(crate) const PRICE: u128 = 1_000;

fn key(hex: &str) -> Arc<EvmKey> {
    Arc::new(EvmKey::from_hex(hex).expect("a key"))
}

/// An address at which nobody listens.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    format!("http://{address}")
}

/// Settles one new payment.
pub(crate) async fn settle(
    collector: &RemoteCollector,
    examined: &Examined,
    lines: &Arc<Lines>,
    wait_ms: u64,
) -> Outcome {
    let settling = collector.settle(&examined.handle, Arc::clone(lines) as _, wait_ms);
    tokio::time::timeout(Duration::from_secs(60), settling)
        .await
        .expect("it ends")
}

/// The reason of an outcome that nobody knows.
pub(crate) fn unknown(outcome: Outcome) -> String {
    match outcome {
        Outcome::Unknown { reason } => reason,
        other => panic!("not unknown: {other:?}"),
    }
}

pub(crate) fn json_of(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("JSON")
}
