//! A seller and a buyer on a chain of their own: devnet, upstream, gate, each over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{Redirect, Response};
use axum::routing::{any, get};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::support::{Ended, Running, User};

/// Who buys in `net/buyer.toml`, and who is paid.
pub(crate) const PAYEE: &str = "0xa0ee7a142d267c1f36714e4a8f75612f20a79720";

/// A server of the test's own, on a thread of its own.
pub(crate) struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(router: Router) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                tell.send(listener.local_addr().expect("an address")).expect("the test waits");
                tokio::select! {
                    served = async { axum::serve(listener, router).await } => served.expect("it serves"),
                    _ = stopped => {}
                }
            });
        });
        Self {
            address: told.recv().expect("it starts"),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed there.
            let _ = thread.join();
        }
    }
}

/// What is sold in these tests; counts who reaches it.
pub(crate) struct Upstream {
    server: Server,
    calls: Arc<AtomicUsize>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let calls = Arc::new(AtomicUsize::new(0));
        let router = Router::new()
            .route("/ok", get(async || "ok\n"))
            .route(
                "/bytes",
                get(async || Bytes::from_static(&[0xff, 0x00, 0xfe])),
            )
            .route("/echo", any(echo))
            .route("/status/{code}", any(status))
            .route("/away", get(async || Redirect::temporary("/ok")))
            .layer(axum::middleware::from_fn_with_state(
                Arc::clone(&calls),
                count,
            ))
            .with_state(());
        Self {
            server: Server::start(router),
            calls,
        }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

async fn count(
    State(calls): State<Arc<AtomicUsize>>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    calls.fetch_add(1, Ordering::SeqCst);
    next.run(request).await
}

/// Says what reached it, one fact in a line.
async fn echo(method: Method, headers: HeaderMap, body: String) -> String {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("-")
            .to_owned()
    };
    format!(
        "{method}\ncontent-type: {}\nx-test: {}\n{body}",
        header("content-type"),
        header("x-test")
    )
}

async fn status(Path(code): Path<u16>) -> (StatusCode, &'static str) {
    (
        StatusCode::from_u16(code).expect("a status"),
        "as you wish\n",
    )
}

/// Everything that a payment needs; on a chain of `farebox devnet`, or on any other.
pub(crate) struct Market<N = Running> {
    pub(crate) user: User,
    pub(crate) net: N,
    pub(crate) upstream: Upstream,
    /// `None` once a test has taken it away.
    pub(crate) gate: Option<Running>,
    address: String,
}

impl Market {
    /// Sells everything at the upstream for a tenth of a cent.
    pub(crate) fn open() -> Self {
        Self::with_price("0.001 USD")
    }

    pub(crate) fn with_price(price: &str) -> Self {
        Self::with_chain(price, &[])
    }

    /// On a chain with these flags.
    pub(crate) fn with_chain(price: &str, chain: &[&str]) -> Self {
        let user = User::new();
        let net = user.devnet_with(chain);
        let upstream = Upstream::start();
        let url = upstream.url();
        let gate = user.start(&[
            "gate",
            "--config",
            "net/seller.toml",
            "--upstream",
            &url,
            "--price",
            price,
            "--listen",
            "127.0.0.1:0",
            "--json",
        ]);
        Self {
            user,
            net,
            upstream,
            address: gate.text("/listening"),
            gate: Some(gate),
        }
    }

    /// Sells by routes; `{upstream}` in them is filled in.
    pub(crate) fn with_routes(routes: &str) -> Self {
        Self::with_file("", routes)
    }

    /// The same with other keys before those that devnet writes.
    pub(crate) fn with_file(keys: &str, routes: &str) -> Self {
        let user = User::new();
        let net = user.devnet();
        let upstream = Upstream::start();
        let routes = routes.replace("{upstream}", &upstream.url());
        let head = user.read("net/seller.toml");
        user.write("net/shop.toml", &format!("{keys}\n{head}\n{routes}"));
        let gate = user.start(&[
            "gate",
            "--config",
            "net/shop.toml",
            "--listen",
            "127.0.0.1:0",
            "--json",
        ]);
        Self {
            user,
            net,
            upstream,
            address: gate.text("/listening"),
            gate: Some(gate),
        }
    }
}

impl<N> Market<N> {
    /// Without a gate yet.
    pub(crate) fn of(user: User, net: N, upstream: Upstream) -> Self {
        Self {
            user,
            net,
            upstream,
            gate: None,
            address: String::new(),
        }
    }

    /// Takes a gate that has been started.
    pub(crate) fn opened(&mut self, gate: Running) {
        self.address = gate.text("/listening");
        self.gate = Some(gate);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// Fetches as the buyer, without `--json`.
    pub(crate) fn fetch(&self, arguments: &[&str]) -> Ended {
        self.user
            .run(&[&["fetch", "--config", "net/buyer.toml"], arguments].concat())
    }

    /// Fetches as the buyer with `--json`: the exit code, which the object repeats, and the object.
    pub(crate) fn fetch_json(&self, arguments: &[&str]) -> (i32, Value) {
        let (exit, answer) = self
            .user
            .json(&[&["fetch", "--config", "net/buyer.toml"], arguments].concat());
        assert_eq!(answer["exit"], exit, "{answer}");
        assert_eq!(answer["ok"], exit == 0, "{answer}");
        (exit, answer)
    }

    /// The buyer's limit in total: what is spent and reserved of it.
    pub(crate) fn spent_and_reserved(&self) -> (String, String) {
        let (_, answer) = self
            .user
            .json(&["budget", "show", "--config", "net/buyer.toml"]);
        let levels = answer["levels"].as_array().expect("levels");
        let total = levels
            .iter()
            .find(|level| level["level"] == "total")
            .expect("a total");
        let text = |key: &str| total[key].as_str().expect("a sum").to_owned();
        (text("spent"), text("reserved"))
    }

    /// The payments of one side.
    pub(crate) fn payments(&self, role: &str) -> Vec<Value> {
        let config = format!("net/{role}.toml");
        let (_, answer) = self
            .user
            .json(&["payments", "list", "--role", role, "--config", &config]);
        answer["payments"].as_array().expect("payments").clone()
    }

    /// What the chain says the account that pays by this file has, in atomic units.
    pub(crate) fn balance_of(&self, config: &str) -> u128 {
        let (_, answer) = self.user.json(&["wallet", "balance", "--config", config]);
        answer["balances"][0]["atomic"]
            .as_str()
            .expect("a sum")
            .parse()
            .expect("digits")
    }

    /// The same of the buyer.
    pub(crate) fn balance(&self) -> u128 {
        self.balance_of("net/buyer.toml")
    }
}
