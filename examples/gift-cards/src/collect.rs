//! The seller's half: offers, checks slips, and redeems them. What the book says is the only truth.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use farebox_core::rail::{
    CollectRail, Examined, Finding, Funds, Handle, Journal, NetworkHealth, Outcome, Price, Proof,
    RailError, Refusal, SellerOffer, SentTransaction, SignatureCheck,
};
use farebox_wire::caip::ChainId;
use farebox_wire::x402;
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::{PaymentPayload, PaymentRequirements, SupportedKind};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use crate::book::{Away, Book, State};
use crate::pay;
use crate::slip::{ShopKey, Slip};
use crate::{RAIL, SCHEME};

/// Collects for one shop.
pub struct CardCollector {
    network: ChainId,
    key: ShopKey,
    till: Arc<Till>,
}

/// What a settlement needs that may go on when its caller has left.
struct Till {
    book: Arc<dyn Book>,
    /// One at a time, so that a line in the journal is written once. A rail with more traffic has a
    /// seat for each payment.
    turn: Mutex<()>,
}

impl CardCollector {
    /// A shop over its book.
    #[must_use]
    pub fn new(network: ChainId, key: ShopKey, book: Arc<dyn Book>) -> Self {
        Self {
            network,
            key,
            till: Arc::new(Till {
                book,
                turn: Mutex::new(()),
            }),
        }
    }

    /// The slip of a payload, if it is good as far as nobody has to be asked.
    fn slip(
        &self,
        payload: &PaymentPayload,
        offer: &SellerOffer,
        now_s: u64,
    ) -> Result<Slip, Refusal> {
        let slip = serde_json::from_value::<Slip>(payload.payload.clone())
            .ok()
            .filter(Slip::is_canonical)
            .ok_or_else(|| theirs(Reason::InvalidPayload, "this is no slip of a gift card"))?;
        let amount = offer.requirements.amount;
        if slip.network != self.network || slip.amount != amount {
            let message = format!("the slip is not one over {amount} for {}", self.network);
            return Err(theirs(Reason::InvalidPayload, message));
        }
        if now_s >= slip.valid_before {
            return Err(over());
        }
        match self.key.has_signed(&slip) {
            true => Ok(slip),
            false => Err(theirs(
                Reason::InvalidSignature,
                "the card has not signed this",
            )),
        }
    }
}

#[async_trait]
impl CollectRail for CardCollector {
    fn rail(&self) -> &'static str {
        RAIL
    }

    fn offers(&self, price: &Price) -> Result<Vec<SellerOffer>, RailError> {
        let requirements = crate::requirements(&self.network, price);
        let offer = self
            .offer_of(&requirements)
            .map_err(|refusal| error("not_offered", refusal.message))?;
        Ok(vec![offer])
    }

    fn offer_of(&self, requirements: &PaymentRequirements) -> Result<SellerOffer, Refusal> {
        let wrong = |why: String| theirs(Reason::InvalidPaymentRequirements, why);
        Ok(SellerOffer {
            terms: crate::read(&self.network, requirements).map_err(|why| wrong(why.why))?,
            raw: serde_json::to_value(requirements).map_err(|why| wrong(why.to_string()))?,
            requirements: requirements.clone(),
        })
    }

    fn kinds(&self) -> Vec<SupportedKind> {
        vec![SupportedKind {
            x402_version: x402::VERSION,
            scheme: SCHEME.to_owned(),
            network: self.network.to_string(),
            extra: None,
        }]
    }

    /// Nobody pays for redeeming.
    fn signers(&self) -> Vec<(String, Vec<String>)> {
        Vec::new()
    }

    async fn health(&self) -> Vec<NetworkHealth> {
        let asked = self.till.book.balance("").await;
        vec![NetworkHealth {
            network: self.network.clone(),
            is_reachable: asked.is_ok(),
            head: None,
            signers: Vec::new(),
            complaints: asked.err().map(|away| away.0).into_iter().collect(),
        }]
    }

    fn examine(
        &self,
        payload: &PaymentPayload,
        offer: &SellerOffer,
        now_s: u64,
    ) -> Result<Examined, Refusal> {
        let slip = Arc::new(self.slip(payload, offer, now_s)?);
        let handle =
            Handle::write(&slip).map_err(|why| theirs(Reason::InvalidPayload, why.message))?;
        let mut terms = offer.terms.clone();
        terms.payer = Some(slip.card.clone());
        Ok(Examined {
            identity: slip.identity(),
            payload_digest: Sha256::digest(handle.text()).into(),
            terms,
            valid_before_s: slip.valid_before,
            handle,
            signature: SignatureCheck::Good,
        })
    }

    async fn verify(&self, examined: &Examined) -> Result<Funds, Refusal> {
        let ours = |away: Away| ours(Reason::UnexpectedVerify, away.0);
        let slip = read(&examined.handle)?;
        match self.till.book.look_up(&slip).await.map_err(ours)? {
            State::Open => {}
            State::Redeemed => {
                return Err(theirs(Reason::AlreadyUsed, "this slip was redeemed before"));
            }
            State::Over => return Err(over()),
            State::Poor => return Err(poor()),
        }
        let has = self.till.book.balance(&slip.card).await;
        Ok(Funds::Balance(has.map_err(ours)?))
    }

    async fn settle(&self, handle: &Handle, journal: Arc<dyn Journal>, wait_ms: u64) -> Outcome {
        let slip = match read(handle) {
            Ok(slip) => slip,
            Err(refusal) => return Outcome::Rejected(refusal),
        };
        let till = Arc::clone(&self.till);
        // In a task of its own: the caller may leave, and what has begun comes to its end.
        let settling = tokio::spawn(async move { till.settle(&slip, &*journal).await });
        match tokio::time::timeout(Duration::from_millis(wait_ms), settling).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => pending(),
        }
    }

    async fn check(&self, handle: &Handle) -> Finding {
        pay::check(&*self.till.book, handle).await
    }
}

impl Till {
    /// The order is the law: ask, write down, act; and after a reply that was lost, ask again.
    async fn settle(&self, slip: &Slip, journal: &dyn Journal) -> Outcome {
        let _turn = self.turn.lock().await;
        match self.book.look_up(slip).await {
            Ok(State::Open) => {}
            Ok(state) => return outcome(slip, state),
            Err(away) => return Outcome::Rejected(ours(Reason::UnexpectedSettle, away.0)),
        }
        let line = SentTransaction {
            hash: slip.transaction(),
            signer: None,
            nonce: None,
        };
        if let Err(why) = journal.sending(&line).await {
            return Outcome::Rejected(ours(Reason::UnexpectedSettle, why.message));
        }
        match self.book.redeem(slip).await {
            Ok(state) => outcome(slip, state),
            Err(_) => match self.book.look_up(slip).await {
                // It may still arrive: only its time ends that.
                Ok(State::Open | State::Poor) | Err(_) => pending(),
                Ok(state) => outcome(slip, state),
            },
        }
    }
}

/// What a state means for whoever settles.
fn outcome(slip: &Slip, state: State) -> Outcome {
    match state {
        State::Redeemed => Outcome::Settled {
            transaction: slip.transaction(),
            is_final: true,
            proof: Proof::Chain,
        },
        State::Open => pending(),
        State::Over => Outcome::Rejected(over()),
        State::Poor => Outcome::Rejected(poor()),
    }
}

fn pending() -> Outcome {
    Outcome::Unknown {
        reason: Reason::SettlementPending.code().to_owned(),
    }
}

fn read(handle: &Handle) -> Result<Arc<Slip>, Refusal> {
    let read = handle.read::<Slip>();
    read.map_err(|why| ours(Reason::UnexpectedSettle, why.message))
}

fn over() -> Refusal {
    theirs(Reason::ValidBefore, "the slip is over; sign a new one")
}

fn poor() -> Refusal {
    let message = "the card has too little left; use another";
    theirs(Reason::InsufficientBalance, message)
}

fn theirs(reason: Reason, message: impl Into<String>) -> Refusal {
    Refusal {
        reason,
        message: message.into(),
        is_ours: false,
    }
}

fn ours(reason: Reason, message: impl Into<String>) -> Refusal {
    Refusal {
        is_ours: true,
        ..theirs(reason, message)
    }
}

fn error(code: &'static str, message: impl Into<String>) -> RailError {
    RailError {
        code,
        message: message.into(),
    }
}
