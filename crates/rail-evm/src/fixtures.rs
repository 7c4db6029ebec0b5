//! What the unit tests of this crate share: a payer, a seller, an offer between them.

use std::sync::Arc;

use farebox_core::clock::Clock;
use farebox_core::rail::{CollectRail, PayRail, Price, SellerOffer};
use farebox_wire::challenge::{Challenge, Offer, X402Offer};
use farebox_wire::evm::EvmAddress;
use farebox_wire::money::UsdMicros;
use farebox_wire::x402::Version;
use farebox_wire::x402::types::{PaymentPayload, ResourceInfo};
use farebox_wire::x402::v1::PaymentRequirementsV1;
use serde_json::Value;

use crate::{CollectorOptions, EvmCollector, EvmKey, EvmPayer, Network};

pub(crate) const NOW_S: u64 = 1_800_000_000;
pub(crate) const BUYER_KEY: &str =
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
pub(crate) const GAS_KEY: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
pub(crate) const PAYEE: EvmAddress = EvmAddress([0x42; 20]);

pub(crate) struct StoppedClock;

impl Clock for StoppedClock {
    fn now_ms(&self) -> u64 {
        NOW_S * 1000
    }
}

pub(crate) fn payer() -> EvmPayer {
    payer_on(vec![Network::new(84532), Network::new(4326)])
}

pub(crate) fn payer_on(networks: Vec<Network>) -> EvmPayer {
    let key = Arc::new(EvmKey::from_hex(BUYER_KEY).unwrap());
    EvmPayer::new(networks, key, Arc::new(StoppedClock)).unwrap()
}

pub(crate) fn collector() -> EvmCollector {
    let mut network = Network::new(84532);
    network.rpc = vec!["http://127.0.0.1:1".into()];
    collector_on(vec![network])
}

pub(crate) fn collector_on(networks: Vec<Network>) -> EvmCollector {
    let key = Arc::new(EvmKey::from_hex(GAS_KEY).unwrap());
    let options = CollectorOptions::seller(PAYEE, key);
    EvmCollector::new(networks, options, Arc::new(StoppedClock)).unwrap()
}

pub(crate) fn price() -> Price {
    Price {
        usd: UsdMicros(1_000),
        max_timeout_s: 60,
        upfront: false,
    }
}

pub(crate) fn offer() -> SellerOffer {
    collector().offers(&price()).unwrap().remove(0)
}

/// The seller's offer as the buyer reads it, after `change` has been made to its JSON.
pub(crate) fn offered(change: impl FnOnce(&mut Value)) -> Offer {
    let mut raw = offer().raw;
    change(&mut raw);
    Offer::X402(X402Offer {
        version: Version::V2,
        requirements: serde_json::from_value(raw.clone()).unwrap(),
        raw,
    })
}

/// The same offer in x402 version 1.
pub(crate) fn offered_in_version_1(change: impl FnOnce(&mut Value)) -> Offer {
    let resource = challenge().resource.unwrap();
    let offer = PaymentRequirementsV1::of(&offer().requirements, &resource).unwrap();
    let mut raw = serde_json::to_value(offer).unwrap();
    change(&mut raw);
    let offer: PaymentRequirementsV1 = serde_json::from_value(raw.clone()).unwrap();
    Offer::X402(X402Offer {
        version: Version::V1,
        requirements: offer.to_v2().unwrap(),
        raw,
    })
}

pub(crate) fn challenge() -> Challenge {
    Challenge {
        resource: Some(ResourceInfo {
            url: "https://api.example.com/weather".into(),
            ..ResourceInfo::default()
        }),
        error: None,
        offers: vec![],
        unreadable: vec![],
        extensions: serde_json::json!({"bazaar": {"info": {}}})
            .as_object()
            .cloned(),
    }
}

/// A credential as the buyer signs it for the seller's offer.
pub(crate) async fn paid() -> PaymentPayload {
    let payer = payer();
    let quote = payer.quote(&offered(|_| ())).await.unwrap();
    let signed = payer.authorise(&quote, &challenge(), 60).await.unwrap();
    farebox_wire::x402::header::decode(signed.credential.value.as_bytes()).unwrap()
}
