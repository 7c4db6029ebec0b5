//! What is added to a payment's handle: the request that goes to a facilitator, byte for byte, and
//! who has got it.
//!
//! It stands beside the local rail's own fields, under one key, so that the local rail reads the
//! same handle: a payment can be checked by a program that knows of no facilitator.

use farebox_core::rail::{Examined, Handle, Refusal, SellerOffer, SignatureCheck, Terms};
use farebox_wire::identity::Identity;
use farebox_wire::x402::header;
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::{FacilitatorRequest, PaymentPayload, PaymentRequirements};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The key in the local rail's handle.
const KEY: &str = "remote";

/// See the module. No `Debug`: the body is a credential.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Lent {
    /// Body of `/verify` and `/settle`.
    pub(crate) body: String,
    /// The name of the payment.
    pub(crate) identity: Identity,
    /// What the payment is.
    pub(crate) terms: Terms,
    /// Digest of the canonical payload, in hex.
    digest: String,
    /// When the credential dies by itself, in Unix seconds.
    pub(crate) valid_before_s: u64,
    /// Names this claim of the payment, and no other gate's. The same in the next process.
    key: String,
    /// Whether only the chain can tell that the signature is good.
    #[serde(default)]
    asks_chain: bool,
    /// Who may have it: nobody else is asked to settle it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) asked: Option<String>,
}

impl Lent {
    /// Prepares an examined credential for facilitators.
    pub(crate) fn new(
        payload: &PaymentPayload,
        offer: &SellerOffer,
        examined: &Examined,
    ) -> Result<Self, Refusal> {
        let request = FacilitatorRequest {
            x402_version: payload.x402_version,
            payment_payload: payload.clone(),
            payment_requirements: offer.requirements.clone(),
        };
        Ok(Self {
            body: serde_json::to_string(&request).map_err(|why| unwritable(&why))?,
            identity: examined.identity.clone(),
            terms: examined.terms.clone(),
            digest: hex::encode(examined.payload_digest),
            valid_before_s: examined.valid_before_s,
            key: random_key()?,
            asks_chain: examined.signature == SignatureCheck::AskChain,
            asked: None,
        })
    }

    /// Reads it out of a handle; `None` where the handle was never meant for a facilitator.
    pub(crate) fn read(handle: &Handle) -> Option<Self> {
        let fields: Map<String, Value> = serde_json::from_str(handle.text()).ok()?;
        serde_json::from_value(fields.get(KEY)?.clone()).ok()
    }

    /// The handle with this in it.
    pub(crate) fn write(&self, handle: &Handle) -> Result<Handle, Refusal> {
        let mut fields: Map<String, Value> =
            serde_json::from_str(handle.text()).map_err(|why| unwritable(&why))?;
        let lent = serde_json::to_value(self).map_err(|why| unwritable(&why))?;
        fields.insert(KEY.to_owned(), lent);
        Ok(Handle::new(Value::Object(fields).to_string()))
    }

    /// The offer that the credential answers.
    pub(crate) fn requirements(&self) -> Result<PaymentRequirements, Refusal> {
        let request: Result<FacilitatorRequest, _> = header::from_json(self.body.as_bytes());
        Ok(request
            .map_err(|why| unwritable(&why))?
            .payment_requirements)
    }

    /// As the local rail knows it.
    pub(crate) fn examined(&self, handle: &Handle) -> Examined {
        let mut payload_digest = [0; 32];
        // Ours, or the ledger is damaged; it is not compared with anything here.
        let _ = hex::decode_to_slice(&self.digest, &mut payload_digest);
        Examined {
            identity: self.identity.clone(),
            payload_digest,
            terms: self.terms.clone(),
            valid_before_s: self.valid_before_s,
            handle: handle.clone(),
            signature: match self.asks_chain {
                true => SignatureCheck::AskChain,
                false => SignatureCheck::Good,
            },
        }
    }

    /// The same for one claim, in this process and in the next. Random, because whoever knows it
    /// is told of the success again: another gate that was shown the same credential must not be.
    pub(crate) fn idempotency_key(&self) -> &str {
        &self.key
    }
}

fn random_key() -> Result<String, Refusal> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|why| unwritable(&why))?;
    Ok(hex::encode(bytes))
}

fn unwritable(why: &dyn std::fmt::Display) -> Refusal {
    Refusal {
        reason: Reason::UnexpectedVerify,
        message: format!("the payment cannot be written down: {why}"),
        is_ours: true,
    }
}
