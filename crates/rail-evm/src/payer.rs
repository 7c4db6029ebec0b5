//! The buyer's half: quotes offers, signs authorizations, asks what became of them.
//!
//! Only the desk of a wallet holds one, because it holds the paying key. It signs nothing but the
//! quote that it is handed, and never sends anything.

use std::sync::Arc;

use async_trait::async_trait;
use farebox_core::clock::Clock;
use farebox_core::rail::{
    Authorised, Credential, Finding, Handle, Holding, NotPayable, PayRail, Quote, RailError,
};
use farebox_wire::challenge::{Challenge, Offer, X402Offer};
use farebox_wire::evm::{EvmAddress, Word};
use farebox_wire::x402::exact_evm::{Eip3009Authorization, ExactEvmPayload, HexBytes};
use farebox_wire::x402::header::{self, HeaderError};
use farebox_wire::x402::types::PaymentPayload;
use farebox_wire::x402::v1::{self, PaymentPayloadV1};
use farebox_wire::x402::{self, Version};
use serde_json::Value;

use crate::address::parse_address;
use crate::check;
use crate::digest::transfer_digest;
use crate::handle::EvmHandle;
use crate::key::EvmKey;
use crate::network::{self, Chain, Network};
use crate::quote::{quote, x402_of};

/// How far in the past an authorization of x402 version 1 begins: what its own clients sign, so
/// what its facilitators are used to. Version 2 signs zero.
const V1_VALID_SINCE_S: u64 = 600;

/// Pays on EVM chains from one account.
pub struct EvmPayer {
    chains: Vec<Arc<Chain>>,
    key: Arc<EvmKey>,
    clock: Arc<dyn Clock>,
}

impl EvmPayer {
    /// Takes the networks that may be paid on. Networks without `rpc` can be paid on, but what
    /// became of a payment cannot be asked there.
    ///
    /// # Errors
    /// A network that is no EVM network, stands there twice, or has an endpoint that is no URL.
    pub fn new(
        networks: Vec<Network>,
        key: Arc<EvmKey>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RailError> {
        Ok(Self {
            chains: network::index(networks)?,
            key,
            clock,
        })
    }

    /// The account that pays.
    #[must_use]
    pub fn address(&self) -> EvmAddress {
        self.key.address()
    }

    /// What is signed: the quote's terms, nothing of the offer's own words.
    fn transfer(&self, quote: &Quote, valid_for_s: u64) -> Result<Eip3009Authorization, RailError> {
        let mut nonce = Word::ZERO;
        getrandom::fill(&mut nonce.0).map_err(|e| RailError {
            code: "no_randomness",
            message: format!("the operating system gives no random bytes: {e}"),
        })?;
        let payee = parse_address(&quote.terms.payee).map_err(|e| RailError {
            code: "invalid_payee",
            message: format!("the quote's payee: {e}"),
        })?;
        let valid_for_s = valid_for_s.min(quote.max_timeout_s);
        let offer = offer_of(quote)?;
        let now_s = self.clock.now_s();
        Ok(Eip3009Authorization {
            from: self.key.address(),
            to: payee,
            value: quote.terms.amount,
            valid_after: match offer.version {
                Version::V1 => now_s.saturating_sub(V1_VALID_SINCE_S),
                Version::V2 => 0,
            },
            valid_before: now_s.saturating_add(valid_for_s),
            nonce,
        })
    }
}

#[async_trait]
impl PayRail for EvmPayer {
    fn rail(&self) -> &'static str {
        crate::RAIL
    }

    async fn quote(&self, offer: &Offer) -> Result<Quote, NotPayable> {
        quote(&self.chains, self.key.address(), offer)
    }

    async fn authorise(
        &self,
        quote: &Quote,
        challenge: &Challenge,
        valid_for_s: u64,
    ) -> Result<Authorised, RailError> {
        let offer = offer_of(quote)?;
        let token = network::token_of(&self.chains, &quote.terms.asset)?;
        let transfer = self.transfer(quote, valid_for_s)?;
        let signature = self.key.sign(&transfer_digest(&token.domain, &transfer));
        let handle = Arc::new(EvmHandle {
            chain: quote.terms.network.clone(),
            token: token.asset.address,
            transfer: transfer.clone(),
            seen_s: self.clock.now_s(),
            signature: None,
            asks_chain: false,
        });
        let unwritable = |e: &dyn std::fmt::Display| RailError {
            code: "credential_unwritable",
            message: format!("the credential cannot be written: {e}"),
        };
        let valid_before_s = transfer.valid_before;
        let payload = serde_json::to_value(ExactEvmPayload {
            signature: HexBytes(signature.to_bytes().to_vec()),
            authorization: transfer,
        })
        .map_err(|e| unwritable(&e))?;
        Ok(Authorised {
            credential: Some(Credential {
                header: offer.version.credential_header().into(),
                value: encoded(offer, challenge, payload).map_err(|e| unwritable(&e))?,
            }),
            identity: handle.identity(),
            handle: handle.write()?,
            valid_before_s,
        })
    }

    async fn check(&self, handle: &Handle) -> Finding {
        check::check(&self.chains, handle, None).await
    }

    async fn balances(&self) -> Vec<Result<Holding, RailError>> {
        check::holdings(&self.chains, self.key.address()).await
    }
}

/// The offer of a quote, which was ours to make.
fn offer_of(quote: &Quote) -> Result<&X402Offer, RailError> {
    x402_of(&quote.offer).map_err(|refused| RailError {
        code: refused.code,
        message: refused.why,
    })
}

/// The credential in the version of its offer.
fn encoded(
    offer: &X402Offer,
    challenge: &Challenge,
    payload: Value,
) -> Result<String, HeaderError> {
    match offer.version {
        Version::V1 => header::encode(&PaymentPayloadV1 {
            x402_version: v1::VERSION,
            scheme: offer.requirements.scheme.clone(),
            // An offer of version 1 whose network has no name was not read.
            network: v1::name_of(&offer.requirements.network)
                .unwrap_or_default()
                .to_owned(),
            payload,
        }),
        Version::V2 => header::encode(&PaymentPayload {
            x402_version: x402::VERSION,
            resource: challenge.resource.clone(),
            accepted: offer.raw.clone(),
            payload,
            extensions: challenge.extensions.clone(),
        }),
    }
}

#[cfg(test)]
#[path = "payer_tests.rs"]
mod tests;
