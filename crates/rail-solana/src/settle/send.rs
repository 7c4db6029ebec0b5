//! One payment from the last look at the chain to its end: simulated, signed, written down, sent,
//! and sent again until the chain has it or cannot have it any more.

use std::sync::Arc;
use std::time::Duration;

use farebox_core::rail::{Journal, Outcome, Proof, Refusal, SentTransaction};
use farebox_wire::svm::{SvmSignature, SvmTransaction};
use farebox_wire::x402::reason::Reason;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::exit::Exit;
use super::fees::{Hold, Party};
use super::watcher::{News, Watched, landed};
use super::{Settler, ours, pending};
use crate::expiry::{Known, is_over};
use crate::failure::Failure;
use crate::handle;
use crate::key::SolanaKey;
use crate::rpc::{At, Call, Level, RpcError, SendError, Status};
use crate::rules::{Transfer, refusal};
use crate::simulate::{Doubt, Foreseen};

/// A transaction that is in no block after this long may have been lost: five slots.
const RESEND_AFTER: Duration = Duration::from_secs(2);
/// How long a payment is followed: twice as long as a blockhash and finality take. The watch of the
/// books goes on after it.
const FOLLOW_MAX: Duration = Duration::from_secs(300);

/// A payment on its way. Whoever has it decides its outcome.
pub(super) struct Job {
    pub(super) transfer: Arc<Transfer>,
    pub(super) key: Arc<SolanaKey>,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) exit: Arc<Exit>,
    /// Unix seconds at which it was first seen.
    pub(super) seen_s: u64,
}

impl Job {
    /// The fee payer's signature, which is the transaction's name. Only what has passed the rules
    /// is a [`Transfer`]; whoever calls this has seen it simulated, or on the chain, or knows that
    /// it was signed before.
    fn sign(&self) -> SvmSignature {
        self.key.sign(self.transfer.message())
    }
}

impl Settler {
    /// `None` where it was taken back before anything was sent.
    pub(super) async fn work(self: Arc<Self>, job: Job) -> Option<Outcome> {
        let outcome = match job.journal.is_again() {
            true => self.again(&job).await,
            false => self.first(&job).await?,
        };
        Some(match outcome {
            // Trouble of ours proves nothing about what has left already.
            Outcome::Rejected(why) if why.is_ours && job.exit.has_left() => {
                tracing::warn!(%why, "a settlement is followed no further");
                pending()
            }
            outcome => outcome,
        })
    }

    /// A payment of which nothing was ever sent, as far as the books know.
    async fn first(&self, job: &Job) -> Option<Outcome> {
        let rejected = |refusal| Some(Outcome::Rejected(refusal));
        match self.simulations.foresee(&self.rpc, &job.transfer).await {
            Ok(Foreseen::Pays(_)) => {}
            // Only our own signature can have carried it there.
            Ok(Foreseen::HasRun) => return Some(self.found(job).await),
            Err(Doubt::Refused(refusal)) => return rejected(refusal),
            Err(Doubt::Unanswered(error)) => return rejected(ours(&error)),
        }
        let hold = match self.fees.reserve(party(job), job.transfer.fee_lamports()) {
            Ok(hold) => hold,
            Err(why) => return rejected(ours(&why)),
        };
        if !job.exit.leave() {
            return None;
        }
        Some(self.write_and_send(job, hold).await)
    }

    /// A payment that an earlier attempt has written down: the chain is asked before anything is
    /// sent.
    async fn again(&self, job: &Job) -> Outcome {
        let name = job.sign();
        match self.status(name).await {
            Err(error) => return Outcome::Rejected(ours(&error)),
            Ok(Some((status, _))) => {
                let enough = Level::from(self.chain.network.commitment);
                if let Some(News::Landed { error, is_final }) = landed(status, enough) {
                    return self.ended(job, name, error, is_final);
                }
            }
            Ok(None) => match self.is_dead(job, name).await {
                Err(error) => return Outcome::Rejected(ours(&error)),
                Ok(true) => return expired(),
                Ok(false) => {}
            },
        }
        let hold = match self.fees.reserve(party(job), job.transfer.fee_lamports()) {
            Ok(hold) => hold,
            Err(why) => return Outcome::Rejected(ours(&why)),
        };
        match self.simulations.foresee(&self.rpc, &job.transfer).await {
            Ok(Foreseen::Pays(_)) => self.write_and_send(job, hold).await,
            // Whatever would come of it now, what was sent may still come into a block.
            Ok(Foreseen::HasRun) | Err(_) => {
                let watched = self.watch(job, name);
                self.follow(job, name, None, watched, hold).await
            }
        }
    }

    async fn write_and_send(&self, job: &Job, hold: Hold) -> Outcome {
        let name = job.sign();
        let signatures = [name, job.transfer.payer_signature()];
        let Some(signed) = handle::join(&signatures, job.transfer.message()) else {
            return Outcome::Rejected(ours(&"the signed transaction is too long"));
        };
        let line = SentTransaction {
            hash: name.to_string(),
            signer: Some(job.transfer.fee_payer().to_string()),
            nonce: None,
        };
        if let Err(error) = job.journal.sending(&line).await {
            // Not `has_left`: without its line nothing has. The name stays the same, so that a line
            // that was written after all finds nothing, or what a later attempt has sent.
            return self.unwritten(job, &error);
        }
        self.simulations.forget(&job.transfer.digest());
        let watched = self.watch(job, name);
        self.follow(job, name, Some(signed), watched, hold).await
    }

    fn unwritten(&self, job: &Job, error: &dyn std::fmt::Display) -> Outcome {
        let refusal = ours(error);
        if job.journal.is_again() {
            return pending();
        }
        job.exit.stayed();
        Outcome::Rejected(refusal)
    }

    fn watch(&self, job: &Job, name: SvmSignature) -> Watched {
        self.watcher
            .register(name, job.transfer.blockhash(), job.seen_s)
    }

    /// Hands the bytes over, again and again, until the watcher has news.
    async fn follow(
        &self,
        job: &Job,
        name: SvmSignature,
        signed: Option<SvmTransaction>,
        mut watched: Watched,
        hold: Hold,
    ) -> Outcome {
        let began = Instant::now();
        let mut turn = 0_usize;
        while began.elapsed() < FOLLOW_MAX {
            if let Some(signed) = &signed {
                self.hand_over(signed, name, turn).await;
                turn = turn.saturating_add(1);
            }
            match timeout(RESEND_AFTER, watched.news()).await {
                Ok(Some(News::Landed { error, is_final })) => {
                    hold.keep();
                    return self.ended(job, name, error, is_final);
                }
                // Dropped, the hold gives the fee back: no block has taken it.
                Ok(Some(News::Over)) => return expired(),
                // Only at shutdown.
                Ok(None) => break,
                Err(_) => {}
            }
        }
        hold.keep();
        pending()
    }

    async fn hand_over(&self, signed: &SvmTransaction, name: SvmSignature, turn: usize) {
        // Simulated a moment ago: the node need not do it again.
        match self.rpc.send(turn, signed).await {
            Ok(said) if said == name => {}
            Ok(said) => {
                tracing::warn!(%said, %name, "the node calls a transaction by another name")
            }
            // Whatever it says, the bytes may have gone on: the watcher tells.
            Err(SendError::NotSent(error) | SendError::MayBeSent(error)) => {
                tracing::warn!(%error, %name, "a transaction is sent again");
            }
            Err(SendError::Refused { message }) => {
                tracing::warn!(message, %name, "a node refuses a transaction");
            }
        }
    }

    /// A payment whose message has run, though our books have no line of it.
    async fn found(&self, job: &Job) -> Outcome {
        let name = job.sign();
        let enough = Level::from(self.chain.network.commitment);
        match self.status(name).await {
            Err(error) => Outcome::Rejected(ours(&error)),
            Ok(Some((status, _))) => match landed(status, enough) {
                Some(News::Landed { error, is_final }) => self.ended(job, name, error, is_final),
                // In a block that is not sure yet.
                _ => self.wait_for_it(job, name).await,
            },
            Ok(None) => self.wait_for_it(job, name).await,
        }
    }

    async fn wait_for_it(&self, job: &Job, name: SvmSignature) -> Outcome {
        let mut watched = self.watch(job, name);
        match timeout(FOLLOW_MAX, watched.news()).await {
            Ok(Some(News::Landed { error, is_final })) => self.ended(job, name, error, is_final),
            Ok(Some(News::Over)) => expired(),
            Ok(None) | Err(_) => pending(),
        }
    }

    fn ended(
        &self,
        job: &Job,
        name: SvmSignature,
        error: Option<Value>,
        is_final: bool,
    ) -> Outcome {
        let Some(error) = error else {
            tracing::info!(transaction = %name, is_final, "settled");
            return Outcome::Settled {
                transaction: name.to_string(),
                is_final,
                proof: Proof::Chain,
            };
        };
        self.suspects.note(job.transfer.payer());
        Outcome::Rejected(Refusal {
            // The message is used up, whoever is to blame.
            is_ours: false,
            ..Failure::of(&error).happened()
        })
    }

    /// What the chain says of a name, however long ago it was used, and as of which slot.
    async fn status(&self, name: SvmSignature) -> Result<Option<(Status, u64)>, RpcError> {
        let call = Call::statuses(&[name], true);
        let said: At<Vec<Option<Status>>> = self.rpc.one(call).await?;
        let slot = said.context.slot;
        let status = said.value.into_iter().next();
        let status = status.ok_or_else(|| RpcError::garbage("no status for a signature"))?;
        Ok(status.map(|status| (status, slot)))
    }

    /// Whether no block holds it, and none can.
    async fn is_dead(&self, job: &Job, name: SvmSignature) -> Result<bool, RpcError> {
        let known = Known::SinceTime(job.seen_s);
        let Some(over_at) = is_over(&self.rpc, job.transfer.blockhash(), known).await? else {
            return Ok(false);
        };
        let call = Call::statuses(&[name], true);
        let said: At<Vec<Option<Status>>> = self.rpc.one(call).await?;
        Ok(said.context.slot >= over_at && said.value.first().is_some_and(Option::is_none))
    }
}

fn party(job: &Job) -> Party {
    Party {
        payer: job.transfer.payer(),
        payee: job.transfer.destination(),
        fee_payer: job.transfer.fee_payer(),
    }
}

fn expired() -> Outcome {
    Outcome::Rejected(refusal(
        Reason::SvmTransactionFailed,
        "no block took the transaction while it could; nothing has moved, sign it anew",
    ))
}
