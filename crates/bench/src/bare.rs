//! The other ends of comparisons, as processes of their own: a server that answers the same to everything, a
//! reverse proxy that forwards and nothing else, and an upstream that is as cheap as can be.
//!
//! They stand for the limit of the libraries that the gate is made of, so they leave out whatever HTTP allows
//! to leave out.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use clap::{Args, ValueEnum};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::Fallible;

/// What the upstream answers, as in peer-speed measurements: 11 bytes.
pub(crate) const UPSTREAM_BODY: &str = "hello world";
/// Where the upstream says how many other requests it has seen.
pub(crate) const SEEN: &str = "/seen";
/// What a question for [`SEEN`] begins with.
const SEEN_LINE: &[u8] = b"GET /seen ";
/// Bytes that the upstream reads at once; a forwarded request has a few hundred.
const READ_BYTES: usize = 8 * 1024;

/// The least that a server can do
#[derive(Args)]
pub(crate) struct Bare {
    #[arg(value_enum)]
    kind: Kind,
    /// Bytes of the constant's body
    #[arg(long, default_value_t = 0)]
    body_bytes: usize,
    /// Bytes of a header that makes the constant's head as long as another
    #[arg(long, default_value_t = 0)]
    header_bytes: usize,
    /// Where the proxy forwards to
    #[arg(long)]
    upstream: Option<SocketAddr>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// 200 with the same head and body, on hyper.
    Constant,
    /// Forwards to the upstream, on hyper.
    Proxy,
    /// Answers without parsing.
    Upstream,
}

impl Bare {
    /// Serves until the process is ended.
    pub(crate) fn run(self) -> Fallible<()> {
        // The same runtime as the gate's.
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?
            .block_on(self.serve())
    }

    async fn serve(self) -> Fallible<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        println!(
            "{}",
            serde_json::json!({"listening": format!("http://{address}")})
        );
        match self.kind {
            Kind::Upstream => upstream(listener).await,
            Kind::Constant => constant(listener, self.header_bytes, self.body_bytes).await,
            Kind::Proxy => proxy(listener, self.upstream.ok_or("name --upstream")?).await,
        }
    }
}

async fn accept(listener: &TcpListener) -> Fallible<TcpStream> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn constant(listener: TcpListener, header_bytes: usize, body_bytes: usize) -> Fallible<()> {
    let value = HeaderValue::try_from("x".repeat(header_bytes))?;
    let body = Bytes::from(vec![b'x'; body_bytes]);
    loop {
        let stream = accept(&listener).await?;
        let (value, body) = (value.clone(), body.clone());
        tokio::spawn(async move {
            let service = service_fn(move |_: Request<Incoming>| {
                let mut answer = Response::new(Full::new(body.clone()));
                answer.headers_mut().insert("x-same", value.clone());
                async move { Ok::<_, Infallible>(answer) }
            });
            // Clients that hang up are the ordinary case.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn proxy(listener: TcpListener, upstream: SocketAddr) -> Fallible<()> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Incoming>();
    loop {
        let stream = accept(&listener).await?;
        let client = client.clone();
        tokio::spawn(async move {
            let service = service_fn(move |mut request: Request<Incoming>| {
                let path = request
                    .uri()
                    .path_and_query()
                    .map_or("/", |path| path.as_str());
                let target = format!("http://{upstream}{path}");
                *request.uri_mut() = Uri::try_from(target).unwrap_or_default();
                client.request(request)
            });
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn upstream(listener: TcpListener) -> Fallible<()> {
    let answer = Bytes::from(plain(UPSTREAM_BODY));
    let seen = Arc::new(AtomicUsize::new(0));
    loop {
        let stream = accept(&listener).await?;
        tokio::spawn(hello(stream, answer.clone(), Arc::clone(&seen)));
    }
}

/// Answers each head that ends; requests have no bodies here.
async fn hello(mut stream: TcpStream, answer: Bytes, seen: Arc<AtomicUsize>) -> Option<()> {
    let mut buffer = Vec::with_capacity(READ_BYTES);
    loop {
        if stream.read_buf(&mut buffer).await.ok()? == 0 {
            return None;
        }
        if !buffer.ends_with(b"\r\n\r\n") {
            continue;
        }
        if buffer.starts_with(SEEN_LINE) {
            let count = seen.load(Ordering::Relaxed).to_string();
            stream.write_all(plain(&count).as_bytes()).await.ok()?;
        } else {
            seen.fetch_add(1, Ordering::Relaxed);
            stream.write_all(&answer).await.ok()?;
        }
        buffer.clear();
    }
}

fn plain(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Connection, request};

    #[tokio::test]
    async fn the_upstream_says_how_many_requests_it_has_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { upstream(listener).await.map_err(drop) });
        let seen = request("GET", SEEN, &[], None);
        assert!(seen.starts_with(SEEN_LINE));
        let other = request("GET", "/seen-by-others", &[], None);
        let mut first = Connection::open(address).await.expect("a connection");
        let mut second = Connection::open(address).await.expect("a connection");
        for wanted in ["0", "2", "4"] {
            assert_eq!(
                first.ask(&seen).await.expect("asked").body,
                wanted.as_bytes()
            );
            for connection in [&mut first, &mut second] {
                let answer = connection.ask(&other).await.expect("answered");
                assert_eq!(answer.body, UPSTREAM_BODY.as_bytes());
            }
        }
    }
}
