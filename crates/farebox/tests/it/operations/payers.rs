//! Buyers without a ledger, many at once: they sign what a gate offers and tell what they got.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use farebox_core::clock::SystemClock;
use farebox_core::rail::PayRail as _;
use farebox_rail_evm::{EvmKey, EvmPayer, Network};
use farebox_wire::challenge;
use reqwest::Client;

/// Longer than any healthy machine needs; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(120);
const CHAIN: u64 = 84532;

/// Runs a future to its end, on threads of its own.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let within = async { tokio::time::timeout(PATIENCE, future).await };
    runtime.block_on(within).expect("it took for ever")
}

/// Looks until there is something.
pub(crate) fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let began = std::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "it never happened");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One that keeps its connection.
pub(crate) fn client() -> Client {
    // An error means that it is there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().expect("a client")
}

/// A client with money.
pub(crate) struct Payer {
    pub(crate) client: Client,
    rail: EvmPayer,
}

/// A credential and what it pays.
pub(crate) struct Signed {
    pub(crate) value: String,
    pub(crate) amount: u128,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) has_receipt: bool,
    pub(crate) body: String,
}

impl Payer {
    /// By a private key in hex.
    pub(crate) fn new(key: &str, rpc: &str) -> Self {
        let mut network = Network::new(CHAIN);
        network.rpc = vec![rpc.to_owned()];
        let key = Arc::new(EvmKey::from_hex(key).expect("a key"));
        let rail = EvmPayer::new(vec![network], key, Arc::new(SystemClock));
        Self {
            client: client(),
            rail: rail.expect("a payer"),
        }
    }

    /// What it has, in atomic units of the first token.
    pub(crate) async fn balance(&self) -> u128 {
        let balances = self.rail.balances().await;
        let first = balances.into_iter().next().expect("a token");
        first.expect("an answer").amount.atomic()
    }

    /// Asks, and signs what is asked for.
    pub(crate) async fn sign(&self, url: &str) -> Signed {
        let asked = self.client.get(url).send().await.expect("an answer");
        assert_eq!(asked.status().as_u16(), 402, "{url}");
        let headers = asked.headers().clone();
        let body = asked.bytes().await.expect("a body");
        let header = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
        let challenge = challenge::read(header, &body).expect("a challenge");
        let quote = self
            .rail
            .quote(&challenge.offers[0])
            .await
            .expect("payable");
        let amount = quote.terms.amount.atomic();
        let authorised = self.rail.authorise(&quote, &challenge, 60).await;
        Signed {
            value: authorised
                .expect("signed")
                .credential
                .expect("a signature")
                .value,
            amount,
        }
    }

    pub(crate) async fn pay(&self, url: &str, signed: &Signed) -> Got {
        let paid = self.client.get(url);
        let paid = paid.header("payment-signature", &signed.value);
        Got::of(paid.send().await.expect("an answer")).await
    }

    pub(crate) async fn get(&self, url: &str) -> Got {
        Got::of(self.client.get(url).send().await.expect("an answer")).await
    }
}

impl Got {
    async fn of(answer: reqwest::Response) -> Self {
        Self {
            status: answer.status().as_u16(),
            has_receipt: answer.headers().contains_key("payment-response"),
            body: answer.text().await.expect("a whole body"),
        }
    }
}
