//! Asks a node about many payers of one token: the Lens in one `eth_call`, or single calls where
//! a node refuses that.
//!
//! Called for questions and for refreshes. Whatever a node answers is checked to the byte; what is
//! not exactly an answer is an error, and tells nothing about any payer.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use alloy_primitives::hex;
use farebox_wire::evm::{EvmAddress, Word};
use farebox_wire::money::Amount;
use serde_json::json;
use tokio::time::Instant;

use super::book::Seen;
use crate::abi;
use crate::check::read_bool;
use crate::rpc::{Call, Data, Found, Rpc, RpcError, decode};

/// Creation code of `contracts/src/Lens.sol`, in hex.
const LENS: &str = include_str!("../../../../contracts/artifacts/Lens.creation.hex");
/// Queries in one call: its answer, 96 bytes each, must fit into the 24,576 bytes that code may
/// have (EIP-170), and its data into the 49,152 of creation code (EIP-3860).
pub(super) const QUERIES_MAX: usize = 200;
/// Lenses in one request: their answers have some 40 KB each.
const LENSES_PER_REQUEST: usize = 25;
/// How long a token is asked about by single calls after the Lens did not run for it.
const LENS_REST: Duration = Duration::from_secs(60);
/// Calls in one request: nodes refuse long batches, most from a hundred on.
const CALLS_PER_REQUEST: usize = 90;

/// Who is asked about, and which of his authorizations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) payer: EvmAddress,
    pub(super) nonce: Word,
}

/// What the node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// There is no contract at the token's address.
    NoToken,
    /// The token does not answer `authorizationState`.
    NoAuthorizations,
    /// It does.
    Payer {
        seen: Seen,
        /// Whether the authorization was used or cancelled.
        is_used: bool,
    },
}

/// What the node says of each query, in their order. An error of all is an error of each.
pub(super) type Answers = Vec<Result<Told, RpcError>>;

/// Queries about payers of one token, at most [`QUERIES_MAX`].
pub(super) struct Group {
    pub(super) token: EvmAddress,
    pub(super) queries: Vec<Query>,
}

/// Tokens for which the node did not run the Lens, and until when it is not tried again.
#[derive(Default)]
pub(super) struct Resting(BTreeMap<EvmAddress, Instant>);

impl Resting {
    fn rests(&self, token: EvmAddress, now: Instant) -> bool {
        self.0.get(&token).is_some_and(|until| now < *until)
    }
}

/// Asks about all groups: one vector of answers for each, in their order, each of them with as
/// many answers as there are queries.
pub(super) async fn fetch(rpc: &Rpc, lens: &Mutex<Resting>, groups: &[Group]) -> Vec<Answers> {
    let lens = || lens.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    let is_tried: Vec<bool> = {
        let lens = lens();
        let groups = groups.iter();
        groups.map(|g| !lens.rests(g.token, now)).collect()
    };
    let tried = groups.iter().zip(&is_tried).filter(|(_, is)| **is);
    let tried: Vec<&Group> = tried.map(|(group, _)| group).collect();
    let mut by_lens = ask_lens(rpc, &tried).await.into_iter();
    let mut answers = Vec::with_capacity(groups.len());
    for (group, is_tried) in groups.iter().zip(is_tried) {
        let told = if is_tried { by_lens.next() } else { None };
        if let Some(Some(told)) = told {
            answers.push(told);
            continue;
        }
        let told = one_by_one(rpc, group.token, &group.queries).await;
        // A node that would answer nothing at all says nothing about the Lens.
        if is_tried
            && told.iter().any(Result::is_ok)
            && let Some(until) = now.checked_add(LENS_REST)
        {
            lens().0.insert(group.token, until);
        }
        answers.push(told);
    }
    answers
}

/// Asks by the Lens. `None` for groups that must be asked in another way.
async fn ask_lens(rpc: &Rpc, groups: &[&Group]) -> Vec<Option<Answers>> {
    let mut answers = Vec::with_capacity(groups.len());
    for groups in groups.chunks(LENSES_PER_REQUEST) {
        let calls: Vec<Call> = groups.iter().map(|g| lens_call(g)).collect();
        match rpc.batch(&calls).await {
            Ok(results) => {
                for (group, result) in groups.iter().zip(results) {
                    let told = read_lens(result, group.queries.len());
                    answers.push(told.map(|told| each(group, told)));
                }
            }
            Err(error) => {
                let failed = |group: &&Group| Some(each(group, Err(error.clone())));
                answers.extend(groups.iter().map(failed));
            }
        }
    }
    answers
}

fn each(group: &Group, told: Result<Vec<Told>, RpcError>) -> Answers {
    match told {
        Ok(told) => told.into_iter().map(Ok).collect(),
        Err(error) => group.queries.iter().map(|_| Err(error.clone())).collect(),
    }
}

/// One `eth_call` that asks about all of them.
fn lens_call(group: &Group) -> Call {
    let mut packed = Vec::with_capacity(group.queries.len().saturating_mul(52));
    for query in &group.queries {
        packed.extend_from_slice(&query.payer.0);
        packed.extend_from_slice(&query.nonce.0);
    }
    let length = u128::try_from(packed.len()).unwrap_or(u128::MAX);
    // abi.encode(address token, bytes queries)
    let mut arguments = Vec::with_capacity(packed.len().saturating_add(128));
    arguments.extend_from_slice(&abi::address_word(group.token));
    arguments.extend_from_slice(&abi::number_word(64));
    arguments.extend_from_slice(&abi::number_word(length));
    arguments.extend_from_slice(&packed);
    arguments.resize(arguments.len().next_multiple_of(32), 0);
    let data = format!("{}{}", LENS.trim(), hex::encode(arguments));
    Call::new("eth_call", json!([{ "data": data }, "latest"]))
}

/// Reads the Lens's answer. `None` where the node did not run it, so that asking in another way
/// may help.
pub(crate) fn read_lens(result: Found, queries: usize) -> Option<Result<Vec<Told>, RpcError>> {
    match result.and_then(decode::<Data>) {
        Err(RpcError::Refused { .. }) => None,
        Err(error) => Some(Err(error)),
        // What a node makes of a call without `to` that it does not know.
        Ok(Data(bytes)) if bytes.is_empty() => None,
        Ok(Data(bytes)) => Some(
            read_words(&bytes, queries)
                .ok_or_else(|| RpcError::garbage("not an answer to what was asked about payers")),
        ),
    }
}

fn read_words(bytes: &[u8], queries: usize) -> Option<Vec<Told>> {
    let (token, payers) = bytes.split_at_checked(32)?;
    let (payers, rest) = payers.as_chunks::<96>();
    if payers.len() != queries || !rest.is_empty() {
        return None;
    }
    let token_size = abi::word_number(token)?;
    payers
        .iter()
        .map(|words| {
            let (code, words) = words.split_at(32);
            let (balance, state) = words.split_at(32);
            let seen = Seen {
                has_code: abi::word_number(code)? > 0,
                balance: read_balance(balance),
            };
            Some(match (token_size, abi::word_number(state)?) {
                (0, _) => Told::NoToken,
                (_, 0) => Told::Payer {
                    seen,
                    is_used: false,
                },
                (_, 1) => Told::Payer {
                    seen,
                    is_used: true,
                },
                (_, 2) => Told::NoAuthorizations,
                _ => return None,
            })
        })
        .collect()
}

/// More than 128 bits is more than any payment.
fn read_balance(word: &[u8]) -> Amount {
    abi::word_number(word).map_or(Amount::from_atomic(u128::MAX), Amount::from_atomic)
}

/// Asks about each by single calls.
async fn one_by_one(rpc: &Rpc, token: EvmAddress, queries: &[Query]) -> Answers {
    let code_of = |account| Call::new("eth_getCode", json!([account, "latest"]));
    let mut answers = Vec::with_capacity(queries.len());
    for queries in queries.chunks(CALLS_PER_REQUEST / 3) {
        let mut calls = vec![code_of(token)];
        for Query { payer, nonce } in queries {
            calls.push(code_of(*payer));
            calls.push(Call::view(token, &abi::balance_of(*payer), "latest"));
            let state = abi::authorization_state(*payer, *nonce);
            calls.push(Call::view(token, &state, "latest"));
        }
        match rpc.batch(&calls).await {
            Ok(results) => answers.extend(read_single(results, queries.len())),
            Err(error) => answers.extend(queries.iter().map(|_| Err(error.clone()))),
        }
    }
    answers
}

/// Reads the answers of single calls: the token's code, then three for each query.
pub(crate) fn read_single(results: Vec<Found>, queries: usize) -> Answers {
    let mut results = results.into_iter();
    let mut next = move || {
        let left_out = || Err(RpcError::garbage("the node left answers out"));
        results.next().unwrap_or_else(left_out)
    };
    let token = has_code(next());
    let answers = (0..queries).map(|_| {
        let (code, balance, state) = (next(), next(), next());
        if !token.clone()? {
            return Ok(Told::NoToken);
        }
        let has_code = has_code(code)?;
        let is_used = match state.and_then(decode).and_then(|Data(w)| read_bool(&w)) {
            Err(error) if error.is_revert() => return Ok(Told::NoAuthorizations),
            is_used => is_used?,
        };
        let Data(balance) = balance.and_then(decode)?;
        if balance.len() != 32 {
            return Err(RpcError::garbage("the token answers no balance"));
        }
        let balance = read_balance(&balance);
        Ok(Told::Payer {
            seen: Seen { has_code, balance },
            is_used,
        })
    });
    answers.collect()
}

fn has_code(result: Found) -> Result<bool, RpcError> {
    result.and_then(decode).map(|Data(code)| !code.is_empty())
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
