//! A thin JSON-RPC client: batches over HTTP, several endpoints, limits on time and size.
//!
//! What it must tell apart is what the caller's next step depends on: nothing was sent, something
//! may have been, the node said no, or the node talks nonsense. It never panics on an answer, and
//! never shows a URL's path, which often holds an access key.

mod answer;
mod span;
mod types;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use farebox_core::rail::RailError;
use farebox_wire::svm::{SvmSignature, SvmTransaction};
use reqwest::{Client, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tracing::Instrument as _;

pub(crate) use answer::read_answer;
pub(crate) use types::{
    Account, At, Call, FoundTransaction, Latest, Level, Listed, Simulated, Status,
};

/// A node that takes longer to accept a connection is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The slowest calls (the history of an account) take a few seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answers are lists of 1,000 transactions, some hundred bytes each.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A node's error text goes into our messages; more than a line is noise.
const MESSAGE_CHARS_MAX: usize = 200;
/// Characters of a genesis hash that name a chain (CAIP-2).
const REFERENCE_CHARS: usize = 32;

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
        "the node at {node} is on chain solana:{got}, not on solana:{expected}; correct `rpc` of [network.\"solana:{expected}\"]"
    )]
    WrongChain {
        node: String,
        got: String,
        expected: String,
    },
    /// The node understood and said no.
    #[error("the node says: {message}")]
    Refused {
        code: i64,
        message: String,
        /// What a transaction would fail of, as JSON: `"BlockhashNotFound"`,
        /// `{"InstructionError":[2,{"Custom":1}]}`.
        failure: Option<Value>,
    },
}

impl RpcError {
    /// Whether the call may have been carried out though no result came back.
    const fn may_have_been_done(&self) -> bool {
        matches!(self, Self::NoAnswer { .. } | Self::Garbage { .. })
    }

    /// Whether the node has not caught up with the chain, so that another one may know better:
    /// unhealthy, a slot that it has not seen, a block that it does not have.
    const fn is_behind(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                code: -32_004 | -32_005 | -32_014 | -32_016,
                ..
            }
        )
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
            RpcError::WrongChain { .. } => "wrong_genesis_hash",
            RpcError::Refused { .. } => "rpc_refused",
        };
        Self {
            code,
            message: error.to_string(),
        }
    }
}

/// What one call came to: its result as the node wrote it, to be read once, as what it is.
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
    /// The reference of the chain's CAIP-2 name.
    reference: String,
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
    pub(crate) fn new(urls: &[String], reference: &str) -> Result<Self, RailError> {
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
            reference: reference.to_owned(),
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
        let genesis: String = self.one(Call::genesis_hash()).await?;
        self.is_genesis(&self.node(), &genesis)
    }

    /// One call, its result read as `T`.
    pub(crate) async fn one<T: DeserializeOwned>(&self, call: Call) -> Result<T, RpcError> {
        let mut results = self.batch(std::slice::from_ref(&call)).await?;
        next(results.pop())
    }

    /// Two calls in one request, their results read as `A` and `B`.
    pub(crate) async fn two<A: DeserializeOwned, B: DeserializeOwned>(
        &self,
        first: Call,
        second: Call,
    ) -> Result<(A, B), RpcError> {
        let mut results = self.batch(&[first, second]).await?.into_iter();
        Ok((next(results.next())?, next(results.next())?))
    }

    /// Calls in one request; results in the order of the calls. Asks the next endpoint where one
    /// is down or behind, so only for calls that may be carried out twice.
    pub(crate) async fn batch(&self, calls: &[Call]) -> Result<Vec<Found>, RpcError> {
        let mut failed = None;
        for (index, endpoint) in self.in_order() {
            let answer = self.checked_post(endpoint, calls).await;
            let answer = answer.and_then(|results| {
                let behind = results.iter().find_map(|result| match result {
                    Err(error) if error.is_behind() => Some(error.clone()),
                    _ => None,
                });
                behind.map_or(Ok(results), Err)
            });
            match answer {
                Ok(results) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(results);
                }
                Err(error) => {
                    tracing::warn!(%error, chain = self.reference, "rpc call failed");
                    failed = Some(error);
                }
            }
        }
        Err(failed.unwrap_or_else(no_endpoint))
    }

    /// Hands over a signed transaction. The same bytes may be handed over again at any time.
    ///
    /// It begins with the endpoint that comes so many turns after the preferred one: what one node
    /// takes and loses, another may carry.
    pub(crate) async fn send(
        &self,
        turn: usize,
        transaction: &SvmTransaction,
    ) -> Result<SvmSignature, SendError> {
        let call = Call::send(transaction);
        let calls = std::slice::from_ref(&call);
        let mut failed: Option<RpcError> = None;
        let in_order: Vec<_> = self.in_order().collect();
        let ahead = turn.checked_rem(in_order.len()).unwrap_or_default();
        let in_turn = in_order
            .iter()
            .skip(ahead)
            .chain(in_order.iter().take(ahead));
        for &(index, endpoint) in in_turn {
            let answer = self.checked_post(endpoint, calls).await;
            let error = match answer.and_then(|mut results| next(results.pop())) {
                Ok(signature) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(signature);
                }
                Err(error) => error,
            };
            match error {
                RpcError::Refused {
                    message, failure, ..
                } if failed.is_none() && failure.is_some() => {
                    return Err(SendError::Refused { message });
                }
                error => {
                    tracing::warn!(%error, chain = self.reference, "sending failed");
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

    fn is_genesis(&self, node: &str, genesis: &str) -> Result<(), RpcError> {
        let got: String = genesis.chars().take(REFERENCE_CHARS).collect();
        if got == self.reference {
            return Ok(());
        }
        Err(RpcError::WrongChain {
            node: node.to_owned(),
            got,
            expected: self.reference.clone(),
        })
    }

    async fn checked_post(
        &self,
        endpoint: &Endpoint,
        calls: &[Call],
    ) -> Result<Vec<Found>, RpcError> {
        if !endpoint.is_on_chain.load(Ordering::Relaxed) {
            let call = Call::genesis_hash();
            let mut results = self.post(endpoint, std::slice::from_ref(&call)).await?;
            let genesis: String = next(results.pop())?;
            self.is_genesis(&endpoint.node, &genesis)?;
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
                message: "an `rpc` endpoint is not an http or https URL; write it like \"http://127.0.0.1:8899\"".into(),
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

/// Reads the next result of a batch.
pub(crate) fn next<T: DeserializeOwned>(result: Option<Found>) -> Result<T, RpcError> {
    decode(result.unwrap_or_else(|| Err(RpcError::garbage("no result")))?)
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
