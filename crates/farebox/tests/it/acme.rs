//! Certificates that the binary obtains by itself, from an authority in this process: sold with,
//! renewed, refused, shared. Against one that we did not write: `interop/run`.

pub(crate) mod authority;
mod proofs;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::json;

use crate::doctor::Diagnosis;
use crate::market::Upstream;
use crate::support::{Ended, Running, User};
use authority::Authority;

const HOST: &str = "localhost";
/// Generous: a machine that tests may be busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// An address that is free now, for what has to be known before it is listened on.
pub(crate) fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(
            begun.elapsed() < PATIENCE,
            "it did not come to pass: {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Who obtains certificates, and from whom.
struct Place {
    user: User,
    authority: Authority,
    upstream: Upstream,
}

impl Place {
    fn new() -> Self {
        let user = User::new();
        let authority = Authority::start(&user.path("ca.pem"));
        Self {
            user,
            authority,
            upstream: Upstream::start(),
        }
    }

    /// What to write at the top of a file in the current folder.
    fn tls(&self, more: &str) -> String {
        let directory = self.authority.directory();
        format!(
            "tls = {{ acme = {{ domains = [\"{HOST}\"], contact = [\"mailto:ops@example.com\"], accept_terms = true, directory = \"{directory}\", ca = \"file:{}\"{more} }} }}",
            self.user.path("ca.pem").display()
        )
    }

    /// Writes the file of a gate with a ledger of its own.
    fn configure(&self, name: &str) {
        self.user.write(
            &format!("{name}.toml"),
            &format!("ledger = \"sqlite:{name}.db\"\n{}\n", self.tls("")),
        );
    }

    /// Opens a gate that gives everything away, and says where it is.
    fn open(&self, name: &str) -> (Running, SocketAddr) {
        self.configure(name);
        let gate = self.start(&format!("{name}.toml"));
        let address = address(&gate);
        self.authority.rules().prover = Some(address);
        (gate, address)
    }

    fn start(&self, config: &str) -> Running {
        let upstream = self.upstream.url();
        self.user.start(&[
            "gate",
            "--config",
            config,
            "--upstream",
            &upstream,
            "--price",
            "0 USD",
            "--listen",
            "127.0.0.1:0",
            "--json",
        ])
    }
}

fn address(server: &Running) -> SocketAddr {
    let origin = server.text("/listening");
    let address = origin.strip_prefix("https://").expect("TLS");
    address.parse().expect("an address")
}

type Line = StreamOwned<ClientConnection, TcpStream>;

/// A connection over TLS, whoever is there; `None` where there is no certificate.
fn dial(address: SocketAddr) -> Option<Line> {
    let mut tcp = TcpStream::connect(address).expect("connected");
    let name = ServerName::try_from(HOST).expect("a name");
    let config = Arc::new(proofs::believing(&["http/1.1"]));
    let mut session = ClientConnection::new(config, name).expect("a session");
    while session.is_handshaking() {
        session.complete_io(&mut tcp).ok()?;
    }
    Some(StreamOwned::new(session, tcp))
}

/// The certificate that a new client is shown.
fn shown(address: SocketAddr) -> Option<Vec<u8>> {
    let line = dial(address)?;
    let shown = line.conn.peer_certificates()?.first()?;
    Some(shown.to_vec())
}

/// Asks once more on a connection that stays open.
fn ask(line: &mut Line) {
    let request = format!("GET /ok HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    line.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok\n") {
        let mut some = [0; 1024];
        let read = line.read(&mut some).expect("an answer");
        assert!(read > 0, "dropped: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&some[..read]);
    }
}

#[test]
fn a_gate_obtains_a_certificate_sells_with_it_and_orders_none_after_a_restart() {
    let place = Place::new();
    let user = &place.user;
    let _net = user.devnet();
    let config = format!("{}\n{}", place.tls(""), user.read("net/seller.toml"));
    user.write("net/shop.toml", &config);
    let upstream = place.upstream.url();
    let sale = [
        "gate",
        "--config",
        "net/shop.toml",
        "--upstream",
        &upstream,
        "--price",
        "0.001 USD",
        "--listen",
        "127.0.0.1:0",
        "--json",
    ];
    let mut certificates = Vec::new();
    for calls in [1, 2] {
        let gate = user.start(&sale);
        let address = address(&gate);
        place.authority.rules().prover = Some(address);
        eventually("a certificate", || shown(address).is_some());
        certificates.push(shown(address));
        let page = format!("https://{HOST}:{}/ok", address.port());
        let mut fetch = user.command(&["fetch", "--new", "--config", "net/buyer.toml", &page]);
        fetch.env("SSL_CERT_FILE", user.path("ca.pem"));
        let paid = Ended::of(fetch.output().expect("farebox starts"));
        assert_eq!(
            (paid.exit, paid.stdout.as_str()),
            (0, "ok\n"),
            "{}",
            paid.stderr
        );
        assert_eq!(place.upstream.calls(), calls);
    }
    assert_eq!(certificates[0], certificates[1]);
    assert_eq!((place.authority.asked(), place.authority.given()), (1, 1));
    let diagnosis = Diagnosis::on(user, "net/shop.toml");
    assert_eq!(diagnosis.severity("certificate"), "ok");
    let message = diagnosis.text("certificate", "message");
    assert!(
        message.contains("ends in 90 days and is renewed in 60 days"),
        "{message}"
    );
    assert!(
        !diagnosis.has("key_readable"),
        "keys are their owner's alone"
    );
}

#[test]
fn a_certificate_is_renewed_without_dropping_a_connection_also_where_the_account_was_forgotten() {
    let place = Place::new();
    place.authority.rules().life = Duration::from_secs(12);
    let (_gate, address) = place.open("gate");
    eventually("a certificate", || shown(address).is_some());
    let first = shown(address);
    place.authority.forget_accounts();
    let mut line = dial(address).expect("TLS");
    eventually("another certificate", || {
        ask(&mut line);
        shown(address) != first
    });
    ask(&mut line);
    assert!(place.authority.given() >= 2);
}

#[test]
fn a_renewal_that_is_refused_leaves_the_old_certificate() {
    let place = Place::new();
    place.authority.rules().life = Duration::from_secs(9);
    let (gate, address) = place.open("gate");
    eventually("a certificate", || shown(address).is_some());
    place.authority.rules().refusal = Some(("rateLimited", 600));
    let first = shown(address);
    let asked = place.authority.asked();
    eventually("a renewal", || place.authority.asked() > asked);
    eventually("its failure", || {
        let diagnosis = Diagnosis::on(&place.user, "gate.toml");
        diagnosis.has("acme_failing")
    });
    // What was renewed before the refusal counts as old, too.
    assert!(shown(address).is_some() && first.is_some());
    ask(&mut dial(address).expect("TLS"));
    let (_, log) = gate.interrupt();
    assert!(log.contains("stays") && log.contains("staging"), "{log}");
}

#[test]
fn an_order_that_fails_is_not_repeated_by_a_restart_and_the_reason_is_told() {
    let place = Place::new();
    place.authority.rules().refusal = Some(("rateLimited", 7_000));
    let (gate, address) = place.open("gate");
    eventually("an order", || place.authority.asked() == 1);
    assert_eq!(shown(address), None, "no TLS without a certificate");
    eventually("the failure is written down", || {
        Diagnosis::on(&place.user, "gate.toml").has("acme_failing")
    });
    let (exit, log) = gate.interrupt();
    assert_eq!(exit, 0, "{log}");
    assert!(log.contains("no certificate for localhost yet"), "{log}");
    assert!(log.contains("as this test wishes"), "{log}");
    let again = place.start("gate.toml");
    let diagnosis = Diagnosis::on(&place.user, "gate.toml");
    assert!(!diagnosis.ok);
    assert_eq!(diagnosis.severity("acme_failing"), "error");
    assert_eq!(diagnosis.severity("certificate_missing"), "warning");
    let message = diagnosis.text("acme_failing", "message");
    assert!(
        message.contains("1 orders in a row") || message.contains("in 1"),
        "{message}"
    );
    assert!(
        message.contains("minutes"),
        "later than our own five: {message}"
    );
    assert_eq!(shown(self::address(&again)), None);
    let (_, log) = again.interrupt();
    assert!(!log.contains("ordering"), "{log}");
    assert_eq!(place.authority.asked(), 1);
}

#[test]
fn names_are_proven_in_the_clear_where_that_is_said() {
    let place = Place::new();
    let clear = free_address();
    let tls = place.tls(", challenge = \"http-01\"");
    let tls = tls.strip_suffix('}').expect("a table");
    let lines = format!(
        "ledger = \"sqlite:gate.db\"\npublic_url = \"https://{HOST}\"\n{tls}, redirect_from = \"{clear}\" }}\n"
    );
    place.user.write("gate.toml", &lines);
    place.authority.rules().prover = Some(clear);
    let gate = place.start("gate.toml");
    let address = address(&gate);
    eventually("a certificate", || shown(address).is_some());
    assert_eq!(place.authority.given(), 1);
    let left = std::fs::read_dir(place.user.path("data/acme/challenges"));
    assert_eq!(
        left.expect("the folder").count(),
        0,
        "answers are taken away"
    );
}

#[test]
fn two_gates_on_one_data_directory_order_once_and_answer_for_each_other() {
    let place = Place::new();
    let gates = ["one", "two"].map(|name| {
        place.configure(name);
        place.start(&format!("{name}.toml"))
    });
    let [one, two] = gates.each_ref().map(address);
    // Whichever of them orders, one alone is asked.
    place.authority.rules().prover = Some(two);
    eventually("both have a certificate", || {
        shown(one).is_some() && shown(two).is_some()
    });
    assert_eq!(shown(one), shown(two));
    assert_eq!((place.authority.asked(), place.authority.given()), (1, 1));
}

#[test]
fn a_check_says_what_an_order_would_run_into() {
    let user = User::new();
    let lines = "ledger = \"sqlite:gate.db\"\npublic_url = \"https://shop.example.com\"\n\
        tls = { acme = { domains = [\"api.example.com\"], accept_terms = true, directory = \"https://127.0.0.1:1/directory\" } }\n";
    user.write("gate.toml", lines);
    let diagnosis = Diagnosis::of(
        &user,
        &[
            "gate",
            "--config",
            "gate.toml",
            "--upstream",
            "http://127.0.0.1:1",
            "--price",
            "0 USD",
            "--listen",
            "127.0.0.1:0",
            "--check",
        ],
    );
    assert!(!diagnosis.ok);
    assert_eq!(diagnosis.severity("certificate_missing"), "warning");
    assert_eq!(diagnosis.severity("acme_unreachable"), "error");
    assert_eq!(diagnosis.severity("acme_domain"), "error");
    assert_eq!(
        diagnosis.find("acme_domain")["subject"],
        json!("shop.example.com")
    );
    assert!(!user.path("data").exists(), "looking makes nothing");
}

#[test]
fn what_could_not_be_obtained_is_refused_at_the_start() {
    let user = User::new();
    let names = "domains = [\"api.example.com\"]";
    let full = format!("{names}, accept_terms = true");
    for (tls, code, says) in [
        (names.to_owned(), "config_invalid", "accept_terms = true"),
        (
            "domains = [], accept_terms = true".to_owned(),
            "config_invalid",
            "domains",
        ),
        (
            "accept_terms = true".to_owned(),
            "config_invalid",
            "domains",
        ),
        (
            "domains = [\"*.example.com\"], accept_terms = true".to_owned(),
            "config_invalid",
            "*.example.com",
        ),
        (
            format!("{full}, directory = \"http://ca.example\""),
            "config_invalid",
            "https",
        ),
        (
            format!("{full}, contact = [\"ops@example.com\"]"),
            "config_invalid",
            "mailto:",
        ),
        (
            format!("{full}, challenge = \"dns-01\""),
            "config_invalid",
            "dns-01",
        ),
        (
            format!("{full}, challenge = \"http-01\""),
            "config_invalid",
            "redirect_from",
        ),
        (
            format!("{full}, email = \"ops@example.com\""),
            "config_invalid",
            "email",
        ),
        (
            format!("{full}, ca = \"missing.pem\""),
            "config_invalid",
            "file:",
        ),
        (
            format!("{full}, ca = \"file:missing.pem\""),
            "tls_unusable",
            "missing.pem",
        ),
        (
            format!("{full}, ca = \"file:gate.toml\""),
            "config_invalid",
            "acme.ca",
        ),
    ] {
        let (found, message) = refused(&user, &format!("tls = {{ acme = {{ {tls} }} }}"));
        assert_eq!(found, code, "{tls}: {message}");
        assert!(message.contains(says), "{tls}: {message}");
    }
}

#[test]
fn a_certificate_is_obtained_or_in_files_never_both() {
    let user = User::new();
    let full = "domains = [\"api.example.com\"], accept_terms = true";
    for (tls, says) in [
        (
            format!("acme = {{ {full} }}, cert = \"file:c.pem\", key = \"file:k.pem\""),
            "remove one of them",
        ),
        (
            format!("acme = {{ {full} }}, key = \"file:k.pem\""),
            "remove one of them",
        ),
        ("cert = \"file:c.pem\"".to_owned(), "cert and key"),
        (String::new(), "acme"),
    ] {
        let (found, message) = refused(&user, &format!("tls = {{ {tls} }}"));
        assert_eq!(found, "config_invalid", "{tls}: {message}");
        assert!(message.contains(says), "{tls}: {message}");
    }
}

/// Why a gate does not start with this line.
fn refused(user: &User, line: &str) -> (String, String) {
    user.write(
        "gate.toml",
        &format!("ledger = \"sqlite:gate.db\"\n{line}\n"),
    );
    let (exit, answer) = user.json(&[
        "gate",
        "--config",
        "gate.toml",
        "--upstream",
        "http://127.0.0.1:1",
        "--price",
        "0 USD",
        "--listen",
        "127.0.0.1:0",
    ]);
    assert_eq!(exit, 2, "{answer}");
    let text = |key: &str| answer["error"][key].as_str().expect("a text").to_owned();
    (text("code"), text("message"))
}
