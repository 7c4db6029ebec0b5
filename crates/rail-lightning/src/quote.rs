//! Understands an L402 offer: what its invoice says, what that is worth, and whether our node can
//! pay it. Called by the payer; asks the node, pays nothing.

use farebox_core::rail::{NotPayable, Quote, RailError, Terms};
use farebox_core::rates::Rates;
use farebox_wire::challenge::Offer;
use farebox_wire::l402::Scheme;
use farebox_wire::l402::challenge::L402Challenge;
use farebox_wire::l402::identifier::Identifier;
use farebox_wire::l402::macaroon::Macaroon;
use farebox_wire::l402::preimage::PaymentHash;
use farebox_wire::money::Amount;

use crate::handle::LightningHandle;
use crate::invoice::{Bolt11, InvoiceError};
use crate::network::{DECIMALS, SYMBOL, worth};
use crate::node::NodeErrorKind;
use crate::payer::Place;

/// How an L402 offer is paid.
pub(crate) const SCHEME: &str = "bolt11";
/// The protocol's name in the books.
pub(crate) const PROTOCOL: &str = "l402";

/// What an offer costs at most, if it can be paid.
pub(crate) async fn quote(
    places: &[Place],
    rates: &dyn Rates,
    offer: &Offer,
    now_s: u64,
) -> Result<Quote, NotPayable> {
    let said = asked(offer).ok_or_else(|| NotPayable {
        code: "not_this_rail",
        why: "it is no offer for Lightning".to_owned(),
    })?;
    let invoice = Bolt11::read(&said.invoice).map_err(refused)?;
    let place = places
        .iter()
        .find(|place| place.chain.network == invoice.network)
        .ok_or_else(|| NotPayable {
            code: "invoice_network",
            why: format!(
                "the invoice is for Lightning on {}, where no node is configured; add [network.\"lightning:{}\"]",
                invoice.network.name(),
                invoice.network.name()
            ),
        })?;
    let invoice = Bolt11::payable(&said.invoice, place.chain.network, now_s).map_err(refused)?;
    check_token(&said.token, &invoice)?;
    let payer = payer_of(place, &invoice).await?;
    let amount = Amount::from_atomic(invoice.amount_msat.into());
    let fee_max = Amount::from_atomic(place.fee_cap.of(invoice.amount_msat).into());
    let most = amount.checked_add(fee_max).ok_or(InvoiceError::Amount);
    let cost = worth(rates, most.map_err(refused)?).map_err(|why| NotPayable {
        code: why.code,
        why: why.message,
    })?;
    Ok(Quote {
        terms: Terms {
            protocol: PROTOCOL.to_owned(),
            rail: crate::RAIL.to_owned(),
            network: place.chain.id.clone(),
            scheme: SCHEME.to_owned(),
            asset: place.chain.asset.clone(),
            symbol: SYMBOL.to_owned(),
            decimals: DECIMALS,
            amount,
            fee_max,
            cost,
            payee: invoice.payee,
            payer,
        },
        offer: offer.clone(),
        max_timeout_s: invoice.expires_s.saturating_sub(now_s),
        is_mainnet: place.chain.network.is_mainnet(),
    })
}

/// What is stored beside the payment of a quote. The invoice is read again: nothing that was quoted
/// is believed where it does not say so.
pub(crate) fn handle(quote: &Quote, now_s: u64) -> Result<LightningHandle, RailError> {
    let invalid = |message: String| RailError {
        code: "quote_changed",
        message,
    };
    let said =
        asked(&quote.offer).ok_or_else(|| invalid("this is no quote of Lightning".into()))?;
    let network = crate::network::Network::of(&quote.terms.network)
        .ok_or_else(|| invalid("this is no quote of Lightning".into()))?;
    let invoice = Bolt11::payable(&said.invoice, network, now_s).map_err(|why| RailError {
        code: why.code(),
        message: why.to_string(),
    })?;
    let is_same = u128::from(invoice.amount_msat) == quote.terms.amount.atomic()
        && invoice.payee == quote.terms.payee;
    if !is_same {
        return Err(invalid(
            "the invoice does not say what was quoted; ask the seller again".into(),
        ));
    }
    check_token(&said.token, &invoice).map_err(|why| invalid(why.why))?;
    Ok(LightningHandle {
        network: quote.terms.network.clone(),
        invoice: said.invoice.clone(),
        payment_hash: PaymentHash(invoice.payment_hash),
        token: said.token.clone(),
        is_lsat: said.scheme == Scheme::Lsat,
        amount: quote.terms.amount,
        fee_max: quote.terms.fee_max,
        cost: quote.terms.cost,
        expires_s: invoice.expires_s,
        begun_s: now_s,
    })
}

/// The challenge behind an offer.
const fn asked(offer: &Offer) -> Option<&L402Challenge> {
    match offer {
        Offer::L402(said) => Some(said),
        Offer::X402(_) => None,
    }
}

/// A token whose identifier can be read has to be for the payment of the invoice. Any other is
/// opaque: some sellers sign something else.
fn check_token(token: &str, invoice: &Bolt11) -> Result<(), NotPayable> {
    let Ok(macaroon) = Macaroon::from_base64(token) else {
        return Ok(());
    };
    match Identifier::read(macaroon.identifier()) {
        Ok(said) if said.payment_hash.0 != invoice.payment_hash => Err(NotPayable {
            code: "token_of_another_payment",
            why: "the token is for another payment than the invoice's, so paying would buy nothing"
                .to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Who pays, as far as the node tells, and whether it can.
async fn payer_of(place: &Place, invoice: &Bolt11) -> Result<Option<String>, NotPayable> {
    let known = place.identity().await.map_err(|why| NotPayable {
        code: why.code,
        why: why.message,
    })?;
    if known.is_some_and(|known| known.pubkey == invoice.payee) {
        return Err(NotPayable {
            code: "payee_is_self",
            why: "the invoice is of the node that would pay it".to_owned(),
        });
    }
    place.node.ready().await.map_err(|why| NotPayable {
        code: why.code(),
        why: why.message,
    })?;
    match place.node.liquidity().await {
        Ok(has) if has.outbound_msat < invoice.amount_msat => Err(NotPayable {
            code: "insufficient_balance",
            why: format!(
                "the node's channels can pay {} sat, and the invoice asks for {} sat; open or fill a channel",
                sats(has.outbound_msat),
                sats(invoice.amount_msat)
            ),
        }),
        Ok(_) => Ok(known.map(|known| known.pubkey.clone())),
        // A macaroon that pays and does not tell how much there is.
        Err(why) if why.kind == NodeErrorKind::Permission => {
            Ok(known.map(|known| known.pubkey.clone()))
        }
        Err(why) => Err(NotPayable {
            code: why.code(),
            why: why.message,
        }),
    }
}

/// Satoshis, as people say them.
pub(crate) fn sats(msat: u64) -> String {
    Amount::from_atomic(msat.into()).to_decimal_string(DECIMALS)
}

fn refused(why: InvoiceError) -> NotPayable {
    NotPayable {
        code: why.code(),
        why: why.to_string(),
    }
}
