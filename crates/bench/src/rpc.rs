//! JSON-RPC to the chain's node, one call or many in one request, each waited for.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::Fallible;
use crate::load::{self, Connection};

/// One connection to a node.
pub(crate) struct Rpc {
    runtime: Runtime,
    connection: Connection,
}

impl Rpc {
    /// Connects.
    pub(crate) fn connect(node: SocketAddr) -> Fallible<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let connection = runtime.block_on(Connection::open(node))?;
        Ok(Self {
            runtime,
            connection,
        })
    }

    /// Calls a method.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Fallible<Value> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut answer = self.send(&request)?;
        result_of(&mut answer, method)
    }

    /// Calls a method many times in one request.
    pub(crate) fn call_all(&mut self, method: &str, params: Vec<Value>) -> Fallible<()> {
        let calls: Vec<Value> = params
            .into_iter()
            .enumerate()
            .map(|(id, params)| {
                json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
            })
            .collect();
        let mut answers = self.send(&Value::Array(calls))?;
        let answers = answers.as_array_mut().ok_or("the node answers no batch")?;
        for answer in answers {
            result_of(answer, method)?;
        }
        Ok(())
    }

    /// Sends a request that was written before, and reads the one result.
    pub(crate) fn send_bytes(&mut self, request: &[u8], what: &str) -> Fallible<Value> {
        let answer = self.runtime.block_on(self.connection.ask(request))?;
        result_of(&mut serde_json::from_slice(answer.body)?, what)
    }

    fn send(&mut self, request: &Value) -> Fallible<Value> {
        let request = written(request);
        let answer = self.runtime.block_on(self.connection.ask(&request))?;
        Ok(serde_json::from_slice(answer.body)?)
    }
}

/// A JSON-RPC request as HTTP bytes.
pub(crate) fn written(request: &Value) -> Vec<u8> {
    load::request("POST", "/", &[], Some(request.to_string().as_bytes()))
}

fn result_of(answer: &mut Value, method: &str) -> Fallible<Value> {
    match answer.get_mut("result") {
        Some(result) => Ok(result.take()),
        None => Err(format!("the node refuses {method}: {}", answer["error"]).into()),
    }
}

/// A number that a node writes as `0x…`.
pub(crate) fn number(value: &Value) -> Fallible<u128> {
    let text = value.as_str().ok_or("the node gives no number")?;
    let digits = text.strip_prefix("0x").ok_or("the node gives no hex")?;
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(0);
    }
    Ok(u128::from_str_radix(digits, 16)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_quantities_and_as_words() {
        assert_eq!(number(&json!("0x0")).expect("zero"), 0);
        assert_eq!(number(&json!("0xff")).expect("a quantity"), 255);
        let word = format!("0x{}", "0".repeat(62) + "10");
        assert_eq!(number(&json!(word)).expect("a word"), 16);
        assert!(number(&json!(1)).is_err());
        assert!(number(&json!("ff")).is_err());
    }
}
