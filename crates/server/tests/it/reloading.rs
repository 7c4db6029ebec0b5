//! A gate that is told to sell something else while it serves.

use axum::Router;
use axum::routing::any;
use farebox_seller::{Route, SellerConfig};
use farebox_server::{GatewayError, Upstream, Upstreams};
use farebox_wire::money::UsdMicros;
use http::StatusCode;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;

use crate::support::{PRICE, Plan, Town, within};

impl Town {
    /// Sells `/new/*` at `upstream` and nothing else from now on.
    fn sell_new(&self, upstream: &str) -> Result<(), GatewayError> {
        let matcher = "/new/*".parse().expect("a route");
        let routes = vec![Route::new("new", matcher, UsdMicros(1_000))];
        let config = SellerConfig::new(format!("http://{}", self.gate), routes);
        let seller = self.seller.succeeded_by(config).expect("a seller");
        let upstream: Upstream = upstream.parse().expect("an upstream");
        let upstreams = Upstreams {
            by_route: [("new".to_owned(), upstream)].into(),
            unmatched: None,
        };
        self.reloader.reload(&seller, upstreams)
    }
}

#[tokio::test]
async fn a_stream_in_flight_goes_on_with_its_old_route() {
    let (writers, mut written) = mpsc::unbounded_channel();
    let app = Router::new().fallback(any(move || {
        let (chunks, mut body) = mpsc::unbounded_channel::<Result<&'static str, std::io::Error>>();
        writers.send(chunks).expect("the test listens");
        let body = futures_util::stream::poll_fn(move |cx| body.poll_recv(cx));
        async move { axum::body::Body::from_stream(body) }
    }));
    let town = Plan::app(app).await.open().await;
    let credential = town.sign("/old", &town.payer()).await;
    let headers = [("payment-signature", &*credential)];
    let mut answer = town.open("GET", "/old", &headers, "").await;
    let chunks = within(written.recv()).await.expect("reached");
    // Its route is gone, and so is its upstream.
    town.sell_new("http://127.0.0.1:9").expect("reloaded");
    assert_eq!(town.get("/old", &[]).await.status, StatusCode::NOT_FOUND);
    for part in ["first", "second"] {
        chunks.send(Ok(part)).expect("open");
        let frame = within(answer.body_mut().frame()).await;
        let frame = frame.expect("a frame").expect("no error");
        assert_eq!(frame.into_data().expect("data"), part);
    }
    drop(chunks);
    assert!(within(answer.body_mut().frame()).await.is_none());
    assert_eq!(town.revenue(), PRICE);
}

#[tokio::test]
async fn a_connection_that_was_open_before_is_served_by_what_is_sold_now() {
    let sunny = Router::new().fallback(any(|| async { "sunny" }));
    let town = Plan::app(sunny).await.open().await;
    let stream = tokio::net::TcpStream::connect(town.gate).await;
    let stream = hyper_util::rt::TokioIo::new(stream.expect("connected"));
    let handshake = hyper::client::conn::http1::handshake(stream).await;
    let (mut sender, connection) = handshake.expect("HTTP");
    tokio::spawn(connection);
    let mut statuses = Vec::new();
    for _ in 0..2 {
        sender.ready().await.expect("one connection");
        let request = http::Request::get("/free/a").header("host", town.gate.to_string());
        let request = request.body(String::new()).expect("a request");
        let answer = within(sender.send_request(request)).await;
        let answer = answer.expect("an answer");
        statuses.push(answer.status());
        answer.into_body().collect().await.expect("its end");
        town.sell_new("http://127.0.0.1:9").expect("reloaded");
    }
    assert_eq!(statuses, [StatusCode::OK, StatusCode::NOT_FOUND]);
}

#[tokio::test]
async fn connections_to_an_upstream_that_stays_are_used_on() {
    let app = Router::new().fallback(any(|request: axum::extract::Request| async move {
        let peer = request
            .extensions()
            .get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
        peer.map(|peer| peer.0.to_string()).unwrap_or_default()
    }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let upstream = listener.local_addr().expect("an address");
    let service = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    let town = Plan::in_front_of(upstream, Default::default()).open().await;
    let before = town.get("/free/a", &[]).await;
    town.sell_new(&format!("http://{upstream}"))
        .expect("reloaded");
    let after = town.buy("/new/a").await;
    after.assert_served();
    assert!(!before.body.is_empty());
    assert_eq!(
        before.body, after.body,
        "one connection, two configurations"
    );
}

#[tokio::test]
async fn what_leads_nowhere_is_refused_and_changes_nothing() {
    let sunny = Router::new().fallback(any(|| async { "sunny" }));
    let town = Plan::app(sunny).await.open().await;
    let matcher = "/new/*".parse().expect("a route");
    let routes = vec![Route::new("new", matcher, UsdMicros(1_000))];
    let config = SellerConfig::new(format!("http://{}", town.gate), routes);
    let seller = town.seller.succeeded_by(config).expect("a seller");
    let refused = town.reloader.reload(&seller, Upstreams::default());
    assert_eq!(refused, Err(GatewayError::NoUpstream("new".to_owned())));
    town.buy("/weather").await.assert_served();
}
