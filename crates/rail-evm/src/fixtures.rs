//! What the unit tests of this crate share: a payer, a seller, an offer between them.

use std::sync::Arc;

use alloy_primitives::keccak256;
use farebox_core::clock::Clock;
use farebox_core::rail::{CollectRail, PayRail, Price, SellerOffer};
use farebox_wire::challenge::{Challenge, Offer, X402Offer};
use farebox_wire::evm::{EvmAddress, Word};
use farebox_wire::money::UsdMicros;
use farebox_wire::x402::Version;
use farebox_wire::x402::types::{PaymentPayload, ResourceInfo};
use farebox_wire::x402::v1::PaymentRequirementsV1;
use serde_json::Value;

use crate::abi::{address_word, number_word};
use crate::handle::EvmHandle;
use crate::settle::{Action, Fee, sign};
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
    farebox_wire::x402::header::decode(
        signed
            .credential
            .as_ref()
            .expect("a signature")
            .value
            .as_bytes(),
    )
    .unwrap()
}

/// The transaction by which the payer cancels, signed twice: as EIP-712 and as a transaction.
pub(crate) fn cancellation(key: &EvmKey, domain: &Word, handle: &EvmHandle) -> Vec<u8> {
    let kind = keccak256("CancelAuthorization(address authorizer,bytes32 nonce)");
    let from = address_word(handle.transfer.from);
    let message = keccak256([kind.0, from, handle.transfer.nonce.0].concat());
    let digest = keccak256([&[0x19, 0x01], &domain.0[..], &message.0[..]].concat());
    let signature = key.sign(&Word(digest.0));
    let (r, s) = signature.r_and_s();
    let selector = keccak256("cancelAuthorization(address,bytes32,uint8,bytes32,bytes32)");
    let v = number_word(u128::from(signature.v()));
    let words = [from, handle.transfer.nonce.0, v, r.0, s.0].concat();
    let action = Action {
        to: handle.token,
        data: [&selector[..4], &words].concat(),
        gas_limit: 200_000,
    };
    let fee = Fee {
        max: 10_000_000_000,
        tip: 1,
    };
    sign(key, 84532, 0, fee, action).raw
}
