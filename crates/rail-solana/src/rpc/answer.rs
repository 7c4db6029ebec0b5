//! A node's answer as bytes: JSON-RPC, one object or as many as there were calls.
//!
//! Called by [`super::Rpc`]. It never panics on an answer and believes none of its sizes.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Found, RpcError, cut};

/// Characters of what a node says of a transaction's failure that are kept.
const FAILURE_CHARS_MAX: usize = 512;

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
            failure: said.data.get("err").and_then(short),
        }));
    }
    match item.result.0 {
        Some(result) => Ok(Ok(result.to_owned())),
        None => Err("neither result nor error".into()),
    }
}

/// What a transaction failed of, where it is said in a line.
fn short(failure: &Value) -> Option<Value> {
    let is_short = !failure.is_null() && failure.to_string().len() <= FAILURE_CHARS_MAX;
    is_short.then(|| failure.clone())
}
