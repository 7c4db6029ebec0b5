//! Payments as a facilitator gets them, signed by the rail's own payer from accounts of this run.

use std::sync::Arc;

use farebox_core::rail::{Authorised, PayRail};
use farebox_wire::challenge::{Challenge, Offer, X402Offer};
use farebox_wire::x402::types::PaymentPayload;
use farebox_wire::x402::{Version, header};
use serde_json::{Value, json};

use crate::nets::{Net, PRICE_ATOMIC, offer, offer_v1};

/// Accounts that pay, and the offer that they pay.
pub(crate) struct Payers {
    payers: Vec<Arc<dyn PayRail>>,
    offer: Value,
    offer_v1: Value,
    network_v1: &'static str,
}

/// One payment, signed and not sent yet.
#[derive(Clone)]
pub(crate) struct Signed {
    /// Its identity: what the chain carries out once.
    pub(crate) name: String,
    /// The body of `/verify` and `/settle`.
    pub(crate) body: String,
    /// The same payment as version 1 carries it.
    pub(crate) body_v1: String,
}

impl Payers {
    /// As many accounts as there are numbers, each with tokens for so many payments, and an offer that is good for so
    /// many seconds.
    pub(crate) fn new<N: Net>(net: &N, payments: &[u64], max_timeout_s: u64) -> Self {
        let price = u64::try_from(PRICE_ATOMIC).expect("a small price");
        let accounts: Vec<(u16, u64)> = (1..)
            .zip(payments.iter().map(|payments| payments * price))
            .collect();
        net.fund(&accounts);
        Self {
            payers: accounts
                .iter()
                .map(|(number, _)| net.payer(*number))
                .collect(),
            offer: offer(net, max_timeout_s),
            offer_v1: offer_v1(net, max_timeout_s),
            network_v1: net.network_v1(),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.payers.len()
    }

    /// Signs one payment that can be settled for so many seconds, or says why nobody could: some rails ask a node first.
    pub(crate) async fn try_sign(&self, payer: usize, valid_for_s: u64) -> Result<Signed, String> {
        let requirements = serde_json::from_value(self.offer.clone()).expect("an offer");
        let offer = Offer::X402(X402Offer {
            requirements,
            raw: self.offer.clone(),
            version: Version::V2,
        });
        let payer = &self.payers[payer];
        let quote = payer.quote(&offer).await.map_err(|why| why.why)?;
        let signed = payer
            .authorise(&quote, &Challenge::default(), valid_for_s)
            .await;
        Ok(self.bodies(signed.map_err(|why| why.message)?))
    }

    /// The same where no node is in trouble.
    pub(crate) async fn sign(&self, payer: usize, valid_for_s: u64) -> Signed {
        let signed = self.try_sign(payer, valid_for_s).await;
        signed.expect("an offer that can be paid")
    }

    fn bodies(&self, signed: Authorised) -> Signed {
        let credential = signed.credential.expect("a signature");
        let payload: PaymentPayload =
            header::decode(credential.value.as_bytes()).expect("our own credential");
        let payload_v1 = json!({
            "x402Version": 1, "scheme": "exact", "network": self.network_v1, "payload": payload.payload,
        });
        Signed {
            name: signed.identity.as_str().to_owned(),
            body: json!({
                "x402Version": 2, "paymentPayload": payload, "paymentRequirements": self.offer,
            })
            .to_string(),
            body_v1: json!({
                "x402Version": 1, "paymentPayload": payload_v1, "paymentRequirements": self.offer_v1,
            })
            .to_string(),
        }
    }
}
