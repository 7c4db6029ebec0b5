//! What the chain said of payers within the last block, so that `verify` need not ask again.
//!
//! Owned by a [`Chain`](crate::network::Chain); asked by `verify`, told by the settle engine and by
//! `check` what became of payments. It must never say that a payer has more than the chain says,
//! less what this process has settled since. Only money that a stranger moves may be noticed late,
//! by one block at most. It answers from memory with a yes only: every no is the chain's own.
//!
//! The ledger's mark is read before `verify` and counts what was settled up to then, so whatever
//! the ledger counts must be off the balance here first:
//!
//! | what happens | an entry | a fetch that is under way |
//! |---|---|---|
//! | we settle a payment | its value is taken off, before the outcome is told | its value is taken off the answer, which may come from before |
//! | a settlement of ours fails or reverts | dropped: the payer's state is not what we thought | its answer is no longer believed; who waits for it asks again |
//! | `check` finds a payment settled, by whomever | dropped, before the finding is told | as above |
//! | the process crashes | gone: memory only | gone |
//! | the node does not answer, or with nonsense | stays until it expires | nothing is kept; who waits is told to try again |
//! | two fetches of one payer cross | the one that began later stands | each answer is taken as above |
//! | a stranger spends | expires with the block | as the node saw it |
//! | a stranger pays in, a reorg gives back | too low until it expires; a no is asked again | as the node saw it |

mod book;
pub(crate) mod fetch;
mod refresh;
mod window;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use farebox_wire::evm::EvmAddress;
use farebox_wire::money::Amount;
use farebox_wire::x402::exact_evm::Eip3009Authorization;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use tracing::{Instrument as _, Span};

pub(crate) use self::book::Seen;
use self::book::{Book, Fetch, Key, Why};
pub(crate) use self::fetch::Told;
use self::fetch::{Group, Query, Resting};
use self::window::{Next, Question, Window};
use crate::rpc::{Rpc, RpcError};

/// Times that one caller's question is put, where settlements of the payer keep spoiling answers.
const ASK_TRIES: u32 = 4;

/// The payers of one chain. See the module.
#[derive(Default)]
pub(crate) struct Payers {
    book: Mutex<Book>,
    window: Mutex<Window>,
    lens: Mutex<Resting>,
    is_refreshing: AtomicBool,
}

impl Payers {
    /// Enough to say yes to an authorization of `from` over `amount` without asking: a fresh entry
    /// that covers it, for an authorization that is not known to be used.
    pub(crate) fn covers(
        &self,
        token: EvmAddress,
        transfer: &Eip3009Authorization,
        amount: Amount,
    ) -> Option<Seen> {
        let from = transfer.from;
        self.book()
            .ask(&Key { token, from }, transfer.nonce, Instant::now())
            .filter(|seen| seen.balance >= amount)
    }

    /// Asks the chain about a payer and one of his authorizations, in company with whoever else
    /// asks now. The answer is the chain's of after this call, less what was settled meanwhile.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        rpc: &Arc<Rpc>,
        token: EvmAddress,
        transfer: &Eip3009Authorization,
    ) -> Result<Told, RpcError> {
        let query = Query {
            payer: transfer.from,
            nonce: transfer.nonce,
        };
        for _ in 0..ASK_TRIES {
            let (answer, told) = oneshot::channel();
            let question = Question {
                key: Key {
                    token,
                    from: transfer.from,
                },
                query,
                answer,
            };
            self.enter(rpc, question)?;
            let lost = |_| RpcError::garbage("the question was dropped");
            if let Some(told) = told.await.map_err(lost)?? {
                return Ok(told);
            }
        }
        Err(RpcError::garbage(
            "payments of this payer end faster than it can be asked about",
        ))
    }

    /// Whether a contract or a delegation was at the payer's address when he was last looked at;
    /// `None` where he is not known. It may be out of date, so nothing but the choice of the way
    /// to settle may rest on it.
    pub(crate) fn has_code(&self, token: EvmAddress, from: EvmAddress) -> Option<bool> {
        self.book().has_code(&Key { token, from })
    }

    /// Whether the payment may be settled together with others and without a simulation: when he
    /// was last looked at, the payer was an ordinary account and had the money.
    pub(crate) fn may_share(&self, token: EvmAddress, transfer: &Eip3009Authorization) -> bool {
        let from = transfer.from;
        self.has_code(token, from) == Some(false)
            && self.book().has(&Key { token, from }, transfer.value)
    }

    /// A payment of ours has moved the money. Call it before the outcome is told to anybody.
    pub(crate) fn settled(&self, token: EvmAddress, transfer: &Eip3009Authorization) {
        let from = transfer.from;
        self.book()
            .settled(Key { token, from }, transfer.value, transfer.nonce);
    }

    /// A settlement of this payer failed, reverted, or was somebody else's: what is known of him
    /// is in doubt. Call it before the outcome is told to anybody.
    pub(crate) fn failed(&self, token: EvmAddress, from: EvmAddress) {
        self.book().forget(Key { token, from });
    }

    fn enter(self: &Arc<Self>, rpc: &Arc<Rpc>, question: Question) -> Result<(), RpcError> {
        let next = self.window().enter(question);
        match next {
            Next::Leave(questions) => self.send(rpc, questions, Span::current()),
            Next::Wait => {}
            Next::StartTimer => {
                let (payers, rpc) = (Arc::clone(self), Arc::clone(rpc));
                tokio::spawn(async move {
                    sleep(window::COMPANY).await;
                    payers.window().timer_ended();
                    payers.send_waiting(&rpc);
                });
            }
            Next::Full => {
                return Err(RpcError::garbage(
                    "too many payers are being asked about; try again",
                ));
            }
        }
        Ok(())
    }

    /// Sends those who wait, as many calls as there may be.
    fn send_waiting(self: &Arc<Self>, rpc: &Arc<Rpc>) {
        loop {
            let Some(questions) = self.window().leave() else {
                return;
            };
            self.send(rpc, questions, Span::none());
        }
    }

    /// One call for all of these, in a task of its own: whoever asked may go away. It is a part of
    /// `asking`, if that is alone with its question.
    fn send(self: &Arc<Self>, rpc: &Arc<Rpc>, questions: Vec<Question>, asking: Span) {
        let call = UnderWay {
            payers: Arc::clone(self),
            rpc: Arc::clone(rpc),
        };
        let asking = match questions.len() {
            1 => asking,
            _ => Span::none(),
        };
        let answering = async move {
            call.answer(questions).await;
        };
        tokio::spawn(answering.instrument(asking));
    }

    /// Fetches of these payers begin now, before the node is asked.
    fn begin(&self, questions: &[Question]) -> Vec<Fetch> {
        let now = Instant::now();
        let mut book = self.book();
        let questions = questions.iter();
        questions
            .map(|q| book.begin(q.key, q.query.nonce, Why::Asked, now))
            .collect()
    }

    /// A fetch has ended. Gives the answer as it holds now; `None` where it must be asked anew.
    fn end(&self, fetch: Fetch, told: &Result<Told, RpcError>) -> window::Answer {
        let now = Instant::now();
        let mut book = self.book();
        match told {
            Ok(Told::Payer { seen, is_used }) => {
                let is_used = *is_used;
                if is_used {
                    book.used(&fetch);
                }
                let seen = book.end(fetch, Some(*seen), now);
                Ok(seen.map(|seen| Told::Payer { seen, is_used }))
            }
            told => {
                let _ = book.end(fetch, None, now);
                told.clone().map(Some)
            }
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Every change is complete before anything can panic.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is under way. However it ends, the window hears of it.
struct UnderWay {
    payers: Arc<Payers>,
    rpc: Arc<Rpc>,
}

impl UnderWay {
    async fn answer(&self, questions: Vec<Question>) {
        let Some(token) = questions.first().map(|question| question.key.token) else {
            return;
        };
        let fetches = self.payers.begin(&questions);
        let queries = questions.iter().map(|q| q.query).collect();
        let groups = [Group { token, queries }];
        let answers = fetch::fetch(&self.rpc, &self.payers.lens, &groups).await;
        let told = answers.into_iter().flatten();
        for ((question, fetch), told) in questions.into_iter().zip(fetches).zip(told) {
            let answer = self.payers.end(fetch, &told);
            // Whoever asked may have gone.
            let _ = question.answer.send(answer);
        }
        refresh::ensure(&self.payers, &self.rpc);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.payers.window().came_back();
        self.payers.send_waiting(&self.rpc);
    }
}
