//! Gas keys: can they pay, do their transactions get into blocks, and does the chain know those
//! that the ledger has on record?

use std::collections::BTreeMap;

use farebox_core::diagnosis::{AccountFacts, ChainFacts};
use farebox_core::ledger::Payment;
use farebox_wire::caip::ChainId;
use farebox_wire::money::UsdMicros;

use super::Finding;
use super::nodes::span;
use super::patient::Patient;
use crate::assemble;

/// Settlements below which it is time to send money: an hour's notice at a few per minute.
const SETTLEMENTS_LEFT_MIN: u128 = 200;
/// Digits after the point of one coin that pays for gas, on every EVM chain.
const GAS_DECIMALS: u8 = 18;
/// Digits after the point of one SOL.
const SOL_DECIMALS: u8 = 9;

/// What there is to say of the gas keys on one chain.
pub(super) fn judge(facts: &ChainFacts) -> Vec<Finding> {
    let network = facts.network.as_str();
    match &facts.accounts {
        Err(why) => vec![Finding::warning(
            "gas_unknown",
            network,
            format!("the gas keys could not be asked about: {}", why.message),
            "run this again, or with another node first in `rpc`",
        )],
        Ok(accounts) => accounts
            .iter()
            .flat_map(|account| {
                std::iter::once(money(network, account)).chain(stuck(network, account))
            })
            .collect(),
    }
}

fn money(network: &str, account: &AccountFacts) -> Finding {
    let subject = format!("{} on {network}", account.address);
    let is_solana = network.starts_with("solana:");
    let (key, coin, decimals) = match is_solana {
        true => ("the fee payer", "SOL", SOL_DECIMALS),
        false => ("the gas key", "of the chain's coin", GAS_DECIMALS),
    };
    let has = account.gas_money.to_decimal_string(decimals);
    let cost = account.settlement_cost.map(|cost| cost.atomic().max(1));
    let left = cost.and_then(|cost| account.gas_money.atomic().checked_div(cost));
    let advice = match is_solana {
        true => format!("send some SOL to {}", account.address),
        false => format!("send some of the coin of {network} to {}", account.address),
    };
    if account.gas_money.is_zero() || left == Some(0) {
        let message = format!("{key} has {has} {coin}, which pays for no settlement");
        return Finding::error("gas_unfunded", subject, message, advice);
    }
    match left {
        Some(left) if left < SETTLEMENTS_LEFT_MIN => Finding::warning(
            "gas_low",
            subject,
            format!("{key} has {has} {coin}, which pays for about {left} settlements"),
            advice,
        ),
        Some(left) => Finding::ok(
            "gas",
            subject,
            format!("{key} pays for about {left} settlements"),
        ),
        None => Finding::ok("gas", subject, format!("{key} has {has} {coin}")),
    }
}

fn stuck(network: &str, account: &AccountFacts) -> Option<Finding> {
    let waiting = account.pending.saturating_sub(account.mined);
    (account.waited_ms > 0).then(|| {
        Finding::warning(
            "nonce_stuck",
            format!("{} on {network}", account.address),
            format!(
                "{waiting} transactions of the gas key wait from nonce {} on, and none came into a block within {}",
                account.mined,
                span(account.waited_ms)
            ),
            "leave the gate running, which replaces what blocks pass by; raise max_fee if fees have risen above it, and use the key nowhere else",
        )
    })
}

/// What a coin that pays for gas is worth, and what there is to say of that.
pub(super) async fn rate(patient: &Patient) -> (Option<UsdMicros>, Option<Finding>) {
    let subject = "[rates] \"ETH/USD\"";
    let advice = "correct \"ETH/USD\" in [rates]; until then a facilitator settles nothing";
    match patient.gas_rate.now().await {
        Err(why) => {
            let finding = Finding::refused("rate_invalid", subject, why, advice);
            (None, Some(finding))
        }
        Ok(None) => (None, None),
        Ok(Some(Ok(usd))) => {
            let said = format!("a coin that pays for gas is {usd} USD");
            (Some(usd), Some(Finding::ok("rate", subject, said)))
        }
        Ok(Some(Err(why))) => {
            let finding = Finding::told(why.code, subject, &why.message, advice);
            (None, Some(finding))
        }
    }
}

/// Whether the least payment that a facilitator settles is worth its gas, where one coin of the
/// chain is worth `rate`.
pub(super) fn uncovered(
    facts: &ChainFacts,
    least: UsdMicros,
    rate: Option<UsdMicros>,
) -> Option<Finding> {
    let rate = rate?;
    let accounts = facts.accounts.as_ref().ok()?;
    let cost = accounts
        .iter()
        .find_map(|account| account.settlement_cost)?;
    let needed = assemble::least_payment(cost, rate)?;
    (least < needed).then(|| {
        Finding::error(
            "min_amount_below_gas",
            facts.network.as_str(),
            format!(
                "a settlement costs so much gas that payments below about {needed} USD lose money"
            ),
            format!("set limits = {{ min_amount = \"{needed} USD\" }} in [facilitator]"),
        )
    })
}

/// Transactions that the ledger has on record as sent, and the chain does not know.
pub(super) fn of_ledger(undecided: &[Payment], facts: &[ChainFacts]) -> Vec<Finding> {
    let mut last: BTreeMap<(&ChainId, &str), u64> = BTreeMap::new();
    for payment in undecided {
        for sent in &payment.sent {
            if let (Some(signer), Some(nonce)) = (&sent.signer, sent.nonce) {
                let known = last.entry((&payment.terms.network, signer)).or_default();
                *known = nonce.max(*known);
            }
        }
    }
    let missing = last.into_iter().filter_map(|((network, signer), nonce)| {
        let chain = facts.iter().find(|chain| chain.network == *network)?;
        let accounts = chain.accounts.as_ref().ok()?;
        let same = |account: &&AccountFacts| account.address.eq_ignore_ascii_case(signer);
        let account = accounts.iter().find(same)?;
        (nonce >= account.pending).then(|| {
            Finding::warning(
                "nonce_missing",
                format!("{} on {network}", account.address),
                format!(
                    "the ledger has sent transactions of the gas key up to nonce {nonce}, and the node knows those up to {} only: it has dropped some",
                    account.pending
                ),
                "start the gate, which sends what is missing again or finds out that it is not needed",
            )
        })
    });
    missing.collect()
}

#[cfg(test)]
#[path = "gas_tests.rs"]
mod tests;
