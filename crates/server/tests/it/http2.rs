//! HTTP/2 from clients, in the clear: what is served, what is refused, and what has a limit.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use bytes::Bytes;
use farebox_server::GatewayOptions;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::frames::{
    END_STREAM_AND_HEADERS, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE, block,
    frame, next_frame,
};
use crate::support::{Plan, Seen, Town, within};

/// A connection, and the task that ends with it.
struct Client {
    sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<Result<(), hyper::Error>>,
}

impl Client {
    async fn connect(gate: SocketAddr) -> Self {
        let stream = TcpStream::connect(gate).await.expect("connected");
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .handshake(TokioIo::new(stream))
            .await
            .expect("HTTP/2");
        Self {
            sender,
            task: tokio::spawn(connection),
        }
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        within(self.sender.send_request(request)).await
    }

    async fn get(&mut self, town: &Town, path: &str, headers: &[(&str, &str)]) -> Seen {
        let answer = self.send(request(town, path, headers)).await;
        Seen::read(answer.expect("an answer")).await
    }
}

fn request(town: &Town, path: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .uri(format!("http://{}{path}", town.gate))
        .version(Version::HTTP_2);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::default()).expect("a request")
}

/// Says what reached it.
async fn mirror() -> Plan {
    Plan::app(
        Router::new().fallback(any(|request: Request<Body>| async move {
            let (head, body) = request.into_parts();
            let header = |name: &str| {
                let values = head.headers.get_all(name).iter();
                let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
                values.join("|")
            };
            let (host, cookie) = (header("x-forwarded-host"), header("cookie"));
            let body = body.collect().await.expect("a body").to_bytes();
            format!(
                "{} {} host={host} cookie={cookie} body={}",
                head.method,
                head.uri,
                body.len()
            )
        })),
    )
    .await
}

fn text(seen: &Seen) -> String {
    String::from_utf8_lossy(&seen.body).into_owned()
}

#[tokio::test]
async fn many_requests_share_a_connection_and_reach_the_upstream_as_in_http_1() {
    let town = mirror().await.open().await;
    let client = Client::connect(town.gate).await;
    let asking = (0..50).map(|number| {
        let mut sender = client.sender.clone();
        let headers = [("cookie", "a=1"), ("cookie", "b=2")];
        let request = request(&town, &format!("/free/{number}%2C?q=%2F"), &headers);
        async move {
            Seen::read(
                within(sender.send_request(request))
                    .await
                    .expect("an answer"),
            )
            .await
        }
    });
    for (number, seen) in futures_util::future::join_all(asking)
        .await
        .iter()
        .enumerate()
    {
        assert_eq!(seen.status, StatusCode::OK);
        let expected = format!(
            "GET /free/{number}%2C?q=%2F host={} cookie=a=1; b=2 body=0",
            town.gate
        );
        assert_eq!(text(seen), expected);
    }
    let mut client = client;
    let upload = Request::post(format!("http://{}/free/x", town.gate));
    let upload = upload
        .body(Full::from(vec![7; 1 << 20]))
        .expect("a request");
    let seen = Seen::read(client.send(upload).await.expect("an answer")).await;
    assert!(text(&seen).ends_with("body=1048576"), "{}", text(&seen));
}

#[tokio::test]
async fn a_payment_over_http_2_is_collected_once() {
    let town = mirror().await.open().await;
    let mut client = Client::connect(town.gate).await;
    let asked = client.get(&town, "/weather", &[]).await;
    assert_eq!(asked.status, StatusCode::PAYMENT_REQUIRED);
    assert!(asked.challenge().is_some());
    let credential = town.sign("/weather", &town.payer()).await;
    let paid = client
        .get(&town, "/weather", &[("payment-signature", &credential)])
        .await;
    paid.assert_served();
    // The same over HTTP/1.1 is a repeat.
    let again = town.pay("/weather", &credential).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert_eq!(town.visits.count(), 1);
    town.audit().await;
}

/// What gRPC lives on: the outcome of a call is in its trailers.
#[tokio::test]
async fn trailers_reach_the_client_of_free_and_paid_answers() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\
        trailer: grpc-status\r\n\r\n5\r\nhello\r\n0\r\ngrpc-status: 0\r\ngrpc-message: fine\r\n\r\n";
    let town = Plan::script(answer).await.open().await;
    let mut client = Client::connect(town.gate).await;
    let credential = town.sign("/weather", &town.payer()).await;
    for (path, headers) in [
        ("/free/x", vec![("te", "trailers")]),
        (
            "/weather",
            vec![("te", "trailers"), ("payment-signature", &credential)],
        ),
    ] {
        let answer = client.send(request(&town, path, &headers)).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let body = within(answer.into_body().collect()).await.expect("whole");
        let trailers = body.trailers().expect("trailers").clone();
        assert_eq!(trailers["grpc-status"], "0", "{path}");
        assert_eq!(body.to_bytes(), "hello", "{path}");
    }
}

#[tokio::test]
async fn what_two_readers_could_take_for_two_things_is_refused_and_never_forwarded() {
    let town = mirror().await.open().await;
    let mut client = Client::connect(town.gate).await;
    for (path, headers, code) in [
        ("/free/x", &[("host", "evil.example")][..], "ambiguous_host"),
        ("/free/x", &[("x-a", "padded ")], "malformed_header"),
        ("/free/../weather", &[], "ambiguous_path"),
        ("/free%2fx", &[], "ambiguous_path"),
        ("//free/x", &[], "ambiguous_path"),
        (
            "/weather",
            &[("payment-signature", "a"), ("payment-signature", "b")],
            "several_payment_headers",
        ),
        (
            "/free/x",
            &[("payment-signature", "a"), ("x-payment", "b")],
            "several_payment_headers",
        ),
    ] {
        let seen = client.get(&town, path, headers).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{path} {headers:?}");
        assert_eq!(seen.code(), code, "{path} {headers:?}");
    }
    let mut connect = request(&town, "/free/x", &[]);
    *connect.method_mut() = Method::CONNECT;
    *connect.uri_mut() = "evil.example:443".parse().expect("an authority");
    let answer = client.send(connect).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let long = format!("/free/{}", "a".repeat(10 * 1024));
    assert_eq!(
        client.get(&town, &long, &[]).await.status,
        StatusCode::URI_TOO_LONG
    );
    let many = vec![("x-a", "1"); 200];
    let seen = client.get(&town, "/free/x", &many).await;
    assert_eq!(seen.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let megabyte = "A".repeat(100 * 1024);
    let seen = client
        .send(request(
            &town,
            "/free/x",
            &[("payment-signature", &megabyte)],
        ))
        .await;
    let seen = seen.expect("an answer");
    assert_eq!(seen.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(town.visits.count(), 0);
    // The connection is as good as new.
    assert_eq!(
        client.get(&town, "/free/x", &[]).await.status,
        StatusCode::OK
    );
}

/// The frames that the gate sends until it hangs up: kind, stream, payload.
async fn frames(stream: &mut TcpStream) -> Vec<(u8, u32, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some(frame) = next_frame(stream).await {
        frames.push(frame);
    }
    frames
}

/// A connection that has begun, and speaks frames.
pub(crate) async fn raw(town: &Town) -> TcpStream {
    let mut stream = TcpStream::connect(town.gate).await.expect("connected");
    stream.write_all(PREFACE).await.expect("written");
    stream
        .write_all(&frame(SETTINGS, 0, 0, &[]))
        .await
        .expect("written");
    stream
}

#[tokio::test]
async fn malformed_requests_reset_their_stream_and_reach_nobody() {
    let town = mirror().await.open().await;
    let good = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/free/x"),
        (":authority", "a"),
    ];
    let with = |extra: &[(&'static str, &'static str)]| [&good[..], extra].concat();
    for fields in [
        with(&[(":path", "/weather")]),
        with(&[(":authority", "b")]),
        with(&[("x", "1"), (":scheme", "https")]),
        with(&[(":status", "200")]),
        with(&[("connection", "close")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("upgrade", "websocket")]),
        with(&[("keep-alive", "1")]),
        with(&[("te", "gzip")]),
        with(&[("X-Upper", "1")]),
        with(&[("x", "a\r\nb: c")]),
        with(&[("content-length", "5")]),
        good[1..].to_vec(),
        vec![good[0], good[1], good[3]],
        vec![good[0], good[1], (":path", ""), good[3]],
    ] {
        let mut stream = raw(&town).await;
        let request = frame(HEADERS, END_STREAM_AND_HEADERS, 1, &block(&fields));
        stream.write_all(&request).await.expect("written");
        let refused = loop {
            match next_frame(&mut stream).await {
                Some((RST_STREAM, 1, _) | (GOAWAY, 0, _)) | None => break true,
                Some((HEADERS, 1, _)) => break false,
                Some(_) => {}
            }
        };
        assert!(refused, "{fields:?}");
    }
    assert_eq!(town.visits.count(), 0);
}

#[tokio::test]
async fn a_connection_without_requests_is_closed() {
    let options = GatewayOptions {
        client_head_ms: 50,
        client_stall_ms: 50,
        ..GatewayOptions::default()
    };
    let plan = Plan {
        options,
        ..mirror().await
    };
    let town = plan.open().await;
    // Polite, and gone when told.
    let mut client = Client::connect(town.gate).await;
    assert_eq!(
        client.get(&town, "/free/x", &[]).await.status,
        StatusCode::OK
    );
    within(client.task)
        .await
        .expect("no panic")
        .expect("closed in order");
    // Says nothing at all, not even that it has heard.
    let mut stream = raw(&town).await;
    let seen = frames(&mut stream).await;
    assert!(seen.iter().any(|(kind, ..)| *kind == GOAWAY), "{seen:?}");
    // Half a preface, and half a head.
    let mut stream = TcpStream::connect(town.gate).await.expect("connected");
    stream.write_all(&PREFACE[..10]).await.expect("written");
    assert!(frames(&mut stream).await.is_empty());
    let mut stream = raw(&town).await;
    let half = frame(HEADERS, 0, 1, &block(&[(":method", "GET")]));
    stream.write_all(&half).await.expect("written");
    frames(&mut stream).await;
    assert_eq!(town.visits.count(), 1);
}

/// Its window is shut, so nothing of the answer can leave, though the connection is well.
#[tokio::test]
async fn an_answer_that_nobody_takes_is_broken_off_and_others_go_on() {
    let options = GatewayOptions {
        client_stall_ms: 100,
        ..GatewayOptions::default()
    };
    let app = Router::new().fallback(any(|| async { vec![7_u8; 1 << 20] }));
    let plan = Plan {
        options,
        ..Plan::app(app).await
    };
    let town = plan.open().await;
    let mut stream = TcpStream::connect(town.gate).await.expect("connected");
    stream.write_all(PREFACE).await.expect("written");
    // SETTINGS_INITIAL_WINDOW_SIZE = 0
    stream
        .write_all(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]))
        .await
        .expect("written");
    let good = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/free/x"),
        (":authority", "a"),
    ];
    let request = frame(HEADERS, END_STREAM_AND_HEADERS, 1, &block(&good));
    stream.write_all(&request).await.expect("written");
    loop {
        match next_frame(&mut stream).await {
            Some((RST_STREAM, 1, _)) => break,
            Some(_) => {}
            None => panic!("the connection goes on"),
        }
    }
    let priced = [good[0], good[1], (":path", "/weather"), good[3]];
    let request = frame(HEADERS, END_STREAM_AND_HEADERS, 3, &block(&priced));
    stream.write_all(&request).await.expect("written");
    while !matches!(next_frame(&mut stream).await, Some((HEADERS, 3, _))) {}
    let more = frame(WINDOW_UPDATE, 0, 3, &[0, 1, 0, 0]);
    stream.write_all(&more).await.expect("written");
    while !matches!(next_frame(&mut stream).await, Some((0, 3, _))) {}
}

/// The rapid reset, with requests that did begin.
#[tokio::test]
async fn a_client_that_asks_only_to_take_it_back_is_cut_off() {
    let app = Router::new().fallback(any(|| async {
        std::future::pending::<()>().await;
    }));
    let town = Plan::app(app).await.open().await;
    let mut stream = raw(&town).await;
    let good = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/free/x"),
        (":authority", "a"),
    ];
    let block = block(&good);
    let (mut from, mut to) = stream.split();
    let asking = async {
        for number in (1..20_000).step_by(2) {
            let request = frame(HEADERS, END_STREAM_AND_HEADERS, number, &block);
            let back = frame(RST_STREAM, 0, number, &[0, 0, 0, 8]);
            if to.write_all(&[request, back].concat()).await.is_err() {
                return;
            }
            // Looked at one by one, so that h2's own counter of early resets sees none.
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        panic!("ten thousand were not too many");
    };
    let reading = async {
        let mut answers = Vec::new();
        let _ = from.read_to_end(&mut answers).await;
    };
    within(futures_util::future::select(
        std::pin::pin!(asking),
        std::pin::pin!(reading),
    ))
    .await;
}

#[tokio::test]
async fn a_stopped_gate_finishes_its_streams() {
    let (ask, asked) = tokio::sync::oneshot::channel::<()>();
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let both = std::sync::Arc::new(std::sync::Mutex::new(Some((ask, gone))));
    let app = Router::new().fallback(any(move || {
        let (ask, gone) = both.lock().expect("sound").take().expect("one request");
        async move {
            ask.send(()).expect("the test waits");
            gone.await.expect("the test goes on");
            "late"
        }
    }));
    let mut town = Plan::app(app).await.open().await;
    let client = Client::connect(town.gate).await;
    let mut sender = client.sender.clone();
    let request = request(&town, "/free/x", &[]);
    let answering = tokio::spawn(async move {
        Seen::read(sender.send_request(request).await.expect("an answer")).await
    });
    within(asked).await.expect("it came through");
    let closing = town.close();
    let finishing = async {
        go.send(()).expect("it waits");
        within(answering).await.expect("no panic")
    };
    let ((), seen) = tokio::join!(closing, finishing);
    assert_eq!(text(&seen), "late");
}
