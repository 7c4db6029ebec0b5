//! The admin server, over a real socket, beside a gate and beside a facilitator.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use farebox_devnet_evm::{ANY_METHOD, Fault};
use farebox_server::{Admin, AdminError, Connections, Course, Watched};
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use rusqlite::Connection;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::station::Station;
use crate::support::{PRICE, Plan, Seen, Town, within};

/// Beside a server of the test.
struct Desk {
    address: SocketAddr,
    course: Arc<Course>,
    serving: JoinHandle<()>,
}

impl Desk {
    async fn open(till: &Arc<farebox_seller::till::Till>, connections: Connections) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let admin = Admin::new(listener, false).expect("on loopback");
        let address = admin.address();
        let course = Arc::<Course>::default();
        let watched = Watched {
            till: Arc::clone(till),
            connections,
            course: Arc::clone(&course),
        };
        let serving = tokio::spawn(admin.serve(watched, std::future::pending()));
        Self {
            address,
            course,
            serving,
        }
    }

    async fn ask(&self, method: &str, path: &str) -> Seen {
        let stream = TcpStream::connect(self.address).await.expect("connected");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .expect("HTTP");
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path);
        let request = request.header("host", "admin");
        let request = request
            .body(Empty::<bytes::Bytes>::new())
            .expect("a request");
        let answer = within(sender.send_request(request)).await;
        Seen::read(answer.expect("an answer")).await
    }

    async fn metrics(&self) -> String {
        let seen = self.ask("GET", "/metrics").await;
        assert_eq!(seen.status, StatusCode::OK);
        let kind = seen.headers["content-type"].to_str().expect("text");
        assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
        String::from_utf8(seen.body.to_vec()).expect("UTF-8")
    }

    async fn ready(&self) -> (StatusCode, Vec<String>) {
        let seen = self.ask("GET", "/readyz").await;
        let told: Value = serde_json::from_slice(&seen.body).expect("JSON");
        assert_eq!(told["ready"], seen.status == StatusCode::OK);
        let reasons = told["reasons"].as_array().expect("reasons");
        let codes = reasons.iter().map(|reason| {
            assert!(reason["message"].as_str().is_some_and(|m| m.len() > 5));
            reason["code"].as_str().expect("a code").to_owned()
        });
        (seen.status, codes.collect())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn town() -> Town {
    let sunny = Router::new().fallback(any(|| async { "sunny" }));
    Plan::app(sunny).await.open().await
}

/// The value of one sample.
fn value(text: &str, sample: &str) -> u128 {
    let line = text.lines().find_map(|line| line.strip_prefix(sample));
    let line = line.unwrap_or_else(|| panic!("{sample} in\n{text}"));
    line.trim().parse().expect("a whole number")
}

#[tokio::test]
async fn metrics_agree_with_the_books_and_the_chain() {
    let town = town().await;
    let desk = Desk::open(town.seller.till(), town.connections.clone()).await;
    town.buy("/weather").await.assert_served();
    town.buy("/dear/weather").await.assert_served();
    town.get("/free/weather", &[]).await;
    let text = desk.metrics().await;
    let of = |sample: &str| value(&text, sample);
    assert_eq!(
        of("farebox_challenges_total{route=\"all\",protocol=\"x402\"}"),
        1
    );
    assert_eq!(of("farebox_answers_total{route=\"all\",status=\"2xx\"}"), 1);
    assert_eq!(
        of("farebox_answers_total{route=\"free\",status=\"2xx\"}"),
        1
    );
    assert_eq!(of("farebox_request_seconds_count{route=\"dear\"}"), 2);
    let network = "rail=\"evm\",network=\"eip155:84532\"}";
    let settled = |route: &str| format!("{{state=\"settled\",route=\"{route}\",{network}");
    let payments = |route: &str| of(&format!("farebox_payments_total{}", settled(route)));
    assert_eq!((payments("all"), payments("dear")), (1, 1));
    let times = format!("farebox_settlement_seconds_count{{{network}");
    assert_eq!(of(&times), 2);
    let revenue = text
        .lines()
        .find(|line| line.starts_with("farebox_revenue_atomic_total{"));
    let revenue = revenue.expect("revenue").rsplit(' ').next();
    assert_eq!(revenue, Some((2 * PRICE).to_string().as_str()));
    assert_eq!(town.revenue(), 2 * PRICE);
    assert!(text.contains("farebox_gas_balance_wei{network=\"eip155:84532\",address=\"0x"));
    assert_eq!(of("farebox_network_reachable{network=\"eip155:84532\"}"), 1);
    assert_eq!(of("farebox_ledger_writable"), 1);
    assert_eq!(of("farebox_payments_undecided"), 0);
    town.audit().await;
}

#[tokio::test]
async fn nothing_that_a_request_says_becomes_a_label() {
    let town = town().await;
    let desk = Desk::open(town.seller.till(), town.connections.clone()).await;
    let before = desk.metrics().await.lines().count();
    for n in 0..50 {
        let path = format!("/free/{n}?secret={n}");
        let agent = format!("agent-{n}");
        let headers = [("x-name", agent.as_str()), ("payment-signature", "junk")];
        town.send("GET", &path, &headers, "").await;
        town.send("GET", &format!("/paid/{n}"), &headers, "").await;
        town.send(&format!("METHOD{n}"), "/%zz", &[], "").await;
    }
    let text = desk.metrics().await;
    assert_eq!(text.lines().count(), before, "{text}");
    for word in ["secret", "agent-", "METHOD", "junk", "/paid/"] {
        assert!(!text.contains(word), "{word} in\n{text}");
    }
}

#[tokio::test]
async fn connections_are_counted_while_they_are_open() {
    let town = town().await;
    let desk = Desk::open(town.seller.till(), town.connections.clone()).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(TcpStream::connect(town.gate).await.expect("connected"));
    }
    let count = || async { value(&desk.metrics().await, "farebox_connections_open") };
    crate::support::eventually(|| async { count().await == 3 }).await;
    drop(open);
    crate::support::eventually(|| async { count().await == 0 }).await;
}

#[tokio::test]
async fn it_is_ready_until_it_drains() {
    let town = town().await;
    let desk = Desk::open(town.seller.till(), town.connections.clone()).await;
    assert_eq!(desk.ready().await, (StatusCode::OK, vec![]));
    desk.course.drain();
    let told = desk.ready().await;
    let draining = vec!["draining".to_owned()];
    assert_eq!(told, (StatusCode::SERVICE_UNAVAILABLE, draining));
    let alive = desk.ask("GET", "/healthz").await;
    assert_eq!(alive.status, StatusCode::OK, "it lives while it drains");
    assert_eq!(value(&desk.metrics().await, "farebox_draining"), 1);
}

#[tokio::test]
async fn a_node_that_is_away_makes_it_not_ready() {
    let town = town().await;
    let desk = Desk::open(town.seller.till(), town.connections.clone()).await;
    town.devnet.faults().set(ANY_METHOD, Fault::Disconnect);
    let told = desk.ready().await;
    let away = vec!["rpc_unreachable".to_owned()];
    assert_eq!(told, (StatusCode::SERVICE_UNAVAILABLE, away));
    assert_eq!(desk.ask("GET", "/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_ledger_that_takes_no_writes_makes_it_not_ready() {
    let town = town().await;
    let desk = Desk::open(town.seller.till(), town.connections.clone()).await;
    // Another process that does not let go of the file.
    let other = Connection::open(town.ledger_path()).expect("the file");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let told = desk.ready().await;
    let locked = vec!["ledger_unwritable".to_owned()];
    assert_eq!(told, (StatusCode::SERVICE_UNAVAILABLE, locked));
    other.execute_batch("ROLLBACK").expect("unlocked");
}

#[tokio::test]
async fn a_facilitator_is_watched_in_the_same_way() {
    let station = Station::open().await;
    let desk = Desk::open(&station.till, station.connections.clone()).await;
    let settled = station.settle(&station.payment()).await;
    assert_eq!(settled["success"], true, "{settled}");
    let text = desk.metrics().await;
    let settle = "farebox_answers_total{route=\"/settle\",status=\"2xx\"}";
    assert_eq!(value(&text, settle), 1);
    let payments = "farebox_payments_total{state=\"settled\",route=\"settle\",rail=\"evm\",network=\"eip155:84532\"}";
    assert_eq!(value(&text, payments), 1);
    assert_eq!(desk.ready().await, (StatusCode::OK, vec![]));
}

#[tokio::test]
async fn it_answers_three_paths_and_reads_only() {
    let town = town().await;
    let desk = Desk::open(town.seller.till(), town.connections.clone()).await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(desk.ask("HEAD", path).await.status, StatusCode::OK);
        let refused = desk.ask("POST", path).await;
        assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(refused.headers["allow"], "GET, HEAD");
    }
    let nowhere = desk.ask("GET", "/").await;
    assert_eq!(
        (nowhere.status, nowhere.code()),
        (StatusCode::NOT_FOUND, "not_found".to_owned())
    );
}

#[test]
fn beyond_loopback_it_has_to_be_meant() {
    let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
    for text in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert!(Admin::permits(address(text), false).is_ok(), "{text}");
    }
    for text in ["0.0.0.0:1", "10.0.0.1:1", "[::]:1"] {
        let refused = Admin::permits(address(text), false);
        assert!(
            matches!(refused, Err(AdminError::OpenToEverybody(_))),
            "{text}"
        );
        let message = refused.expect_err("refused").to_string();
        assert!(message.contains("admin_open = true"), "{message}");
        assert!(Admin::permits(address(text), true).is_ok(), "{text}");
    }
}
