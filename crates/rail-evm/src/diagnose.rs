//! Looks at one chain for somebody who wants to know why nothing works: its nodes, its tokens and
//! the accounts that pay for gas.
//!
//! Called by the doctor and by the checks before a gate or facilitator starts. It asks and never
//! sends, and each question has a time limit. Findings and words are for whoever called.

mod accounts;
mod tokens;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use farebox_core::diagnosis::{ChainFacts, Head, NodeFacts};
use farebox_core::rail::RailError;
use farebox_wire::evm::{EvmAddress, Word};
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::json;

use crate::network::{self, Chain, Network};
use crate::rpc::{Block, Call, Found, Rpc, RpcError, block_number, decode};

/// A node that takes longer for a question of one row is no use to a buyer who waits.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// Blocks whose times are averaged.
const BLOCKS_AVERAGED: u64 = 100;
/// Blocks at the end that nodes may see differently for a moment.
const BLOCKS_UNSETTLED: u64 = 3;

/// A node and the newest block that it knows.
struct Asked {
    rpc: Rpc,
    node: String,
    head: Result<Head, RailError>,
}

/// What a chain says of itself, of its configured tokens and of `accounts`. Nodes are asked side
/// by side; a node that does not answer is a fact among others.
///
/// # Errors
/// A network that is no EVM network, or an endpoint that is no URL.
pub async fn diagnose(network: Network, accounts: &[EvmAddress]) -> Result<ChainFacts, RailError> {
    let urls = network.rpc.clone();
    let chain = network::index(vec![network])?
        .pop()
        .ok_or_else(|| RailError {
            code: "unknown_network",
            message: "there is no network to look at".into(),
        })?;
    let mut asked = join_all(urls.iter().map(|url| ask_head(url, chain.number)))
        .await
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    mark_forks(&mut asked).await;
    let best = asked
        .iter()
        .filter_map(|one| Some((one, one.head.as_ref().ok()?)))
        .max_by_key(|(_, head)| head.number);
    let (mut block_ms, mut tokens, mut looked) = (None, Ok(Vec::new()), Ok(Vec::new()));
    if let Some((one, head)) = best {
        block_ms = average_block_ms(&one.rpc, head).await.ok().flatten();
        (tokens, looked) = tokio::join!(
            tokens::look(&one.rpc, &chain),
            accounts::look(&one.rpc, accounts, block_ms)
        );
    }
    Ok(facts(&chain, asked, block_ms, tokens, looked))
}

fn facts(
    chain: &Chain,
    asked: Vec<Asked>,
    block_ms: Option<u64>,
    tokens: Result<Vec<farebox_core::diagnosis::TokenFacts>, RpcError>,
    accounts: Result<Vec<farebox_core::diagnosis::AccountFacts>, RpcError>,
) -> ChainFacts {
    let nodes = asked.into_iter().map(|one| NodeFacts {
        node: one.node,
        head: one.head,
    });
    ChainFacts {
        network: chain.network.chain.clone(),
        nodes: nodes.collect(),
        block_ms,
        tokens: tokens.map_err(RailError::from),
        accounts: accounts.map_err(RailError::from),
    }
}

async fn ask_head(url: &String, chain: u64) -> Result<Asked, RailError> {
    let rpc = Rpc::new(std::slice::from_ref(url), chain)?;
    let head = one::<Block>(&rpc, Call::block("latest")).await;
    Ok(Asked {
        node: rpc.node(),
        head: head
            .map(|block| Head {
                number: block.number,
                timestamp_s: block.timestamp,
                told_ms: now_ms(),
                is_forked: false,
            })
            .map_err(RailError::from),
        rpc,
    })
}

/// A block's name.
#[derive(Deserialize)]
struct Named {
    hash: Word,
}

/// Compares the nodes at a height that all of them have had for a while.
async fn mark_forks(asked: &mut [Asked]) {
    let heads = asked.iter().filter_map(|one| one.head.as_ref().ok());
    let Some(lowest) = heads.map(|head| head.number).min() else {
        return;
    };
    let at = block_number(lowest.saturating_sub(BLOCKS_UNSETTLED));
    let names = asked.iter().map(|asked| async {
        asked.head.as_ref().ok()?;
        let named = one::<Named>(&asked.rpc, Call::block(&at)).await;
        named.ok().map(|block| block.hash)
    });
    let names: Vec<Option<Word>> = join_all(names).await;
    let Some(first) = names.iter().flatten().next().copied() else {
        return;
    };
    for (one, name) in asked.iter_mut().zip(names) {
        if let Ok(head) = &mut one.head {
            head.is_forked = name.is_some_and(|name| name != first);
        }
    }
}

async fn average_block_ms(rpc: &Rpc, head: &Head) -> Result<Option<u64>, RpcError> {
    let blocks = BLOCKS_AVERAGED.min(head.number);
    let from = block_number(head.number.saturating_sub(blocks));
    let first: Block = one(rpc, Call::block(&from)).await?;
    let took_ms = head
        .timestamp_s
        .saturating_sub(first.timestamp)
        .saturating_mul(1_000);
    Ok(took_ms.checked_div(blocks))
}

/// One question within its time.
async fn one<T: serde::de::DeserializeOwned>(rpc: &Rpc, call: Call) -> Result<T, RpcError> {
    let mut results = within(rpc, &[call]).await?;
    decode(
        results
            .pop()
            .unwrap_or_else(|| Err(RpcError::garbage("no result")))?,
    )
}

/// Many questions in one request, within the time of one.
async fn within(rpc: &Rpc, calls: &[Call]) -> Result<Vec<Found>, RpcError> {
    let asked = tokio::time::timeout(ASK_WITHIN, rpc.batch(calls)).await;
    asked.unwrap_or_else(|_| {
        Err(RpcError::NoAnswer {
            node: rpc.node(),
            why: format!("nothing within {} s", ASK_WITHIN.as_secs()),
        })
    })
}

/// A call that takes nothing but an account.
fn of_account(method: &'static str, account: EvmAddress, at: &str) -> Call {
    Call::new(method, json!([account, at]))
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
