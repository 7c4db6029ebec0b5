//! A gate between a real chain and a real upstream, and clients for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use farebox_core::clock::SystemClock;
use farebox_core::ledger::{Filter, Ledger, Payment};
use farebox_core::payment::Role;
use farebox_core::rail::PayRail;
use farebox_devnet_evm::{Devnet, DevnetOptions};
use farebox_ledger::SqliteLedger;
use farebox_rail_evm::{EvmKey, EvmPayer, Finality, Network};
use farebox_seller::l402::{L402, MasterKey};
use farebox_seller::{Route, Seller, SellerConfig, SettleWhen, Unmatched};
use farebox_server::{
    Connections, Gateway, GatewayOptions, Redirect, Reloader, Upstream, Upstreams,
};
use farebox_wire::evm::EvmAddress;
use farebox_wire::money::UsdMicros;
use farebox_wire::x402::header;
use farebox_wire::x402::types::{PaymentRequired, SettleResponse};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::scripted_node::ScriptedNode;

pub(crate) const CHAIN: u64 = 84532;
/// Longer than any healthy machine needs; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);
/// 0.001 USD in atomic units of USDC.
pub(crate) const PRICE: u128 = 1_000;

/// Counts who got through.
#[derive(Clone, Default)]
pub(crate) struct Visits(Arc<AtomicUsize>);

impl Visits {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// How a test wants its gate.
pub(crate) struct Plan {
    pub(crate) upstream: Upstream,
    pub(crate) visits: Visits,
    pub(crate) devnet: DevnetOptions,
    pub(crate) settle_wait_ms: u64,
    pub(crate) options: GatewayOptions,
    /// The listener in the clear beside one with TLS.
    pub(crate) redirect: Option<Redirect>,
    /// Who settles.
    pub(crate) settler: Settler,
    /// Who is paid by invoice, if anybody.
    pub(crate) node: Option<Arc<ScriptedNode>>,
    /// What is sold.
    pub(crate) routes: Vec<Route>,
    /// What happens to everything else.
    pub(crate) unmatched: Unmatched,
}

/// Who settles for a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settler {
    /// Itself.
    Gate,
    /// A facilitator, and the gate asks the chain besides.
    Facilitator,
    /// A facilitator, and the gate has nobody else to ask.
    FacilitatorAlone,
}

impl Plan {
    /// In front of an axum application.
    pub(crate) async fn app(app: Router) -> Self {
        let visits = Visits::default();
        let counted = visits.clone();
        let app = app.layer(axum::middleware::from_fn(
            move |request: Request<Body>, next: axum::middleware::Next| {
                counted.add();
                next.run(request)
            },
        ));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let upstream = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self::in_front_of(upstream, visits)
    }

    /// In front of a server that writes `bytes` to whoever has sent a head, then hangs up.
    pub(crate) async fn script(bytes: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let upstream = listener.local_addr().expect("an address");
        let visits = Visits::default();
        let counted = visits.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.add();
                read_head(&mut stream).await;
                let _ = stream.write_all(bytes).await;
            }
        });
        Self::in_front_of(upstream, visits)
    }

    pub(crate) fn in_front_of(upstream: SocketAddr, visits: Visits) -> Self {
        Self::behind(&format!("http://{upstream}"), visits)
    }

    pub(crate) fn behind(upstream: &str, visits: Visits) -> Self {
        Self {
            upstream: upstream.parse().expect("an upstream"),
            visits,
            devnet: DevnetOptions::quiet(),
            settle_wait_ms: 20_000,
            options: GatewayOptions::default(),
            redirect: None,
            settler: Settler::Gate,
            node: None,
            // `/free/*` is free, `/dear/*` settles before, everything else after.
            routes: vec![
                route("free", "/free/*", 0, SettleWhen::After),
                route("dear", "/dear/*", 1_000, SettleWhen::Before),
                route("all", "/*", 1_000, SettleWhen::After),
            ],
            unmatched: Unmatched::NotFound,
        }
    }

    pub(crate) async fn open(self) -> Town {
        Town::build(self).await
    }
}

async fn read_head(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    head
}

/// Everything, running.
pub(crate) struct Town {
    pub(crate) devnet: Devnet,
    pub(crate) network: Network,
    pub(crate) ledger: Arc<SqliteLedger>,
    pub(crate) seller: Seller,
    pub(crate) visits: Visits,
    pub(crate) gate: SocketAddr,
    pub(crate) connections: Connections,
    pub(crate) reloader: Reloader,
    pub(crate) payee: EvmAddress,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<std::io::Result<()>>>,
    dir: tempfile::TempDir,
}

pub(crate) fn route(id: &str, matcher: &str, usd: u128, settle: SettleWhen) -> Route {
    Route {
        settle,
        ..Route::new(id, matcher.parse().expect("a route"), UsdMicros(usd))
    }
}

impl Town {
    async fn build(plan: Plan) -> Self {
        let devnet = Devnet::start(plan.devnet).expect("a devnet");
        let mut network = Network::new(CHAIN);
        network.rpc = vec![devnet.rpc_url()];
        network.finality = Finality::Blocks(0);
        let payee = EvmAddress(devnet.accounts()[9].address.into_array());
        let clock = || Arc::new(SystemClock);
        let rail = crate::remote::rail(plan.settler, &devnet, &network, payee).await;

        let dir = tempfile::tempdir().expect("a folder");
        let ledger = SqliteLedger::open(&dir.path().join("seller.db")).expect("a ledger");
        let ledger = Arc::new(ledger);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let gate = listener.local_addr().expect("an address");
        let ids: Vec<String> = plan.routes.iter().map(|route| route.id.clone()).collect();
        let mut config = SellerConfig::new(format!("http://{gate}"), plan.routes);
        config.unmatched = plan.unmatched;
        config.settle_wait_ms = plan.settle_wait_ms;
        config.watch_every_ms = 10;
        let l402 = plan.node.map(|node| L402 {
            rail: node,
            master_key: MasterKey::new(Zeroizing::new([42; 32])),
        });
        let seller = Seller::with_l402(config, vec![rail], l402, Arc::clone(&ledger) as _, clock())
            .expect("a seller");
        let upstreams = Upstreams {
            by_route: ids
                .into_iter()
                .map(|id| (id, plan.upstream.clone()))
                .collect(),
            unmatched: (plan.unmatched == Unmatched::Free).then_some(plan.upstream),
        };
        let mut gateway = Gateway::new(seller.clone(), upstreams, &plan.options).expect("a gate");
        if let Some(redirect) = plan.redirect {
            gateway = gateway.with_redirect(redirect);
        }
        let (connections, reloader) = (gateway.connections().clone(), gateway.reloader());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(gateway.serve(listener, async {
            let _ = stopped.await;
        }));
        Self {
            devnet,
            network,
            ledger,
            seller,
            visits: plan.visits,
            gate,
            connections,
            reloader,
            payee,
            stop: Some(stop),
            serving: Some(serving),
            dir,
        }
    }

    /// Closes the gate and waits until it is closed.
    pub(crate) async fn close(&mut self) {
        drop(self.stop.take());
        let serving = self.serving.take().expect("closed once");
        within(serving).await.expect("no panic").expect("served");
    }

    pub(crate) fn ledger_path(&self) -> std::path::PathBuf {
        self.dir.path().join("seller.db")
    }

    /// Account 1 of the devnet as a payer.
    pub(crate) fn payer(&self) -> EvmPayer {
        self.payer_with(&self.devnet.accounts()[1].key_hex())
    }

    pub(crate) fn payer_with(&self, key_hex: &str) -> EvmPayer {
        let clock = Arc::new(SystemClock);
        EvmPayer::new(vec![self.network.clone()], key(key_hex), clock).expect("a payer")
    }

    /// The token that the gate is paid in, of `account`.
    pub(crate) fn tokens(&self, account: EvmAddress) -> u128 {
        let account = account.0.into();
        let balance = self.devnet.token_balance(account).expect("a token");
        balance.to()
    }

    /// What the payee has got since the start.
    pub(crate) fn revenue(&self) -> u128 {
        self.tokens(self.payee) - 1_000_000_000_000
    }

    /// Asks for `path`, and signs what is asked for it.
    pub(crate) async fn sign(&self, path: &str, payer: &EvmPayer) -> String {
        let asked = self.get(path, &[]).await;
        assert_eq!(asked.status, StatusCode::PAYMENT_REQUIRED);
        let header = |name: &str| asked.headers.get(name).map(http::HeaderValue::as_bytes);
        let challenge = farebox_wire::challenge::read(header, &asked.body).expect("a challenge");
        let quote = payer.quote(&challenge.offers[0]).await.expect("payable");
        let authorised = payer.authorise(&quote, &challenge, 60).await;
        authorised
            .expect("signed")
            .credential
            .expect("a signature")
            .value
    }

    /// Asks, signs and pays.
    pub(crate) async fn buy(&self, path: &str) -> Seen {
        let credential = self.sign(path, &self.payer()).await;
        self.pay(path, &credential).await
    }

    pub(crate) async fn pay(&self, path: &str, credential: &str) -> Seen {
        self.get(path, &[("payment-signature", credential)]).await
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Seen {
        self.send("GET", path, headers, "").await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Seen {
        let answer = self.open(method, path, headers, body).await;
        Seen::read(answer).await
    }

    /// Sends a request on a connection of its own; the answer's body is not read yet.
    pub(crate) async fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response<Incoming> {
        let stream = TcpStream::connect(self.gate).await.expect("connected");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .expect("HTTP");
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", self.gate.to_string());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        let request = request.body(body).expect("a request");
        let answer = within(sender.send_request(request)).await;
        answer.expect("an answer")
    }

    /// Writes bytes and reads until the gate hangs up.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.gate).await.expect("connected");
        // The gate may refuse and hang up before it has read everything.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = within(stream.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub(crate) async fn payments(&self) -> Vec<Payment> {
        let filter = Filter {
            role: Some(Role::Seller),
            ..Filter::default()
        };
        self.ledger.list(filter).await.expect("a list")
    }

    /// The only payment there is.
    pub(crate) async fn payment(&self) -> Payment {
        let mut payments = self.payments().await;
        assert_eq!(payments.len(), 1);
        payments.remove(0)
    }

    /// The books add up, and agree with the chain.
    pub(crate) async fn audit(&self) {
        self.ledger.verify(true).await.expect("sound books");
        let books = self.ledger.books().await.expect("books");
        let earned: i128 = books
            .iter()
            .filter(|account| account.account.starts_with("seller/revenue/"))
            .map(|account| account.balance)
            .sum();
        assert_eq!(earned, i128::try_from(self.revenue()).expect("small"));
    }
}

pub(crate) fn key(hex: &str) -> Arc<EvmKey> {
    Arc::new(EvmKey::from_hex(hex).expect("a key"))
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) async fn read(answer: Response<Incoming>) -> Self {
        let (parts, body) = answer.into_parts();
        Self {
            status: parts.status,
            headers: parts.headers,
            body: within(body.collect()).await.expect("whole").to_bytes(),
        }
    }

    pub(crate) fn code(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).expect("JSON");
        json["error"].as_str().expect("a code").to_owned()
    }

    pub(crate) fn receipt(&self) -> Option<SettleResponse> {
        let value = self.headers.get("payment-response")?;
        Some(header::decode(value.as_bytes()).expect("a receipt"))
    }

    pub(crate) fn challenge(&self) -> Option<PaymentRequired> {
        let value = self.headers.get("payment-required")?;
        Some(header::decode(value.as_bytes()).expect("a challenge"))
    }

    pub(crate) fn assert_served(&self) -> SettleResponse {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        let receipt = self.receipt().expect("a receipt");
        assert!(receipt.success);
        receipt
    }

    pub(crate) fn assert_challenged(&self, reason: &str) {
        assert_eq!(self.status, StatusCode::PAYMENT_REQUIRED, "{self:?}");
        let challenge = self.challenge().expect("a challenge");
        assert_eq!(challenge.error.as_deref(), Some(reason), "{self:?}");
    }
}

/// Waits, but not for ever.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it took for ever")
}

/// Waits until `happened`.
pub(crate) async fn eventually<F: Future<Output = bool>>(mut happened: impl FnMut() -> F) {
    within(async {
        while !happened().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
