//! Payments as a facilitator gets them, signed by the rail's own payer from accounts of this run.

use std::sync::Arc;

use alloy_primitives::{Address, U256};
use farebox_core::clock::SystemClock;
use farebox_core::rail::PayRail as _;
use farebox_devnet_evm::{Account, Devnet};
use farebox_rail_evm::{EvmKey, EvmPayer, Network};
use farebox_wire::challenge::{Challenge, Offer, X402Offer};
use farebox_wire::x402::types::PaymentPayload;
use farebox_wire::x402::{Version, header};
use serde_json::{Value, json};

use crate::PRICE_ATOMIC;

/// What version 1 calls the chain.
const NETWORK_V1: &str = "base-sepolia";

/// Accounts that pay, and the offer that they pay.
pub(crate) struct Payers {
    payers: Vec<EvmPayer>,
    offer: Value,
    offer_v1: Value,
}

/// One payment, signed and not sent yet.
#[derive(Clone)]
pub(crate) struct Signed {
    /// `<from>:<nonce>`, lower case: what the token remembers.
    pub(crate) name: String,
    /// The body of `/verify` and `/settle`.
    pub(crate) body: String,
    /// The same authorization as version 1 carries it.
    pub(crate) body_v1: String,
}

impl Payers {
    /// Accounts without any tokens yet, and an offer that is good for so many seconds.
    pub(crate) fn new(net: &Devnet, count: u16, payee: &str, max_timeout_s: u64) -> Self {
        let payer = |number: u16| {
            let mut secret = [0x51; 32];
            secret[30..].copy_from_slice(&number.to_be_bytes());
            let key = Arc::new(EvmKey::from_bytes(&secret).expect("a key"));
            let networks = vec![Network::new(net.chain_id())];
            EvmPayer::new(networks, key, Arc::new(SystemClock)).expect("a payer")
        };
        let (usdc, extra) = (
            net.usdc().to_checksum(None),
            json!({"name": "USDC", "version": "2"}),
        );
        Self {
            payers: (1..=count).map(payer).collect(),
            offer: json!({
                "scheme": "exact", "network": format!("eip155:{}", net.chain_id()),
                "amount": PRICE_ATOMIC.to_string(), "asset": usdc, "payTo": payee,
                "maxTimeoutSeconds": max_timeout_s, "extra": extra,
            }),
            offer_v1: json!({
                "scheme": "exact", "network": NETWORK_V1,
                "maxAmountRequired": PRICE_ATOMIC.to_string(), "asset": usdc, "payTo": payee,
                "maxTimeoutSeconds": max_timeout_s, "extra": extra,
                "resource": "https://api.example.com/", "description": "", "mimeType": "",
            }),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.payers.len()
    }

    /// Gives an account tokens for so many payments.
    pub(crate) fn fund(&self, net: &Devnet, payer: usize, payments: u64) {
        let address = Address::from(self.payers[payer].address().0);
        let price = u64::try_from(PRICE_ATOMIC).expect("a small price");
        net.mint(address, U256::from(price * payments))
            .expect("the token mints");
    }

    /// Signs one payment that can be settled for so many seconds.
    pub(crate) async fn sign(&self, payer: usize, valid_for_s: u64) -> Signed {
        let requirements = serde_json::from_value(self.offer.clone()).expect("an offer");
        let offer = Offer::X402(X402Offer {
            requirements,
            raw: self.offer.clone(),
            version: Version::V2,
        });
        let payer = &self.payers[payer];
        let quote = payer
            .quote(&offer)
            .await
            .expect("an offer that can be paid");
        let signed = payer
            .authorise(&quote, &Challenge::default(), valid_for_s)
            .await
            .expect("a signature");
        let payload: PaymentPayload = header::decode(
            signed
                .credential
                .as_ref()
                .expect("a signature")
                .value
                .as_bytes(),
        )
        .expect("our own credential");
        let name: Vec<&str> = signed.identity.as_str().rsplitn(3, ':').collect();
        let payload_v1 = json!({
            "x402Version": 1, "scheme": "exact", "network": NETWORK_V1, "payload": payload.payload,
        });
        Signed {
            name: format!("{}:{}", name[1], name[0]),
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

/// The account that is paid, and the one that pays for gas.
pub(crate) fn payee_and_gas(net: &Devnet) -> (Account, Account) {
    (net.accounts()[9], net.accounts()[0])
}
