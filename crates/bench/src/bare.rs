//! The other ends of comparisons, as processes of their own: a server that answers the same to everything, a
//! reverse proxy that forwards and nothing else, and an upstream that is as cheap as can be.
//!
//! They stand for the limit of the libraries that the gate is made of, so they leave out whatever HTTP allows
//! to leave out.

use std::convert::Infallible;
use std::net::SocketAddr;

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
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{UPSTREAM_BODY}",
        UPSTREAM_BODY.len()
    );
    let answer = Bytes::from(answer);
    loop {
        let stream = accept(&listener).await?;
        tokio::spawn(hello(stream, answer.clone()));
    }
}

/// Answers each head that ends; requests have no bodies here.
async fn hello(mut stream: TcpStream, answer: Bytes) -> Option<()> {
    let mut buffer = Vec::with_capacity(READ_BYTES);
    loop {
        if stream.read_buf(&mut buffer).await.ok()? == 0 {
            return None;
        }
        if buffer.ends_with(b"\r\n\r\n") {
            buffer.clear();
            stream.write_all(&answer).await.ok()?;
        }
    }
}
