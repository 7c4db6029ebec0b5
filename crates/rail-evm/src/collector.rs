//! The collecting half: makes or reads offers, examines credentials, asks the chain, and settles.
//!
//! A seller's has one payee; a facilitator's has none and reads the offers of others. Holds the
//! gas keys, never a payee's. One per process and gas key: two would fight over transaction nonces.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use farebox_core::clock::Clock;
use farebox_core::rail::{
    Asked, CollectRail, Examined, Finding, Funds, Handle, Journal, NetworkHealth, Outcome, Price,
    RailError, Refusal, SellerOffer, Terms,
};
use farebox_wire::caip::{AssetId, ChainId};
use farebox_wire::evm::EvmAddress;
use farebox_wire::money::{Amount, UsdMicros};
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::{PaymentPayload, PaymentRequirements, SupportedKind};
use serde_json::{Map, Value};

use crate::abi;
use crate::address::checksummed;
use crate::check;
use crate::examine::{examine, refusal};
use crate::facilitate;
use crate::handle::EvmHandle;
use crate::network::{self, Chain, Network, Token};
use crate::options::CollectorOptions;
use crate::quote::EXACT;
use crate::recheck;
use crate::rpc::Call;
use crate::settle::{self, Settler};
use crate::verify::verify;

/// Collects on EVM chains.
pub struct EvmCollector {
    chains: Vec<Arc<Chain>>,
    /// Empty where there is no gas key.
    settlers: Vec<(ChainId, Arc<Settler>)>,
    options: CollectorOptions,
}

impl EvmCollector {
    /// Takes the networks to collect on; every one needs `rpc` where there is a signer.
    ///
    /// # Errors
    /// A network that is no EVM network, stands there twice, has no endpoint or no token that can
    /// be offered; a payee that is the zero address or one of the tokens.
    pub fn new(
        networks: Vec<Network>,
        options: CollectorOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RailError> {
        let chains = network::index(networks)?;
        if let Some(pay_to) = options.pay_to {
            for chain in &chains {
                let offered = chain.offered()?;
                let is_token = offered.iter().any(|t| t.asset.address == pay_to);
                if pay_to == EvmAddress::ZERO || is_token {
                    return Err(RailError {
                        code: "invalid_payee",
                        message: format!(
                            "{} cannot be paid: money sent there is lost; set [pay_to] evm to an account of yours",
                            checksummed(pay_to)
                        ),
                    });
                }
            }
        }
        let mut settlers = Vec::new();
        if !options.signers.is_empty() {
            for chain in &chains {
                let settler = Settler::new(chain, &options, Arc::clone(&clock))?;
                settlers.push((chain.network.chain.clone(), settler));
            }
        }
        Ok(Self {
            chains,
            settlers,
            options,
        })
    }

    /// Makes sure that every chain answers and is the right one. Collect nothing before.
    ///
    /// # Errors
    /// A chain that cannot be asked, or an endpoint of another chain.
    pub async fn start(&self) -> Result<(), RailError> {
        for (_, settler) in &self.settlers {
            settler.start().await?;
        }
        // Without a gas key nothing is settled here, but what is asked must be the right chain.
        for chain in self.chains.iter().filter(|_| self.settlers.is_empty()) {
            if let Ok(rpc) = chain.rpc() {
                rpc.probe().await?;
            }
        }
        Ok(())
    }

    /// What `account` has of `token`, as the newest block knows it: for books that are compared
    /// with the chain.
    ///
    /// # Errors
    /// A network or token that is not configured, or a chain that cannot be asked.
    pub async fn token_balance(
        &self,
        token: &AssetId,
        account: EvmAddress,
    ) -> Result<Amount, RailError> {
        let known = network::token_of(&self.chains, token)?;
        let rpc = network::chain_of(&self.chains, token.chain())?.rpc()?;
        let call = Call::view(known.asset.address, &abi::balance_of(account), "latest");
        Ok(rpc.one(call).await.and_then(check::read_amount)?)
    }

    fn settler(&self, chain: &ChainId) -> Result<&Arc<Settler>, RailError> {
        let settler = self.settlers.iter().find(|(id, _)| id == chain);
        settler
            .map(|(_, settler)| settler)
            .ok_or_else(|| RailError {
                code: "unknown_network",
                message: format!(
                    "nothing can be settled on {chain}: the network or the gas key is not configured"
                ),
            })
    }

    fn offer(
        &self,
        chain: &Chain,
        token: &Token,
        pay_to: EvmAddress,
        price: &Price,
    ) -> Result<SellerOffer, RailError> {
        let amount = token
            .asset
            .rate()
            .and_then(|rate| rate.amount_for(price.usd))
            .filter(|amount| !amount.is_zero())
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
            asset: token.checksummed.clone(),
            pay_to: checksummed(pay_to),
            max_timeout_seconds: price.max_timeout_s,
            extra: Some(extra(token, price)),
        };
        let raw = serde_json::to_value(&requirements).map_err(|e| RailError {
            code: "offer_unwritable",
            message: format!("the offer cannot be written: {e}"),
        })?;
        Ok(SellerOffer {
            raw,
            terms: terms(chain, token, amount, price.usd, pay_to),
            requirements,
        })
    }
}

#[async_trait]
impl CollectRail for EvmCollector {
    fn rail(&self) -> &'static str {
        crate::RAIL
    }

    fn offers(&self, price: &Price) -> Result<Vec<SellerOffer>, RailError> {
        let pay_to = self.options.pay_to.ok_or_else(|| RailError {
            code: "no_payee",
            message: "there is nobody to pay; set [pay_to] evm".into(),
        })?;
        let mut offers = Vec::with_capacity(self.chains.len());
        for chain in &self.chains {
            for token in chain.offered()? {
                offers.push(self.offer(chain, token, pay_to, price)?);
            }
        }
        Ok(offers)
    }

    fn examine(
        &self,
        payload: &PaymentPayload,
        offer: &SellerOffer,
        now_s: u64,
    ) -> Result<Examined, Refusal> {
        let chain = network::chain_of(&self.chains, &offer.terms.network)
            .map_err(|e| refusal(Reason::InvalidNetwork, e.message))?;
        let token = network::token_of(&self.chains, &offer.terms.asset)
            .map_err(|e| refusal(Reason::InvalidPaymentRequirements, e.message))?;
        examine(chain, token, payload, offer, now_s)
    }

    fn offer_of(&self, requirements: &PaymentRequirements) -> Result<SellerOffer, Refusal> {
        facilitate::offer_of(&self.chains, requirements)
    }

    fn kinds(&self) -> Vec<SupportedKind> {
        facilitate::kinds(&self.chains)
    }

    fn signers(&self) -> Vec<(String, Vec<String>)> {
        facilitate::signers(&self.options.signers)
    }

    async fn health(&self) -> Vec<NetworkHealth> {
        facilitate::health(&self.chains, &self.settlers).await
    }

    async fn verify(&self, examined: &Examined) -> Result<Funds, Refusal> {
        let handle = EvmHandle::read(&examined.handle)
            .map_err(|e| refusal(Reason::InvalidPayload, e.message))?;
        let chain = network::chain_of(&self.chains, &handle.chain)
            .map_err(|e| refusal(Reason::InvalidNetwork, e.message))?;
        // What would not be settled is not claimed either: a seller who settles afterwards would
        // have worked for nothing.
        let settler = self.settler(&handle.chain).ok();
        if let Some(refusal) = settler.and_then(|settler| settler.would_refuse(&handle)) {
            return Err(Refusal {
                reason: Reason::UnexpectedVerify,
                ..refusal
            });
        }
        verify(chain, &handle, examined, &self.options.factories).await
    }

    async fn settle(&self, handle: &Handle, journal: Arc<dyn Journal>, wait_ms: u64) -> Outcome {
        let found = EvmHandle::read(handle).and_then(|h| Ok((self.settler(&h.chain)?, h)));
        match found {
            Ok((settler, handle)) => {
                let wait = Duration::from_millis(wait_ms);
                settler.settle(handle, journal, wait).await
            }
            Err(e) => Outcome::Rejected(settle::ours(&e)),
        }
    }

    async fn check(&self, handle: &Handle) -> Finding {
        check::check(&self.chains, handle, None).await
    }

    async fn check_all(&self, asked: &[Asked<'_>]) -> Vec<Finding> {
        recheck::check_all(&self.chains, asked).await
    }
}

/// What a payment to `payee` is, without a payer.
pub(crate) fn terms(
    chain: &Chain,
    token: &Token,
    amount: Amount,
    cost: UsdMicros,
    payee: EvmAddress,
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

/// The token's EIP-712 domain, and the payment flow where it is not the default.
fn extra(token: &Token, price: &Price) -> Map<String, Value> {
    let mut extra = Map::new();
    extra.insert("name".into(), token.asset.name.clone().into());
    extra.insert("version".into(), token.asset.version.clone().into());
    if price.upfront {
        extra.insert("paymentFlow".into(), "upfront".into());
    }
    extra
}

#[cfg(test)]
#[path = "examine_tests.rs"]
mod examine_tests;
