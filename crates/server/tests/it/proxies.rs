//! Proxies in front of the gate: whom they speak for, and who else may not.

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use farebox_server::{FrontDoor, GatewayOptions, Tls};
use http::{HeaderMap, Request, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::certificates::{Authority, connect_over};
use crate::support::{Plan, Town, within};

const ASK: &str = "GET /free/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const LINE: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";

/// A gate behind `trusted` proxies; the upstream says who it hears has asked.
async fn town(trusted: &str, proxy_protocol: bool) -> Town {
    let app = Router::new().fallback(any(|request: Request<Body>| async move {
        let said = request.headers().get("x-forwarded-for").cloned();
        let said = said.expect("the gate says who asks");
        format!("<{}>", said.to_str().expect("text"))
    }));
    let front = FrontDoor {
        trusted_proxies: vec![trusted.parse().expect("a block")],
        proxy_protocol,
        ..FrontDoor::default()
    };
    let plan = Plan {
        options: GatewayOptions {
            front,
            client_head_ms: 200,
            ..GatewayOptions::default()
        },
        ..Plan::app(app).await
    };
    plan.open().await
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client_and_nobody_else_does() {
    let headers = [("x-forwarded-for", "1.1.1.1, 192.0.2.7")];
    let near = town("127.0.0.0/8", false).await;
    let seen = near.get("/free/x", &headers).await;
    assert_eq!(seen.status, StatusCode::OK);
    // Read from its end, as the gate reads it: the proxy, then the client that the proxy names.
    assert_eq!(seen.body, "<1.1.1.1, 192.0.2.7, 127.0.0.1>");
    let far = town("10.0.0.0/8", false).await;
    let seen = far.get("/free/x", &headers).await;
    assert_eq!(seen.body, "<127.0.0.1>");
}

/// The limits on what is done in vain are the client's, not those of the proxy that all share.
#[tokio::test]
async fn limits_are_kept_for_the_client_behind_the_proxy() {
    let town = town("127.0.0.0/8", false).await;
    // Signed before anything is used up, and then sent at once: what is used up comes back with time.
    let mut credentials = Vec::new();
    for number in 1..=40_u8 {
        let stranger = town.payer_with(&format!("0x{}", hex(number)));
        credentials.push(town.sign("/weather", &stranger).await);
    }
    let other = credentials.pop().expect("one of many");
    let ask = async |client: &str, credential: &str| {
        let headers = [
            ("payment-signature", credential),
            ("x-forwarded-for", client),
        ];
        town.get("/weather", &headers).await.status
    };
    let asking = credentials
        .iter()
        .map(|credential| ask("192.0.2.7", credential));
    futures_util::future::join_all(asking).await;
    assert_eq!(ask("192.0.2.8", &other).await, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(
        ask("192.0.2.7", &other).await,
        StatusCode::TOO_MANY_REQUESTS
    );
}

/// A key of 32 bytes that nobody has funded.
fn hex(number: u8) -> String {
    format!("{number:02x}").repeat(32)
}

#[tokio::test]
async fn a_proxy_header_names_the_client_whatever_follows() {
    let town = town("127.0.0.0/8", true).await;
    let answer = town.raw(format!("{LINE}{ASK}").as_bytes()).await;
    assert!(answer.ends_with("<192.0.2.7>"), "{answer}");
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    binary.extend([192, 0, 2, 9, 198, 51, 100, 1, 0xdc, 4, 1, 0xbb]);
    binary.extend(ASK.as_bytes());
    let answer = town.raw(&binary).await;
    assert!(answer.ends_with("<192.0.2.9>"), "{answer}");
    // In as many pieces as it has bytes.
    let mut stream = TcpStream::connect(town.gate).await.expect("connected");
    stream.set_nodelay(true).expect("no delay");
    for byte in format!("{LINE}{ASK}").bytes() {
        stream.write_all(&[byte]).await.expect("written");
    }
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer))
        .await
        .expect("an answer");
    assert!(answer.ends_with("<192.0.2.7>"), "{answer}");
    // The proxy itself asks whether anybody is at home.
    let answer = town.raw(format!("PROXY UNKNOWN\r\n{ASK}").as_bytes()).await;
    assert!(answer.ends_with("<127.0.0.1>"), "{answer}");
}

#[tokio::test]
async fn a_proxy_header_that_is_missing_or_broken_ends_the_connection() {
    let town = town("127.0.0.0/8", true).await;
    for bytes in [
        ASK.to_owned(),
        format!("PROXY TCP4 192.0.2.7\r\n{ASK}"),
        format!("PROXY TCP4 {}", "1".repeat(200)),
        // Nothing more comes.
        "PROXY TCP4".to_owned(),
    ] {
        assert_eq!(town.raw(bytes.as_bytes()).await, "", "{bytes}");
    }
    assert_eq!(town.visits.count(), 0);
}

#[tokio::test]
async fn a_proxy_header_of_a_stranger_is_no_http() {
    let town = town("10.0.0.0/8", true).await;
    let answer = town.raw(format!("{LINE}{ASK}").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(town.visits.count(), 0);
    let answer = town.raw(ASK.as_bytes()).await;
    assert!(answer.ends_with("<127.0.0.1>"), "{answer}");
}

/// What an upstream is told about a client, a name and a value per line.
const TOLD: [&str; 7] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-user",
    "x-real-ip",
];

/// A gate behind `trusted` proxies whose upstream says what it is told about its client.
async fn telling(front: FrontDoor) -> Town {
    let app = Router::new().fallback(any(|headers: HeaderMap| async move {
        let lines = TOLD.iter().flat_map(|name| {
            let values = headers.get_all(*name).iter();
            values.map(move |value| format!("{name}: {}\n", value.to_str().expect("text")))
        });
        lines.collect::<String>()
    }));
    let plan = Plan {
        options: GatewayOptions {
            front,
            ..GatewayOptions::default()
        },
        ..Plan::app(app).await
    };
    plan.open().await
}

fn behind(trusted: &str) -> FrontDoor {
    FrontDoor {
        trusted_proxies: vec![trusted.parse().expect("a block")],
        ..FrontDoor::default()
    }
}

/// Everything a client could claim, as a request without a body.
const CLAIMS: &str = "GET /free/x HTTP/1.1\r\nhost: gate.example\r\nconnection: close\r\n\
    forwarded: for=203.0.113.9;proto=https\r\nx-forwarded-for: 203.0.113.9\r\n\
    x-forwarded-host: api.example\r\nx-forwarded-port: 8443\r\nx-forwarded-proto: https\r\n\
    x-forwarded-user: alice\r\nx-real-ip: 203.0.113.9\r\n\r\n";

/// The body of an answer.
fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a head").1
}

#[tokio::test]
async fn upstreams_are_told_what_a_trusted_proxy_says_and_the_proxy_itself() {
    let town = telling(behind("127.0.0.0/8")).await;
    let answer = town.raw(CLAIMS.as_bytes()).await;
    assert_eq!(
        body(&answer),
        "forwarded: for=203.0.113.9;proto=https, for=127.0.0.1\n\
         x-forwarded-for: 203.0.113.9, 127.0.0.1\nx-forwarded-host: api.example\n\
         x-forwarded-port: 8443\nx-forwarded-proto: https\nx-forwarded-user: alice\n"
    );
}

#[tokio::test]
async fn upstreams_are_told_nothing_that_a_stranger_says() {
    let town = telling(behind("10.0.0.0/8")).await;
    let answer = town.raw(CLAIMS.as_bytes()).await;
    assert_eq!(
        body(&answer),
        "x-forwarded-for: 127.0.0.1\nx-forwarded-host: gate.example\nx-forwarded-proto: http\n"
    );
}

#[tokio::test]
async fn behind_tls_of_the_gate_upstreams_are_told_https() {
    let authority = Authority::new();
    authority.write("gate", "gate.example");
    let tls = Tls::load(vec![authority.files("gate")]).expect("certificates");
    let line = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
    for (proxy_protocol, client) in [(false, "127.0.0.1"), (true, "192.0.2.7")] {
        let trusted = if proxy_protocol {
            "127.0.0.0/8"
        } else {
            "10.0.0.0/8"
        };
        let town = telling(FrontDoor {
            tls: Some(tls.clone()),
            proxy_protocol,
            ..behind(trusted)
        })
        .await;
        let mut stream = TcpStream::connect(town.gate).await.expect("connected");
        if proxy_protocol {
            stream.write_all(line.as_bytes()).await.expect("written");
        }
        let connector = authority.client(&["http/1.1"]);
        let mut stream = connect_over(&connector, stream, "gate.example")
            .await
            .expect("TLS");
        stream.write_all(CLAIMS.as_bytes()).await.expect("written");
        let mut answer = String::new();
        within(stream.read_to_string(&mut answer))
            .await
            .expect("an answer");
        // Whom the proxy names is no proxy, so what it says itself is replaced.
        let expected = format!(
            "x-forwarded-for: {client}\nx-forwarded-host: gate.example\nx-forwarded-proto: https\n"
        );
        assert_eq!(body(&answer), expected);
    }
}
