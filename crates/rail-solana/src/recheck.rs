//! What became of payments that were collected: asked by the name that our own signature gives
//! them, many in one question.
//!
//! Called by the watch of the books, for what is not decided and for what is not final yet. It may
//! say `NeverWill` only where no block can hold the transaction, or where it failed in a block that
//! can no longer be undone. It signs in memory what is on the chain or dead already, never what
//! could still be sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use farebox_core::rail::{Asked, Finding, Handle};
use farebox_wire::svm::SvmSignature;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;

use crate::check;
use crate::expiry::{Known, is_over};
use crate::failure::Failure;
use crate::handle::SvmHandle;
use crate::key::{SolanaKey, has_signed};
use crate::message::Transaction;
use crate::network::{self, Chain};
use crate::rpc::{At, Call, Level, Rpc, RpcError, Status};
use crate::rules::{self, Transfer};
use crate::simulate;

/// Signatures per question: as many as nodes take.
const STATUSES_PER_CALL: usize = 256;
/// Payments that are asked about one by one at the same time.
const PARALLEL: usize = 16;

/// Who asks.
pub(crate) struct Desk<'a> {
    pub(crate) chains: &'a [Arc<Chain>],
    pub(crate) keys: &'a [Arc<SolanaKey>],
}

/// What is known so far, by the place of the question.
type Found = BTreeMap<usize, Finding>;

impl Desk<'_> {
    /// Asks what became of one payment; `own` is a transaction that is on record as its.
    pub(crate) async fn check(&self, handle: &Handle, own: Option<SvmSignature>) -> Finding {
        let cannot_tell = |why: String| Finding::CannotTell { why };
        let handle = match SvmHandle::read(handle) {
            Ok(handle) => handle,
            Err(e) => return cannot_tell(e.message),
        };
        let asked = network::chain_of(self.chains, &handle.chain).and_then(|c| Ok((c, c.rpc()?)));
        let (chain, rpc) = match asked {
            Ok(asked) => asked,
            Err(e) => return cannot_tell(e.message),
        };
        // The buyer's own books have the transaction elsewhere: it is looked for by its message.
        if handle.transaction.is_none() {
            let found = check::look(chain, rpc, &handle).await;
            return found.unwrap_or_else(|e| Finding::Unanswered { why: e.to_string() });
        }
        let Some(transfer) = stored(&handle) else {
            return cannot_tell("the stored payment has no transaction, or another one".into());
        };
        let question = Question {
            chain,
            rpc,
            handle: &handle,
            transfer: &transfer,
            key: self.keys.iter().find(|k| k.address() == handle.fee_payer),
        };
        let own = own.filter(|own| has_signed(handle.fee_payer, transfer.message(), own));
        let answer = match own {
            Some(name) => question.by_name(name).await,
            None => question.by_message().await,
        };
        answer.unwrap_or_else(|e| Finding::Unanswered { why: e.to_string() })
    }

    /// One finding for each that was asked about, in their order.
    pub(crate) async fn check_all(&self, asked: &[Asked<'_>]) -> Vec<Finding> {
        // One chain that hangs keeps no other waiting.
        let of_chains = self.chains.iter().map(|chain| confirm(chain, asked));
        let mut found: Found = join_all(of_chains).await.into_iter().flatten().collect();
        let rest: Vec<_> = (0..)
            .zip(asked)
            .filter(|(place, _)| !found.contains_key(place))
            .collect();
        let rest = rest.into_iter().map(|(place, asked)| async move {
            (place, self.check(asked.handle, name_of(asked)).await)
        });
        let mut rest = stream::iter(rest.collect::<Vec<_>>()).buffer_unordered(PARALLEL);
        while let Some((place, finding)) = rest.next().await {
            found.insert(place, finding);
        }
        // Every place has been filled, in order.
        found.into_values().collect()
    }
}

/// One payment and whom to ask about it.
struct Question<'a> {
    chain: &'a Chain,
    rpc: &'a Rpc,
    handle: &'a SvmHandle,
    transfer: &'a Transfer,
    key: Option<&'a Arc<SolanaKey>>,
}

impl Question<'_> {
    /// Asks by the name that it was sent under.
    async fn by_name(&self, name: SvmSignature) -> Result<Finding, RpcError> {
        let (status, _) = self.status(name).await?;
        if let Some(status) = status {
            return Ok(finding(self.chain, name, &status));
        }
        // Somebody else's key may have signed the message twice, and have named the signature that
        // it did not use.
        if self.key.is_none() {
            return self.by_message().await;
        }
        match self.over().await? {
            Some(slot) => self.last_word(name, slot).await,
            None => Ok(Finding::Open),
        }
    }

    /// Asks what its message would do now: what can still be sent is not signed for a question.
    async fn by_message(&self) -> Result<Finding, RpcError> {
        let said = simulate::raw(self.rpc, self.transfer).await?;
        match said.failure {
            Some(Failure::AlreadyProcessed) => {}
            Some(Failure::BlockhashNotFound) => {
                let Some(slot) = self.over().await? else {
                    return Ok(Finding::Open);
                };
                return match self.name() {
                    Some(name) => self.last_word(name, slot).await,
                    None => self.nameless().await,
                };
            }
            _ => return Ok(Finding::Open),
        }
        let Some(name) = self.name() else {
            return self.nameless().await;
        };
        let (status, _) = self.status(name).await?;
        Ok(match status {
            Some(status) => finding(self.chain, name, &status),
            // The block that has it is not known everywhere yet.
            None => Finding::Open,
        })
    }

    /// Since which slot no block can hold it.
    async fn over(&self) -> Result<Option<u64>, RpcError> {
        let known = Known::SinceTime(self.handle.seen_s);
        is_over(self.rpc, self.transfer.blockhash(), known).await
    }

    /// What is said of what no block can hold any more, as of `slot`.
    async fn last_word(&self, name: SvmSignature, slot: u64) -> Result<Finding, RpcError> {
        match self.status(name).await? {
            (Some(status), _) => Ok(finding(self.chain, name, &status)),
            (None, as_of) if as_of >= slot => Ok(Finding::NeverWill),
            (None, _) => Err(RpcError::garbage("the node has fallen behind itself")),
        }
    }

    /// The status of a name, however long ago it was used, and the slot as of which.
    async fn status(&self, name: SvmSignature) -> Result<(Option<Status>, u64), RpcError> {
        let call = Call::statuses(&[name], true);
        let said: At<Vec<Option<Status>>> = self.rpc.one(call).await?;
        let status = said.value.into_iter().next();
        let status = status.ok_or_else(|| RpcError::garbage("no status for a signature"))?;
        Ok((status, said.context.slot))
    }

    /// What the transaction is called. Only for what can no longer be sent for the first time.
    fn name(&self) -> Option<SvmSignature> {
        self.key.map(|key| key.sign(self.transfer.message()))
    }

    /// What became of a transaction that others have signed: it is looked for among those of the
    /// account that pays.
    async fn nameless(&self) -> Result<Finding, RpcError> {
        check::look(self.chain, self.rpc, self.handle).await
    }
}

/// What a status means.
fn finding(chain: &Chain, name: SvmSignature, status: &Status) -> Finding {
    let level = status.level();
    let is_final = level == Level::Finalized;
    match status.err {
        None if level >= Level::from(chain.network.commitment) => Finding::Settled {
            transaction: name.to_string(),
            is_final,
        },
        Some(_) if is_final => Finding::NeverWill,
        _ => Finding::Open,
    }
}

/// The transaction that was stored, where it is the one that the handle speaks of.
pub(crate) fn stored(handle: &SvmHandle) -> Option<Transfer> {
    let transaction = Transaction::read(handle.transaction.as_ref()?.bytes()).ok()?;
    // Nothing is sent on this reading, so its fee payer may be any.
    let transfer = rules::again(transaction, &[handle.fee_payer]).ok()?;
    (transfer.digest() == handle.digest).then_some(transfer)
}

/// Whether the fee payer has signed the stored message so.
pub(crate) fn is_name_of(handle: &SvmHandle, name: &str) -> bool {
    let name: Option<SvmSignature> = name.parse().ok();
    let message = name.and_then(|name| Some((name, stored(handle)?)));
    message.is_some_and(|(name, transfer)| has_signed(handle.fee_payer, transfer.message(), &name))
}

fn name_of(asked: &Asked<'_>) -> Option<SvmSignature> {
    asked.transaction.and_then(|name| name.parse().ok())
}

/// What one chain confirms of its payments in few questions; `Unanswered` for all of them where it
/// does not answer.
async fn confirm(chain: &Chain, asked: &[Asked<'_>]) -> Found {
    let mut found = Found::new();
    let named: Vec<(usize, SvmSignature)> = (0..)
        .zip(asked)
        .filter_map(|(place, asked)| {
            let name = name_of(asked)?;
            let handle = SvmHandle::read(asked.handle).ok()?;
            let is_its = handle.chain == chain.network.chain
                && has_signed(handle.fee_payer, stored(&handle)?.message(), &name);
            is_its.then_some((place, name))
        })
        .collect();
    let Ok(rpc) = chain.rpc() else {
        return found;
    };
    for (done, named_now) in named.chunks(STATUSES_PER_CALL).enumerate() {
        let names: Vec<SvmSignature> = named_now.iter().map(|(_, name)| *name).collect();
        let said: At<Vec<Option<Status>>> = match rpc.one(Call::statuses(&names, true)).await {
            Ok(said) => said,
            // The node does not like the question: one by one it may answer.
            Err(RpcError::Garbage { .. } | RpcError::Refused { .. }) => return found,
            // A node that hangs is not asked about each of them, or the watch would take hours.
            Err(error) => {
                let why = error.to_string();
                let silent = named.iter().skip(done.saturating_mul(STATUSES_PER_CALL));
                let silent =
                    silent.map(|(place, _)| (*place, Finding::Unanswered { why: why.clone() }));
                found.extend(silent.collect::<Vec<_>>());
                return found;
            }
        };
        for ((place, name), status) in named_now.iter().zip(said.value) {
            let Some(finding) = status.map(|status| finding(chain, *name, &status)) else {
                continue;
            };
            // Only ever confirms: the rest is asked about one by one.
            if matches!(finding, Finding::Settled { .. }) {
                found.insert(*place, finding);
            }
        }
    }
    found
}
