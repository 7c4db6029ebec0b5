//! Upstreams over TLS: what is spoken to them, and whom they have to convince.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use farebox_core::payment::Phase;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use crate::certificates::Authority;
use crate::support::{PRICE, Plan, Visits, within};
use crate::upstream_connections::{read_head, say};

async fn seen(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.headers().contains_key("upgrade") {
        return Ok(echo(request));
    }
    let seen = format!(
        "{:?} {} {}",
        request.version(),
        request.uri().path(),
        request.headers().get("x-forwarded-host").is_some()
    );
    Ok(Response::new(Full::from(seen)))
}

/// Leaves HTTP and says everything again.
fn echo(request: Request<Incoming>) -> Response<Full<Bytes>> {
    tokio::spawn(async move {
        let upgraded = hyper::upgrade::on(request).await.expect("upgraded");
        let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
        tokio::io::copy(&mut read, &mut write).await
    });
    let answer = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "upgrade")
        .header("upgrade", "websocket");
    answer.body(Full::default()).expect("an answer")
}

/// Answers with what it sees; gives its root and address.
async fn server(host: &str, protocols: &[&str]) -> (String, SocketAddr) {
    let authority = Authority::new();
    let acceptor = authority.server(host, protocols);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // Who does not trust it goes away.
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let is_http_2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let (stream, service) = (TokioIo::new(stream), service_fn(seen));
                let _ = match is_http_2 {
                    true => {
                        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                        server.serve_connection(stream, service).await
                    }
                    false => {
                        let server = hyper::server::conn::http1::Builder::new();
                        server
                            .serve_connection(stream, service)
                            .with_upgrades()
                            .await
                    }
                };
            });
        }
    });
    (authority.root_pem(), address)
}

#[tokio::test]
async fn an_upstream_with_tls_is_spoken_to_in_what_both_sides_know() {
    for (protocols, version) in [
        (&["h2", "http/1.1"][..], "HTTP/2.0"),
        (&["http/1.1"], "HTTP/1.1"),
        (&[], "HTTP/1.1"),
    ] {
        let (root, address) = server("127.0.0.1", protocols).await;
        let mut plan = Plan::behind(&format!("https://{address}"), Visits::default());
        plan.upstream = plan.upstream.trusting(root.as_bytes()).expect("a root");
        let town = plan.open().await;
        let bought = town.buy("/weather/z%C3%BCrich").await;
        bought.assert_served();
        let text = String::from_utf8(bought.body.to_vec()).expect("text");
        assert_eq!(text, format!("{version} /weather/z%C3%BCrich true"));
        assert_eq!(town.revenue(), PRICE);
        // Another one on what is open.
        let seen = town.get("/free/x", &[]).await;
        assert_eq!(&*seen.body, format!("{version} /free/x true").as_bytes());
        town.audit().await;
    }
}

#[tokio::test]
async fn an_upstream_that_cannot_prove_who_it_is_charges_nobody() {
    for (host, trusts) in [("127.0.0.1", false), ("other.example", true)] {
        let (root, address) = server(host, &["http/1.1"]).await;
        let another = Authority::new().root_pem();
        let trusted = if trusts { root } else { another };
        let mut plan = Plan::behind(&format!("https://{address}"), Visits::default());
        plan.upstream = plan.upstream.trusting(trusted.as_bytes()).expect("a root");
        let town = plan.open().await;
        let seen = town.buy("/weather").await;
        assert_eq!(seen.status, StatusCode::BAD_GATEWAY, "{host}");
        assert_eq!(seen.code(), "upstream_untrusted");
        assert_eq!(town.payment().await.state.phase, Phase::Released);
        assert_eq!(town.revenue(), 0);
    }
}

#[tokio::test]
async fn a_websocket_goes_over_tls_in_http_1_even_where_http_2_is_spoken() {
    let (root, address) = server("127.0.0.1", &["h2", "http/1.1"]).await;
    let mut plan = Plan::behind(&format!("https://{address}"), Visits::default());
    plan.upstream = plan.upstream.trusting(root.as_bytes()).expect("a root");
    let town = plan.open().await;
    let credential = town.sign("/weather", &town.payer()).await;
    let mut client = TcpStream::connect(town.gate).await.expect("connected");
    let head = format!(
        "GET /weather HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\npayment-signature: {credential}\r\n\r\n"
    );
    say(&mut client, &head).await;
    let answer = read_head(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert_eq!(town.revenue(), PRICE);
    say(&mut client, "hello").await;
    let mut heard = [0; 5];
    within(client.read_exact(&mut heard)).await.expect("bytes");
    assert_eq!(&heard, b"hello");
}
