//! The files in examples/config: each one starts and does what it says, on the devnet. What is filled in
//! are the addresses of nodes, servers and facilitators, and free ports.

mod lightning;
mod solana;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Barrier, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::acme::authority::Authority;
use crate::acme::{eventually, free_address};
use crate::market::{Server, Upstream};
use crate::support::{Running, User};
use crate::version_1::{Answer, ask};

/// A settlement on the devnet costs a quarter of a dollar, which no example's least payment is worth.
pub(crate) const LEAST: (&str, &str) = ("0.01 USD", "1 USD");
const TOKEN: &str = "a-token-of-this-test";
/// The public name in the examples.
const PUBLIC: &str = "https://api.example.com";

/// The file as it stands.
pub(crate) fn example(name: &str) -> String {
    let path = folder().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../examples/config"
    ))
}

/// A chain, a server to sell, and a user who tries the examples.
pub(crate) struct Trial {
    pub(crate) user: User,
    net: Running,
    upstream: Upstream,
}

impl Trial {
    pub(crate) fn new() -> Self {
        let user = User::new();
        let net = user.devnet();
        Self {
            user,
            net,
            upstream: Upstream::start(),
        }
    }

    /// Leaves an example in the current folder, with what differs here filled in.
    pub(crate) fn place(&self, name: &str, more: &[(&str, &str)]) {
        let rpc = self.net.text("/evm/rpc");
        let mut text = example(name);
        let upstream = self.upstream.url();
        let usual = [
            ("https://sepolia.base.org", rpc.as_str()),
            ("https://base-sepolia-rpc.publicnode.com", rpc.as_str()),
            ("http://127.0.0.1:3000", upstream.as_str()),
            ("http://127.0.0.1:3001", upstream.as_str()),
        ];
        for (theirs, ours) in usual.iter().chain(more) {
            text = text.replace(theirs, ours);
        }
        self.user.write(name, &text);
    }

    /// Starts a command with an example, on a free port.
    fn start(&self, command: &str, name: &str) -> Running {
        let text = self.user.read(name);
        let host = match text.contains("\"0.0.0.0:") {
            true => "0.0.0.0:0",
            false => "127.0.0.1:0",
        };
        let arguments = [command, "--config", name, "--listen", host, "--json"];
        let mut command = self.user.command(&arguments);
        let key = |number| self.net.text(&format!("/evm/accounts/{number}/key"));
        command
            .env("GAS_KEY", key(0))
            .env("GAS_KEY_2", key(8))
            .env("FACILITATOR_TOKEN", TOKEN)
            .env("SELLER_TOKEN", TOKEN)
            .env("FACILITATOR_AUTHORIZATION", format!("Bearer {TOKEN}"));
        Running::of(command)
    }

    /// Buys with the devnet's own buyer; the answer has to be the upstream's.
    fn buy(&self, origin: &str) {
        let page = format!("{origin}/ok");
        let (exit, answer) = self
            .user
            .json(&["fetch", "--config", "net/buyer.toml", &page]);
        assert_eq!((exit, &answer["body"]), (0, &json!("ok\n")), "{answer}");
        assert_eq!(answer["payment"]["state"], "settled", "{answer}");
    }

    /// What the devnet's buyer has.
    fn balance(&self) -> u128 {
        let (_, answer) = self
            .user
            .json(&["wallet", "balance", "--config", "net/buyer.toml"]);
        let atomic = answer["balances"][0]["atomic"].as_str();
        atomic.expect("a sum").parse().expect("digits")
    }
}

/// Where it can be reached on this machine.
fn origin(server: &Running) -> String {
    server.text("/listening").replace("0.0.0.0", "127.0.0.1")
}

/// A load balancer that shows a payment to all of its gates at once, as one that repeats too eagerly does,
/// and passes on the best answer.
struct Balancer {
    server: Server,
    gates: Arc<Gates>,
}

#[derive(Default)]
struct Gates {
    origins: Mutex<Vec<String>>,
    /// What they said to payments.
    statuses: Mutex<Vec<u16>>,
    /// The last payment that came.
    payment: Mutex<String>,
}

impl Balancer {
    fn start() -> Self {
        let gates = Arc::new(Gates::default());
        let router = Router::new()
            .fallback(balance)
            .with_state(Arc::clone(&gates));
        Self {
            server: Server::start(router),
            gates,
        }
    }

    fn url(&self) -> String {
        self.server.url()
    }

    fn add(&self, gate: &Running) {
        self.gates.origins.lock().expect("whole").push(origin(gate));
    }

    /// The statuses of payments, the best first.
    fn statuses(&self) -> Vec<u16> {
        let mut statuses = self.gates.statuses.lock().expect("whole").clone();
        statuses.sort_unstable();
        statuses
    }
}

async fn balance(State(gates): State<Arc<Gates>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let payment = request.headers().get("payment-signature");
    let payment = payment.map(|value| value.to_str().expect("text").to_owned());
    let asked = tokio::task::spawn_blocking(move || gates.ask(&path, payment.as_deref()));
    let answer = asked.await.expect("the gates answer");
    let status = StatusCode::from_u16(answer.status).expect("a status");
    let mut response = (status, answer.body).into_response();
    for (name, value) in answer.headers {
        if name.starts_with("payment-") {
            let name: HeaderName = name.parse().expect("a name");
            let value = HeaderValue::from_str(&value).expect("a value");
            response.headers_mut().insert(name, value);
        }
    }
    response
}

impl Gates {
    /// Without a payment the first gate answers.
    fn ask(&self, path: &str, payment: Option<&str>) -> Answer {
        let origins = self.origins.lock().expect("whole").clone();
        let Some(payment) = payment else {
            return ask(&format!("{}{path}", origins[0]), &[], None);
        };
        payment.clone_into(&mut self.payment.lock().expect("whole"));
        let together = Barrier::new(origins.len());
        let mut answers: Vec<Answer> = std::thread::scope(|scope| {
            let asked: Vec<_> = origins
                .iter()
                .map(|origin| {
                    let together = &together;
                    scope.spawn(move || {
                        together.wait();
                        let shown = [("payment-signature", payment)];
                        ask(&format!("{origin}{path}"), &shown, None)
                    })
                })
                .collect();
            let answers = asked.into_iter().map(|thread| thread.join());
            answers.map(|answer| answer.expect("an answer")).collect()
        });
        let statuses = answers.iter().map(|answer| answer.status);
        self.statuses.lock().expect("whole").extend(statuses);
        answers.sort_by_key(|answer| answer.status);
        answers.swap_remove(0)
    }
}

#[test]
fn every_example_is_tried_here() {
    let there = std::fs::read_dir(folder()).expect("the folder");
    let there: BTreeSet<String> = there
        .map(|entry| {
            entry
                .expect("a file")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    let here = concat!(
        include_str!("examples.rs"),
        include_str!("examples/lightning.rs"),
        include_str!("examples/solana.rs")
    );
    for name in there {
        let tried = format!("\"{name}\"");
        assert!(here.contains(&tried), "{name} is tried by no test");
    }
}

#[test]
fn one_api_is_sold_to_the_buyer_of_the_examples() {
    let trial = Trial::new();
    trial.place("one-api.toml", &[]);
    // The seller of this test is on a private address.
    trial.place(
        "buyer.toml",
        &[
            ("# [policy]", "[policy]"),
            ("# allow_private", "allow_private"),
        ],
    );
    let gate = trial.start("gate", "one-api.toml");
    let page = format!("{}/ok", origin(&gate));
    for arguments in [
        &["wallet", "create", "--evm-key", "file:net/buyer.key"][..],
        &["fetch", "--config", "buyer.toml", &page],
    ] {
        let mut command = trial.user.command(arguments);
        command.env("FAREBOX_PASSPHRASE", "correct horse");
        let output = command.output().expect("farebox starts");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    let (_, answer) = trial.user.json(&[
        "payments",
        "list",
        "--role",
        "seller",
        "--config",
        "one-api.toml",
    ]);
    assert_eq!(answer["payments"][0]["state"], "settled", "{answer}");
}

#[test]
fn a_certificate_is_obtained_by_the_example_and_sold_with() {
    let trial = Trial::new();
    let authority = Authority::start(&trial.user.path("ca.pem"));
    let clear = free_address().to_string();
    let directory = format!("{}\"\nca = \"file:ca.pem", authority.directory());
    trial.place(
        "acme.toml",
        &[
            (
                "https://acme-staging-v02.api.letsencrypt.org/directory",
                &directory,
            ),
            ("0.0.0.0:80", &clear),
            ("\"api.example.com\"", "\"localhost\""),
            (PUBLIC, "https://localhost"),
        ],
    );
    let gate = trial.start("gate", "acme.toml");
    let port = origin(&gate).rsplit_once(':').expect("a port").1.to_owned();
    let address = format!("127.0.0.1:{port}").parse().expect("an address");
    authority.rules().prover = Some(address);
    let page = format!("https://localhost:{port}/ok");
    let fetch = ["fetch", "--new", "--config", "net/buyer.toml", &page];
    eventually("a payment over the certificate", || {
        let mut fetch = trial.user.command(&fetch);
        fetch.env("SSL_CERT_FILE", trial.user.path("ca.pem"));
        let output = fetch.output().expect("farebox starts");
        // Before the certificate is there, TLS fails and nothing is paid.
        let is_early = output.status.code() == Some(1);
        assert!(is_early || output.status.success(), "{output:?}");
        output.status.success()
    });
    assert_eq!((authority.given(), trial.upstream.calls()), (1, 1));
}

#[test]
fn many_routes_have_the_prices_that_stand_there() {
    let trial = Trial::new();
    trial.place("many-routes.toml", &[]);
    let gate = trial.start("gate", "many-routes.toml");
    let rows = [
        ("GET", "/weather/oslo", 402, json!("1000")),
        ("POST", "/render", 402, json!("50000")),
        ("GET", "/archive/2026/05", 402, json!("10000")),
        ("GET", "/render", 404, json!(null)),
        ("GET", "/else", 404, json!(null)),
    ];
    for (method, path, status, amount) in rows {
        let url = format!("{}{path}", origin(&gate));
        let (_, answer) = trial.user.json(&[
            "fetch",
            "--config",
            "net/buyer.toml",
            "--dry-run",
            "-X",
            method,
            &url,
        ]);
        let told = (&answer["status"], &answer["offers"][0]["amount"]);
        assert_eq!(told, (&json!(status), &amount), "{method} {path}");
    }
    assert_eq!(trial.upstream.calls(), 0);
    ask(&format!("{}/health", origin(&gate)), &[], None);
    assert_eq!(trial.upstream.calls(), 1, "what is free reaches the server");
}

#[test]
fn one_gate_behind_a_load_balancer_sells_under_the_public_name() {
    let trial = Trial::new();
    let balancer = Balancer::start();
    trial.place("behind-load-balancer.toml", &[(PUBLIC, &balancer.url())]);
    let gate = trial.start("gate", "behind-load-balancer.toml");
    balancer.add(&gate);
    trial.buy(&balancer.url());
    assert_eq!(balancer.statuses(), [200]);
}

#[test]
fn one_credential_at_two_gates_of_one_facilitator_gives_one_200() {
    let trial = Trial::new();
    let balancer = Balancer::start();
    trial.place("several-gates-facilitator.toml", &[]);
    let facilitator = trial.start("facilitator", "several-gates-facilitator.toml");
    let filled = [
        (PUBLIC, balancer.url()),
        ("https://facilitator.example.com", origin(&facilitator)),
    ];
    let filled = filled
        .each_ref()
        .map(|(theirs, ours)| (*theirs, ours.as_str()));
    // Each gate has its own disk; here that is a folder of its own.
    trial.place("several-gates.toml", &filled);
    let text = trial.user.read("several-gates.toml");
    let gates = ["a", "b"].map(|machine| {
        std::fs::create_dir(trial.user.path(machine)).expect("a folder");
        let name = format!("{machine}/several-gates.toml");
        trial.user.write(&name, &text);
        let gate = trial.start("gate", &name);
        balancer.add(&gate);
        gate
    });
    let before = trial.balance();
    trial.buy(&balancer.url());
    let statuses = balancer.statuses();
    assert_eq!((statuses.len(), statuses[0]), (2, 200), "{statuses:?}");
    assert!(statuses[1] >= 400, "one 200: {statuses:?}");
    assert_eq!(before - trial.balance(), 1_000, "paid once");
    let payment = balancer.gates.payment.lock().expect("whole").clone();
    for gate in &gates {
        let shown = [("payment-signature", payment.as_str())];
        let again = ask(&format!("{}/ok", origin(gate)), &shown, None);
        assert!(again.status >= 400, "shown later: {}", again.status);
    }
}

#[test]
fn a_remote_facilitator_settles_for_a_seller_without_a_gas_key() {
    let trial = Trial::new();
    let settler = trial.start("facilitator", "net/seller.toml");
    trial.place(
        "remote-facilitator.toml",
        &[("https://x402.org/facilitator", &origin(&settler))],
    );
    let gate = trial.start("gate", "remote-facilitator.toml");
    trial.buy(&origin(&gate));
}

#[test]
fn a_facilitator_for_others_serves_those_who_show_a_token() {
    let trial = Trial::new();
    trial.place("facilitator.toml", &[LEAST]);
    let facilitator = trial.start("facilitator", "facilitator.toml");
    let supported = format!("{}/supported", origin(&facilitator));
    let shown = format!("Bearer {TOKEN}");
    let answer = ask(&supported, &[("authorization", &shown)], None);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains("eip155:84532"), "{}", answer.body);
    let health = format!("{}/health", origin(&facilitator));
    let health = ask(&health, &[("authorization", &shown)], None).body;
    let lanes = health.matches("\"address\"").count();
    assert_eq!(lanes, 2, "each key is a lane: {health}");
}
