//! What the tests of wallets start from: a devnet, a collector, and payers with code.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, U256, address, hex, keccak256};
use farebox_core::clock::{Clock, SystemClock};
use farebox_core::conformance::{Recorder, WAIT_MS, offer, transaction};
use farebox_core::rail::{CollectRail, Examined, Funds, Outcome};
use farebox_devnet_evm::CREATE2_FACTORY_ADDRESS;
use farebox_rail_evm::{CollectorOptions, EvmCollector};
use farebox_wire::evm::EvmAddress;
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::PaymentPayload;
use secp256k1::{Message, Secp256k1, SecretKey};
use serde_json::{Value, json};

use crate::evm::{Evm, key};

macro_rules! artifact {
    ($name:literal) => {
        alloy_primitives::hex::decode(
            include_str!(concat!("../../../../contracts/artifacts/", $name)).trim(),
        )
        .unwrap()
    };
}
pub(crate) use artifact;

pub(crate) const WALLET: Address = address!("00000000000000000000000000000000ca11ab1e");
pub(crate) const FACTORY: Address = address!("00000000000000000000000000000000fac70f1e");
pub(crate) const TRANSFER: &str = "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)";
pub(crate) const DOMAIN: &str =
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";

/// A devnet, and a collector that lets one factory deploy.
pub(crate) struct Shop {
    pub(crate) evm: Evm,
    pub(crate) collector: EvmCollector,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::with_factories(vec![EvmAddress(FACTORY.into_array())]).await
    }

    pub(crate) async fn with_factories(factories: Vec<EvmAddress>) -> Self {
        let evm = Evm::start().await;
        let accounts = evm.net.accounts();
        let payee = EvmAddress(accounts[9].address.into_array());
        let options = CollectorOptions {
            factories,
            ..CollectorOptions::seller(payee, key(&accounts[0].key_hex()))
        };
        let clock = Arc::clone(&evm.clock);
        let collector = EvmCollector::new(vec![evm.network.clone()], options, clock).unwrap();
        collector.start().await.unwrap();
        Self { evm, collector }
    }

    /// A wallet with money and this code.
    pub(crate) fn wallet(&self, runtime: Vec<u8>) -> Address {
        self.evm.net.set_code(WALLET, runtime.into());
        self.evm.net.mint(WALLET, U256::from(1_000_000)).unwrap();
        WALLET
    }

    /// The code of a `SmartWallet` of this owner, as its constructor returns it.
    pub(crate) async fn smart_wallet(&self, owner: Address) -> Vec<u8> {
        let call = json!([{"data": Bytes::from(creation(owner))}, "latest"]);
        let code = rpc(&self.evm, "eth_call", call).await;
        let code: Bytes = serde_json::from_value(code).unwrap();
        code.to_vec()
    }

    /// A payment of `from` with whatever signature `sign` makes of its digest.
    pub(crate) async fn credential(
        &self,
        from: Address,
        sign: impl FnOnce(B256) -> Vec<u8>,
    ) -> Examined {
        let offer = offer(&self.collector);
        let to = self.evm.net.accounts()[9].address;
        let nonce: [u8; 32] = keccak256(from.create(self.evm.net.block_number())).0;
        let valid_before = SystemClock.now_s() + 60;
        let value = offer.requirements.amount.atomic();
        let words = [
            keccak256(TRANSFER).0,
            from.into_word().0,
            to.into_word().0,
            B256::from(U256::from(value)).0,
            [0; 32],
            B256::from(U256::from(valid_before)).0,
            nonce,
        ];
        let domain = [
            keccak256(DOMAIN).0,
            keccak256("USDC").0,
            keccak256("2").0,
            B256::from(U256::from(self.evm.net.chain_id())).0,
            self.evm.net.usdc().into_word().0,
        ];
        let digest = keccak256(
            [
                &[0x19, 0x01][..],
                keccak256(domain.concat()).as_slice(),
                keccak256(words.concat()).as_slice(),
            ]
            .concat(),
        );
        let payload: PaymentPayload = serde_json::from_value(json!({
            "x402Version": 2,
            "accepted": offer.raw,
            "payload": {
                "signature": hex::encode_prefixed(sign(digest)),
                "authorization": {
                    "from": from,
                    "to": to,
                    "value": value.to_string(),
                    "validAfter": "0",
                    "validBefore": valid_before.to_string(),
                    "nonce": hex::encode_prefixed(nonce),
                },
            },
        }))
        .unwrap();
        self.collector
            .examine(&payload, &offer, SystemClock.now_s())
            .unwrap()
    }

    pub(crate) async fn verified(&self, examined: &Examined) -> Funds {
        self.collector.verify(examined).await.unwrap()
    }

    pub(crate) async fn refused(&self, examined: &Examined) -> Reason {
        let refusal = self.collector.verify(examined).await.unwrap_err();
        assert!(!refusal.is_ours, "{refusal}");
        refusal.reason
    }

    pub(crate) async fn settle(&self, examined: &Examined, journal: &Arc<Recorder>) -> Outcome {
        self.collector
            .settle(&examined.handle, journal.clone(), WAIT_MS)
            .await
    }

    /// Verifies and settles, and sees the money arrive.
    pub(crate) async fn pays(&self, examined: &Examined) {
        self.verified(examined).await;
        let before = self.evm.revenue();
        let outcome = self.settle(examined, &Recorder::new()).await;
        transaction(&outcome);
        assert_eq!(self.evm.revenue() - before, examined.terms.amount.atomic());
    }

    /// What a settlement that must fail cost the gas key, in wei, and why it failed.
    pub(crate) async fn fails(&self, examined: &Examined) -> (u128, Reason) {
        let gas_key = self.evm.gas_account();
        let (revenue, money) = (self.evm.revenue(), self.evm.net.ether_balance(gas_key));
        let outcome = self.settle(examined, &Recorder::new()).await;
        let Outcome::Rejected(refusal) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(!refusal.is_ours, "{refusal}");
        assert_eq!(self.evm.revenue(), revenue);
        let cost = money - self.evm.net.ether_balance(gas_key);
        (cost.to::<u128>(), refusal.reason)
    }

    /// An account that is not the wallet's owner, and has no money.
    pub(crate) fn anybody(&self) -> B256 {
        self.evm.net.accounts()[7].key
    }
}

pub(crate) async fn rpc(evm: &Evm, method: &str, params: Value) -> Value {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let answer = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .post(evm.net.rpc_url())
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert!(answer.get("error").is_none(), "{answer}");
    answer["result"].clone()
}

pub(crate) fn ecdsa(key: B256) -> impl FnOnce(B256) -> Vec<u8> {
    move |digest| {
        let key = SecretKey::from_byte_array(key.0).unwrap();
        let signed = Secp256k1::new().sign_ecdsa_recoverable(Message::from_digest(digest.0), &key);
        let (parity, compact) = signed.serialize_compact();
        let v = 27 + u8::try_from(i32::from(parity)).unwrap();
        [&compact[..], &[v]].concat()
    }
}

/// The wrapper of ERC-6492 around what `sign` makes.
pub(crate) fn wrapped(
    factory: Address,
    data: Vec<u8>,
    sign: impl FnOnce(B256) -> Vec<u8>,
) -> impl FnOnce(B256) -> Vec<u8> {
    move |digest| {
        let signature = sign(digest);
        let padded = |bytes: &[u8]| {
            let mut encoded = B256::from(U256::from(bytes.len())).to_vec();
            encoded.extend_from_slice(bytes);
            encoded.resize(encoded.len().next_multiple_of(32), 0);
            encoded
        };
        let (data, signature) = (padded(&data), padded(&signature));
        [
            factory.into_word().as_slice(),
            B256::from(U256::from(96)).as_slice(),
            B256::from(U256::from(96 + data.len())).as_slice(),
            &data,
            &signature,
            &[0x64, 0x92].repeat(16),
        ]
        .concat()
    }
}

pub(crate) fn creation(owner: Address) -> Vec<u8> {
    [
        artifact!("SmartWallet.creation.hex").as_slice(),
        owner.into_word().as_slice(),
    ]
    .concat()
}

/// A wallet of the buyer that has money and no code yet, and the call that deploys it.
pub(crate) struct Counterfactual {
    pub(crate) wallet: Address,
    pub(crate) deploy: Vec<u8>,
    pub(crate) owner: B256,
}

pub(crate) fn counterfactual(shop: &Shop, factory: Address) -> Counterfactual {
    let owner = shop.evm.net.accounts()[1];
    let net = &shop.evm.net;
    net.set_code(factory, artifact!("WalletFactory.runtime.hex").into());
    let wallet = factory.create2(B256::ZERO, keccak256(creation(owner.address)));
    net.mint(wallet, U256::from(1_000_000)).unwrap();
    let deploy = [
        &keccak256("deploy(address,bytes32)")[..4],
        owner.address.into_word().as_slice(),
        &[0; 32],
    ]
    .concat();
    Counterfactual {
        wallet,
        deploy,
        owner: owner.key,
    }
}

impl Counterfactual {
    pub(crate) async fn credential(&self, shop: &Shop, factory: Address) -> Examined {
        let sign = wrapped(factory, self.deploy.clone(), ecdsa(self.owner));
        shop.credential(self.wallet, sign).await
    }
}

/// As if nobody had deployed the settler here.
pub(crate) fn remove_settler(shop: &Shop) {
    let creation = artifact!("Settler.creation.hex");
    let settler = CREATE2_FACTORY_ADDRESS.create2(B256::ZERO, keccak256(creation));
    shop.evm.net.set_code(settler, Bytes::new());
}

/// Has the token take the authorization back, in a transaction of somebody who has ether.
pub(crate) async fn cancel(shop: &Shop, wallet: Address, examined: &Examined) {
    use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
    use alloy_eips::eip2718::Encodable2718 as _;
    let nonce: B256 = examined
        .identity
        .as_str()
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let data = [
        &keccak256("cancelAuthorization(address,bytes32,bytes)")[..4],
        wallet.into_word().as_slice(),
        nonce.as_slice(),
        B256::with_last_byte(96).as_slice(),
        &[0; 32],
    ]
    .concat();
    let sender = shop.evm.net.accounts()[3];
    let tx = TxEip1559 {
        chain_id: shop.evm.net.chain_id(),
        gas_limit: 500_000,
        max_fee_per_gas: 3_000_000_000,
        max_priority_fee_per_gas: 1,
        to: alloy_primitives::TxKind::Call(shop.evm.net.usdc()),
        input: data.into(),
        ..TxEip1559::default()
    };
    let signature = ecdsa(sender.key)(tx.signature_hash());
    let signature = alloy_primitives::Signature::from_raw(&signature).unwrap();
    let raw = TxEnvelope::from(tx.into_signed(signature)).encoded_2718();
    let sent = json!([hex::encode_prefixed(raw)]);
    rpc(&shop.evm, "eth_sendRawTransaction", sent).await;
}
