//! Reads an offer as a payer who believes nothing (ARCHITECTURE law 11): what the money is, comes from
//! our table; the offer only says how much, to whom, and who sends it.

use std::sync::Arc;

use farebox_core::rail::{NotPayable, Quote, Terms};
use farebox_wire::challenge::{Offer, X402Offer};
use farebox_wire::money::{Amount, UsdMicros};
use farebox_wire::svm::SvmAddress;
use farebox_wire::x402::exact_svm::ExactSvmExtra;
use farebox_wire::x402::types::PaymentRequirements;
use serde_json::Value;

use crate::account::{TokenAccount, address_of, program_of, svm, token_account_of};
use crate::network::{Chain, Commitment, Token};
use crate::rpc::{Account, At, Call};

/// The only scheme spoken.
pub(crate) const EXACT: &str = "exact";

/// An offer that can be paid, as far as nobody needs to be asked.
pub(crate) struct Understood<'a> {
    pub(crate) chain: &'a Arc<Chain>,
    pub(crate) token: &'a Token,
    /// Atomic units.
    pub(crate) amount: u64,
    pub(crate) cost: UsdMicros,
    pub(crate) payee: SvmAddress,
    pub(crate) extra: ExactSvmExtra,
}

/// Quotes `offer` for the account `payer`; asks the chain once whether both sides have an account
/// for the token.
pub(crate) async fn quote(
    chains: &[Arc<Chain>],
    payer: SvmAddress,
    offer: &Offer,
) -> Result<Quote, NotPayable> {
    let requirements = &x402_of(offer)?.requirements;
    let read = understand(chains, payer, requirements)?;
    accounts(&read, payer).await?;
    Ok(Quote {
        terms: Terms {
            payer: Some(payer.to_string()),
            ..terms(
                read.chain,
                read.token,
                requirements.amount,
                read.cost,
                read.payee,
            )
        },
        offer: offer.clone(),
        max_timeout_s: requirements.max_timeout_seconds,
        is_mainnet: read.chain.network.is_mainnet,
    })
}

/// The offer, where it is one that Solana can settle.
pub(crate) fn x402_of(offer: &Offer) -> Result<&X402Offer, NotPayable> {
    offer.as_x402().ok_or_else(|| NotPayable {
        code: "other_rail",
        why: "the offer is paid over Lightning (L402), not on Solana".into(),
    })
}

/// Reads an offer for `payer`.
pub(crate) fn understand<'a>(
    chains: &'a [Arc<Chain>],
    payer: SvmAddress,
    requirements: &PaymentRequirements,
) -> Result<Understood<'a>, NotPayable> {
    let (chain, token) = known(chains, requirements)?;
    let extra = extra(requirements)?;
    if extra.fee_payer == payer {
        return refuse(
            "invalid_fee_payer",
            "extra.feePayer is the payer itself, who pays no fees for a seller".into(),
        );
    }
    let payee = payee(token, Some(payer), requirements)?;
    let (amount, cost) = amount(token, requirements.amount)?;
    Ok(Understood {
        chain,
        token,
        amount,
        cost,
        payee,
        extra,
    })
}

/// The terms of an offer, without a payer.
pub(crate) fn terms(
    chain: &Chain,
    token: &Token,
    amount: Amount,
    cost: UsdMicros,
    payee: SvmAddress,
) -> Terms {
    Terms {
        protocol: "x402".into(),
        rail: crate::RAIL.into(),
        network: chain.network.chain.clone(),
        scheme: EXACT.into(),
        asset: token.id.clone(),
        symbol: token.asset.symbol.clone(),
        decimals: token.asset.decimals,
        amount,
        fee_max: Amount::ZERO,
        cost,
        payee: payee.to_string(),
        payer: None,
    }
}

/// The chain and token of an offer, where both are known here.
pub(crate) fn known<'a>(
    chains: &'a [Arc<Chain>],
    requirements: &PaymentRequirements,
) -> Result<(&'a Arc<Chain>, &'a Token), NotPayable> {
    if requirements.scheme != EXACT {
        return refuse(
            "unsupported_scheme",
            format!(
                "scheme {:?} is not spoken yet, only exact",
                short(&requirements.scheme)
            ),
        );
    }
    let chain = chains
        .iter()
        .find(|c| c.network.chain == requirements.network)
        .ok_or_else(|| NotPayable {
            code: "unknown_network",
            why: format!(
                "network {0} is not configured; add [network.\"{0}\"]",
                requirements.network
            ),
        })?;
    let mint: SvmAddress = requirements.asset.parse().map_err(|e| NotPayable {
        code: "unknown_token",
        why: format!("asset {:?}: {e}", short(&requirements.asset)),
    })?;
    let token = chain.token(mint).ok_or_else(|| NotPayable {
        code: "unknown_token",
        why: format!(
            "token {mint} is not known on {0}; if you trust it, add a [[network.\"{0}\".asset]]",
            chain.network.chain
        ),
    })?;
    flow(requirements)?;
    Ok((chain, token))
}

/// Who is paid; nobody whose money would be lost, and not `payer`.
pub(crate) fn payee(
    token: &Token,
    payer: Option<SvmAddress>,
    requirements: &PaymentRequirements,
) -> Result<SvmAddress, NotPayable> {
    let text = &requirements.pay_to;
    let payee: SvmAddress = text.parse().map_err(|e| NotPayable {
        code: "invalid_payee",
        why: format!("payTo {:?}: {e}", short(text)),
    })?;
    let wrong = match lost(token, payee) {
        Some(wrong) => wrong,
        None if Some(payee) == payer => "the payer itself",
        None => return Ok(payee),
    };
    refuse("invalid_payee", format!("payTo is {wrong}"))
}

/// What `payee` is, where money that is sent there is lost.
pub(crate) fn lost(token: &Token, payee: SvmAddress) -> Option<&'static str> {
    if payee == SvmAddress::ZERO {
        return Some("the system program, where money is lost");
    }
    let is_token = payee == token.asset.mint || payee == svm(&program_of(token.asset.program));
    is_token.then_some("the token itself, where money is lost")
}

/// What an offer says of its fee payer, memo and blockhash.
pub(crate) fn extra(requirements: &PaymentRequirements) -> Result<ExactSvmExtra, NotPayable> {
    ExactSvmExtra::read(requirements.extra.as_ref()).map_err(|e| NotPayable {
        code: "invalid_fee_payer",
        why: format!("the offer's `extra` names no fee payer, or cannot be followed: {e}"),
    })
}

/// How much in the token's own width, and what it is worth.
pub(crate) fn amount(token: &Token, amount: Amount) -> Result<(u64, UsdMicros), NotPayable> {
    if amount.is_zero() {
        return refuse("zero_amount", "the offer asks for nothing".into());
    }
    let rate = token.asset.rate().ok_or_else(|| NotPayable {
        code: "no_rate",
        why: format!(
            "{} has no dollar rate, so no limit can hold; set `usd` of its [[network.asset]]",
            token.asset.symbol
        ),
    })?;
    let units = u64::try_from(amount.atomic()).ok();
    units.zip(rate.usd_of(amount)).ok_or_else(|| NotPayable {
        code: "amount_too_large",
        why: format!("{amount} atomic units are more than a token on Solana can have"),
    })
}

fn flow(requirements: &PaymentRequirements) -> Result<(), NotPayable> {
    let extra = requirements.extra.as_ref();
    match extra.and_then(|extra| extra.get("paymentFlow")) {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(flow)) if flow == "authorization" || flow == "upfront" => Ok(()),
        Some(other) => refuse(
            "unsupported_payment_flow",
            format!(
                "payment flow {} is not spoken yet",
                short(&other.to_string())
            ),
        ),
    }
}

/// Whether payer and payee can pay and be paid: a payment opens no account for anybody.
async fn accounts(read: &Understood<'_>, payer: SvmAddress) -> Result<(), NotPayable> {
    let unasked = |code, why| NotPayable { code, why };
    let rpc = read.chain.rpc().map_err(|e| unasked(e.code, e.message))?;
    let (mint, program) = (read.token.asset.mint, read.token.asset.program);
    let owners = [payer, read.payee];
    let places = owners.map(|owner| token_account_of(owner, mint, program));
    let call = Call::accounts(&places, Commitment::Confirmed);
    let found: At<Vec<Option<Account>>> = rpc.one(call).await.map_err(|e| {
        let e = farebox_core::rail::RailError::from(e);
        unasked(e.code, e.message)
    })?;
    let mut found = found.value.into_iter().map(|account| {
        let account = account.filter(|a| address_of(a.owner) == program_of(program))?;
        TokenAccount::read(&account.data).filter(|a| a.mint == mint)
    });
    let symbol = &read.token.asset.symbol;
    let own = found.next().flatten().filter(|a| a.owner == payer);
    match own {
        Some(own) if own.is_frozen => {
            return refuse(
                "account_frozen",
                format!("the issuer of {symbol} has frozen the account of {payer}"),
            );
        }
        Some(own) if own.amount >= read.amount => {}
        own => {
            let has = own.map_or(0, |own| own.amount);
            return refuse(
                "insufficient_balance",
                format!(
                    "{payer} has {has} atomic units of {symbol}, not {}",
                    read.amount
                ),
            );
        }
    }
    let payee = read.payee;
    match found.next().flatten().filter(|a| a.owner == payee) {
        Some(account) if account.is_frozen => refuse(
            "payee_account_frozen",
            format!("the issuer of {symbol} has frozen the account of the payee {payee}"),
        ),
        Some(_) => Ok(()),
        None => refuse(
            "payee_has_no_account",
            format!("the payee {payee} has no account for {symbol}, so it cannot be paid"),
        ),
    }
}

fn refuse<T>(code: &'static str, why: String) -> Result<T, NotPayable> {
    Err(NotPayable { code, why })
}

/// A stranger's text, cut to what fits a line.
fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
#[path = "quote_tests.rs"]
mod tests;
