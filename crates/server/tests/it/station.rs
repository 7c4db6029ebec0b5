//! A facilitator between a real chain and raw HTTP clients, and a signer who signs whatever a
//! test wants.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::{Eip712Domain, SolStruct as _, sol};
use bytes::Bytes;
use farebox_core::clock::{Clock, SystemClock};
use farebox_core::ledger::{Filter, Ledger, Payment};
use farebox_core::payment::Role;
use farebox_devnet_evm::{Account, Devnet, DevnetOptions};
use farebox_ledger::SqliteLedger;
use farebox_rail_evm::{CollectorOptions, EvmCollector, Finality, Network};
use farebox_seller::buckets::BucketLimits;
use farebox_seller::till::{Till, TillConfig};
use farebox_server::{Access, Connections, Facilitator, FacilitatorOptions};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use secp256k1::{Message, Secp256k1, SecretKey};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::{CHAIN, Seen, key, within};

/// What every test pays, in atomic units.
pub(crate) const AMOUNT: u128 = 1_000;
pub(crate) const NETWORK: &str = "eip155:84532";

/// Every payment of this process has its own.
static NONCES: AtomicU64 = AtomicU64::new(1);

sol! {
    struct TransferWithAuthorization {
        address from;
        address to;
        uint256 value;
        uint256 validAfter;
        uint256 validBefore;
        bytes32 nonce;
    }
}

/// How a test wants its facilitator.
pub(crate) struct Plan {
    pub(crate) settle_wait_ms: u64,
    /// Whether something looks after payments that nobody waits for.
    pub(crate) watches: bool,
    pub(crate) access: Access,
    pub(crate) in_vain: Option<BucketLimits>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            settle_wait_ms: 20_000,
            watches: true,
            access: Access::default(),
            in_vain: None,
        }
    }
}

/// Everything, running.
pub(crate) struct Station {
    pub(crate) devnet: Devnet,
    pub(crate) ledger: Arc<SqliteLedger>,
    pub(crate) till: Arc<Till>,
    pub(crate) address: SocketAddr,
    pub(crate) connections: Connections,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
    pub(crate) clock: Arc<TestClock>,
    dir: tempfile::TempDir,
}

/// The computer's clock, which a test may put forward.
#[derive(Default)]
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn advance_s(&self, seconds: u64) {
        self.0.fetch_add(1_000 * seconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        SystemClock.now_ms() + self.0.load(Ordering::SeqCst)
    }
}

impl Station {
    pub(crate) async fn open() -> Self {
        Self::with(Plan::default()).await
    }

    pub(crate) async fn with(plan: Plan) -> Self {
        let devnet = Devnet::start(DevnetOptions::quiet()).expect("a devnet");
        let dir = tempfile::tempdir().expect("a folder");
        Self::on(devnet, dir, plan).await
    }

    /// Another process on the same chain and books, after this one has died. What the first has
    /// in memory is gone with it.
    pub(crate) async fn restart(mut self, plan: Plan) -> Self {
        self.close().await;
        let Self {
            devnet,
            ledger,
            till,
            dir,
            ..
        } = self;
        drop((ledger, till));
        Self::on(devnet, dir, plan).await
    }

    async fn on(devnet: Devnet, dir: tempfile::TempDir, plan: Plan) -> Self {
        let clock = Arc::<TestClock>::default();
        let mut network = Network::new(CHAIN);
        network.rpc = vec![devnet.rpc_url()];
        network.finality = Finality::Blocks(0);
        let options = CollectorOptions {
            signers: vec![key(&devnet.accounts()[0].key_hex())],
            ..CollectorOptions::default()
        };
        let collector = EvmCollector::new(vec![network], options, clock.clone());
        let collector = collector.expect("a collector");
        collector.start().await.expect("the devnet answers");
        let ledger = SqliteLedger::open(&dir.path().join("facilitator.db")).expect("a ledger");
        let ledger = Arc::new(ledger);
        let config = TillConfig {
            role: Role::Facilitator,
            settle_wait_ms: plan.settle_wait_ms,
            watch_every_ms: 10,
        };
        let books = Arc::clone(&ledger) as Arc<dyn Ledger>;
        let till = Till::new(config, vec![Arc::new(collector)], books, clock.clone());
        till.recover().await.expect("recovered");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let options = FacilitatorOptions {
            in_vain: plan.in_vain,
            ..FacilitatorOptions::default()
        };
        let facilitator = Facilitator::new(Arc::clone(&till), plan.access, &options, listener);
        let facilitator = facilitator.expect("a facilitator");
        let address = facilitator.address();
        let connections = facilitator.connections().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let watched = Arc::clone(&till);
        let serving = tokio::spawn(async move {
            let watch = async {
                if plan.watches {
                    watched.watch(std::future::pending()).await;
                }
                std::future::pending().await
            };
            tokio::select! {
                () = facilitator.serve(async { let _ = stopped.await; }) => {}
                () = watch => {}
            }
        });
        Self {
            devnet,
            ledger,
            till,
            address,
            connections,
            stop: Some(stop),
            serving: Some(serving),
            clock,
            dir,
        }
    }

    /// Closes the facilitator and waits until it is closed.
    pub(crate) async fn close(&mut self) {
        drop(self.stop.take());
        if let Some(serving) = self.serving.take() {
            within(serving).await.expect("no panic");
        }
    }

    pub(crate) fn account(&self, index: usize) -> Account {
        self.devnet.accounts()[index]
    }

    /// A payment of account 1 to account 9 that is valid for a minute.
    pub(crate) fn payment(&self) -> Signed {
        self.payment_of(1)
    }

    pub(crate) fn payment_of(&self, payer: usize) -> Signed {
        let now_s = farebox_core::clock::Clock::now_s(&SystemClock);
        Signed::new(
            self.account(payer),
            TransferWithAuthorization {
                from: self.account(payer).address,
                to: self.account(9).address,
                value: U256::from(AMOUNT),
                validAfter: U256::ZERO,
                validBefore: U256::from(now_s + 60),
                nonce: B256::from(U256::from(NONCES.fetch_add(1, Ordering::SeqCst))),
            },
        )
    }

    pub(crate) async fn connect(&self) -> SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(self.address).await.expect("connected");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP");
        tokio::spawn(connection);
        sender
    }

    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("host", self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::new(body.into())).expect("a request")
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Seen {
        let request = self.request(method, path, headers, body);
        let mut sender = self.connect().await;
        let answer: Response<Incoming> = within(sender.send_request(request))
            .await
            .expect("an answer");
        Seen::read(answer).await
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        let seen = self.send("GET", path, &[], "").await;
        (seen.status, seen.json())
    }

    pub(crate) async fn verify(&self, signed: &Signed) -> Value {
        let seen = self.send("POST", "/verify", &[], signed.body()).await;
        assert_eq!(seen.status, StatusCode::OK, "{seen:?}");
        seen.json()
    }

    pub(crate) async fn settle(&self, signed: &Signed) -> Value {
        self.settle_with(signed, &[]).await
    }

    pub(crate) async fn settle_with(&self, signed: &Signed, headers: &[(&str, &str)]) -> Value {
        let seen = self.send("POST", "/settle", headers, signed.body()).await;
        assert_eq!(seen.status, StatusCode::OK, "{seen:?}");
        seen.json()
    }

    /// Settles while no block is made until it is pending: a busy machine may take longer to send
    /// than an impatient facilitator waits.
    pub(crate) async fn settle_until_pending(&self, signed: &Signed) -> Value {
        self.settle_until_pending_with(signed, &[]).await
    }

    pub(crate) async fn settle_until_pending_with(
        &self,
        signed: &Signed,
        headers: &[(&str, &str)],
    ) -> Value {
        within(async {
            loop {
                let answer = self.settle_with(signed, headers).await;
                if answer["errorReason"] == "settlement_pending" {
                    return answer;
                }
                assert_eq!(answer["errorReason"], "unexpected_settle_error");
                assert_eq!(answer["transaction"], "", "nothing was sent");
            }
        })
        .await
    }

    pub(crate) async fn payments(&self) -> Vec<Payment> {
        let filter = Filter {
            role: Some(Role::Facilitator),
            ..Filter::default()
        };
        self.ledger.list(filter).await.expect("a list")
    }

    /// What the payee has got since the start.
    pub(crate) fn received(&self) -> u128 {
        let balance = self.devnet.token_balance(self.account(9).address);
        balance.expect("a token").to::<u128>() - 1_000_000_000_000
    }

    /// Transactions that the gas key has sent.
    pub(crate) fn transactions(&self) -> u64 {
        self.devnet.nonce(self.account(0).address)
    }
}

/// An authorization and its signature.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) transfer: TransferWithAuthorization,
    pub(crate) signature: [u8; 65],
}

impl Signed {
    pub(crate) fn new(payer: Account, transfer: TransferWithAuthorization) -> Self {
        let domain = Eip712Domain::new(
            Some("USDC".into()),
            Some("2".into()),
            Some(U256::from(CHAIN)),
            Some(farebox_devnet_evm::USDC_ADDRESS),
            None,
        );
        let digest = transfer.eip712_signing_hash(&domain);
        let key = SecretKey::from_byte_array(payer.key.0).expect("a development key");
        let (id, compact) = Secp256k1::new()
            .sign_ecdsa_recoverable(Message::from_digest(digest.0), &key)
            .serialize_compact();
        let mut signature = [0; 65];
        signature[..64].copy_from_slice(&compact);
        signature[64] = 27 + u8::try_from(i32::from(id)).expect("small");
        Self {
            transfer,
            signature,
        }
    }

    /// The same nonce, signed over something else.
    pub(crate) fn changed(
        &self,
        payer: Account,
        change: impl FnOnce(&mut TransferWithAuthorization),
    ) -> Self {
        let mut transfer = self.transfer.clone();
        change(&mut transfer);
        Self::new(payer, transfer)
    }

    pub(crate) fn payload(&self) -> Value {
        json!({
            "signature": format!("0x{}", alloy_primitives::hex::encode(self.signature)),
            "authorization": {
                "from": self.transfer.from.to_checksum(None),
                "to": self.transfer.to.to_checksum(None),
                "value": self.transfer.value.to_string(),
                "validAfter": self.transfer.validAfter.to_string(),
                "validBefore": self.transfer.validBefore.to_string(),
                "nonce": self.transfer.nonce,
            },
        })
    }

    pub(crate) fn requirements(&self) -> Value {
        json!({
            "scheme": "exact",
            "network": NETWORK,
            "amount": self.transfer.value.to_string(),
            "asset": farebox_devnet_evm::USDC_ADDRESS.to_checksum(None),
            "payTo": self.transfer.to.to_checksum(None),
            "maxTimeoutSeconds": 60,
            "extra": {"name": "USDC", "version": "2"},
        })
    }

    /// What `/verify` and `/settle` are sent.
    pub(crate) fn json(&self) -> Value {
        json!({
            "x402Version": 2,
            "paymentPayload": {
                "x402Version": 2,
                "accepted": self.requirements(),
                "payload": self.payload(),
            },
            "paymentRequirements": self.requirements(),
        })
    }

    /// The same in version 1.
    pub(crate) fn json_v1(&self) -> Value {
        json!({
            "x402Version": 1,
            "paymentPayload": {
                "x402Version": 1,
                "scheme": "exact",
                "network": "base-sepolia",
                "payload": self.payload(),
            },
            "paymentRequirements": {
                "scheme": "exact",
                "network": "base-sepolia",
                "maxAmountRequired": self.transfer.value.to_string(),
                "resource": "https://api.example.com/weather",
                "description": "",
                "mimeType": "application/json",
                "outputSchema": null,
                "payTo": self.transfer.to.to_checksum(None),
                "maxTimeoutSeconds": 60,
                "asset": farebox_devnet_evm::USDC_ADDRESS.to_checksum(None),
                "extra": {"name": "USDC", "version": "2"},
            },
        })
    }

    pub(crate) fn body(&self) -> String {
        self.json().to_string()
    }
}

/// The payer as our own answers write addresses.
pub(crate) fn lower(address: Address) -> String {
    format!("{address:#x}")
}

impl Seen {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}
