//! What the accounts that pay for gas have, and whether their transactions get into blocks.

use std::time::Duration;

use farebox_core::diagnosis::AccountFacts;
use farebox_wire::evm::EvmAddress;
use farebox_wire::money::Amount;
use serde_json::json;
use tokio::time::Instant;

use super::{of_account, one, within};
use crate::rpc::{Call, Quantity, Rpc, RpcError, decode};

/// Gas of a settlement that goes alone, with a token behind a proxy.
const SETTLEMENT_GAS: u128 = 100_000;
/// Blocks that a transaction which waits is given to get into one.
const BLOCKS_WAITED: u64 = 3;
/// The least and the most that is waited for it.
const WAIT_MIN: Duration = Duration::from_secs(3);
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How often the chain is asked meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// Questions about one account.
const QUESTIONS: usize = 3;

/// Asks about every account, and sees for a few blocks whether what waits moves.
pub(super) async fn look(
    rpc: &Rpc,
    accounts: &[EvmAddress],
    block_ms: Option<u64>,
) -> Result<Vec<AccountFacts>, RpcError> {
    let mut calls = vec![Call::new("eth_gasPrice", json!([]))];
    for account in accounts {
        calls.push(of_account("eth_getBalance", *account, "latest"));
        calls.push(of_account("eth_getTransactionCount", *account, "latest"));
        calls.push(of_account("eth_getTransactionCount", *account, "pending"));
    }
    let answers = within(rpc, &calls).await?;
    let Some((price, answers)) = answers.split_first() else {
        return Err(RpcError::garbage("no result"));
    };
    let price = price.clone().and_then(decode).ok();
    let cost = price.and_then(|Quantity(wei)| wei.checked_mul(SETTLEMENT_GAS));
    let mut facts = Vec::with_capacity(accounts.len());
    for (account, answers) in accounts.iter().zip(answers.chunks(QUESTIONS)) {
        let mut numbers = Vec::with_capacity(QUESTIONS);
        for answer in answers {
            let Quantity(number) = decode(answer.clone()?)?;
            numbers.push(number);
        }
        let [wei, mined, pending] = numbers[..] else {
            return Err(RpcError::garbage("answers are missing"));
        };
        facts.push(AccountFacts {
            address: crate::checksummed(*account),
            gas_money: Amount::from_atomic(wei),
            settlement_cost: cost.map(Amount::from_atomic),
            mined: count(mined)?,
            pending: count(pending)?,
            waited_ms: 0,
        });
    }
    watch(rpc, accounts, &mut facts, block_ms).await?;
    Ok(facts)
}

/// Waits for a few blocks where transactions wait, until each account's oldest has come into one.
async fn watch(
    rpc: &Rpc,
    accounts: &[EvmAddress],
    facts: &mut [AccountFacts],
    block_ms: Option<u64>,
) -> Result<(), RpcError> {
    let blocks = block_ms.unwrap_or_default().saturating_mul(BLOCKS_WAITED);
    let patience = Duration::from_millis(blocks).clamp(WAIT_MIN, WAIT_MAX);
    let began = Instant::now();
    let mut waiting: Vec<_> = accounts
        .iter()
        .zip(facts)
        .filter(|(_, facts)| facts.pending > facts.mined)
        .collect();
    while !waiting.is_empty() && began.elapsed() < patience {
        tokio::time::sleep(ASK_EVERY).await;
        let mut still = Vec::with_capacity(waiting.len());
        for (account, facts) in waiting {
            let call = of_account("eth_getTransactionCount", *account, "latest");
            let Quantity(mined) = one(rpc, call).await?;
            if count(mined)? <= facts.mined {
                facts.waited_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                still.push((account, facts));
            } else {
                facts.waited_ms = 0;
            }
        }
        waiting = still;
    }
    Ok(())
}

fn count(number: u128) -> Result<u64, RpcError> {
    u64::try_from(number).map_err(|_| RpcError::garbage("a count beyond 64 bits"))
}
