//! A gate for sequences, and the credentials that are shown at it.

use std::net::SocketAddr;
use std::sync::Arc;

use farebox_core::clock::{Clock, SystemClock};
use farebox_core::rail::{CollectRail, Price};
use farebox_ledger::SqliteLedger;
use farebox_seller::{Route, Seller, SellerConfig, SettleWhen};
use farebox_server::{Gateway, GatewayOptions, Upstreams};
use farebox_wire::money::UsdMicros;
use farebox_wire::x402::header;
use farebox_wire::x402::types::PaymentPayload;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::choices::Choices;
use super::requests::Draft;
use super::{Upstream, Weather};
use crate::fake_rail::{FakeRail, Plan};
use crate::recorder::Recorder;

/// What everything costs, in millionths of a dollar and of a token.
pub(super) const PRICE: u128 = 1_000;
const VALID_S: u64 = 600;

/// See the module.
pub(crate) struct World {
    pub(super) gate: SocketAddr,
    pub(super) rail: Arc<FakeRail>,
    pub(super) ledger: Arc<SqliteLedger>,
    pub(super) seller: Seller,
    pub(super) upstream: Recorder,
    pub(super) tickets: Vec<Ticket>,
    /// Paid answers that clients have read to their end.
    pub(super) served: usize,
    /// Heads of requests that reached the upstream without a credential.
    pub(super) strays: Vec<String>,
    /// What was done in this sequence.
    pub(super) log: Vec<String>,
    paths: usize,
    serving: JoinHandle<std::io::Result<()>>,
    _dir: tempfile::TempDir,
}

/// A credential and what has become of it.
pub(super) struct Ticket {
    line: String,
    request: Draft,
    /// How often it was shown.
    pub(super) shown: usize,
    /// How often that was in bad weather, or by a client that did not stay: then the upstream may be
    /// called for it once more.
    pub(super) excuses: usize,
    /// How often the upstream was called for it.
    pub(super) calls: usize,
    /// How often a client has read the whole answer.
    pub(super) served: usize,
}

/// Whether nothing goes wrong behind the gate.
pub(super) fn is_fair(weather: &Weather) -> bool {
    weather.upstream == Upstream::Good && weather.plan == Plan::Settle
}

impl Drop for World {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl World {
    /// Opens a gate: `/free/*` is free, `/dear/*` settles before, `/paid/*` after, all else is not
    /// there.
    pub(crate) async fn open() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let ledger = SqliteLedger::open(&dir.path().join("seller.db")).expect("a ledger");
        let (ledger, rail) = (Arc::new(ledger), FakeRail::new());
        rail.set_balance(1 << 100);
        let upstream = Recorder::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let gate = listener.local_addr().expect("an address");
        let route = |name: &str, price, settle| Route {
            settle,
            ..Route::new(
                name,
                format!("/{name}/*").parse().expect("a route"),
                UsdMicros(price),
            )
        };
        let routes = vec![
            route("free", 0, SettleWhen::After),
            route("dear", PRICE, SettleWhen::Before),
            route("paid", PRICE, SettleWhen::After),
        ];
        let mut config = SellerConfig::new("http://gate.example", routes);
        config.settle_wait_ms = 50;
        let rails = vec![Arc::clone(&rail) as Arc<dyn CollectRail>];
        let seller = Seller::new(
            config,
            rails,
            Arc::clone(&ledger) as _,
            Arc::new(SystemClock),
        );
        let seller = seller.expect("a seller");
        let server: farebox_server::Upstream = format!("http://{}", upstream.address)
            .parse()
            .expect("an upstream");
        let upstreams = Upstreams {
            by_route: seller
                .routes()
                .map(|name| (name.to_owned(), server.clone()))
                .collect(),
            unmatched: None,
        };
        let options = GatewayOptions {
            client_head_ms: 2_000,
            upstream_head_ms: 2_000,
            drain_ms: 0,
            ..GatewayOptions::default()
        };
        let gateway = Gateway::new(seller.clone(), upstreams, &options).expect("a gate");
        let serving = tokio::spawn(gateway.serve(listener, std::future::pending()));
        Self {
            gate,
            rail,
            ledger,
            seller,
            upstream,
            tickets: Vec::new(),
            served: 0,
            strays: Vec::new(),
            log: Vec::new(),
            paths: 0,
            serving,
            _dir: dir,
        }
    }

    /// Makes the weather of the next batch. What has reached the upstream since the last is not lost.
    pub(super) fn set(&mut self, weather: &Weather) {
        self.rail.plan(weather.plan.clone());
        let sends: Option<&[u8]> = match weather.upstream {
            Upstream::Good => None,
            Upstream::Fails => Some(
                b"HTTP/1.1 500 Internal Server Error\r\nx-upstream: 1\r\nconnection: close\r\n\
                  content-length: 0\r\n\r\n",
            ),
            Upstream::HangsUp => Some(b""),
            Upstream::BreaksOff => {
                Some(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nupstream saw half of")
            }
        };
        let late = self.upstream.begin("", sends.map(<[u8]>::to_vec));
        super::judge::calls(self, &late.heads);
    }

    /// A path of its own for each request.
    pub(super) fn new_path(&mut self, room: &str) -> String {
        self.paths += 1;
        format!("{room}/{}", self.paths)
    }

    fn credential(&self, path: &str, nonce: &str, signature: &str) -> String {
        let price = Price {
            usd: UsdMicros(PRICE),
            max_timeout_s: 60,
            upfront: path.starts_with("/dear"),
        };
        let offers = self.rail.offers(&price).expect("offers");
        let payment = PaymentPayload {
            x402_version: 2,
            resource: None,
            accepted: offers[0].raw.clone(),
            payload: json!({
                "signature": signature,
                "nonce": nonce,
                "validBefore": SystemClock.now_s() + VALID_S,
            }),
            extensions: None,
        };
        let value = header::encode(&payment).expect("a header");
        format!("payment-signature: {value}")
    }

    /// A credential that nobody has seen, in the request.
    pub(super) fn new_ticket(&mut self, draft: &mut Draft) -> usize {
        let number = self.tickets.len();
        let line = self.credential(&draft.path, &format!("nonce-{number}"), "good");
        draft.headers = vec![format!("x-ticket: {number}"), line.clone()];
        self.tickets.push(Ticket {
            line,
            request: draft.clone(),
            shown: 0,
            excuses: 0,
            calls: 0,
            served: 0,
        });
        number
    }

    /// A credential that was shown before, for the same request or for this one. `None` where there
    /// is none.
    pub(super) fn repeat(
        &mut self,
        draft: &mut Draft,
        choices: &mut Choices<'_>,
        is_same: bool,
    ) -> Option<usize> {
        if self.tickets.is_empty() {
            return None;
        }
        // One of the last ones.
        let back = choices.below(self.tickets.len().min(8));
        let number = self.tickets.len() - 1 - back;
        let ticket = &self.tickets[number];
        if is_same {
            *draft = ticket.request.clone();
        } else {
            draft.headers = vec![format!("x-ticket: {number}"), ticket.line.clone()];
        }
        Some(number)
    }

    /// A header line that looks like a payment and is none.
    pub(super) fn forged(&self, path: &str, choices: &mut Choices<'_>) -> String {
        match choices.below(4) {
            0 => self.credential(path, "forged", "bad"),
            1 => "payment-signature: e30=".to_owned(),
            2 => "x-payment: junk".to_owned(),
            _ => "payment-signature:".to_owned(),
        }
    }

    /// Keeps account of a credential that is about to be shown, as often as it stands in what is sent:
    /// spoiled bytes may hold it several times, and each may end badly.
    pub(super) fn present(&mut self, number: usize, sent: &[u8], is_fair: bool) {
        let line = format!("x-ticket: {number}\r\n");
        let places = sent.windows(line.len());
        let copies = places.filter(|place| *place == line.as_bytes()).count();
        let ticket = &mut self.tickets[number];
        ticket.shown += copies;
        ticket.excuses += if is_fair { 0 } else { copies };
    }
}
