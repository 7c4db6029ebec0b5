//! A certificate authority that speaks ACME (RFC 8555), for these tests: nonces, signatures and
//! proofs are checked as a real one does, over TLS, and a proof is looked for where it belongs.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair,
};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateSigningRequestDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::proofs;

/// What it does and refuses; tests change it while it runs.
pub(crate) struct Rules {
    /// How long its certificates live.
    pub(crate) life: Duration,
    /// Where it looks for proofs.
    pub(crate) prover: Option<SocketAddr>,
    /// What it says to every order: a kind of problem, and when to come back.
    pub(crate) refusal: Option<(&'static str, u64)>,
}

/// A running authority.
pub(crate) struct Authority {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    origin: String,
    rules: Mutex<Rules>,
    books: Mutex<Books>,
    issuer: Issuer<'static, KeyPair>,
    /// The root of what it issues and of its own TLS.
    root: String,
}

#[derive(Default)]
struct Books {
    counter: u64,
    nonces: BTreeSet<String>,
    /// Public keys by account.
    accounts: HashMap<String, Value>,
    orders: Vec<Order>,
}

struct Order {
    account: String,
    names: Vec<Name>,
    certificate: Option<String>,
}

struct Name {
    name: String,
    token: String,
    /// Whether it was proven; `None` before anybody has looked.
    proven: Option<Result<(), String>>,
}

/// A kind of problem and its words.
type Problem = (&'static str, String);

impl Authority {
    /// Starts one that gives certificates for 90 days and a half; its root is left in `root`.
    pub(crate) fn start(root: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let signed = params.self_signed(&key).expect("a root").pem();
        std::fs::write(root, &signed).expect("the root is written");
        let issuer = Issuer::new(params, key);
        let acceptor = own_tls(&issuer);
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let address = listener.local_addr().expect("an address");
                let shared = Arc::new(Shared {
                    origin: format!("https://{address}"),
                    rules: Mutex::new(Rules {
                        life: Duration::from_secs((90 * 24 + 12) * 3600),
                        prover: None,
                        refusal: None,
                    }),
                    books: Mutex::default(),
                    issuer,
                    root: signed,
                });
                tell.send(Arc::clone(&shared)).expect("the test waits");
                tokio::select! {
                    () = serve(listener, acceptor, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            shared: told.recv().expect("it starts"),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// The address of its directory.
    pub(crate) fn directory(&self) -> String {
        format!("{}/directory", self.shared.origin)
    }

    pub(crate) fn rules(&self) -> MutexGuard<'_, Rules> {
        self.shared.rules.lock().expect("whole")
    }

    /// How often somebody has asked for an order, whatever was said.
    pub(crate) fn asked(&self) -> usize {
        self.shared.books.lock().expect("whole").orders.len()
    }

    /// How many certificates it has given.
    pub(crate) fn given(&self) -> usize {
        let books = self.shared.books.lock().expect("whole");
        let given = books
            .orders
            .iter()
            .filter(|order| order.certificate.is_some());
        given.count()
    }

    /// Forgets every account, as one does that begins anew.
    pub(crate) fn forget_accounts(&self) {
        self.shared.books.lock().expect("whole").accounts.clear();
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed there.
            let _ = thread.join();
        }
    }
}

fn own_tls(issuer: &Issuer<'static, KeyPair>) -> TlsAcceptor {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    let signed = params.signed_by(&key, issuer).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![signed.der().clone()], key)
        .expect("a pair");
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let router = Router::new().fallback(answer).with_state(shared);
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let (acceptor, router) = (acceptor.clone(), router.clone());
        tokio::spawn(async move {
            // Whoever does not trust it goes away.
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = TowerToHyperService::new(router);
            let server = auto::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let body = to_bytes(request.into_body(), 64 * 1024)
        .await
        .expect("a body");
    let nonce = shared.nonce();
    let (status, location, body) = match shared.answer(&path, &body) {
        Ok((status, location, body)) => (status, location, body),
        Err((kind, detail)) => {
            let problem =
                json!({"type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail});
            (if kind == "rateLimited" { 429 } else { 400 }, None, problem)
        }
    };
    let mut answer = Response::builder()
        .status(status)
        .header("replay-nonce", nonce);
    if let Some(location) = location {
        answer = answer.header("location", location);
    }
    let refusal = shared.rules.lock().expect("whole").refusal;
    if let Some((_, seconds)) = refusal.filter(|_| status == 429) {
        answer = answer.header("retry-after", seconds.to_string());
    }
    let body = match body {
        Value::String(pem) => pem,
        json => json.to_string(),
    };
    answer.body(Body::from(body)).expect("an answer")
}

type Answer = (u16, Option<String>, Value);

impl Shared {
    fn nonce(&self) -> String {
        let mut books = self.books.lock().expect("whole");
        books.counter += 1;
        let nonce = format!("nonce-{}", books.counter);
        books.nonces.insert(nonce.clone());
        nonce
    }

    fn answer(self: &Arc<Self>, path: &str, body: &[u8]) -> Result<Answer, Problem> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match parts.as_slice() {
            ["directory"] => return Ok((200, None, self.directory())),
            ["nonce"] => return Ok((200, None, json!({}))),
            _ => {}
        }
        let (account, key, payload) = self.verified(path, body)?;
        let number = |text: &str| text.parse::<usize>().expect("a number of ours");
        match parts.as_slice() {
            ["account"] => Ok(self.register(&key, &payload)),
            ["order"] => self.order(account, &payload),
            ["orders", order] => Ok((200, None, self.order_object(number(order)))),
            ["names", order, name] => {
                let (order, name) = (number(order), number(name));
                Ok((200, None, self.name_object(order, name)))
            }
            ["prove", order, name, kind] => {
                let place = (number(order), number(name));
                self.prove(place, kind, &key);
                Ok((
                    200,
                    None,
                    json!({"type": kind, "url": "x", "status": "processing"}),
                ))
            }
            ["finalize", order] => self.finalize(number(order), &payload),
            ["certificate", order] => {
                let books = self.books.lock().expect("whole");
                let pem = books.orders[number(order)].certificate.clone();
                Ok((200, None, Value::String(pem.expect("a certificate"))))
            }
            other => Err(("malformed", format!("nothing is at {other:?}"))),
        }
    }

    fn directory(&self) -> Value {
        let at = |path: &str| format!("{}/{path}", self.origin);
        json!({"newNonce": at("nonce"), "newAccount": at("account"), "newOrder": at("order")})
    }

    /// Checks a signed request (RFC 8555 §6): account, key, payload.
    fn verified(&self, path: &str, body: &[u8]) -> Result<(String, Value, Value), Problem> {
        let malformed = |what: &str| ("malformed", what.to_owned());
        let jws: Value = serde_json::from_slice(body).map_err(|_| malformed("no JSON"))?;
        let part = |name: &str| jws[name].as_str().unwrap_or_default().to_owned();
        let decoded = |name: &str| BASE64.decode(part(name)).map_err(|_| malformed(name));
        let protected: Value =
            serde_json::from_slice(&decoded("protected")?).map_err(|_| malformed("protected"))?;
        let mut books = self.books.lock().expect("whole");
        let nonce = protected["nonce"].as_str().unwrap_or_default();
        if !books.nonces.remove(nonce) {
            return Err(("badNonce", format!("{nonce:?} was not given, or was used")));
        }
        if protected["url"] != format!("{}{path}", self.origin) || protected["alg"] != "ES256" {
            return Err(malformed("another address or algorithm"));
        }
        let account = protected["kid"].as_str().unwrap_or_default().to_owned();
        let key = match books.accounts.get(&account) {
            Some(key) => key.clone(),
            None if path == "/account" => protected["jwk"].clone(),
            None => return Err(("accountDoesNotExist", "who are you?".to_owned())),
        };
        drop(books);
        let coordinate = |name: &str| BASE64.decode(key[name].as_str().unwrap_or_default());
        let point = [
            vec![4],
            coordinate("x").expect("x"),
            coordinate("y").expect("y"),
        ]
        .concat();
        let signed = format!("{}.{}", part("protected"), part("payload"));
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(signed.as_bytes(), &decoded("signature")?)
            .map_err(|_| malformed("the signature is not the key's"))?;
        let payload = serde_json::from_slice(&decoded("payload")?).unwrap_or(Value::Null);
        Ok((account, key, payload))
    }

    fn register(&self, key: &Value, payload: &Value) -> Answer {
        assert_eq!(payload["termsOfServiceAgreed"], true);
        let mut books = self.books.lock().expect("whole");
        books.counter += 1;
        let account = format!("{}/accounts/{}", self.origin, books.counter);
        books.accounts.insert(account.clone(), key.clone());
        (201, Some(account), json!({"status": "valid"}))
    }

    fn order(&self, account: String, payload: &Value) -> Result<Answer, Problem> {
        let names = payload["identifiers"].as_array().expect("names");
        let mut books = self.books.lock().expect("whole");
        let number = books.orders.len();
        let named = names.iter().enumerate().map(|(index, name)| Name {
            name: name["value"].as_str().expect("a name").to_owned(),
            token: format!("token-{number}-{index}_of-this-order"),
            proven: None,
        });
        let names = named.collect();
        books.orders.push(Order {
            account,
            names,
            certificate: None,
        });
        drop(books);
        if let Some((kind, _)) = self.rules.lock().expect("whole").refusal {
            return Err((kind, "as this test wishes".to_owned()));
        }
        let location = format!("{}/orders/{number}", self.origin);
        Ok((201, Some(location), self.order_object(number)))
    }

    fn order_object(&self, number: usize) -> Value {
        let books = self.books.lock().expect("whole");
        let order = &books.orders[number];
        let at = |path: String| format!("{}/{path}", self.origin);
        let proven = |what: fn(&Option<Result<(), String>>) -> bool| {
            order.names.iter().map(move |name| what(&name.proven))
        };
        let status = match &order.certificate {
            Some(_) => "valid",
            None if proven(|proven| matches!(proven, Some(Err(_)))).any(|no| no) => "invalid",
            None if proven(|proven| matches!(proven, Some(Ok(())))).all(|yes| yes) => "ready",
            None => "pending",
        };
        let names = 0..order.names.len();
        let names: Vec<String> = names
            .map(|name| at(format!("names/{number}/{name}")))
            .collect();
        json!({
            "status": status,
            "authorizations": names,
            "finalize": at(format!("finalize/{number}")),
            "certificate": order.certificate.as_ref().map(|_| at(format!("certificate/{number}"))),
        })
    }

    fn name_object(&self, order: usize, index: usize) -> Value {
        let books = self.books.lock().expect("whole");
        let name = &books.orders[order].names[index];
        let status = match &name.proven {
            None => "pending",
            Some(Ok(())) => "valid",
            Some(Err(_)) => "invalid",
        };
        let error = match &name.proven {
            Some(Err(why)) => {
                json!({"type": "urn:ietf:params:acme:error:unauthorized", "detail": why})
            }
            _ => Value::Null,
        };
        let challenges = ["tls-alpn-01", "http-01", "dns-01"].map(|kind| {
            let url = format!("{}/prove/{order}/{index}/{kind}", self.origin);
            json!({"type": kind, "url": url, "token": name.token, "status": status, "error": error})
        });
        json!({
            "identifier": {"type": "dns", "value": name.name},
            "status": status,
            "challenges": challenges,
        })
    }

    /// Looks for the proof, later.
    fn prove(self: &Arc<Self>, (order, index): (usize, usize), kind: &str, key: &Value) {
        let (name, token) = {
            let books = self.books.lock().expect("whole");
            let name = &books.orders[order].names[index];
            (name.name.clone(), name.token.clone())
        };
        let expected = proofs::key_authorization(&token, key);
        let (shared, kind) = (Arc::clone(self), kind.to_owned());
        tokio::spawn(async move {
            let prover = shared.prover().await;
            let proven = match kind.as_str() {
                "tls-alpn-01" => proofs::by_handshake(prover, &name, &expected).await,
                "http-01" => proofs::by_request(prover, &name, &token, &expected).await,
                other => Err(format!("nobody proves by {other} here")),
            };
            let mut books = shared.books.lock().expect("whole");
            books.orders[order].names[index].proven = Some(proven);
        });
    }

    /// Where to look, as soon as a test has said it.
    async fn prover(&self) -> SocketAddr {
        loop {
            let prover = self.rules.lock().expect("whole").prover;
            if let Some(prover) = prover {
                return prover;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn finalize(&self, number: usize, payload: &Value) -> Result<Answer, Problem> {
        let csr = BASE64.decode(payload["csr"].as_str().expect("a request"));
        let csr = CertificateSigningRequestDer::from(csr.expect("base64"));
        let mut request = CertificateSigningRequestParams::from_der(&csr)
            .map_err(|why| ("badCSR", why.to_string()))?;
        let life = self.rules.lock().expect("whole").life;
        let now = SystemTime::now();
        request.params.not_before = now.into();
        request.params.not_after = (now + life).into();
        let signed = request.signed_by(&self.issuer).expect("a certificate");
        let mut books = self.books.lock().expect("whole");
        let order = &mut books.orders[number];
        assert!(
            order.names.iter().all(|name| name.proven == Some(Ok(()))),
            "not proven"
        );
        assert!(!order.account.is_empty());
        order.certificate = Some(format!("{}{}", signed.pem(), self.root));
        drop(books);
        Ok((200, None, self.order_object(number)))
    }
}
