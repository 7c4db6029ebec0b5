//! Offers: those that a seller makes, and those that a facilitator reads because somebody else made
//! them; and what can be paid here.
//!
//! Called by the collector. An offer's own words are never believed: program and decimals come from
//! our table (ARCHITECTURE law 11).

use std::sync::Arc;

use farebox_core::rail::{NotPayable, Price, RailError, Refusal, SellerOffer};
use farebox_wire::svm::SvmAddress;
use farebox_wire::x402;
use farebox_wire::x402::exact_svm::ExactSvmExtra;
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::{PaymentRequirements, SupportedKind};
use serde_json::{Map, Value};

use crate::examine;
use crate::network::{Chain, Token};
use crate::quote::{self, EXACT};
use crate::rules::refusal;

/// The key of `extra` that says who pays the fee.
const FEE_PAYER: &str = "feePayer";

/// Who an offer of ours names.
pub(crate) struct Seller<'a> {
    pub(crate) pay_to: SvmAddress,
    /// `None` leaves it open.
    pub(crate) fee_payer: Option<SvmAddress>,
    pub(crate) memo: Option<&'a str>,
}

/// The offer of a seller for a price.
pub(crate) fn offer(
    chain: &Chain,
    token: &Token,
    seller: &Seller<'_>,
    price: &Price,
) -> Result<SellerOffer, RailError> {
    let amount = token
        .asset
        .rate()
        .and_then(|rate| rate.amount_for(price.usd))
        .filter(|amount| !amount.is_zero() && u64::try_from(amount.atomic()).is_ok())
        .ok_or_else(|| RailError {
            code: "price_not_payable",
            message: format!(
                "{} USD cannot be expressed in {}; choose another price",
                price.usd, token.asset.symbol
            ),
        })?;
    let requirements = PaymentRequirements {
        scheme: EXACT.into(),
        network: chain.network.chain.clone(),
        amount,
        asset: token.asset.mint.to_string(),
        pay_to: seller.pay_to.to_string(),
        max_timeout_seconds: price.max_timeout_s,
        extra: Some(extra(seller, price)),
    };
    let raw = serde_json::to_value(&requirements).map_err(|e| RailError {
        code: "offer_unwritable",
        message: format!("the offer cannot be written: {e}"),
    })?;
    Ok(SellerOffer {
        raw,
        terms: quote::terms(chain, token, amount, price.usd, seller.pay_to),
        requirements,
    })
}

/// The fee payer, what the payment must say, and the payment flow where it is not the default.
fn extra(seller: &Seller<'_>, price: &Price) -> Map<String, Value> {
    let mut extra = ExactSvmExtra {
        fee_payer: seller.fee_payer.unwrap_or(SvmAddress::ZERO),
        memo: seller.memo.map(str::to_owned),
        recent_blockhash: None,
        last_valid_block_height: None,
    }
    .to_map();
    if seller.fee_payer.is_none() {
        extra.remove(FEE_PAYER);
    }
    if price.upfront {
        extra.insert("paymentFlow".into(), "upfront".into());
    }
    extra
}

/// Understands an offer that somebody else made.
pub(crate) fn offer_of(
    chains: &[Arc<Chain>],
    managed: &[SvmAddress],
    requirements: &PaymentRequirements,
) -> Result<SellerOffer, Refusal> {
    let (chain, token) = quote::known(chains, requirements).map_err(refused)?;
    let payee = quote::payee(token, None, requirements).map_err(refused)?;
    let (_, cost) = quote::amount(token, requirements.amount).map_err(refused)?;
    examine::managed_extra(managed, requirements)?;
    let raw = serde_json::to_value(requirements)
        .map_err(|e| refusal(Reason::InvalidPaymentRequirements, e.to_string()))?;
    Ok(SellerOffer {
        raw,
        terms: quote::terms(chain, token, requirements.amount, cost, payee),
        requirements: requirements.clone(),
    })
}

/// The reason on the wire for what a payer would not pay.
fn refused(why: NotPayable) -> Refusal {
    let reason = match why.code {
        "unsupported_scheme" => Reason::SvmUnsupportedScheme,
        "unknown_network" => Reason::InvalidNetwork,
        _ => Reason::InvalidPaymentRequirements,
    };
    refusal(reason, why.why)
}

/// Everything that can be paid here. Every offer has to name a fee payer, so each kind says which,
/// where there is one of ours.
pub(crate) fn kinds(chains: &[Arc<Chain>], fee_payer: Option<SvmAddress>) -> Vec<SupportedKind> {
    let extra = fee_payer.map(|fee_payer| {
        let fee_payer = (FEE_PAYER.to_owned(), fee_payer.to_string().into());
        Map::from_iter([fee_payer])
    });
    let chains = chains
        .iter()
        .filter(|chain| chain.tokens().next().is_some());
    chains
        .map(|chain| SupportedKind {
            x402_version: x402::VERSION,
            scheme: EXACT.into(),
            network: chain.network.chain.to_string(),
            extra: extra.clone(),
        })
        .collect()
}

/// The accounts that pay fees, the same on every chain.
pub(crate) fn signers(managed: &[SvmAddress]) -> Vec<(String, Vec<String>)> {
    if managed.is_empty() {
        return Vec::new();
    }
    let addresses = managed.iter().map(SvmAddress::to_string).collect();
    vec![("solana:*".to_owned(), addresses)]
}
