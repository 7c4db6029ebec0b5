//! What a facilitator asks of the rail besides: offers that somebody else made, what is supported,
//! and how the networks do.
//!
//! Called by the collector. An offer's own words are never believed: token, domain and decimals
//! come from our table (ARCHITECTURE law 11).

use std::sync::Arc;

use farebox_core::rail::{NetworkHealth, NotPayable, Refusal, SellerOffer};
use farebox_wire::caip::ChainId;
use farebox_wire::x402;
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::{PaymentRequirements, SupportedKind};
use serde_json::json;

use crate::assets::TransferMethod;
use crate::collector::terms;
use crate::examine::refusal;
use crate::key::EvmKey;
use crate::network::Chain;
use crate::quote::{self, EXACT};
use crate::rpc::{Call, Quantity, Rpc, RpcError, decode};
use crate::settle::Settler;

/// Understands an offer that somebody else made.
pub(crate) fn offer_of(
    chains: &[Arc<Chain>],
    requirements: &PaymentRequirements,
) -> Result<SellerOffer, Refusal> {
    let (chain, token) = quote::known(chains, requirements).map_err(refused)?;
    let payee = quote::payee(token, None, requirements).map_err(refused)?;
    if requirements.amount.is_zero() {
        return Err(refusal(
            Reason::InvalidPaymentRequirements,
            "the offer asks for nothing",
        ));
    }
    let cost = token
        .asset
        .rate()
        .and_then(|rate| rate.usd_of(requirements.amount))
        .ok_or_else(|| {
            refusal(
                Reason::InvalidPaymentRequirements,
                format!(
                    "{} of this amount has no value in dollars here",
                    token.asset.symbol
                ),
            )
        })?;
    let raw = serde_json::to_value(requirements)
        .map_err(|e| refusal(Reason::InvalidPaymentRequirements, e.to_string()))?;
    Ok(SellerOffer {
        raw,
        terms: terms(chain, token, requirements.amount, cost, payee),
        requirements: requirements.clone(),
    })
}

/// Everything that can be paid here.
pub(crate) fn kinds(chains: &[Arc<Chain>]) -> Vec<SupportedKind> {
    chains
        .iter()
        .filter(|chain| {
            chain
                .tokens()
                .any(|token| token.asset.method == TransferMethod::Eip3009)
        })
        .map(|chain| SupportedKind {
            x402_version: x402::VERSION,
            scheme: EXACT.into(),
            network: chain.network.chain.to_string(),
            extra: None,
        })
        .collect()
}

/// The addresses that pay for gas, the same on every chain.
pub(crate) fn signers(keys: &[Arc<EvmKey>]) -> Vec<(String, Vec<String>)> {
    if keys.is_empty() {
        return Vec::new();
    }
    let addresses = keys
        .iter()
        .map(|key| crate::checksummed(key.address()))
        .collect();
    vec![("eip155:*".to_owned(), addresses)]
}

/// Asks every chain how it does.
pub(crate) async fn health(
    chains: &[Arc<Chain>],
    settlers: &[(ChainId, Arc<Settler>)],
) -> Vec<NetworkHealth> {
    let mut healths = Vec::with_capacity(chains.len());
    for chain in chains {
        let settler = settlers.iter().find(|(id, _)| *id == chain.network.chain);
        healths.push(health_of(chain, settler.map(|(_, settler)| settler)).await);
    }
    healths
}

async fn health_of(chain: &Chain, settler: Option<&Arc<Settler>>) -> NetworkHealth {
    let mut health = NetworkHealth {
        network: chain.network.chain.clone(),
        is_reachable: false,
        head: None,
        signers: Vec::new(),
        complaints: Vec::new(),
    };
    let rpc = match chain.rpc() {
        Ok(rpc) => rpc,
        Err(error) => {
            health.complaints.push(error.message);
            return health;
        }
    };
    match reach(rpc, chain.number).await {
        Ok(Quantity(head)) => {
            health.is_reachable = true;
            health.head = u64::try_from(head).ok();
        }
        Err(error) => health.complaints.push(error.to_string()),
    }
    if let Some(settler) = settler {
        settler.tell_health(&mut health).await;
    }
    health
}

/// The newest block of the right chain.
async fn reach(rpc: &Rpc, chain: u64) -> Result<Quantity, RpcError> {
    let calls = [
        Call::new("eth_chainId", json!([])),
        Call::new("eth_blockNumber", json!([])),
    ];
    let mut results = rpc.batch(&calls).await?.into_iter();
    let mut next = || match results.next() {
        Some(result) => decode::<Quantity>(result?),
        None => Err(RpcError::garbage("no result")),
    };
    let Quantity(got) = next()?;
    if got != u128::from(chain) {
        return Err(RpcError::garbage(format!(
            "it is on chain {got}, not {chain}"
        )));
    }
    next()
}

/// The reason on the wire for what a payer would not pay.
fn refused(why: NotPayable) -> Refusal {
    let reason = match why.code {
        "unsupported_scheme" => Reason::UnsupportedScheme,
        "unknown_network" => Reason::InvalidNetwork,
        "permit2_unsupported" | "unsupported_transfer_method" => Reason::UnsupportedPayloadType,
        _ => Reason::InvalidPaymentRequirements,
    };
    refusal(reason, why.why)
}
