//! A REST face like LND's for one node: the parts that a client needs to sell, to buy and to look. Paths, field names,
//! texts for 64-bit numbers, base64 for bytes and the errors of its gateway are LND's (lnrpc's swagger files).

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use farebox_node_ldk::{Error, ErrorKind, PaymentHash};
use serde_json::{Value, json};

use crate::chain::server::SharedChain;
use crate::side::Side;

mod info;
mod invoices;
mod payments;
pub(crate) mod server;

/// gRPC status codes, as the gateway's bodies carry them.
pub(crate) mod code {
    pub(crate) const UNKNOWN: i32 = 2;
    pub(crate) const INVALID: i32 = 3;
    pub(crate) const NOT_FOUND: i32 = 5;
    pub(crate) const ALREADY_EXISTS: i32 = 6;
    pub(crate) const UNAVAILABLE: i32 = 14;
}

/// The face of one node.
#[derive(Clone)]
pub(crate) struct Face {
    side: Arc<Side>,
    chain: SharedChain,
    pubkey: Arc<str>,
}

impl Face {
    pub(crate) fn new(side: Arc<Side>, chain: SharedChain, pubkey: String) -> Self {
        Self {
            side,
            chain,
            pubkey: pubkey.into(),
        }
    }
}

/// An error as the gateway writes it.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    code: i32,
    message: String,
}

impl Status {
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    fn json(&self) -> Value {
        json!({"code": self.code, "message": self.message, "details": []})
    }

    /// How the gateway maps gRPC's codes.
    fn http(&self) -> StatusCode {
        match self.code {
            code::INVALID => StatusCode::BAD_REQUEST,
            code::NOT_FOUND => StatusCode::NOT_FOUND,
            code::ALREADY_EXISTS => StatusCode::CONFLICT,
            code::UNAVAILABLE => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// For a call with one answer.
    pub(crate) fn plain(&self) -> Response {
        answer(self.http(), &self.json())
    }

    /// For a call that answers in a stream.
    pub(crate) fn streamed(&self) -> Response {
        answer(self.http(), &json!({"error": self.json()}))
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let code = match (&error, error.kind()) {
            // A daemon that is away is no answer of the daemon's: its gateway's own.
            (Error::Stopped, _) => code::UNAVAILABLE,
            (_, ErrorKind::Input) => code::UNKNOWN,
            _ => code::UNKNOWN,
        };
        Self::new(code, error.to_string())
    }
}

pub(crate) fn ok(value: &Value) -> Response {
    answer(StatusCode::OK, value)
}

fn answer(status: StatusCode, value: &Value) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (status, json, value.to_string()).into_response()
}

/// A stream of lines, each a message.
pub(crate) fn lines(
    messages: impl futures_util::Stream<Item = Value> + Send + 'static,
) -> Response {
    use futures_util::StreamExt as _;

    let lines = messages.map(|message| {
        Ok::<Bytes, std::convert::Infallible>(Bytes::from(format!(
            "{}\n",
            json!({"result": message})
        )))
    });
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, Body::from_stream(lines)).into_response()
}

/// Bytes as JSON has them.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A payment hash in base64, standard or for URLs: proto's JSON takes both.
pub(crate) fn hash_of_base64(text: &str) -> Result<PaymentHash, Status> {
    let wrong = || Status::new(code::INVALID, "the payment hash must be 32 bytes in base64");
    let padded = match text.len() % 4 {
        0 => text.to_owned(),
        over => format!("{text}{}", "=".repeat(4 - over)),
    };
    let bytes = STANDARD
        .decode(&padded)
        .or_else(|_| URL_SAFE.decode(&padded))
        .map_err(|_| wrong())?;
    Ok(PaymentHash(bytes.try_into().map_err(|_| wrong())?))
}

/// A 64-bit number of a request: proto's JSON takes digits as text and as a number.
pub(crate) fn number(body: &Value, name: &str) -> Result<u64, Status> {
    let wrong = || Status::new(code::INVALID, format!("invalid value for field {name}"));
    match body.get(name) {
        None | Some(Value::Null) => Ok(0),
        Some(Value::String(text)) => text.parse().map_err(|_| wrong()),
        Some(value) => value.as_u64().ok_or_else(wrong),
    }
}

/// A text of a request.
pub(crate) fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A flag of a request.
pub(crate) fn flag(body: &Value, name: &str) -> bool {
    body.get(name).and_then(Value::as_bool).unwrap_or_default()
}
