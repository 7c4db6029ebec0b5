//! Checks a credential as far as no chain is needed, cheapest first (ARCHITECTURE law 8), and reads
//! offers that somebody else made.
//!
//! Called by the collector. What passes here pays us the exact amount, is signed by its payer, and
//! can cost a fee payer of ours nothing but its fee; perhaps it is not funded, or too old.

use std::sync::Arc;

use farebox_core::rail::{Examined, Refusal, SellerOffer, SignatureCheck};
use farebox_wire::svm::SvmAddress;
use farebox_wire::x402;
use farebox_wire::x402::exact_svm::{ExactSvmExtra, ExactSvmPayload};
use farebox_wire::x402::header;
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::{PaymentPayload, PaymentRequirements};
use serde_json::Value;

use crate::expiry::LIFE_S;
use crate::handle::SvmHandle;
use crate::message::Transaction;
use crate::network::{Chain, Token};
use crate::options::ComputeLimits;
use crate::quote::EXACT;
use crate::rules::{self, Transfer, Wanted, refusal};

/// Whose fee payers may sign, and for how much.
pub(crate) struct House<'a> {
    pub(crate) managed: &'a [SvmAddress],
    pub(crate) limits: ComputeLimits,
}

/// Examines `payload` against `offer`, an offer on `chain` in `token`.
pub(crate) fn examine(
    chain: &Chain,
    token: &Token,
    house: &House<'_>,
    payload: &PaymentPayload,
    offer: &SellerOffer,
    now_s: u64,
) -> Result<Examined, Refusal> {
    envelope(payload, offer)?;
    let extra = managed_extra(house.managed, &offer.requirements)?;
    let exact: ExactSvmPayload = header::from_value(&payload.payload).map_err(|e| {
        refusal(
            Reason::SvmTransactionUnreadable,
            format!("the payload is not {{transaction}} of scheme exact on Solana: {e}"),
        )
    })?;
    let wanted = Wanted {
        fee_payer: extra.fee_payer,
        managed: house.managed,
        mint: token.asset.mint,
        program: token.asset.program,
        decimals: token.asset.decimals,
        payee: payee(&offer.terms.payee)?,
        amount: amount(&offer.requirements)?,
        memo: extra.memo.as_deref(),
        limits: house.limits,
    };
    let transfer = rules::check(Transaction::read(exact.transaction.bytes())?, &wanted)?;

    let mut terms = offer.terms.clone();
    terms.payer = Some(transfer.payer().to_string());
    let handle = Arc::new(handle(chain, token, transfer, exact, now_s));
    Ok(Examined {
        identity: handle.identity(),
        // The message is the payment: whatever else is signed is another one.
        payload_digest: handle.digest,
        terms,
        valid_before_s: now_s.saturating_add(LIFE_S),
        handle: handle
            .write()
            .map_err(|e| refusal(Reason::InvalidPayload, e.message))?,
        signature: SignatureCheck::Good,
    })
}

fn handle(
    chain: &Chain,
    token: &Token,
    transfer: Transfer,
    payload: ExactSvmPayload,
    now_s: u64,
) -> SvmHandle {
    SvmHandle {
        chain: chain.network.chain.clone(),
        mint: token.asset.mint,
        payer: transfer.payer(),
        source: transfer.source(),
        destination: transfer.destination(),
        amount: transfer.amount(),
        fee_payer: transfer.fee_payer(),
        blockhash: transfer.blockhash(),
        digest: transfer.digest(),
        signature: transfer.payer_signature(),
        seen_s: now_s,
        last_height: None,
        since_slot: None,
        transaction: Some(payload.transaction),
        examined: Some(Arc::new(transfer)),
    }
}

/// The `extra` of an offer whose fee payer is ours.
pub(crate) fn managed_extra(
    managed: &[SvmAddress],
    requirements: &PaymentRequirements,
) -> Result<ExactSvmExtra, Refusal> {
    let said = requirements
        .extra
        .as_ref()
        .and_then(|extra| extra.get("feePayer"));
    if !said.is_some_and(Value::is_string) {
        return Err(refusal(
            Reason::SvmMissingFeePayer,
            "the offer's extra names no feePayer",
        ));
    }
    let extra = ExactSvmExtra::read(requirements.extra.as_ref()).map_err(|e| {
        refusal(
            Reason::InvalidPaymentRequirements,
            format!("the offer's extra: {e}"),
        )
    })?;
    if !managed.contains(&extra.fee_payer) {
        return Err(refusal(
            Reason::SvmFeePayerNotManaged,
            format!("{} is no fee payer of this facilitator", extra.fee_payer),
        ));
    }
    Ok(extra)
}

/// An amount that a token account can hold.
pub(crate) fn amount(requirements: &PaymentRequirements) -> Result<u64, Refusal> {
    u64::try_from(requirements.amount.atomic()).map_err(|_| {
        refusal(
            Reason::InvalidPaymentRequirements,
            format!(
                "{} is more than a token account can hold",
                requirements.amount
            ),
        )
    })
}

pub(crate) fn payee(text: &str) -> Result<SvmAddress, Refusal> {
    text.parse().map_err(|e| {
        refusal(
            Reason::InvalidPaymentRequirements,
            format!("payTo is no account of Solana: {e}"),
        )
    })
}

fn envelope(payload: &PaymentPayload, offer: &SellerOffer) -> Result<(), Refusal> {
    if payload.x402_version != x402::VERSION {
        return Err(refusal(
            Reason::InvalidX402Version,
            format!("x402Version is {}, not 2", payload.x402_version),
        ));
    }
    let accepted = |field: &str| payload.accepted.get(field).and_then(Value::as_str);
    if offer.requirements.scheme != EXACT || accepted("scheme") != Some(EXACT) {
        return Err(refusal(
            Reason::SvmUnsupportedScheme,
            "the accepted scheme is not exact",
        ));
    }
    if accepted("network") != Some(offer.requirements.network.as_str()) {
        return Err(refusal(
            Reason::SvmNetworkMismatch,
            format!("the accepted network is not {}", offer.requirements.network),
        ));
    }
    Ok(())
}

#[cfg(test)]
#[path = "examine_tests.rs"]
mod tests;
