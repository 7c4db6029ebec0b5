//! The buyer's half: understands a shop's offers, and signs slips of one card. Only the desk of a
//! wallet holds one.

use std::sync::Arc;

use async_trait::async_trait;
use farebox_core::clock::Clock;
use farebox_core::rail::{
    Authorised, Credential, Finding, Handle, Holding, NotPayable, PayRail, Quote, RailError, Terms,
};
use farebox_wire::caip::ChainId;
use farebox_wire::challenge::{Challenge, Offer};
use farebox_wire::money::Amount;
use farebox_wire::x402::header;
use farebox_wire::x402::types::PaymentPayload;
use farebox_wire::x402::{self, Version};

use crate::book::{Book, State};
use crate::slip::{Card, Slip};
use crate::{RAIL, refused, terms};

/// Pays with one card of one shop.
pub struct CardPayer {
    network: ChainId,
    card: Card,
    book: Arc<dyn Book>,
    clock: Arc<dyn Clock>,
}

impl CardPayer {
    /// Takes a card.
    #[must_use]
    pub fn new(network: ChainId, card: Card, book: Arc<dyn Book>, clock: Arc<dyn Clock>) -> Self {
        Self {
            network,
            card,
            book,
            clock,
        }
    }

    fn holding(&self, amount: Amount) -> Result<Holding, RailError> {
        let Terms {
            network,
            asset,
            symbol,
            decimals,
            ..
        } = terms(&self.network, amount).map_err(|why| error(why.code, why.why))?;
        Ok(Holding {
            network,
            asset,
            symbol,
            decimals,
            address: self.card.number.clone(),
            amount,
        })
    }
}

#[async_trait]
impl PayRail for CardPayer {
    fn rail(&self) -> &'static str {
        RAIL
    }

    async fn quote(&self, offer: &Offer) -> Result<Quote, NotPayable> {
        let x402 = offer
            .as_x402()
            .filter(|offer| offer.version == Version::V2)
            .ok_or_else(|| refused("other_rail", "not an offer for gift cards".to_owned()))?;
        let asked = &x402.requirements;
        Ok(Quote {
            terms: Terms {
                payer: Some(self.card.number.clone()),
                ..crate::read(&self.network, asked)?
            },
            offer: offer.clone(),
            max_timeout_s: asked.max_timeout_seconds,
            is_mainnet: false,
        })
    }

    async fn authorise(
        &self,
        quote: &Quote,
        challenge: &Challenge,
        valid_for_s: u64,
    ) -> Result<Authorised, RailError> {
        let offer = quote.offer.as_x402();
        let offer = offer.ok_or_else(|| error("other_rail", "not an offer for gift cards"))?;
        let valid_before = self.clock.now_s().saturating_add(valid_for_s);
        let slip = self
            .card
            .sign(&self.network, quote.terms.amount, valid_before)?;
        let unwritable = |why: String| error("credential_unwritable", why);
        let value = header::encode(&PaymentPayload {
            x402_version: x402::VERSION,
            resource: challenge.resource.clone(),
            accepted: offer.raw.clone(),
            payload: serde_json::to_value(&slip).map_err(|why| unwritable(why.to_string()))?,
            extensions: challenge.extensions.clone(),
        });
        let slip = Arc::new(slip);
        Ok(Authorised {
            credential: Some(Credential {
                header: offer.version.credential_header().to_owned(),
                value: value.map_err(|why| unwritable(why.to_string()))?,
            }),
            identity: slip.identity(),
            valid_before_s: slip.valid_before,
            // Both sides of this rail need the same of a payment: the slip.
            handle: Handle::write(&slip)?,
        })
    }

    async fn check(&self, handle: &Handle) -> Finding {
        check(&*self.book, handle).await
    }

    async fn balances(&self) -> Vec<Result<Holding, RailError>> {
        let has = self.book.balance(&self.card.number).await;
        let has = has.map_err(|away| error("book_away", away.0));
        vec![has.and_then(|has| self.holding(has))]
    }
}

/// What became of a payment, for either side.
pub(crate) async fn check(book: &dyn Book, handle: &Handle) -> Finding {
    let slip = match handle.read::<Slip>() {
        Ok(slip) => slip,
        Err(why) => return Finding::CannotTell { why: why.message },
    };
    match book.look_up(&slip).await {
        Ok(State::Redeemed) => Finding::Settled {
            transaction: slip.transaction(),
            is_final: true,
        },
        // A card may be given money.
        Ok(State::Open | State::Poor) => Finding::Open,
        Ok(State::Over) => Finding::NeverWill,
        Err(away) => Finding::Unanswered { why: away.0 },
    }
}

fn error(code: &'static str, message: impl Into<String>) -> RailError {
    RailError {
        code,
        message: message.into(),
    }
}
