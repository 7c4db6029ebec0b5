//! What became of a payment that we have signed? And what does an account hold?
//!
//! The buyer's: it has not sent the transaction and does not know its name, which is the fee
//! payer's signature. So it asks for the transactions of its own token account, and knows its
//! message when it sees it. It may say `NeverWill` only on what can no longer change.

use std::sync::Arc;

use farebox_core::rail::{Finding, Handle, Holding, RailError};
use farebox_wire::money::Amount;
use farebox_wire::svm::{SvmAddress, SvmSignature};

use crate::account::{TokenAccount, token_account_of};
use crate::expiry::{self, Known};
use crate::handle::{SvmHandle, digest_of, split};
use crate::network::{self, Chain, Commitment};
use crate::rpc::{Account, At, Call, FoundTransaction, Level, Listed, Rpc, RpcError, next};

/// Transactions in one list of an account's.
const LIST_MAX: usize = 200;
/// Lists in one check: of an account that pays ten times a second, more than a quarter of an hour.
const LISTS_MAX: usize = 50;
/// Transactions that are read in one request.
const READ_MAX: usize = 20;
/// Accounts in one request for balances (`getMultipleAccounts` takes 100).
const ACCOUNTS_MAX: usize = 100;

/// Where a payment stands on the chain.
#[derive(Debug)]
struct Ending {
    transaction: SvmSignature,
    has_paid: bool,
    level: Level,
}

/// What became of looking for a payment.
enum Search {
    Found(Ending),
    /// It is in no block that the node has shown.
    Nowhere,
    /// There were more transactions than are looked through.
    TooMany,
}

/// Asks what became of the payment behind `handle`, which was signed here.
pub(crate) async fn check(chains: &[Arc<Chain>], handle: &Handle) -> Finding {
    let cannot_tell = |why: String| Finding::CannotTell { why };
    let handle = match SvmHandle::read(handle) {
        Ok(handle) => handle,
        Err(e) => return cannot_tell(e.message),
    };
    let asked = network::chain_of(chains, &handle.chain).and_then(|c| Ok((c, c.rpc()?)));
    let (chain, rpc) = match asked {
        Ok(asked) => asked,
        Err(e) => return cannot_tell(e.message),
    };
    match look(chain, rpc, &handle).await {
        Ok(finding) => finding,
        Err(e) => Finding::Unanswered { why: e.to_string() },
    }
}

/// Looks for a payment whose transaction has no name that is known: the buyer's, and a seller's
/// whose fee payer is somebody else.
pub(crate) async fn look(
    chain: &Chain,
    rpc: &Rpc,
    handle: &SvmHandle,
) -> Result<Finding, RpcError> {
    let known = match handle.last_height {
        Some(height) => Known::UntilHeight(height),
        None => Known::SinceTime(handle.seen_s),
    };
    // First whether it is over, then whether it is there: the other way round, it could come
    // between the two questions.
    let over = expiry::is_over(rpc, handle.blockhash, known).await?;
    Ok(match search(rpc, handle, over.unwrap_or(0)).await? {
        Search::Found(ending) => judge(chain, &ending),
        Search::Nowhere if over.is_some() => match forgets_since(rpc, handle).await? {
            None => Finding::NeverWill,
            Some(why) => Finding::CannotTell { why },
        },
        Search::Nowhere => Finding::Open,
        Search::TooMany => Finding::CannotTell {
            why: format!(
                "the account {} has had more than {} transactions since",
                handle.source,
                LIST_MAX * LISTS_MAX
            ),
        },
    })
}

fn judge(chain: &Chain, ending: &Ending) -> Finding {
    let is_final = ending.level >= Level::Finalized;
    match ending.has_paid {
        true if ending.level >= chain.network.commitment.into() => Finding::Settled {
            transaction: ending.transaction.to_string(),
            is_final,
        },
        // A message runs once, also where it fails.
        false if is_final => Finding::NeverWill,
        _ => Finding::Open,
    }
}

/// Why the node could not know of the payment though it was there; `None` where it could.
async fn forgets_since(rpc: &Rpc, handle: &SvmHandle) -> Result<Option<String>, RpcError> {
    let first: u64 = rpc.one(Call::first_slot()).await?;
    let is_kept = match handle.since_slot {
        Some(since) => first <= since,
        None if first == 0 => true,
        None => {
            let time: Option<i64> = rpc.one(Call::block_time(first)).await?;
            time.is_some_and(|time| is_before(time, handle))
        }
    };
    Ok((!is_kept).then(|| {
        format!(
            "the node at {} knows no transactions before slot {first}; configure one that keeps them",
            rpc.node()
        )
    }))
}

/// Whether a block of this time is older than the one that the payment names can be.
fn is_before(block_s: i64, handle: &SvmHandle) -> bool {
    let margin_s = expiry::LIFE_S.saturating_add(expiry::CLOCK_SKEW_S);
    let since_s = handle.seen_s.saturating_sub(margin_s);
    u64::try_from(block_s).is_ok_and(|block_s| block_s < since_s)
}

/// Looks through the transactions of the account that pays, from the newest back to the payment's
/// own time.
async fn search(rpc: &Rpc, handle: &SvmHandle, min_slot: u64) -> Result<Search, RpcError> {
    let mut before = None;
    for _ in 0..LISTS_MAX {
        let call = Call::transactions_of(handle.source, before, LIST_MAX, min_slot);
        let listed: Vec<Listed> = rpc.one(call).await?;
        let is_earlier = |l: &Listed| match handle.since_slot {
            Some(since) => l.slot < since,
            None => l.block_time.is_some_and(|time| is_before(time, handle)),
        };
        let is_last = listed.len() < LIST_MAX || listed.iter().any(is_earlier);
        let later: Vec<&Listed> = listed.iter().filter(|l| !is_earlier(l)).collect();
        for some in later.chunks(READ_MAX) {
            if let Some(ending) = among(rpc, handle, some).await? {
                return Ok(Search::Found(ending));
            }
        }
        if is_last {
            return Ok(Search::Nowhere);
        }
        before = listed.last().map(|l| l.signature);
    }
    Ok(Search::TooMany)
}

/// The one of the listed transactions that has our message.
async fn among(
    rpc: &Rpc,
    handle: &SvmHandle,
    listed: &[&Listed],
) -> Result<Option<Ending>, RpcError> {
    let calls: Vec<Call> = listed
        .iter()
        .map(|l| Call::transaction(l.signature))
        .collect();
    let mut results = rpc.batch(&calls).await?.into_iter();
    for listed in listed {
        let found: Option<FoundTransaction> = next(results.next())?;
        // In the list and not to be had: it may be ours, so nothing may rest on its absence.
        let found = found
            .ok_or_else(|| RpcError::garbage("it lists a transaction that it does not have"))?;
        let Some((signatures, message)) = split(&found.transaction) else {
            continue;
        };
        if digest_of(message) != handle.digest {
            continue;
        }
        let failed = match &found.meta {
            Some(meta) => meta.err.is_some(),
            None => return Err(RpcError::garbage("it leaves out how a transaction ended")),
        };
        if signatures.first() != Some(&listed.signature) || failed != listed.err.is_some() {
            // Whichever of the two is wrong, nothing may rest on it.
            return Err(RpcError::garbage("its list contradicts its transaction"));
        }
        return Ok(Some(Ending {
            transaction: listed.signature,
            has_paid: !failed,
            level: listed.level(),
        }));
    }
    Ok(None)
}

/// What `account` has of every known token: one answer per token, or one per chain that does not
/// answer. Chains without an endpoint are left out.
pub(crate) async fn holdings(
    chains: &[Arc<Chain>],
    owner: SvmAddress,
) -> Vec<Result<Holding, RailError>> {
    let mut holdings = Vec::new();
    for chain in chains {
        let Ok(rpc) = chain.rpc() else { continue };
        let places: Vec<SvmAddress> = chain
            .tokens()
            .map(|t| token_account_of(owner, t.asset.mint, t.asset.program))
            .collect();
        let found = match balances(rpc, &places).await {
            Ok(found) => found,
            Err(e) => {
                holdings.push(Err(e.into()));
                continue;
            }
        };
        for (token, amount) in chain.tokens().zip(found) {
            holdings.push(Ok(Holding {
                network: chain.network.chain.clone(),
                asset: token.id.clone(),
                symbol: token.asset.symbol.clone(),
                decimals: token.asset.decimals,
                address: owner.to_string(),
                amount: Amount::from_atomic(amount.into()),
            }));
        }
    }
    holdings
}

/// What stands in token accounts; one that does not exist holds nothing.
async fn balances(rpc: &Rpc, places: &[SvmAddress]) -> Result<Vec<u64>, RpcError> {
    let mut amounts = Vec::with_capacity(places.len());
    for some in places.chunks(ACCOUNTS_MAX) {
        let call = Call::accounts(some, Commitment::Confirmed);
        let found: At<Vec<Option<Account>>> = rpc.one(call).await?;
        if found.value.len() != some.len() {
            return Err(RpcError::garbage("not as many accounts as were asked for"));
        }
        amounts.extend(found.value.into_iter().map(|account| {
            let account = account.and_then(|account| TokenAccount::read(&account.data));
            account.map_or(0, |account| account.amount)
        }));
    }
    Ok(amounts)
}
