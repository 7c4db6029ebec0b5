//! Certificates that are obtained while the gate serves, and the questions of their authority.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use farebox_server::{
    CertificateKeeper, Challenges, FrontDoor, GatewayOptions, Obtained, Redirect, Tls,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::certificates::{Authority, believing, connect};
use crate::support::{Plan, Town, eventually, within};

const HOST: &str = "gate.example";
const QUESTION: &str = "acme-tls/1";

/// Has the file read whenever a test says so.
#[derive(Default)]
struct Told(Notify);

impl CertificateKeeper for Told {
    fn keep<'a>(&'a self, tls: &'a Tls) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            loop {
                self.0.notified().await;
                tls.reload().await.expect("a certificate");
            }
        })
    }
}

/// A gate that has no certificate yet, and what lies on its disk.
struct Gate {
    authority: Authority,
    folder: TempDir,
    told: Arc<Told>,
    town: Town,
    /// Where it listens in the clear.
    clear: std::net::SocketAddr,
}

impl Gate {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let told = Arc::new(Told::default());
        let obtained = Obtained {
            bundle: folder.path().join("bundle.pem"),
            challenges: Challenges::in_folder(folder.path()),
            keeper: told.clone(),
        };
        let tls = Tls::obtaining(obtained, Vec::new()).expect("nothing is needed yet");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let clear = listener.local_addr().expect("an address");
        let app = Router::new().fallback(any(async || "never"));
        let plan = Plan {
            options: GatewayOptions {
                front: FrontDoor {
                    tls: Some(tls),
                    ..FrontDoor::default()
                },
                ..GatewayOptions::default()
            },
            redirect: Some(Redirect {
                listener,
                to: format!("https://{HOST}"),
            }),
            ..Plan::app(app).await
        };
        Self {
            authority: Authority::new(),
            folder,
            told,
            town: plan.open().await,
            clear,
        }
    }

    fn bundle(&self) -> PathBuf {
        self.folder.path().join("bundle.pem")
    }

    /// Puts a certificate for `host` where the gate waits for it.
    fn obtain(&self, host: &str) -> CertificateDer<'static> {
        let certificate = self.authority.write("new", host);
        let files = self.authority.files("new");
        let mut pem = std::fs::read(files.key).expect("a key");
        pem.extend(std::fs::read(files.cert).expect("a certificate"));
        std::fs::write(self.bundle(), pem).expect("written");
        self.told.0.notify_one();
        certificate
    }

    async fn shown(&self, host: &str) -> Option<Vec<u8>> {
        let client = self.authority.client(&["http/1.1"]);
        let stream = connect(&client, self.town.gate, host).await.ok()?;
        let shown = stream.get_ref().1.peer_certificates()?.first()?.to_vec();
        Some(shown)
    }

    /// Asks in the clear; the whole answer.
    async fn ask(&self, head: &str) -> String {
        let mut stream = TcpStream::connect(self.clear).await.expect("connected");
        let request = format!("{head}\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        let _ = within(stream.read_to_string(&mut answer)).await;
        answer
    }
}

/// Lays out the answer for a question about `host`: this certificate.
fn answer(folder: &Path, host: &str) -> Vec<u8> {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec![host.to_owned()]).expect("parameters");
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(&[7; 32])];
    let signed = params.self_signed(&key).expect("a certificate");
    let questions = folder.join("tls-alpn-01");
    std::fs::create_dir_all(&questions).expect("a folder");
    let pem = format!("{}{}", key.serialize_pem(), signed.pem());
    std::fs::write(questions.join(format!("{host}.pem")), pem).expect("written");
    signed.der().to_vec()
}

#[tokio::test]
async fn a_question_of_an_authority_is_answered_and_nothing_of_http_follows() {
    let gate = Gate::open().await;
    let expected = answer(gate.folder.path(), HOST);
    let client = believing(&[QUESTION]);
    // Also in capitals, and as often as it is asked.
    for host in [HOST, "GATE.example", HOST] {
        let mut stream = connect(&client, gate.town.gate, host).await.expect("TLS");
        let (_, session) = stream.get_ref();
        assert_eq!(session.alpn_protocol(), Some(QUESTION.as_bytes()));
        let shown = session.peer_certificates().expect("a certificate");
        assert_eq!(shown[0].as_ref(), expected);
        // The other side may have gone before this is written.
        let _ = stream
            .write_all(b"GET /free/x HTTP/1.1\r\nhost: gate.example\r\n\r\n")
            .await;
        let mut read = Vec::new();
        let _ = within(stream.read_to_end(&mut read)).await;
        assert_eq!(read, b"", "an answer where none may be");
    }
    assert_eq!(gate.town.visits.count(), 0);
}

#[tokio::test]
async fn a_question_without_an_answer_or_with_another_protocol_gets_none() {
    let gate = Gate::open().await;
    let question = answer(gate.folder.path(), HOST);
    let certificate = gate.obtain(HOST);
    eventually(async || gate.shown(HOST).await.is_some()).await;
    // No answer lies there for this name, and none for what is no name of it.
    for host in ["other.example", "tls-alpn-01", "x.gate.example"] {
        let refused = connect(&believing(&[QUESTION]), gate.town.gate, host).await;
        assert!(refused.is_err(), "{host}");
    }
    // A question offers nothing else; whoever does is a client like any other.
    let client = believing(&[QUESTION, "http/1.1"]);
    let stream = connect(&client, gate.town.gate, HOST).await.expect("TLS");
    let (_, session) = stream.get_ref();
    assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
    let shown = session.peer_certificates().expect("a certificate");
    assert_eq!(shown[0], certificate);
    assert_ne!(shown[0].as_ref(), question);
}

#[tokio::test]
async fn there_is_no_tls_for_a_name_before_its_certificate_and_none_for_other_names() {
    let gate = Gate::open().await;
    assert_eq!(gate.shown(HOST).await, None);
    let first = gate.obtain(HOST);
    eventually(async || gate.shown(HOST).await == Some(first.to_vec())).await;
    let other = connect(&believing(&["http/1.1"]), gate.town.gate, "other.example").await;
    assert!(other.is_err(), "a name for which there is no certificate");
    let second = gate.obtain(HOST);
    eventually(async || gate.shown(HOST).await == Some(second.to_vec())).await;
}

#[tokio::test]
async fn in_the_clear_only_a_token_that_was_laid_out_is_answered() {
    let gate = Gate::open().await;
    let questions = gate.folder.path().join("http-01");
    std::fs::create_dir_all(&questions).expect("a folder");
    std::fs::write(questions.join("a-Token_1"), "a-Token_1.digest").expect("written");
    std::fs::write(gate.folder.path().join("secret"), "the key").expect("written");
    let well_known = "/.well-known/acme-challenge";
    let answered = gate
        .ask(&format!("GET {well_known}/a-Token_1 HTTP/1.1"))
        .await;
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
    assert!(answered.ends_with("\r\n\r\na-Token_1.digest"), "{answered}");
    for line in [
        format!("HEAD {well_known}/a-Token_1 HTTP/1.1"),
        format!("POST {well_known}/a-Token_1 HTTP/1.1"),
        format!("GET {well_known}/another HTTP/1.1"),
        format!("GET {well_known}/ HTTP/1.1"),
        format!("GET {well_known}/../secret HTTP/1.1"),
        format!("GET {well_known}/..%2fsecret HTTP/1.1"),
        format!("GET {well_known}/a-Token_1/ HTTP/1.1"),
        format!("GET {well_known}/a-Token_1%00 HTTP/1.1"),
        format!("GET /x{well_known}/a-Token_1 HTTP/1.1"),
    ] {
        let answer = gate.ask(&line).await;
        assert!(answer.starts_with("HTTP/1.1 30"), "{line}: {answer}");
        assert!(
            !answer.contains("digest") && !answer.contains("the key"),
            "{line}: {answer}"
        );
    }
    // A payment is refused there as everywhere in the clear.
    let paid = format!("GET {well_known}/a-Token_1 HTTP/1.1\r\npayment-signature: e30=");
    let paid = gate.ask(&paid).await;
    assert!(paid.starts_with("HTTP/1.1 400"), "{paid}");
    assert_eq!(gate.town.visits.count(), 0);
}
