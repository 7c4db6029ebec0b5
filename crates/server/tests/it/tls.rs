//! TLS at the front door: versions by ALPN, certificates that change, and the redirect to it.

use std::time::Duration;

use axum::Router;
use axum::routing::any;
use bytes::Bytes;
use farebox_server::{FrontDoor, GatewayOptions, Redirect, Tls, TlsError};
use http::Request;
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;

use crate::certificates::{Authority, connect};
use crate::support::{Plan, Seen, Town, eventually, within};

const HOST: &str = "gate.example";
const GET: &[u8] = b"GET /free/x HTTP/1.1\r\nhost: gate.example\r\n\r\n";
const OVER: &str = "over and out";

async fn plan(tls: &Tls) -> Plan {
    let app = Router::new().fallback(any(async || OVER));
    let front = FrontDoor {
        tls: Some(tls.clone()),
        ..FrontDoor::default()
    };
    Plan {
        options: GatewayOptions {
            front,
            ..GatewayOptions::default()
        },
        ..Plan::app(app).await
    }
}

/// A gate with one certificate.
async fn town() -> (Authority, Tls, Town) {
    let authority = Authority::new();
    authority.write("gate", HOST);
    let tls = Tls::load(vec![authority.files("gate")]).expect("certificates");
    let town = plan(&tls).await.open().await;
    (authority, tls, town)
}

/// Asks once more on a connection that stays open.
async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(GET).await.expect("written");
    let mut answer = Vec::new();
    while !answer.ends_with(OVER.as_bytes()) {
        let read = within(stream.read_buf(&mut answer))
            .await
            .expect("an answer");
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
    }
    String::from_utf8(answer).expect("text")
}

/// The certificate that a new client is shown.
async fn shown(authority: &Authority, town: &Town, host: &str) -> Option<Vec<u8>> {
    let stream = connect(&authority.client(&[]), town.gate, host)
        .await
        .ok()?;
    let certificates = stream.get_ref().1.peer_certificates()?;
    Some(certificates.first()?.to_vec())
}

#[tokio::test]
async fn alpn_chooses_the_version() {
    let (authority, _, town) = town().await;
    for alpn in [&["http/1.1"][..], &[]] {
        let mut stream = connect(&authority.client(alpn), town.gate, HOST)
            .await
            .expect("TLS");
        assert!(ask(&mut stream).await.starts_with("HTTP/1.1 200"));
    }
    let stream = connect(&authority.client(&["h2", "http/1.1"]), town.gate, HOST)
        .await
        .expect("TLS");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
    tokio::spawn(connection);
    let request = Request::get(format!("https://{HOST}/free/x"));
    let request = request.body(Empty::<Bytes>::new()).expect("a request");
    let answer = within(sender.send_request(request))
        .await
        .expect("an answer");
    assert_eq!(Seen::read(answer).await.body, OVER);
    // A protocol that is not spoken here.
    assert!(
        connect(&authority.client(&["spdy/3"]), town.gate, HOST)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_client_that_comes_back_needs_no_second_exchange_of_keys() {
    let (authority, _, town) = town().await;
    let client = authority.client(&["http/1.1"]);
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&client, town.gate, HOST).await.expect("TLS");
        ask(&mut stream).await;
        kinds.push(stream.get_ref().1.handshake_kind());
    }
    assert_eq!(
        kinds,
        [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)]
    );
}

#[tokio::test]
async fn new_certificates_are_shown_and_open_connections_go_on() {
    let authority = Authority::new();
    let first = authority.write("gate", HOST);
    let tls = Tls::load(vec![authority.files("gate")]).expect("certificates");
    let tls = tls.looked_at_every(Duration::from_millis(5));
    let town = plan(&tls).await.open().await;
    let mut open = connect(&authority.client(&[]), town.gate, HOST)
        .await
        .expect("TLS");
    ask(&mut open).await;
    assert_eq!(shown(&authority, &town, HOST).await, Some(first.to_vec()));
    let second = authority.write("gate", HOST);
    assert_ne!(first, second);
    eventually(async || shown(&authority, &town, HOST).await == Some(second.to_vec())).await;
    ask(&mut open).await;
}

#[tokio::test]
async fn files_that_cannot_be_used_leave_the_old_certificate_in_place() {
    let (authority, tls, town) = town().await;
    let old = shown(&authority, &town, HOST).await;
    let files = authority.files("gate");
    let key = std::fs::read(&files.key).expect("a key");
    assert!(!tls.reload().await.expect("nothing has changed"));

    // Half of a renewal: a certificate whose key has not come yet.
    authority.write("next", HOST);
    std::fs::copy(authority.files("next").cert, &files.cert).expect("copied");
    let error = tls.reload().await.expect_err("not a pair");
    assert!(matches!(error, TlsError::Unusable { .. }), "{error}");
    assert!(!tls.reload().await.expect("said once"));
    for (cert, expected) in [("junk", "no certificate"), ("", "no certificate")] {
        std::fs::write(&files.cert, cert).expect("written");
        let error = tls.reload().await.expect_err("junk").to_string();
        assert!(error.contains(expected), "{error}");
    }
    std::fs::remove_file(&files.cert).expect("removed");
    assert!(matches!(
        tls.reload().await,
        Err(TlsError::Unreadable { .. })
    ));
    assert_eq!(shown(&authority, &town, HOST).await, old);

    let new = authority.write("gate", HOST);
    assert_ne!(std::fs::read(&files.key).expect("a key"), key);
    assert!(tls.reload().await.expect("a pair"));
    assert_eq!(shown(&authority, &town, HOST).await, Some(new.to_vec()));
}

#[tokio::test]
async fn the_name_that_a_client_asks_for_chooses_the_certificate() {
    let authority = Authority::new();
    let first = authority.write("one", "one.example");
    let second = authority.write("two", "*.two.example");
    let files = vec![authority.files("one"), authority.files("two")];
    let tls = Tls::load(files).expect("certificates");
    let town = plan(&tls).await.open().await;
    let one = shown(&authority, &town, "one.example").await;
    assert_eq!(one, Some(first.to_vec()));
    let two = shown(&authority, &town, "api.two.example").await;
    assert_eq!(two, Some(second.to_vec()));
    // Nobody's name: the first is shown, and the client refuses it.
    assert_eq!(shown(&authority, &town, "three.example").await, None);
}

#[tokio::test]
async fn files_without_a_certificate_or_a_key_are_refused_at_the_start() {
    let authority = Authority::new();
    authority.write("gate", HOST);
    let good = authority.files("gate");
    let mut swapped = good.clone();
    swapped.cert.clone_from(&good.key);
    assert!(matches!(
        Tls::load(vec![swapped]),
        Err(TlsError::NoCertificate(_))
    ));
    let mut keyless = good.clone();
    keyless.key.clone_from(&good.cert);
    assert!(matches!(Tls::load(vec![keyless]), Err(TlsError::NoKey(_))));
    authority.write("other", HOST);
    let mut foreign = good.clone();
    foreign.key = authority.files("other").key;
    assert!(matches!(
        Tls::load(vec![foreign]),
        Err(TlsError::Unusable { .. })
    ));
    assert!(matches!(Tls::load(Vec::new()), Err(TlsError::Nothing)));
}

#[tokio::test]
async fn clients_that_do_not_shake_hands_are_cut_off_and_reach_nobody() {
    let authority = Authority::new();
    authority.write("gate", HOST);
    let tls = Tls::load(vec![authority.files("gate")]).expect("certificates");
    let mut plan = plan(&tls).await;
    plan.options.client_head_ms = 50;
    let town = plan.open().await;
    let mut silent = TcpStream::connect(town.gate).await.expect("connected");
    assert_eq!(within(silent.read(&mut [0; 1])).await.expect("closed"), 0);
    // HTTP in the clear gets no answer that HTTP would understand.
    let answer = town.raw(GET).await;
    assert!(!answer.contains("HTTP/"), "{answer}");
    assert_eq!(town.visits.count(), 0);
}

#[tokio::test]
async fn everybody_in_the_clear_is_sent_to_tls_and_payments_are_not() {
    let authority = Authority::new();
    authority.write("gate", HOST);
    let tls = Tls::load(vec![authority.files("gate")]).expect("certificates");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let clear = listener.local_addr().expect("an address");
    let redirect = Redirect {
        listener,
        to: "https://gate.example".to_owned(),
    };
    let plan = Plan {
        redirect: Some(redirect),
        ..plan(&tls).await
    };
    let mut town = plan.open().await;
    let say = async |request: &str| {
        let mut stream = TcpStream::connect(clear).await.expect("connected");
        let request = format!("{request} HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n");
        let _ = stream.write_all(format!("{request}\r\n").as_bytes()).await;
        let mut answer = String::new();
        let _ = within(stream.read_to_string(&mut answer)).await;
        answer
    };
    for (request, status, location) in [
        (
            "GET /weather?q=%2F",
            301,
            "https://gate.example/weather?q=%2F",
        ),
        ("HEAD /", 301, "https://gate.example/"),
        (
            "GET //evil.example",
            301,
            "https://gate.example//evil.example",
        ),
        ("POST /weather", 308, "https://gate.example/weather"),
        ("GET http://evil.example/x", 301, "https://gate.example/x"),
    ] {
        let answer = say(request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
        assert!(
            answer.contains(&format!("location: {location}\r\n")),
            "{answer}"
        );
    }
    for request in [
        "GET /weather HTTP/1.1\r\npayment-signature: e30=\r\nx:",
        "POST /weather HTTP/1.1\r\nX-PAYMENT: e30=\r\nx:",
    ] {
        let answer = say(request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.contains("payment_in_the_clear"), "{answer}");
        assert!(!answer.contains("location"), "{answer}");
    }
    for request in ["OPTIONS *", "CONNECT evil.example:443"] {
        let answer = say(request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    assert_eq!(town.visits.count(), 0);
    town.close().await;
    assert!(
        TcpStream::connect(clear).await.is_err(),
        "it stops with the gate"
    );
}
