//! Whether a credential is worth a seat: what only the chain can tell of its signature.
//!
//! Called by gate and facilitator before anything is kept for a credential. Otherwise junk under
//! somebody's public nonce would keep the real credential out for as long as the chain is asked.
//! What the chain has said is good for the claim that follows at once ([`Till::claim`]), because
//! the mark in the books was read before it was asked:
//!
//! | between proof and claim | what follows |
//! |---|---|
//! | another payment of the payer settles | it is behind the mark, and taken off what the chain said |
//! | another payment of the payer is claimed | it is held in the books, and taken off |
//! | a twin is claimed | the seat, then the books: one of them is a repeat |
//! | the wallet is emptied or changes its mind | as between claim and settlement: its payment is tried again before it is sent |
//! | more than [`HOLDS_MS`] | the chain is asked anew |
//! | a crash | nothing was written |

use farebox_core::ledger::{LedgerError, PayerMark};
use farebox_core::payment::Phase;
use farebox_core::rail::{CollectRail, Examined, Funds, Refusal, SignatureCheck};
use farebox_core::span;
use tracing::Instrument as _;

use super::Till;

/// How long what the chain has said is good for a claim: about a block, as what is known of any
/// payer.
const HOLDS_MS: u64 = 1_000;

/// What the chain has said of a credential, and the payer's mark from before it was asked.
#[derive(Clone, Copy, Debug)]
pub struct Proven {
    pub(super) mark: Option<PayerMark>,
    pub(super) funds: Funds,
    at_ms: u64,
}

/// Why a credential is not worth a seat. Nothing was written.
pub enum NotProven<E> {
    /// The caller may not have the chain asked now, and says why.
    NotAsked(E),
    /// The rail refuses the credential, or cannot be asked.
    Refused(Refusal),
    /// The books cannot be used.
    Ledger(LedgerError),
}

impl Till {
    /// Makes sure that the payer has made this credential. Writes nothing, and asks the chain only
    /// where no key tells and the books do not know these very bytes: what they claimed was proven
    /// then, and the chain, where the authorization is used by now, would not say so again.
    ///
    /// `may_ask` is called right before the chain is asked, and at no other time: there the caller
    /// is charged for it. `None` where nobody had to be asked.
    ///
    /// # Errors
    /// [`NotProven`].
    pub async fn prove<E>(
        &self,
        rail: &dyn CollectRail,
        examined: &Examined,
        may_ask: impl FnOnce() -> Result<(), E>,
    ) -> Result<Option<Proven>, NotProven<E>> {
        match examined.signature {
            SignatureCheck::Good => return Ok(None),
            SignatureCheck::AskChain => {}
        }
        if self
            .has_claimed(examined)
            .await
            .map_err(NotProven::Ledger)?
        {
            return Ok(None);
        }
        may_ask().map_err(NotProven::NotAsked)?;
        self.ask(rail, examined).await.map(Some)
    }

    /// Asks the chain what it says of the credential and of its payer's means.
    pub(super) async fn ask<E>(
        &self,
        rail: &dyn CollectRail,
        examined: &Examined,
    ) -> Result<Proven, NotProven<E>> {
        let terms = &examined.terms;
        // Before the chain is asked: what settles in between must count as gone.
        let mark = match &terms.payer {
            Some(payer) => {
                let mark = self.ledger.payer_mark(&terms.asset, payer).await;
                Some(mark.map_err(NotProven::Ledger)?)
            }
            None => None,
        };
        self.ask_after(rail, examined, mark).await
    }

    /// The same with a mark that was read before.
    pub(super) async fn ask_after<E>(
        &self,
        rail: &dyn CollectRail,
        examined: &Examined,
        mark: Option<PayerMark>,
    ) -> Result<Proven, NotProven<E>> {
        let verifying = rail.verify(examined).instrument(span!("verify"));
        let funds = verifying.await.map_err(NotProven::Refused)?;
        Ok(Proven {
            mark,
            funds,
            at_ms: self.clock.now_ms(),
        })
    }

    /// Whether these very bytes have a claim, and hold on to it.
    async fn has_claimed(&self, examined: &Examined) -> Result<bool, LedgerError> {
        let earlier = self.earlier(&examined.identity).await?;
        let held = earlier.filter(|payment| payment.state.phase != Phase::Released);
        let side = held.and_then(|payment| payment.seller);
        Ok(side.is_some_and(|side| side.payload_digest == examined.payload_digest))
    }
}

impl Proven {
    /// Whether it still says what the chain would say now.
    pub(super) const fn holds(&self, now_ms: u64) -> bool {
        now_ms.abs_diff(self.at_ms) < HOLDS_MS
    }
}
