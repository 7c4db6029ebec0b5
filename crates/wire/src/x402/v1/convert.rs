//! Version 1 to version 2 and back.
//!
//! Readers turn version 1 into version 2 at the door; writers turn version 2 into version 1 as the
//! last thing. What one of them cannot say is refused, never left out, except for what is only a
//! text for people.

use serde_json::{Map, Value};

use crate::caip::ChainId;
use crate::x402::VERSION;
use crate::x402::header::{self, HeaderError};
use crate::x402::reason::Reason;
use crate::x402::types::{
    FacilitatorRequest, PaymentPayload, PaymentRequirements, ResourceInfo, SettleResponse,
    VerifyResponse,
};

use super::types::{FacilitatorRequestV1, PaymentPayloadV1, PaymentRequirementsV1};
use super::{chain_of, name_of};

/// Characters of a peer's name for a network that an error repeats.
const NAME_CHARS_MAX: usize = 64;

/// Why a body of version 1 means nothing in version 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untranslatable {
    /// Not in [`super::NETWORKS`].
    #[error("x402 version 1 knows no network {0:?}")]
    Network(String),
    /// The credential is for another network than the offer.
    #[error("the credential is for another network than the offer")]
    OtherNetwork,
    /// The credential is of another scheme than the offer.
    #[error("the credential is of another scheme than the offer")]
    OtherScheme,
    /// An offer that cannot be repeated, which none of ours is.
    #[error("the offer cannot be written: {0}")]
    Unwritable(String),
}

impl Untranslatable {
    /// The code on the wire.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Network(_) => Reason::InvalidNetwork,
            Self::OtherNetwork => Reason::NetworkMismatch,
            Self::OtherScheme => Reason::InvalidExactEvmScheme,
            Self::Unwritable(_) => Reason::InvalidPaymentRequirements,
        }
    }
}

impl PaymentRequirementsV1 {
    /// An offer of ours in version 1. `None` where version 1 has no words for it: its chain has no
    /// name there, or it is settled before it is served, which only version 2 announces.
    #[must_use]
    pub fn of(offer: &PaymentRequirements, resource: &ResourceInfo) -> Option<Self> {
        let network = name_of(&offer.network)?;
        if !is_settled_after(offer.extra.as_ref()) {
            return None;
        }
        Some(Self {
            scheme: offer.scheme.clone(),
            network: network.to_owned(),
            max_amount_required: offer.amount,
            resource: resource.url.clone(),
            description: resource.description.clone().unwrap_or_default(),
            mime_type: resource.mime_type.clone().unwrap_or_default(),
            output_schema: None,
            pay_to: offer.pay_to.clone(),
            max_timeout_seconds: offer.max_timeout_seconds,
            asset: offer.asset.clone(),
            extra: offer.extra.clone(),
        })
    }

    /// The same offer in version 2.
    ///
    /// # Errors
    /// Where its network has no meaning.
    pub fn to_v2(&self) -> Result<PaymentRequirements, Untranslatable> {
        Ok(PaymentRequirements {
            scheme: self.scheme.clone(),
            network: known_chain(&self.network)?,
            amount: self.max_amount_required,
            asset: self.asset.clone(),
            pay_to: self.pay_to.clone(),
            max_timeout_seconds: self.max_timeout_seconds,
            extra: self.extra.clone(),
        })
    }

    /// What it sells.
    #[must_use]
    pub fn resource_info(&self) -> Option<ResourceInfo> {
        let filled = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Some(ResourceInfo {
            url: filled(&self.resource)?,
            description: filled(&self.description),
            mime_type: filled(&self.mime_type),
            ..ResourceInfo::default()
        })
    }
}

impl PaymentPayloadV1 {
    /// Reads an `X-PAYMENT` header.
    ///
    /// # Errors
    /// See [`HeaderError`]; a credential of another version is told from damage.
    pub fn decode(text: &[u8]) -> Result<Self, HeaderError> {
        header::decode_of_version(text, super::VERSION)
    }

    /// Whether it says that it answers `offer`. Which of several assets it pays, only its
    /// signature tells.
    #[must_use]
    pub fn answers(&self, offer: &PaymentRequirements) -> bool {
        self.scheme == offer.scheme && name_of(&offer.network) == Some(self.network.as_str())
    }

    /// The same credential in version 2, as the answer to an offer.
    #[must_use]
    pub fn answering(&self, accepted: Value) -> PaymentPayload {
        PaymentPayload {
            x402_version: VERSION,
            resource: None,
            accepted,
            payload: self.payload.clone(),
            extensions: None,
        }
    }
}

impl FacilitatorRequestV1 {
    /// The same question in version 2.
    ///
    /// # Errors
    /// Where credential and offer do not belong together, or their network has no meaning.
    pub fn to_v2(&self) -> Result<FacilitatorRequest, Untranslatable> {
        let (payload, offer) = (&self.payment_payload, &self.payment_requirements);
        if payload.scheme != offer.scheme {
            return Err(Untranslatable::OtherScheme);
        }
        if payload.network != offer.network {
            return Err(Untranslatable::OtherNetwork);
        }
        let requirements = offer.to_v2()?;
        let accepted = serde_json::to_value(&requirements)
            .map_err(|error| Untranslatable::Unwritable(error.to_string()))?;
        Ok(FacilitatorRequest {
            x402_version: VERSION,
            payment_payload: payload.answering(accepted),
            payment_requirements: requirements,
        })
    }
}

impl SettleResponse {
    /// The receipt as version 1 writes it. A chain without a name keeps its CAIP-2 one.
    #[must_use]
    pub fn into_v1(self) -> Self {
        let chain = self.network.parse::<ChainId>().ok();
        let name = chain.as_ref().and_then(name_of);
        Self {
            network: name.map_or(self.network, str::to_owned),
            amount: None,
            extensions: None,
            extra: None,
            ..self
        }
    }
}

impl VerifyResponse {
    /// The answer as version 1 writes it.
    #[must_use]
    pub fn into_v1(self) -> Self {
        Self {
            extensions: None,
            extra: None,
            ..self
        }
    }
}

/// Reads an `X-PAYMENT-RESPONSE` header as a receipt of version 2: the network by its CAIP-2 name
/// where it has one, and no transaction (`null` in Rust SDKs) as the empty text.
///
/// # Errors
/// See [`HeaderError`]; nothing else is repaired.
pub fn decode_receipt(text: &[u8]) -> Result<SettleResponse, HeaderError> {
    let mut body = header::decode_versioned(text)?;
    if let Some(transaction @ Value::Null) = body.get_mut("transaction") {
        *transaction = Value::String(String::new());
    }
    let mut receipt: SettleResponse = header::from_value(&body)?;
    if let Some(chain) = chain_of(&receipt.network) {
        receipt.network = chain.to_string();
    }
    Ok(receipt)
}

fn known_chain(name: &str) -> Result<ChainId, Untranslatable> {
    chain_of(name)
        .ok_or_else(|| Untranslatable::Network(name.chars().take(NAME_CHARS_MAX).collect()))
}

/// Whether an offer is of the only flow that version 1 knows.
fn is_settled_after(extra: Option<&Map<String, Value>>) -> bool {
    match extra.and_then(|extra| extra.get("paymentFlow")) {
        None | Some(Value::Null) => true,
        Some(flow) => flow == "authorization",
    }
}
