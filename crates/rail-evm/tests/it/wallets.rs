//! Payers that are contracts, or will be: who is believed, what it costs, and what becomes of one
//! that misbehaves. The wallets are `contracts/src/TestWallets.sol`.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, U256, address, hex, keccak256};
use farebox_core::clock::{Clock, SystemClock};
use farebox_core::rail::{CollectRail, Examined, Finding, Funds, Outcome, SignatureCheck};
use farebox_devnet_evm::{CREATE2_FACTORY_ADDRESS, MULTICALL3_ADDRESS};
use farebox_rail_evm::{CollectorOptions, EvmCollector};
use farebox_wire::evm::EvmAddress;
use farebox_wire::money::Amount;
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::PaymentPayload;
use secp256k1::{Message, Secp256k1, SecretKey};
use serde_json::{Value, json};

use crate::conformance::{Fixture, Recorder, WAIT_MS, offer, signed, transaction};
use crate::evm::{Evm, key};
use crate::settle::stranger;

macro_rules! artifact {
    ($name:literal) => {
        hex::decode(include_str!(concat!("../../../../contracts/artifacts/", $name)).trim())
            .unwrap()
    };
}

const WALLET: Address = address!("00000000000000000000000000000000ca11ab1e");
const FACTORY: Address = address!("00000000000000000000000000000000fac70f1e");
const TRANSFER: &str = "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)";
const DOMAIN: &str =
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";

/// A devnet, and a collector that lets one factory deploy.
struct Shop {
    evm: Evm,
    collector: EvmCollector,
}

impl Shop {
    async fn open() -> Self {
        Self::with_factories(vec![EvmAddress(FACTORY.into_array())]).await
    }

    async fn with_factories(factories: Vec<EvmAddress>) -> Self {
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
    fn wallet(&self, runtime: Vec<u8>) -> Address {
        self.evm.net.set_code(WALLET, runtime.into());
        self.evm.net.mint(WALLET, U256::from(1_000_000)).unwrap();
        WALLET
    }

    /// The code of a `SmartWallet` of this owner, as its constructor returns it.
    async fn smart_wallet(&self, owner: Address) -> Vec<u8> {
        let call = json!([{"data": Bytes::from(creation(owner))}, "latest"]);
        let code = rpc(&self.evm, "eth_call", call).await;
        let code: Bytes = serde_json::from_value(code).unwrap();
        code.to_vec()
    }

    /// A payment of `from` with whatever signature `sign` makes of its digest.
    async fn credential(&self, from: Address, sign: impl FnOnce(B256) -> Vec<u8>) -> Examined {
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

    async fn verified(&self, examined: &Examined) -> Funds {
        self.collector.verify(examined).await.unwrap()
    }

    async fn refused(&self, examined: &Examined) -> Reason {
        let refusal = self.collector.verify(examined).await.unwrap_err();
        assert!(!refusal.is_ours, "{refusal}");
        refusal.reason
    }

    async fn settle(&self, examined: &Examined, journal: &Arc<Recorder>) -> Outcome {
        self.collector
            .settle(&examined.handle, journal.clone(), WAIT_MS)
            .await
    }

    /// Verifies and settles, and sees the money arrive.
    async fn pays(&self, examined: &Examined) {
        self.verified(examined).await;
        let before = self.evm.revenue();
        let outcome = self.settle(examined, &Recorder::new()).await;
        transaction(&outcome);
        assert_eq!(self.evm.revenue() - before, examined.terms.amount.atomic());
    }

    /// What a settlement that must fail cost the gas key, in wei, and why it failed.
    async fn fails(&self, examined: &Examined) -> (u128, Reason) {
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
    fn anybody(&self) -> B256 {
        self.evm.net.accounts()[7].key
    }
}

async fn rpc(evm: &Evm, method: &str, params: Value) -> Value {
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

fn ecdsa(key: B256) -> impl FnOnce(B256) -> Vec<u8> {
    move |digest| {
        let key = SecretKey::from_byte_array(key.0).unwrap();
        let signed = Secp256k1::new().sign_ecdsa_recoverable(Message::from_digest(digest.0), &key);
        let (parity, compact) = signed.serialize_compact();
        let v = 27 + u8::try_from(i32::from(parity)).unwrap();
        [&compact[..], &[v]].concat()
    }
}

/// The wrapper of ERC-6492 around what `sign` makes.
fn wrapped(
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

fn creation(owner: Address) -> Vec<u8> {
    [
        artifact!("SmartWallet.creation.hex").as_slice(),
        owner.into_word().as_slice(),
    ]
    .concat()
}

/// A wallet of the buyer that has money and no code yet, and the call that deploys it.
struct Counterfactual {
    wallet: Address,
    deploy: Vec<u8>,
    owner: B256,
}

fn counterfactual(shop: &Shop, factory: Address) -> Counterfactual {
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
    async fn credential(&self, shop: &Shop, factory: Address) -> Examined {
        let sign = wrapped(factory, self.deploy.clone(), ecdsa(self.owner));
        shop.credential(self.wallet, sign).await
    }
}

/// Puts the settler where it is on every chain that has it.
fn deploy_settler(shop: &Shop) -> Address {
    let settler =
        CREATE2_FACTORY_ADDRESS.create2(B256::ZERO, keccak256(artifact!("Settler.creation.hex")));
    let code = artifact!("Settler.runtime.hex");
    shop.evm.net.set_code(settler, code.into());
    settler
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_wallet_pays_with_its_owners_signature_and_with_nobody_elses() {
    let shop = Shop::open().await;
    let owner = shop.evm.net.accounts()[1];
    let wallet = shop.wallet(shop.smart_wallet(owner.address).await);
    let forged = shop.credential(wallet, ecdsa(shop.anybody())).await;
    assert_eq!(forged.signature, SignatureCheck::AskChain);
    assert_eq!(shop.refused(&forged).await, Reason::InvalidSignature);
    let good = shop.credential(wallet, ecdsa(owner.key)).await;
    let funds = shop.verified(&good).await;
    assert_eq!(funds, Funds::Balance(Amount::from_atomic(1_000_000)));
    shop.pays(&good).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_of_any_length_is_the_wallets_to_judge() {
    let shop = Shop::open().await;
    let wallet = shop.wallet(artifact!("ChangingWallet.runtime.hex"));
    for length in [0, 1, 64, 66, 4096] {
        let examined = shop.credential(wallet, |_| vec![7; length]).await;
        assert_eq!(examined.signature, SignatureCheck::AskChain);
        shop.pays(&examined).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_code_only_the_accounts_own_signature_counts() {
    let shop = Shop::open().await;
    let payer = shop.evm.net.accounts()[1].address;
    for signature in [vec![], vec![7; 65], vec![7; 100]] {
        let examined = shop.credential(payer, |_| signature).await;
        let before = shop.evm.net.faults().calls("eth_call");
        assert_eq!(shop.refused(&examined).await, Reason::InvalidSignature);
        // Balance and state were asked for with the code; the signature nobody was asked about.
        assert_eq!(shop.evm.net.faults().calls("eth_call") - before, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delegated_account_is_asked_and_its_own_key_alone_is_not_enough() {
    let shop = Shop::open().await;
    let payer = shop.evm.net.accounts()[1];
    let delegation = |to: Address| Bytes::from([&[0xef, 0x01, 0x00], to.as_slice()].concat());
    let code = shop.smart_wallet(Address::ZERO).await;
    shop.evm.net.set_code(WALLET, code.into());
    shop.evm.net.set_code(payer.address, delegation(WALLET));
    let (_, examined) = signed(shop.evm.payer(), &shop.collector).await;
    assert_eq!(examined.signature, SignatureCheck::Good);
    shop.pays(&examined).await;
    // The same key under a delegate that accepts nothing.
    let refusing = artifact!("BurningWallet.runtime.hex");
    shop.evm.net.set_code(WALLET, refusing.into());
    let (_, examined) = signed(shop.evm.payer(), &shop.collector).await;
    assert_eq!(examined.signature, SignatureCheck::Good);
    assert_eq!(shop.refused(&examined).await, Reason::InvalidSignature);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_burns_its_gas_or_answers_a_megabyte_is_refused() {
    let shop = Shop::open().await;
    for runtime in [
        artifact!("BurningWallet.runtime.hex"),
        artifact!("FloodingWallet.runtime.hex"),
    ] {
        let wallet = shop.wallet(runtime);
        let examined = shop.credential(wallet, |_| vec![1; 65]).await;
        assert_eq!(shop.refused(&examined).await, Reason::InvalidSignature);
        // Nor is it paid for if it is settled without having been verified.
        let (cost, reason) = shop.fails(&examined).await;
        assert_eq!((cost, reason), (0, Reason::InvalidSignature));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_changes_its_mind_after_verification_is_rejected_for_nothing() {
    let shop = Shop::open().await;
    let wallet = shop.wallet(artifact!("ChangingWallet.runtime.hex"));
    let examined = shop.credential(wallet, |_| vec![1; 65]).await;
    shop.verified(&examined).await;
    let turned = json!([wallet, "0x0", B256::with_last_byte(1)]);
    rpc(&shop.evm, "anvil_setStorageAt", turned).await;
    let (cost, reason) = shop.fails(&examined).await;
    assert_eq!((cost, reason), (0, Reason::InvalidSignature));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_lies_to_every_simulation_costs_its_gas_limit_at_most() {
    let shop = Shop::open().await;
    let wallet = shop.wallet(artifact!("TwoFacedWallet.runtime.hex"));
    let examined = shop.credential(wallet, |_| vec![1; 65]).await;
    shop.verified(&examined).await;
    let (cost, reason) = shop.fails(&examined).await;
    assert_eq!(reason, Reason::TransactionFailed);
    // About 80,000 gas and a quarter more at about 1 gwei, however much the wallet would burn.
    assert!((1..200_000 * 1_000_000_000).contains(&cost), "{cost} wei");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_does_not_exist_yet_is_deployed_and_pays() {
    let shop = Shop::open().await;
    let future = counterfactual(&shop, FACTORY);
    let examined = future.credential(&shop, FACTORY).await;
    assert_eq!(examined.signature, SignatureCheck::AskChain);
    // By Multicall3, as long as there is no settler.
    shop.pays(&examined).await;
    // Now that it exists, what the factory would do is not asked for: the wrapper is only taken off.
    shop.evm
        .net
        .set_code(FACTORY, artifact!("BurningFactory.runtime.hex").into());
    let examined = future.credential(&shop, FACTORY).await;
    shop.pays(&examined).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_is_deployed_through_the_settler_where_there_is_one() {
    let shop = Shop::open().await;
    deploy_settler(&shop);
    shop.evm.net.set_code(MULTICALL3_ADDRESS, Bytes::new());
    let future = counterfactual(&shop, FACTORY);
    let examined = future.credential(&shop, FACTORY).await;
    shop.pays(&examined).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_factory_that_is_not_allowed_deploys_nothing() {
    let shop = Shop::with_factories(vec![]).await;
    let future = counterfactual(&shop, FACTORY);
    let examined = future.credential(&shop, FACTORY).await;
    assert_eq!(shop.refused(&examined).await, Reason::FactoryNotAllowed);
    let (cost, reason) = shop.fails(&examined).await;
    assert_eq!((cost, reason), (0, Reason::FactoryNotAllowed));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deployment_cannot_make_good_is_refused_with_its_reason() {
    let shop = Shop::open().await;
    let future = counterfactual(&shop, FACTORY);
    let sign = wrapped(FACTORY, future.deploy.clone(), ecdsa(shop.anybody()));
    let forged = shop.credential(future.wallet, sign).await;
    assert_eq!(shop.refused(&forged).await, Reason::InvalidSignature);
    let sign = wrapped(FACTORY, vec![1, 2, 3, 4], ecdsa(future.owner));
    let elsewhere = shop.credential(future.wallet, sign).await;
    assert_eq!(shop.refused(&elsewhere).await, Reason::DeploymentFailed);
    let good = future.credential(&shop, FACTORY).await;
    shop.evm
        .net
        .set_code(FACTORY, artifact!("BurningFactory.runtime.hex").into());
    assert_eq!(shop.refused(&good).await, Reason::DeploymentFailed);
    let (cost, _) = shop.fails(&good).await;
    assert_eq!(cost, 0);
    shop.evm.net.set_code(MULTICALL3_ADDRESS, Bytes::new());
    assert_eq!(shop.refused(&good).await, Reason::UndeployedSmartWallet);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_without_the_money_is_refused_before_it_is_asked() {
    let shop = Shop::open().await;
    let wallet = WALLET;
    let code = artifact!("ChangingWallet.runtime.hex");
    shop.evm.net.set_code(wallet, code.into());
    let examined = shop.credential(wallet, |_| vec![1; 65]).await;
    assert_eq!(shop.refused(&examined).await, Reason::InsufficientBalance);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallets_payment_that_somebody_else_settled_counts_as_ours() {
    let shop = Shop::open().await;
    let wallet = shop.wallet(artifact!("ChangingWallet.runtime.hex"));
    let examined = shop.credential(wallet, |_| vec![1; 65]).await;
    shop.verified(&examined).await;
    let theirs = stranger(&shop.evm).await;
    let first = theirs
        .settle(&examined.handle, Recorder::new(), WAIT_MS)
        .await;
    let journal = Recorder::new();
    let ours = shop.settle(&examined, &journal).await;
    assert_eq!(transaction(&ours), transaction(&first));
    assert!(journal.lines().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_that_its_payer_cancels_after_verification_is_rejected() {
    let shop = Shop::open().await;
    let wallet = shop.wallet(artifact!("ChangingWallet.runtime.hex"));
    let examined = shop.credential(wallet, |_| vec![1; 65]).await;
    shop.verified(&examined).await;
    cancel(&shop, wallet, &examined).await;
    assert_eq!(shop.refused(&examined).await, Reason::NonceAlreadyUsed);
    let (cost, reason) = shop.fails(&examined).await;
    assert_eq!((cost, reason), (0, Reason::NonceAlreadyUsed));
    let finding = shop.collector.check(&examined.handle).await;
    assert!(matches!(finding, Finding::NeverWill), "{finding:?}");
}

/// Has the token take the authorization back, in a transaction of somebody who has ether.
async fn cancel(shop: &Shop, wallet: Address, examined: &Examined) {
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
