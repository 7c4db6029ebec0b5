//! What a settlement has come to: the logs of its transaction or, where that reverted, the token's
//! own word.

use farebox_core::rail::{Finding, Outcome, Proof};
use farebox_wire::x402::reason::Reason;

use super::refusal::reverted;
use super::{Settler, ours, pending};
use crate::check::{self, is_used_at};
use crate::events::carries_out;
use crate::examine::refusal as refused;
use crate::handle::EvmHandle;
use crate::network::Finality;
use crate::rpc::{Receipt, RpcError, block_number};

impl Settler {
    /// What a mined transaction has come to.
    pub(super) async fn judge(&self, handle: &EvmHandle, receipt: &Receipt, head: u64) -> Outcome {
        if carries_out(receipt, handle.token, &handle.transfer) {
            let above = head.saturating_sub(receipt.block_number);
            return Outcome::Settled {
                transaction: receipt.transaction_hash.to_string(),
                is_final: match self.chain.network.finality {
                    Finality::Blocks(depth) => above >= depth,
                    // Not before the chain says so, which takes minutes.
                    Finality::Finalized => false,
                },
                proof: Proof::Chain,
            };
        }
        if receipt.status == 1 {
            return Outcome::Rejected(refused(
                Reason::TransferEventMismatch,
                format!("transaction {} moved no money", receipt.transaction_hash),
            ));
        }
        // Ours reverted: because somebody else's came first, or because it cannot work.
        // Asked at its own block, so that a node that lags behind does not answer from before it.
        let at = block_number(receipt.block_number);
        self.ask(handle, &at).await.unwrap_or_else(|| {
            Outcome::Rejected(refused(
                Reason::TransactionFailed,
                format!("transaction {} was reverted", receipt.transaction_hash),
            ))
        })
    }

    /// A transfer that would revert: paid by somebody else already, or refused by the token.
    pub(super) async fn would_revert(&self, handle: &EvmHandle, error: &RpcError) -> Outcome {
        if let Some(outcome) = self.ask(handle, "latest").await {
            return outcome;
        }
        match reverted(error) {
            // The estimate knows more than the newest block: a transaction that still waits, ours
            // of before a restart perhaps, uses the authorization. It is not refused.
            Reason::NonceAlreadyUsed => pending(),
            // Our clock found it valid, so the chain's is behind.
            Reason::ValidAfter => Outcome::Rejected(ours(&error)),
            reason => Outcome::Rejected(refused(reason, error.to_string())),
        }
    }

    /// Asks the token; `None` where the authorization was provably unused at the block `at`.
    ///
    /// A settlement by somebody else counts as ours: the claim came before it, because a used
    /// authorization is not claimed (it does not verify), and one ledger serves the payee (law 4).
    pub(super) async fn ask(&self, handle: &EvmHandle, at: &str) -> Option<Outcome> {
        match is_used_at(&self.rpc, handle, at).await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(_) => return Some(pending()),
        }
        Some(match check::ask(&self.chain, &self.rpc, handle).await {
            Ok(Finding::Settled {
                transaction,
                is_final,
            }) => Outcome::Settled {
                transaction,
                is_final,
                proof: Proof::Chain,
            },
            Ok(Finding::NeverWill) => Outcome::Rejected(refused(
                Reason::NonceAlreadyUsed,
                "the authorization was cancelled, or used for something else",
            )),
            Ok(Finding::Open | Finding::Unanswered { .. } | Finding::CannotTell { .. })
            | Err(_) => pending(),
        })
    }
}
