//! Trailers of answers, from upstreams of either version to clients of HTTP/1.1.

use bytes::Bytes;
use http::Response;
use http::StatusCode;
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::support::{PRICE, Plan, Town, Visits, within};
use crate::upstream_connections::{read_head, say, town_in_front_of, upstream};

const ANSWER: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\
    trailer: x-sum, payment-response\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 42\r\n\
    payment-response: evil\r\nx-unannounced: 1\r\n\r\n";

/// Asks once, with and without the word that trailers are taken.
async fn asked(town: &Town, path: &str, te: &str, credential: &str) -> String {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close{te}\r\n\
         payment-signature: {credential}\r\n\r\n"
    );
    town.raw(request.as_bytes()).await
}

/// Answers the next request on a connection of its own; gives its head.
async fn answer_next(accepted: &mut UnboundedReceiver<TcpStream>) -> String {
    let mut stream = within(accepted.recv()).await.expect("a connection");
    let head = read_head(&mut stream).await;
    say(&mut stream, ANSWER).await;
    head
}

#[tokio::test]
async fn announced_trailers_go_to_a_client_that_takes_them_and_to_nobody_else() {
    let (address, mut accepted) = upstream().await;
    let town = town_in_front_of(address).await;
    for path in ["/free/x", "/weather"] {
        for takes in [true, false] {
            let credential = town.sign("/weather", &town.payer()).await;
            let te = if takes { ", TE\r\nte: trailers" } else { "" };
            let asking = asked(&town, path, te, &credential);
            let (answer, head) = tokio::join!(asking, answer_next(&mut accepted));
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            // A server may keep them back from those who do not ask for them.
            assert_eq!(head.contains("\r\nte: trailers\r\n"), takes, "{head}");
            assert_eq!(head.contains("\r\nconnection: te\r\n"), takes, "{head}");
            assert_eq!(answer.contains("\r\ntrailer: x-sum\r\n"), takes, "{answer}");
            let end = if takes {
                "\r\n0\r\nx-sum: 42\r\n\r\n"
            } else {
                "\r\n0\r\n\r\n"
            };
            assert!(answer.ends_with(end), "{answer}");
        }
    }
    assert_eq!(town.revenue(), 2 * PRICE);
    town.audit().await;
}

#[tokio::test]
async fn trailers_of_an_upstream_with_http_2_reach_a_client_with_http_1() {
    let (address, mut accepted) = upstream().await;
    let plan = Plan::behind(&format!("h2c://{address}"), Visits::default());
    let town = plan.open().await;
    let serving = tokio::spawn(async move {
        let stream = within(accepted.recv()).await.expect("a connection");
        let mut served = h2::server::handshake(stream).await.expect("HTTP/2");
        while let Some(Ok((_, mut respond))) = served.accept().await {
            let head = Response::builder().header("trailer", "x-sum");
            let head = head.body(()).expect("an answer");
            let mut body = respond.send_response(head, false).expect("open");
            body.send_data(Bytes::from("hello"), false).expect("open");
            let mut trailers = http::HeaderMap::new();
            trailers.insert("x-sum", "42".parse().expect("a value"));
            trailers.insert("farebox-x", "evil".parse().expect("a value"));
            body.send_trailers(trailers).expect("open");
        }
    });
    let answer = asked(&town, "/free/x", ", te\r\nte: trailers", "-").await;
    assert!(answer.ends_with("\r\n0\r\nx-sum: 42\r\n\r\n"), "{answer}");
    let answer = asked(&town, "/free/x", "", "-").await;
    assert!(answer.ends_with("hello\r\n0\r\n\r\n"), "{answer}");
    serving.abort();
}

/// Nobody has looked at them, and a credential may be among them.
#[tokio::test]
async fn trailers_of_requests_end_at_the_gate() {
    let (address, mut accepted) = upstream().await;
    let plan = Plan::behind(&format!("h2c://{address}"), Visits::default());
    let town = plan.open().await;
    let serving = tokio::spawn(async move {
        let stream = within(accepted.recv()).await.expect("a connection");
        let mut served = h2::server::handshake(stream).await.expect("HTTP/2");
        let (request, mut respond) = served.accept().await.expect("a request").expect("sound");
        let reading = tokio::spawn(async move {
            let mut body = request.into_body();
            let mut whole = Vec::new();
            while let Some(piece) = body.data().await {
                let piece = piece.expect("a body");
                let _ = body.flow_control().release_capacity(piece.len());
                whole.extend_from_slice(&piece);
            }
            let trailers = body.trailers().await.expect("an end");
            respond
                .send_response(Response::new(()), true)
                .expect("open");
            (whole, trailers)
        });
        while served.accept().await.is_some() {}
        reading.await.expect("no panic")
    });
    let request = "POST /free/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
        transfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\n\
        x-sum: 42\r\npayment-signature: evil\r\n\r\n";
    let answer = town.raw(request.as_bytes()).await;
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {}", StatusCode::OK.as_str())),
        "{answer}"
    );
    drop(town);
    let (whole, trailers) = within(serving).await.expect("no panic");
    assert_eq!((whole.as_slice(), trailers), (&b"hello"[..], None));
}
