//! Checks a credential as far as no chain is needed, cheapest first (ARCHITECTURE law 8).
//!
//! Called by the collector for every credential that answers an offer of ours; what passes here
//! is to us, over the exact amount and in time, but perhaps not funded. It is well signed by an
//! ordinary account, or only the chain can tell whether a wallet accepts its signature.

use std::sync::Arc;

use farebox_core::rail::{Examined, Refusal, SellerOffer, SignatureCheck};
use farebox_wire::evm::EvmAddress;
use farebox_wire::identity::Identity;
use farebox_wire::x402;
use farebox_wire::x402::exact_evm::{Eip3009Authorization, ExactEvmPayload, HexBytes};
use farebox_wire::x402::header;
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::PaymentPayload;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::digest::transfer_digest;
use crate::handle::EvmHandle;
use crate::key::EvmSignature;
use crate::network::{Chain, Token};
use crate::quote::EXACT;
use crate::wallets::wrapper;

/// Seconds that must be left of a credential: as many as the official facilitators ask for, so
/// that it does not expire on its way into a block.
const TIME_LEFT_MIN_S: u64 = 6;

/// Examines `payload` against `offer`, an offer on `chain` in `token`.
pub(crate) fn examine(
    chain: &Chain,
    token: &Token,
    payload: &PaymentPayload,
    offer: &SellerOffer,
    now_s: u64,
) -> Result<Examined, Refusal> {
    envelope(payload, offer)?;
    let exact = shape(&payload.payload)?;
    let transfer = exact.authorization;
    money(&transfer, offer)?;
    time(&transfer, now_s)?;
    let ordinary = ordinary_signature(token, &transfer, &exact.signature.0);
    if ordinary.is_none() {
        wrapper::unwrap(&exact.signature.0)
            .map_err(|e| refusal(Reason::SignatureUnreadable, e.to_string()))?;
    }

    let mut terms = offer.terms.clone();
    terms.payer = Some(transfer.from.to_string());
    let handle = Arc::new(EvmHandle {
        chain: chain.network.chain.clone(),
        token: token.asset.address,
        seen_s: now_s,
        asks_chain: ordinary.is_none(),
        signature: Some(ordinary.map_or(exact.signature, |signature| {
            HexBytes(signature.to_bytes().to_vec())
        })),
        transfer,
    });
    let identity = handle.identity();
    Ok(Examined {
        payload_digest: payload_digest(&identity, &handle),
        identity,
        terms,
        valid_before_s: handle.transfer.valid_before,
        handle: handle
            .write()
            .map_err(|e| refusal(Reason::InvalidPayload, e.message))?,
        signature: if handle.asks_chain {
            SignatureCheck::AskChain
        } else {
            SignatureCheck::Good
        },
    })
}

/// A refusal that the buyer has earned.
pub(crate) fn refusal(reason: Reason, message: impl Into<String>) -> Refusal {
    Refusal {
        reason,
        message: message.into(),
        is_ours: false,
    }
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
            Reason::InvalidExactEvmScheme,
            "the accepted scheme is not exact",
        ));
    }
    if accepted("network") != Some(offer.requirements.network.as_str()) {
        return Err(refusal(
            Reason::NetworkMismatch,
            format!("the accepted network is not {}", offer.requirements.network),
        ));
    }
    Ok(())
}

fn shape(payload: &Value) -> Result<ExactEvmPayload, Refusal> {
    if payload
        .get("permit2Authorization")
        .is_some_and(|v| !v.is_null())
    {
        return Err(refusal(
            Reason::UnsupportedPayloadType,
            "Permit2 is not spoken yet; sign an EIP-3009 authorization",
        ));
    }
    header::from_value(payload).map_err(|e| {
        refusal(
            Reason::InvalidPayload,
            format!("the payload is not {{signature, authorization}} of EIP-3009: {e}"),
        )
    })
}

fn money(transfer: &Eip3009Authorization, offer: &SellerOffer) -> Result<(), Refusal> {
    let payee: EvmAddress = offer.terms.payee.parse().map_err(|_| {
        refusal(
            Reason::InvalidPaymentRequirements,
            "the offer names no address to pay",
        )
    })?;
    if transfer.to != payee {
        return Err(refusal(
            Reason::RecipientMismatch,
            format!("the authorization pays {}, not {payee}", transfer.to),
        ));
    }
    // To the unit: a larger value is a mistake of the buyer that we do not profit from.
    if transfer.value != offer.requirements.amount {
        return Err(refusal(
            Reason::ValueMismatch,
            format!(
                "the authorization is over {} atomic units, not {}",
                transfer.value, offer.requirements.amount
            ),
        ));
    }
    Ok(())
}

fn time(transfer: &Eip3009Authorization, now_s: u64) -> Result<(), Refusal> {
    if transfer.valid_before < now_s.saturating_add(TIME_LEFT_MIN_S) {
        return Err(refusal(
            Reason::ValidBefore,
            format!(
                "the authorization is valid until {}, and it is {now_s}; at least {TIME_LEFT_MIN_S} s must be left",
                transfer.valid_before
            ),
        ));
    }
    // The token asks for a block strictly later, so the same second is too early.
    if transfer.valid_after >= now_s {
        return Err(refusal(
            Reason::ValidAfter,
            format!(
                "the authorization is valid after {} only, and it is {now_s}",
                transfer.valid_after
            ),
        ));
    }
    Ok(())
}

/// The signature, where it is the payer's own as an ordinary account; what it is otherwise, the
/// chain alone can tell.
fn ordinary_signature(
    token: &Token,
    transfer: &Eip3009Authorization,
    bytes: &[u8],
) -> Option<EvmSignature> {
    let signature = EvmSignature::read(bytes).ok()?;
    let signer = signature
        .recover(&transfer_digest(&token.domain, transfer))
        .ok()?;
    (signer == transfer.from).then_some(signature)
}

/// Equal for two spellings of one authorization, different for two authorizations.
fn payload_digest(identity: &Identity, handle: &EvmHandle) -> [u8; 32] {
    let transfer = &handle.transfer;
    let mut hash = Sha256::new();
    // Two parts vary in length: the identity goes first with its end marked, the signature last.
    hash.update(identity.as_str());
    hash.update([0]);
    hash.update(transfer.to.0);
    hash.update(transfer.value.atomic().to_be_bytes());
    hash.update(transfer.valid_after.to_be_bytes());
    hash.update(transfer.valid_before.to_be_bytes());
    if let Some(signature) = &handle.signature {
        hash.update(&signature.0);
    }
    hash.finalize().into()
}
