//! Tokens of L402 over real sockets: bought, used, used up, and what of them goes on.

use std::sync::Arc;

use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::routing::{any, get};
use farebox_core::clock::SystemClock;
use farebox_seller::l402::{TokenTerms, Uses};
use farebox_seller::{Protocol, Route, SettleWhen};
use farebox_wire::l402::Scheme;
use farebox_wire::l402::challenge::{self, L402Challenge};
use farebox_wire::l402::credential::L402Credential;
use farebox_wire::l402::preimage::Preimage;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tonic::{Code, Request};

use crate::grpc;
use crate::scripted_node::ScriptedNode;
use crate::support::{Plan, Town, Visits, route, within};

/// Routes that take L402 alone, `/both/*` besides x402 and `/many/*` seven times for a token.
async fn town(plan: Plan) -> (Town, Arc<ScriptedNode>) {
    let node = ScriptedNode::new(Arc::new(SystemClock));
    let over = |id: &str, matcher: &str, accept: &[Protocol]| Route {
        accept: accept.to_vec(),
        ..route(id, matcher, 1_000, SettleWhen::After)
    };
    let many = Route {
        token: TokenTerms {
            uses: Uses::Times(7),
            ..TokenTerms::default()
        },
        ..over("many", "/many/*", &[Protocol::L402])
    };
    let plan = Plan {
        routes: vec![
            over("both", "/both/*", &[Protocol::X402, Protocol::L402]),
            many,
            over("all", "/*", &[Protocol::L402]),
        ],
        node: Some(Arc::clone(&node)),
        ..plan
    };
    (plan.open().await, node)
}

fn asked(headers: &HeaderMap) -> L402Challenge {
    let lines = headers.get_all("www-authenticate").iter();
    let read = challenge::read(lines.map(HeaderValue::as_bytes));
    read.challenges.into_iter().next().expect("a challenge")
}

fn paid(node: &ScriptedNode, asked: &L402Challenge) -> L402Credential {
    let preimage = Preimage::from_bytes(node.preimage_of(&asked.invoice));
    match L402Credential::new(Scheme::L402, &asked.token, preimage) {
        Ok(credential) => credential,
        Err(why) => panic!("{why}"),
    }
}

/// Asks for a path, and pays what is asked for it.
async fn buy(town: &Town, node: &ScriptedNode, path: &str) -> String {
    let seen = town.get(path, &[]).await;
    assert_eq!(seen.status, StatusCode::PAYMENT_REQUIRED);
    let credential = paid(node, &asked(&seen.headers));
    credential.to_authorization().expect("a header")
}

#[tokio::test]
async fn a_token_is_bought_used_and_used_up_and_reaches_nobody() {
    let app = Router::new().fallback(|headers: HeaderMap| async move {
        let names = headers.keys().map(http::HeaderName::as_str);
        names.collect::<Vec<_>>().join(" ")
    });
    let (town, node) = town(Plan::app(app).await).await;
    let token = buy(&town, &node, "/weather").await;
    let seen = town.get("/weather", &[("authorization", &token)]).await;
    assert_eq!(seen.status, StatusCode::OK);
    let names = String::from_utf8_lossy(&seen.body);
    assert!(!names.contains("authorization"), "{names}");
    let again = town.get("/weather", &[("authorization", &token)]).await;
    assert_eq!(again.status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(again.code(), "token_exhausted");
    let other = ("authorization", "Bearer mine");
    let token = buy(&town, &node, "/both/x").await;
    let seen = town
        .get("/both/x", &[("authorization", &token), other])
        .await;
    assert_eq!(seen.status, StatusCode::OK);
    let names = String::from_utf8_lossy(&seen.body);
    assert!(names.contains("authorization"), "{names}");
    assert_eq!(town.visits.count(), 2);
}

#[tokio::test]
async fn an_upstream_does_not_ask_for_payments_of_its_own() {
    let app = Router::new().fallback(|| async {
        let headers = [
            ("www-authenticate", "Basic realm=\"x\""),
            ("x-else", "kept"),
        ];
        let mut answer = axum::response::IntoResponse::into_response((headers, "sunny"));
        let own = HeaderValue::from_static("L402 macaroon=\"AA==\", invoice=\"lnbc1\"");
        answer.headers_mut().append("www-authenticate", own);
        answer
    });
    let (town, node) = town(Plan::app(app).await).await;
    let token = buy(&town, &node, "/weather").await;
    let seen = town.get("/weather", &[("authorization", &token)]).await;
    let lines: Vec<_> = seen.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(lines, ["Basic realm=\"x\""]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_parallel_requests_with_a_token_as_many_are_served_as_it_buys() {
    let app = Router::new().fallback(|| async { "sunny" });
    let (town, node) = town(Plan::app(app).await).await;
    for (path, uses) in [("/weather", 1), ("/many/x", 7)] {
        let token = buy(&town, &node, path).await;
        let headers = [("authorization", token.as_str())];
        let asking = (0..50).map(|_| town.get(path, &headers));
        let answers = futures_util::future::join_all(asking).await;
        let count = |status| answers.iter().filter(|seen| seen.status == status).count();
        assert_eq!(count(StatusCode::OK), uses);
        assert_eq!(count(StatusCode::PAYMENT_REQUIRED), 50 - uses);
    }
    assert_eq!(town.visits.count(), 8);
    assert_eq!(town.payments().await.len(), 2);
}

#[tokio::test]
async fn an_upstream_that_fails_gives_the_use_back() {
    let (broken, works) = (Visits::default(), Visits::default());
    let (first, then) = (broken.clone(), works.clone());
    let app = Router::new().fallback(move || {
        let (first, then) = (first.clone(), then.clone());
        async move {
            if first.count() == 0 {
                first.add();
                return (StatusCode::INTERNAL_SERVER_ERROR, "no luck");
            }
            then.add();
            (StatusCode::OK, "sunny")
        }
    });
    let (town, node) = town(Plan::app(app).await).await;
    let token = buy(&town, &node, "/weather").await;
    let headers = [("authorization", token.as_str())];
    let failed = town.get("/weather", &headers).await;
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
    let served = town.get("/weather", &headers).await;
    assert_eq!(served.status, StatusCode::OK);
    assert_eq!(works.count(), 1);
}

#[tokio::test]
async fn a_token_opens_a_websocket_and_an_endless_answer() {
    let echo = |mut socket: WebSocket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    };
    let events = async || {
        let one = Ok::<_, std::convert::Infallible>("data: one\n\n");
        let endless = futures_util::stream::once(async move { one });
        let endless = endless.chain(futures_util::stream::pending());
        (
            [("content-type", "text/event-stream")],
            axum::body::Body::from_stream(endless),
        )
    };
    let app = Router::new().route("/events", get(events)).fallback(any(
        move |upgrade: WebSocketUpgrade| async move { upgrade.on_upgrade(echo) },
    ));
    let (town, node) = town(Plan::app(app).await).await;
    let dial = async |token: Option<&str>| {
        let stream = TcpStream::connect(town.gate).await.expect("connected");
        let url = format!("ws://{}/talk", town.gate);
        let mut request = url.into_client_request().expect("a request");
        if let Some(token) = token {
            let value = token.parse().expect("a value");
            request.headers_mut().insert("authorization", value);
        }
        within(tokio_tungstenite::client_async(request, stream)).await
    };
    let Err(Error::Http(refused)) = dial(None).await else {
        panic!("it has a price");
    };
    let credential = paid(&node, &asked(refused.headers()));
    let token = credential.to_authorization().expect("a header");
    let (mut socket, _) = dial(Some(&token)).await.expect("paid for");
    socket.send(Message::text("hello")).await.expect("open");
    let heard = within(socket.next()).await.expect("open").expect("a word");
    assert_eq!(heard, Message::text("hello"));
    assert!(dial(Some(&token)).await.is_err(), "it is used up");

    let token = buy(&town, &node, "/events").await;
    let headers = [("authorization", token.as_str())];
    let answer = town.open("GET", "/events", &headers, "").await;
    assert_eq!(answer.status(), StatusCode::OK);
    let mut body = http_body_util::BodyStream::new(answer.into_body());
    let first = within(body.next()).await.expect("open").expect("a frame");
    assert_eq!(first.into_data().expect("data"), "data: one\n\n");
}

/// As aperture answers callers, and as its clients pay (reference: gRPC of the L402 protocol).
#[tokio::test]
async fn a_call_of_grpc_is_asked_in_its_own_words_and_pays_in_metadata() {
    let sayer = grpc::Sayer::default();
    let upstream = grpc::serve(sayer.clone(), None).await;
    let plan = Plan::behind(&format!("h2c://{upstream}"), sayer.visits.clone());
    let (town, node) = town(plan).await;
    let stream = TcpStream::connect(town.gate).await.expect("connected");
    let mut client = grpc::client(stream, format!("http://{}", town.gate)).await;
    for at in ["/svc/Say", "/both/Say"] {
        let request = Request::new("ann".to_owned());
        let refused = grpc::ask(&mut client, at, request).await;
        let refused = refused.expect_err("it has a price");
        assert_eq!(refused.code(), Code::Internal, "{refused:?}");
        assert_eq!(refused.message(), "payment required");
        let headers = refused.metadata().clone().into_headers();
        assert_eq!(headers.contains_key("payment-required"), at == "/both/Say");
        let credential = paid(&node, &asked(&headers));
        for (name, is_served) in [("macaroon", true), ("token", false)] {
            let mut request = Request::new("ann".to_owned());
            let value = credential.to_metadata().expect("a macaroon");
            let value = value.parse().expect("a value");
            request.metadata_mut().insert(name, value);
            let answer = grpc::ask(&mut client, at, request).await;
            match is_served {
                true => assert_eq!(answer.expect("paid for").into_inner(), "hello ann"),
                false => assert_eq!(answer.expect_err("used up").code(), Code::Internal),
            }
        }
        // A call that fails in its head gives its use back.
        let request = Request::new("ann".to_owned());
        let refused = grpc::ask(&mut client, at, request).await;
        let headers = refused.expect_err("a price").metadata().clone();
        let credential = paid(&node, &asked(&headers.into_headers()));
        let with = |name: &str| {
            let mut request = Request::new(name.to_owned());
            let value = credential.to_metadata().expect("a macaroon");
            let value = value.parse().expect("a value");
            request.metadata_mut().insert("macaroon", value);
            request
        };
        let failed = grpc::ask(&mut client, at, with("fail")).await;
        assert_eq!(failed.expect_err("nobody").code(), Code::NotFound);
        let answer = grpc::ask(&mut client, at, with("ann")).await;
        assert_eq!(answer.expect("paid for").into_inner(), "hello ann");
    }
    assert_eq!(sayer.visits.count(), 6);
}
