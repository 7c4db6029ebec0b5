//! gRPC over HTTP/2 on both sides, with a client and a server that somebody else wrote: streams in
//! either direction, trailers, what a client without payment is told, and what counts as failed.

use std::future::{Future, Ready, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _};
use farebox_core::payment::{Delivery, Phase};
use farebox_core::rail::PayRail as _;
use farebox_server::{FrontDoor, GatewayOptions, Tls};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use http::Uri;
use http::uri::PathAndQuery;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsAcceptor;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::server::{ServerStreamingService, StreamingService, UnaryService};
use tonic::{Code, Request, Response, Status, Streaming};
use tower_service::Service;

use crate::certificates::{Authority, connect};
use crate::support::{PRICE, Plan, Town, Visits, within};

/// Messages are texts: to gRPC one encoding is as good as another.
#[derive(Clone, Copy)]
pub(crate) struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        let text = String::from_utf8(bytes.to_vec());
        text.map(Some).map_err(|_| Status::internal("no text"))
    }
}

/// What the server behind the gate can do, by the last part of the path.
#[derive(Clone, Default)]
pub(crate) struct Sayer {
    pub(crate) visits: Visits,
    /// Lets `Count` go on after its first message.
    go_on: Arc<Notify>,
}

type Said = BoxStream<'static, Result<String, Status>>;

impl UnaryService<String> for Sayer {
    type Response = String;
    type Future = Ready<Result<Response<String>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        ready(match request.get_ref().as_str() {
            "fail" => Err(Status::not_found("nobody of this name")),
            name => Ok(Response::new(format!("hello {name}"))),
        })
    }
}

impl ServerStreamingService<String> for Sayer {
    type Response = String;
    type ResponseStream = Said;
    type Future = Ready<Result<Response<Said>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let go_on = Arc::clone(&self.go_on);
        let last = match request.into_inner().as_str() {
            "break" => Err(Status::aborted("it broke")),
            _ => Ok("two".to_owned()),
        };
        let second = async move {
            go_on.notified().await;
            last
        };
        let one = stream::iter([Ok("one".to_owned())]);
        ready(Ok(Response::new(one.chain(stream::once(second)).boxed())))
    }
}

impl StreamingService<String> for Sayer {
    type Response = String;
    type ResponseStream = Said;
    type Future = Ready<Result<Response<Said>, Status>>;

    fn call(&mut self, request: Request<Streaming<String>>) -> Self::Future {
        let echo = request.into_inner();
        let echo = echo.map(|said| said.map(|said| format!("{said}!")));
        ready(Ok(Response::new(echo.boxed())))
    }
}

impl Sayer {
    async fn answer(self, request: http::Request<Incoming>) -> http::Response<tonic::body::Body> {
        self.visits.add();
        let mut grpc = tonic::server::Grpc::new(Text);
        match request.uri().path().rsplit('/').next() {
            Some("Say") => grpc.unary(self, request).await,
            Some("Count") => grpc.server_streaming(self, request).await,
            Some("Echo") => grpc.streaming(self, request).await,
            _ => Status::unimplemented("no such method").into_http(),
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let service = service_fn(move |request| {
            let answering = self.clone().answer(request);
            async { Ok::<_, std::convert::Infallible>(answering.await) }
        });
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        // Who goes away in the middle of it is no fault of the test.
        let _ = server.serve_connection(TokioIo::new(stream), service).await;
    }
}

/// A server, over TLS where that is given; gives its address.
pub(crate) async fn serve(sayer: Sayer, tls: Option<TlsAcceptor>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (sayer, tls) = (sayer.clone(), tls.clone());
            tokio::spawn(async move {
                match tls {
                    Some(tls) => sayer.serve(tls.accept(stream).await.expect("TLS")).await,
                    None => sayer.serve(stream).await,
                }
            });
        }
    });
    address
}

/// A connection of HTTP/2, as tonic's client wants it.
pub(crate) struct Channel(SendRequest<tonic::body::Body>);

impl Service<http::Request<tonic::body::Body>> for Channel {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<http::Response<Incoming>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

pub(crate) type Client = tonic::client::Grpc<Channel>;

pub(crate) async fn client<S>(stream: S, origin: String) -> Client
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
    tokio::spawn(connection);
    let origin: Uri = origin.parse().expect("an origin");
    tonic::client::Grpc::with_origin(Channel(sender), origin)
}

/// Everything, running: in the clear, or over TLS on both sides.
async fn town(is_tls: bool) -> (Town, Sayer, Client) {
    let sayer = Sayer::default();
    if !is_tls {
        let upstream = serve(sayer.clone(), None).await;
        let plan = Plan::behind(&format!("h2c://{upstream}"), sayer.visits.clone());
        let town = plan.open().await;
        let stream = TcpStream::connect(town.gate).await.expect("connected");
        let client = client(stream, format!("http://{}", town.gate)).await;
        return (town, sayer, client);
    }
    let authority = Authority::new();
    let acceptor = authority.server("127.0.0.1", &["h2"]);
    let upstream = serve(sayer.clone(), Some(acceptor)).await;
    authority.write("gate", "gate.example");
    let mut plan = Plan::behind(&format!("https://{upstream}"), sayer.visits.clone());
    plan.upstream = plan
        .upstream
        .trusting(authority.root_pem().as_bytes())
        .expect("a root");
    plan.options = GatewayOptions {
        front: FrontDoor {
            tls: Some(Tls::load(vec![authority.files("gate")]).expect("certificates")),
            ..FrontDoor::default()
        },
        ..plan.options
    };
    let town = plan.open().await;
    let connector = authority.client(&["h2"]);
    let stream = connect(&connector, town.gate, "gate.example").await;
    let stream = stream.expect("TLS");
    let client = client(stream, "https://gate.example".to_owned()).await;
    (town, sayer, client)
}

pub(crate) fn path(text: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(text)
}

/// A message with a credential.
fn paid<T>(message: T, credential: &str) -> Request<T> {
    let mut request = Request::new(message);
    let credential = credential.parse().expect("a value");
    request
        .metadata_mut()
        .insert("payment-signature", credential);
    request
}

async fn say(client: &mut Client, at: &'static str, name: &str) -> Result<String, Status> {
    ask(client, at, Request::new(name.to_owned()))
        .await
        .map(Response::into_inner)
}

pub(crate) async fn ask(
    client: &mut Client,
    at: &'static str,
    request: Request<String>,
) -> Result<Response<String>, Status> {
    client.ready().await.expect("open");
    within(client.unary(request, path(at), Text)).await
}

/// Signs what a refused call was told.
async fn sign(town: &Town, refused: &Status) -> String {
    let told: &MetadataMap = refused.metadata();
    let header = |name: &str| told.get(name).map(|value| value.as_bytes());
    let challenge = farebox_wire::challenge::read(header, b"").expect("a challenge");
    let payer = town.payer();
    let quote = payer.quote(&challenge.offers[0]).await.expect("payable");
    let authorised = payer.authorise(&quote, &challenge, 60).await;
    authorised
        .expect("signed")
        .credential
        .expect("a signature")
        .value
}

/// What a call without payment is told, and the credential for it.
async fn refused(town: &Town, client: &mut Client, at: &'static str) -> String {
    let refused = say(client, at, "ann").await.expect_err("it has a price");
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    assert!(refused.message().contains("payment"), "{refused:?}");
    sign(town, &refused).await
}

#[tokio::test]
async fn free_calls_of_every_kind_go_through() {
    for is_tls in [false, true] {
        let (_town, sayer, mut client) = town(is_tls).await;
        let said = say(&mut client, "/free/Say", "ann").await;
        assert_eq!(said.expect("an answer"), "hello ann");
        // The state is in the trailers, or in the head where that is all.
        let failed = say(&mut client, "/free/Say", "fail").await;
        assert_eq!(failed.expect_err("failed").code(), Code::NotFound);
        let failed = say(&mut client, "/free/None", "ann").await;
        assert_eq!(failed.expect_err("failed").code(), Code::Unimplemented);

        sayer.go_on.notify_one();
        client.ready().await.expect("open");
        let count = Request::new(String::new());
        let counting = client.server_streaming(count, path("/free/Count"), Text);
        let mut counted = within(counting).await.expect("a stream").into_inner();
        let mut all = Vec::new();
        while let Some(said) = within(counted.message()).await.expect("a message") {
            all.push(said);
        }
        assert_eq!(all, ["one", "two"]);
        let trailers = counted.trailers().await.expect("trailers");
        assert!(trailers.is_some(), "grpc-status: 0 came in trailers");

        talk(&mut client, Request::new(()), "/free/Echo").await;
    }
}

/// A question is asked only when the one before has been answered.
async fn talk(client: &mut Client, request: Request<()>, at: &'static str) {
    let (ask, mut asked) = mpsc::unbounded_channel();
    let questions = stream::poll_fn(move |cx| asked.poll_recv(cx));
    client.ready().await.expect("open");
    ask.send("0".to_owned()).expect("open");
    let talking = client.streaming(request.map(|()| questions), path(at), Text);
    let mut answers = within(talking).await.expect("a stream").into_inner();
    for number in 1..4 {
        let answer = within(answers.message()).await.expect("a message");
        assert_eq!(answer, Some(format!("{}!", number - 1)));
        ask.send(number.to_string()).expect("open");
    }
    drop(ask);
    let last = within(answers.message()).await.expect("a message");
    assert_eq!(last.as_deref(), Some("3!"));
    assert_eq!(within(answers.message()).await.expect("the end"), None);
}

#[tokio::test]
async fn a_call_without_payment_fails_with_the_challenge_and_with_it_succeeds() {
    for is_tls in [false, true] {
        let (town, _, mut client) = town(is_tls).await;
        let credential = refused(&town, &mut client, "/svc/Say").await;
        assert_eq!(town.visits.count(), 0);
        let request = paid("ann".to_owned(), &credential);
        let answer = ask(&mut client, "/svc/Say", request).await;
        let answer = answer.expect("paid for");
        let metadata = answer.metadata();
        assert!(metadata.contains_key("payment-response"), "{metadata:?}");
        assert_eq!(metadata.get("grpc-status").expect("in the trailers"), "0");
        assert_eq!(answer.into_inner(), "hello ann");
        assert_eq!(town.revenue(), PRICE);

        let credential = refused(&town, &mut client, "/svc/Echo").await;
        talk(&mut client, paid((), &credential), "/svc/Echo").await;
        assert_eq!((town.revenue(), town.visits.count()), (2 * PRICE, 2));
        town.audit().await;
    }
}

#[tokio::test]
async fn a_stream_is_settled_with_its_head_and_goes_on_after_that() {
    let (town, sayer, mut client) = town(false).await;
    let credential = refused(&town, &mut client, "/svc/Count").await;
    client.ready().await.expect("open");
    let request = paid(String::new(), &credential);
    let counting = client.server_streaming(request, path("/svc/Count"), Text);
    let mut counted = within(counting).await.expect("a stream").into_inner();
    let first = within(counted.message()).await.expect("a message");
    assert_eq!(first.as_deref(), Some("one"));
    // The server has not said its second message yet.
    assert_eq!(town.revenue(), PRICE);
    assert_eq!(town.payment().await.state.phase, Phase::Settled);
    sayer.go_on.notify_one();
    let second = within(counted.message()).await.expect("a message");
    assert_eq!(second.as_deref(), Some("two"));
    assert_eq!(within(counted.message()).await.expect("the end"), None);
    delivery(&town, Delivery::Delivered).await;
}

async fn delivery(town: &Town, delivery: Delivery) {
    crate::support::eventually(async || town.payment().await.state.delivery == delivery).await;
}

#[tokio::test]
async fn a_call_that_fails_in_its_head_charges_nobody() {
    let (town, _, mut client) = town(false).await;
    let credential = refused(&town, &mut client, "/svc/Say").await;
    let request = paid("fail".to_owned(), &credential);
    let failed = ask(&mut client, "/svc/Say", request).await;
    let failed = failed.expect_err("nobody of this name");
    assert_eq!(failed.code(), Code::NotFound);
    assert_eq!(failed.message(), "nobody of this name");
    assert!(!failed.metadata().contains_key("payment-response"));
    assert_eq!(town.payment().await.state.phase, Phase::Released);
    assert_eq!(town.revenue(), 0);
    // The credential is as good as before.
    let request = paid("ann".to_owned(), &credential);
    let answer = ask(&mut client, "/svc/Say", request).await;
    assert_eq!(answer.expect("paid for").into_inner(), "hello ann");
    assert_eq!(town.revenue(), PRICE);
    town.audit().await;
}

#[tokio::test]
async fn a_stream_that_fails_after_its_head_is_paid_for_and_recorded_aborted() {
    let (town, sayer, mut client) = town(false).await;
    let credential = refused(&town, &mut client, "/svc/Count").await;
    sayer.go_on.notify_one();
    client.ready().await.expect("open");
    let request = paid("break".to_owned(), &credential);
    let counting = client.server_streaming(request, path("/svc/Count"), Text);
    let mut counted = within(counting).await.expect("a stream").into_inner();
    let first = within(counted.message()).await.expect("a message");
    assert_eq!(first.as_deref(), Some("one"));
    let broken = within(counted.message()).await.expect_err("it broke");
    assert_eq!(broken.code(), Code::Aborted);
    assert_eq!(town.revenue(), PRICE);
    delivery(&town, Delivery::Aborted).await;
}

#[tokio::test]
async fn settled_before_a_call_that_fails_in_its_head_is_let_through_once_more() {
    let (town, _, mut client) = town(false).await;
    let credential = refused(&town, &mut client, "/dear/Say").await;
    let request = paid("fail".to_owned(), &credential);
    let failed = ask(&mut client, "/dear/Say", request).await;
    let failed = failed.expect_err("nobody of this name");
    assert_eq!(failed.code(), Code::NotFound);
    assert!(failed.metadata().contains_key("payment-response"));
    assert_eq!(town.revenue(), PRICE);
    let request = paid("fail".to_owned(), &credential);
    let again = ask(&mut client, "/dear/Say", request).await;
    assert_eq!(again.expect_err("as before").code(), Code::NotFound);
    assert_eq!((town.visits.count(), town.revenue()), (2, PRICE));
}
