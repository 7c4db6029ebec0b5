//! A thin JSON-RPC client: batches over HTTP, several endpoints, limits on time and size.
//!
//! What it must tell apart is what the caller's next step depends on: nothing was sent, something
//! may have been, the node said no, or the node talks nonsense. It never panics on an answer, and
//! never shows a URL's path, which often holds an access key.

mod span;
mod types;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use farebox_core::rail::RailError;
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tracing::Instrument as _;

pub(crate) use types::{Block, Call, Data, Log, Quantity, Receipt, block_number};

/// A node that takes longer to accept a connection is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The slowest calls (logs over many blocks) take a few seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answers are batches of receipts, a few KiB each.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A node's error text goes into our messages; more than a line is noise.
const MESSAGE_CHARS_MAX: usize = 200;
/// A revert's data: a sentence of a contract, in hex.
const DATA_CHARS_MAX: usize = 2_048;

/// Why a call gave no result.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum RpcError {
    /// No connection: nothing was sent.
    #[error("the node at {node} cannot be reached: {why}")]
    Unreachable { node: String, why: String },
    /// A connection, but no answer: the call may have been carried out.
    #[error("the node at {node} gave no answer: {why}")]
    NoAnswer { node: String, why: String },
    /// An answer that is not JSON-RPC: the call may have been carried out.
    #[error("the node at {node} answers nonsense: {why}")]
    Garbage { node: String, why: String },
    /// The endpoint serves another chain: nothing was sent.
    #[error(
        "the node at {node} is on chain {got}, not on chain {expected}; correct `rpc` of [network.\"eip155:{expected}\"]"
    )]
    WrongChain {
        node: String,
        got: u128,
        expected: u64,
    },
    /// The node understood and said no.
    #[error("the node says: {message}")]
    Refused {
        code: i64,
        message: String,
        data: Option<String>,
    },
}

impl RpcError {
    /// Whether a contract reverted, as opposed to a node that would not.
    pub(crate) fn is_revert(&self) -> bool {
        // 3 is geth's code for a revert; others use -32000 and -32015 with the word.
        matches!(self, Self::Refused { code, message, .. }
            if *code == 3 || message.to_ascii_lowercase().contains("revert"))
    }

    /// Whether the call may have been carried out though no result came back.
    const fn may_have_been_done(&self) -> bool {
        matches!(self, Self::NoAnswer { .. } | Self::Garbage { .. })
    }

    pub(crate) fn garbage(why: impl std::fmt::Display) -> Self {
        Self::Garbage {
            node: "the endpoint".into(),
            why: cut(&why.to_string()),
        }
    }
}

impl From<RpcError> for RailError {
    fn from(error: RpcError) -> Self {
        let code = match error {
            RpcError::Unreachable { .. } => "rpc_unreachable",
            RpcError::NoAnswer { .. } => "rpc_no_answer",
            RpcError::Garbage { .. } => "rpc_garbage",
            RpcError::WrongChain { .. } => "wrong_chain_id",
            RpcError::Refused { .. } => "rpc_refused",
        };
        Self {
            code,
            message: error.to_string(),
        }
    }
}

/// What one call came to: its result as the node wrote it. The answer to one request may have a
/// megabyte of logs, so that it is read once, as what it is.
pub(crate) type Found = Result<Box<RawValue>, RpcError>;

/// Why no node is known to have taken a transaction.
#[derive(Debug)]
pub(crate) enum SendError {
    /// No node can have it.
    NotSent(RpcError),
    /// A node may have it.
    MayBeSent(RpcError),
    /// The first node that answered does not want it, and no other was asked before.
    Refused { message: String },
}

/// The endpoints of one chain.
pub(crate) struct Rpc {
    http: Client,
    chain_id: u64,
    endpoints: Vec<Endpoint>,
    preferred: AtomicUsize,
}

struct Endpoint {
    url: Url,
    /// Host and port, for messages.
    node: String,
    is_on_chain: AtomicBool,
}

impl Rpc {
    /// Takes the endpoints of a chain, the preferred one first.
    pub(crate) fn new(urls: &[String], chain_id: u64) -> Result<Self, RailError> {
        let endpoints: Vec<Endpoint> = urls
            .iter()
            .map(|url| Endpoint::new(url))
            .collect::<Result<_, _>>()?;
        // Idempotent: the embedding program may have installed a provider of its own.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if endpoints.iter().all(Endpoint::is_loopback) {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|e| RailError {
            code: "rpc_client",
            message: format!("no HTTP client: {e}"),
        })?;
        Ok(Self {
            http,
            chain_id,
            endpoints,
            preferred: AtomicUsize::new(0),
        })
    }

    /// Whether every node is on this machine, so that asking often costs nobody anything.
    pub(crate) fn is_local(&self) -> bool {
        self.endpoints.iter().all(Endpoint::is_loopback)
    }

    /// Host and port of the first node, for messages.
    pub(crate) fn node(&self) -> String {
        let first = self.endpoints.first();
        first.map_or_else(String::new, |endpoint| endpoint.node.clone())
    }

    /// Makes sure that a node answers and is on the right chain.
    pub(crate) async fn probe(&self) -> Result<(), RpcError> {
        let chain: Quantity = self.one(Call::new("eth_chainId", json!([]))).await?;
        if chain.0 == u128::from(self.chain_id) {
            return Ok(());
        }
        Err(RpcError::WrongChain {
            node: self.node(),
            got: chain.0,
            expected: self.chain_id,
        })
    }

    /// One call, its result read as `T`.
    pub(crate) async fn one<T: DeserializeOwned>(&self, call: Call) -> Result<T, RpcError> {
        let mut results = self.batch(std::slice::from_ref(&call)).await?;
        decode(
            results
                .pop()
                .unwrap_or_else(|| Err(RpcError::garbage("no result")))?,
        )
    }

    /// Calls in one request; results in the order of the calls. Asks the next endpoint where one
    /// is down, so only for calls that may be carried out twice.
    pub(crate) async fn batch(&self, calls: &[Call]) -> Result<Vec<Found>, RpcError> {
        let mut failed = None;
        for (index, endpoint) in self.in_order() {
            match self.checked_post(endpoint, calls).await {
                Ok(results) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(results);
                }
                Err(error) => {
                    tracing::warn!(%error, chain = self.chain_id, "rpc call failed");
                    failed = Some(error);
                }
            }
        }
        Err(failed.unwrap_or_else(no_endpoint))
    }

    /// Hands over a signed transaction. The same bytes may be handed over again at any time.
    pub(crate) async fn send_raw(&self, raw: &[u8]) -> Result<(), SendError> {
        let call = Call::send_raw(raw);
        let calls = std::slice::from_ref(&call);
        let mut failed: Option<RpcError> = None;
        for (index, endpoint) in self.in_order() {
            let error = match self.checked_post(endpoint, calls).await {
                Ok(mut results) => match results.pop() {
                    Some(Ok(_)) => {
                        self.preferred.store(index, Ordering::Relaxed);
                        return Ok(());
                    }
                    Some(Err(error)) => error,
                    None => RpcError::garbage("no result"),
                },
                Err(error) => error,
            };
            match error {
                RpcError::Refused { message, .. } if failed.is_none() => {
                    return Err(SendError::Refused { message });
                }
                error => {
                    tracing::warn!(%error, chain = self.chain_id, "sending failed");
                    // What may have happened outweighs what surely did not.
                    if !failed.as_ref().is_some_and(RpcError::may_have_been_done) {
                        failed = Some(error);
                    }
                }
            }
        }
        let error = failed.unwrap_or_else(no_endpoint);
        if error.may_have_been_done() {
            return Err(SendError::MayBeSent(error));
        }
        match error {
            RpcError::Refused { message, .. } => Err(SendError::Refused { message }),
            error => Err(SendError::NotSent(error)),
        }
    }

    fn in_order(&self) -> impl Iterator<Item = (usize, &Endpoint)> {
        let first = self.preferred.load(Ordering::Relaxed);
        let endpoints = self.endpoints.iter().enumerate();
        endpoints.clone().skip(first).chain(endpoints.take(first))
    }

    async fn checked_post(
        &self,
        endpoint: &Endpoint,
        calls: &[Call],
    ) -> Result<Vec<Found>, RpcError> {
        if !endpoint.is_on_chain.load(Ordering::Relaxed) {
            let call = Call::new("eth_chainId", json!([]));
            let mut results = self.post(endpoint, std::slice::from_ref(&call)).await?;
            let Quantity(got) = decode(
                results
                    .pop()
                    .unwrap_or_else(|| Err(RpcError::garbage("no result")))?,
            )?;
            if got != u128::from(self.chain_id) {
                return Err(RpcError::WrongChain {
                    node: endpoint.node.clone(),
                    got,
                    expected: self.chain_id,
                });
            }
            endpoint.is_on_chain.store(true, Ordering::Relaxed);
        }
        self.post(endpoint, calls).await
    }

    /// Posts once, as a span where somebody's payment is what it is for.
    async fn post(&self, endpoint: &Endpoint, calls: &[Call]) -> Result<Vec<Found>, RpcError> {
        let span = span::of(&endpoint.node, calls);
        let answer = self.ask(endpoint, calls).instrument(span.clone()).await;
        if answer.is_err() {
            span.record("otel.status_code", "ERROR");
        }
        answer
    }

    async fn ask(&self, endpoint: &Endpoint, calls: &[Call]) -> Result<Vec<Found>, RpcError> {
        let node = || endpoint.node.clone();
        let answer = self
            .http
            .post(endpoint.url.clone())
            .header("content-type", "application/json")
            .body(request(calls).to_string())
            .send()
            .await
            .map_err(|e| {
                let (is_connect, why) = (e.is_connect(), chain_of_causes(&e.without_url()));
                if is_connect {
                    RpcError::Unreachable { node: node(), why }
                } else {
                    RpcError::NoAnswer { node: node(), why }
                }
            })?;
        let status = answer.status();
        // A busy or broken server: another endpoint may do better, whatever this one's body says.
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            return Err(RpcError::Garbage {
                node: node(),
                why: format!("HTTP status {status}"),
            });
        }
        let body = read_body(answer)
            .await
            .map_err(|why| RpcError::NoAnswer { node: node(), why })?;
        read_answer(&body, calls.len()).map_err(|why| RpcError::Garbage {
            node: node(),
            why: if status.is_success() {
                why
            } else {
                format!("HTTP status {status}")
            },
        })
    }
}

impl Endpoint {
    fn new(text: &str) -> Result<Self, RailError> {
        let url = Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| RailError {
                code: "rpc_url",
                message: "an `rpc` endpoint is not an http or https URL; write it like \"http://127.0.0.1:8545\"".into(),
            })?;
        let host = url.host_str().unwrap_or_default();
        let node = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Ok(Self {
            url,
            node,
            is_on_chain: AtomicBool::new(false),
        })
    }

    fn is_loopback(&self) -> bool {
        matches!(
            self.url.host_str(),
            Some("localhost" | "127.0.0.1" | "[::1]")
        )
    }
}

/// Reads a result as what its method returns.
#[expect(
    clippy::boxed_local,
    reason = "the shape in which results come, for `and_then`"
)]
pub(crate) fn decode<T: DeserializeOwned>(result: Box<RawValue>) -> Result<T, RpcError> {
    serde_json::from_str(result.get()).map_err(RpcError::garbage)
}

fn no_endpoint() -> RpcError {
    RpcError::Unreachable {
        node: "(none)".into(),
        why: "no `rpc` endpoint is configured".into(),
    }
}

fn request(calls: &[Call]) -> Value {
    let object = |(id, call): (usize, &Call)| json!({"jsonrpc": "2.0", "id": id, "method": call.method, "params": call.params});
    match calls {
        [call] => object((0, call)),
        calls => calls.iter().enumerate().map(object).collect(),
    }
}

async fn read_body(mut answer: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = answer
        .chunk()
        .await
        .map_err(|e| chain_of_causes(&e.without_url()))?
    {
        if body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
            return Err(format!("more than {ANSWER_BYTES_MAX} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An answer to one call, or a node's refusal of a whole batch.
#[derive(Deserialize)]
struct Item<'a> {
    /// As it was sent; a refused batch has none.
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
    #[serde(default, borrow)]
    result: Given<'a>,
    #[serde(default)]
    error: Option<Said>,
}

/// What stands in a field: nothing, or something, if only `null`.
#[derive(Default)]
struct Given<'a>(Option<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Given<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|value| Self(Some(value)))
    }
}

/// A node's no.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    code: Value,
    message: Value,
    #[serde(default)]
    data: Value,
}

/// Sorts the answers of a batch by their ids; each call must have exactly one.
pub(crate) fn read_answer(body: &[u8], calls: usize) -> Result<Vec<Found>, String> {
    let is_many = body.trim_ascii_start().first() == Some(&b'[');
    if !is_many {
        let item: Item<'_> = serde_json::from_slice(body).map_err(not_an_answer)?;
        // A node refuses a whole batch with one object.
        if calls != 1 && item.error.is_none() {
            return Err("one answer to many calls".into());
        }
        return Ok(vec![read_item(item)?; calls]);
    }
    if calls == 1 {
        return Err("many answers to one call".into());
    }
    let items: Vec<Item<'_>> = serde_json::from_slice(body).map_err(not_an_answer)?;
    let mut results: Vec<Option<Found>> = vec![None; calls];
    for item in items {
        let place = item
            .id
            .and_then(|id| id.get().parse::<usize>().ok())
            .and_then(|id| results.get_mut(id))
            .ok_or("an answer to no call of the batch")?;
        if place.replace(read_item(item)?).is_some() {
            return Err("two answers to one call of the batch".into());
        }
    }
    let results: Option<Vec<_>> = results.into_iter().collect();
    results.ok_or_else(|| "a call of the batch has no answer".into())
}

fn not_an_answer(error: serde_json::Error) -> String {
    cut(&format!("not a JSON-RPC answer: {error}"))
}

fn read_item(item: Item<'_>) -> Result<Found, String> {
    if let Some(said) = item.error {
        return Ok(Err(RpcError::Refused {
            code: said.code.as_i64().unwrap_or_default(),
            message: cut(said.message.as_str().ok_or("an error without a message")?),
            data: said
                .data
                .as_str()
                .map(|data| data.chars().take(DATA_CHARS_MAX).collect()),
        }));
    }
    match item.result.0 {
        Some(result) => Ok(Ok(result.to_owned())),
        None => Err("neither result nor error".into()),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MESSAGE_CHARS_MAX).collect()
}

fn chain_of_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    cut(&text)
}

#[cfg(test)]
#[path = "mod_tests.rs"]
mod tests;
