//! Reads an offer as a payer who believes nothing (ARCHITECTURE law 11): what the money is, comes from
//! our table; the offer only says how much and to whom.

use std::sync::Arc;

use farebox_core::rail::{NotPayable, Quote, Terms};
use farebox_wire::challenge::{Offer, X402Offer};
use farebox_wire::evm::EvmAddress;
use farebox_wire::x402::types::PaymentRequirements;
use serde_json::Value;

use crate::address::parse_address;
use crate::assets::TransferMethod;
use crate::collector::terms;
use crate::network::{Chain, Token};

/// The only scheme spoken.
pub(crate) const EXACT: &str = "exact";

/// Quotes `offer` for the account `payer`.
pub(crate) fn quote(
    chains: &[Arc<Chain>],
    payer: EvmAddress,
    offer: &Offer,
) -> Result<Quote, NotPayable> {
    let x402 = x402_of(offer)?;
    let requirements = &x402.requirements;
    let (chain, token) = known(chains, requirements)?;
    let payee = payee(token, Some(payer), requirements)?;
    if requirements.amount.is_zero() {
        return refuse("zero_amount", "the offer asks for nothing".into());
    }
    let rate = token.asset.rate().ok_or_else(|| NotPayable {
        code: "no_rate",
        why: format!(
            "{} has no dollar rate, so no limit can hold; set `usd` of its [[network.asset]]",
            token.asset.symbol
        ),
    })?;
    let cost = rate.usd_of(requirements.amount).ok_or_else(|| NotPayable {
        code: "amount_too_large",
        why: format!(
            "{} atomic units are more than can be priced",
            requirements.amount
        ),
    })?;
    Ok(Quote {
        terms: Terms {
            payer: Some(payer.to_string()),
            ..terms(chain, token, requirements.amount, cost, payee)
        },
        offer: offer.clone(),
        max_timeout_s: requirements.max_timeout_seconds,
        is_mainnet: chain.network.is_mainnet,
    })
}

/// The offer, where it is one that an EVM chain can settle.
pub(crate) fn x402_of(offer: &Offer) -> Result<&X402Offer, NotPayable> {
    offer.as_x402().ok_or_else(|| NotPayable {
        code: "other_rail",
        why: "the offer is paid over Lightning (L402), not on an EVM chain".into(),
    })
}

/// The chain and token of an offer, where both are known here and the offer does not contradict
/// what we know of them.
pub(crate) fn known<'a>(
    chains: &'a [Arc<Chain>],
    requirements: &PaymentRequirements,
) -> Result<(&'a Arc<Chain>, &'a Token), NotPayable> {
    let chain = scheme_and_chain(chains, requirements)?;
    let token = token(chain, requirements)?;
    method_and_flow(requirements)?;
    domain(token, requirements)?;
    Ok((chain, token))
}

/// Who is paid; nobody whose money would be lost, and not `payer`.
pub(crate) fn payee(
    token: &Token,
    payer: Option<EvmAddress>,
    requirements: &PaymentRequirements,
) -> Result<EvmAddress, NotPayable> {
    let text = &requirements.pay_to;
    let payee = parse_address(text).map_err(|e| NotPayable {
        code: "invalid_payee",
        why: format!("payTo {:?}: {e}", short(text)),
    })?;
    let wrong = if payee == EvmAddress::ZERO {
        "the zero address, where money is lost"
    } else if payee == token.asset.address {
        "the token itself, where money is lost"
    } else if Some(payee) == payer {
        "the payer itself"
    } else {
        return Ok(payee);
    };
    refuse("invalid_payee", format!("payTo is {wrong}"))
}

fn scheme_and_chain<'a>(
    chains: &'a [Arc<Chain>],
    requirements: &PaymentRequirements,
) -> Result<&'a Arc<Chain>, NotPayable> {
    if requirements.scheme != EXACT {
        return refuse(
            "unsupported_scheme",
            format!(
                "scheme {:?} is not spoken yet, only exact",
                short(&requirements.scheme)
            ),
        );
    }
    chains
        .iter()
        .find(|c| c.network.chain == requirements.network)
        .ok_or_else(|| NotPayable {
            code: "unknown_network",
            why: format!(
                "network {0} is not configured; add [network.\"{0}\"]",
                requirements.network
            ),
        })
}

fn token<'a>(
    chain: &'a Chain,
    requirements: &PaymentRequirements,
) -> Result<&'a Token, NotPayable> {
    let asset = &requirements.asset;
    let address = parse_address(asset).map_err(|e| NotPayable {
        code: "unknown_token",
        why: format!("asset {:?}: {e}", short(asset)),
    })?;
    let token = chain.token(address).ok_or_else(|| NotPayable {
        code: "unknown_token",
        why: format!(
            "token {address} is not known on {0}; if you trust it, add a [[network.\"{0}\".asset]]",
            chain.network.chain
        ),
    })?;
    if token.asset.method == TransferMethod::Permit2 {
        return refuse(
            "permit2_unsupported",
            format!(
                "{} needs Permit2, which is not spoken yet",
                token.asset.symbol
            ),
        );
    }
    Ok(token)
}

fn method_and_flow(requirements: &PaymentRequirements) -> Result<(), NotPayable> {
    match extra(requirements, "assetTransferMethod") {
        None => {}
        Some(Value::String(method)) if method == "eip3009" => {}
        Some(other) => {
            return refuse(
                "unsupported_transfer_method",
                format!(
                    "transfer method {} is not spoken yet, only eip3009",
                    shown(other)
                ),
            );
        }
    }
    match extra(requirements, "paymentFlow") {
        None => Ok(()),
        Some(Value::String(flow)) if flow == "authorization" || flow == "upfront" => Ok(()),
        Some(other) => refuse(
            "unsupported_payment_flow",
            format!("payment flow {} is not spoken yet", shown(other)),
        ),
    }
}

/// A wrong domain would make a signature that no token accepts, or one for another token.
fn domain(token: &Token, requirements: &PaymentRequirements) -> Result<(), NotPayable> {
    let ours = [
        ("name", &token.asset.name),
        ("version", &token.asset.version),
    ];
    for (field, ours) in ours {
        let theirs = extra(requirements, field);
        if theirs.is_some_and(|theirs| theirs.as_str() != Some(ours)) {
            return refuse(
                "eip712_domain_mismatch",
                format!(
                    "the offer says that the EIP-712 {field} of {} is {}, but it is {ours:?}",
                    token.asset.symbol,
                    shown(theirs.unwrap_or(&Value::Null)),
                ),
            );
        }
    }
    Ok(())
}

/// A field of `extra`; `null` is absent.
fn extra<'a>(requirements: &'a PaymentRequirements, field: &str) -> Option<&'a Value> {
    let value = requirements.extra.as_ref()?.get(field)?;
    (!value.is_null()).then_some(value)
}

fn refuse<T>(code: &'static str, why: String) -> Result<T, NotPayable> {
    Err(NotPayable { code, why })
}

/// A stranger's text, cut to what fits a line.
fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

fn shown(value: &Value) -> String {
    short(&value.to_string())
}

#[cfg(test)]
#[path = "quote_tests.rs"]
mod tests;
