//! `contracts/src/Settler.sol` on a real chain: many payments in one transaction, none harmed by its neighbours.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolCall as _, SolError as _, SolEvent as _, SolValue as _, sol};
use farebox_devnet_evm::{Account, CREATE2_FACTORY_ADDRESS};
use secp256k1::{PublicKey, Secp256k1, SecretKey};
use serde_json::{Value, json};

use crate::client::*;
use crate::setup::*;

sol! {
    error BrokenRecord();
    error TooLittleGas();

    function settle(address token, uint256 gasEach, bytes payments) external;
    function settleCounterfactual(address factory, uint256 factoryGas, bytes factoryData, address token, uint256 transferGas, bytes transferCall) external;
    function deploy(address owner, bytes32 salt) external returns (address);
    function walletOf(address owner, bytes32 salt) external view returns (address);
}

const SETTLER: &str = include_str!("../../../../contracts/artifacts/Settler.creation.hex");
const SETTLER_RUNTIME: &str = include_str!("../../../../contracts/artifacts/Settler.runtime.hex");
const BURNING: &str = include_str!("../../../../contracts/artifacts/BurningWallet.creation.hex");
const FLOODING: &str = include_str!("../../../../contracts/artifacts/FloodingWallet.creation.hex");
const FACTORY: &str = include_str!("../../../../contracts/artifacts/WalletFactory.creation.hex");
const BURNING_FACTORY: &str =
    include_str!("../../../../contracts/artifacts/BurningFactory.creation.hex");

/// What one payment in our token needs with room to spare.
const GAS_EACH: u64 = 100_000;
/// Gas for a transaction with many payments.
const MUCH_GAS: u64 = 30_000_000;
const RECORD_BYTES: usize = 169;

impl Setup {
    /// Deploys what needs no arguments by the CREATE2 factory, with salt zero.
    async fn deploy(&self, creation: &str) -> Address {
        let code = hex::decode(creation.trim()).expect("the artifact is hex");
        let address = CREATE2_FACTORY_ADDRESS.create2(B256::ZERO, keccak256(&code));
        let data = [B256::ZERO.as_slice(), &code].concat();
        let receipt = self.transact(CREATE2_FACTORY_ADDRESS, data, MUCH_GAS).await;
        assert!(succeeded(&receipt), "{receipt}");
        address
    }

    async fn transact(&self, to: Address, data: Vec<u8>, gas_limit: u64) -> Value {
        let nonce = self.client.nonce(self.gas.address).await;
        let tx = alloy_consensus::TxEip1559 {
            gas_limit,
            ..self.client.eip1559(nonce, to, data)
        };
        let hash = self
            .client
            .send_raw(&sign_transaction(&self.gas, tx))
            .await
            .expect("the transaction is taken");
        self.client.receipt(hash).await
    }

    /// The data of the refusal of a call.
    async fn revert_data(&self, to: Address, data: Vec<u8>, gas: u64) -> Value {
        let call = json!([{"from": self.gas.address, "to": to, "data": Bytes::from(data), "gas": format!("{gas:#x}")}, "latest"]);
        let refused = self.client.rpc("eth_call", call).await;
        refused.expect_err("the call reverts").data
    }

    /// A record of a payment that expires late.
    fn record(&self, payer: &Account, nonce: u16) -> Vec<u8> {
        let payment = self.payment(payer.address, nonce);
        let domain = self.client.domain("USDC", "2");
        record(&payment, &sign_typed(payer, &domain, &payment).as_bytes())
    }

    fn payment(&self, from: Address, nonce: u16) -> TransferWithAuthorization {
        TransferWithAuthorization {
            from,
            to: PAYEE,
            value: U256::from(1000),
            validAfter: U256::ZERO,
            validBefore: U256::from(u64::MAX),
            nonce: B256::from(U256::from(nonce)),
        }
    }

    fn batch(&self, records: &[Vec<u8>]) -> Vec<u8> {
        batch(self.client.token, GAS_EACH, records.concat())
    }
}

fn batch(token: Address, gas_each: u64, payments: Vec<u8>) -> Vec<u8> {
    settleCall {
        token,
        gasEach: U256::from(gas_each),
        payments: payments.into(),
    }
    .abi_encode()
}

/// `from to value validAfter validBefore nonce v r s`, each as narrow as it can be.
fn record(payment: &TransferWithAuthorization, signature: &[u8; 65]) -> Vec<u8> {
    let (r_and_s, v) = signature.split_at(64);
    let record = [
        payment.from.as_slice(),
        payment.to.as_slice(),
        &payment.value.to_be_bytes::<32>()[16..],
        &payment.validAfter.to_be_bytes::<32>()[24..],
        &payment.validBefore.to_be_bytes::<32>()[24..],
        payment.nonce.as_slice(),
        v,
        r_and_s,
    ]
    .concat();
    assert_eq!(record.len(), RECORD_BYTES);
    record
}

/// The nonces that the logs of a receipt say were used, in order.
fn paid(receipt: &Value) -> Vec<u64> {
    let used = json!(Usd::AuthorizationUsed::SIGNATURE_HASH);
    let logs = receipt["logs"].as_array().expect("logs");
    let of_payments = logs.iter().filter(|log| log["topics"][0] == used);
    of_payments
        .map(|log| {
            let nonce: U256 = serde_json::from_value(log["topics"][2].clone()).expect("a nonce");
            nonce.to()
        })
        .collect()
}

/// An account that nobody else has.
fn account(index: u16) -> Account {
    let key = keccak256(index.to_be_bytes());
    let secret = SecretKey::from_byte_array(key.0).expect("a hash is a key");
    let public = PublicKey::from_secret_key(&Secp256k1::new(), &secret).serialize_uncompressed();
    Account {
        address: Address::from_raw_public_key(&public[1..]),
        key,
    }
}

#[tokio::test]
async fn the_create2_factory_deploys_the_settler_where_it_is_on_every_chain() {
    let setup = setup();
    let settler = setup.deploy(SETTLER).await;
    let code = setup
        .client
        .ok("eth_getCode", json!([settler, "latest"]))
        .await;
    assert_eq!(code, json!(format!("0x{}", SETTLER_RUNTIME.trim())));
    // A second time there is nothing to create, and the factory says so.
    let code = hex::decode(SETTLER.trim()).expect("hex");
    let data = [B256::ZERO.as_slice(), &code].concat();
    let receipt = setup
        .transact(CREATE2_FACTORY_ADDRESS, data, MUCH_GAS)
        .await;
    assert!(!succeeded(&receipt), "{receipt}");
}

#[tokio::test]
async fn the_tokens_logs_tell_which_payments_of_a_batch_were_made() {
    let setup = setup();
    let settler = setup.deploy(SETTLER).await;
    let poor = account(1);
    let mut forged = setup.record(&setup.payer, 4);
    forged[150] ^= 1;
    let records = [
        setup.record(&setup.payer, 1),
        setup.record(&setup.payer, 1),
        setup.record(&poor, 2),
        setup.record(&setup.payer, 3),
        forged,
        setup.record(&setup.gas, 5),
    ];
    let receipt = setup
        .transact(settler, setup.batch(&records), MUCH_GAS)
        .await;
    assert!(succeeded(&receipt), "{receipt}");
    assert_eq!(paid(&receipt), [1, 3, 5]);
    assert_eq!(setup.client.balance(PAYEE).await, U256::from(3000));
}

#[tokio::test]
async fn every_field_of_a_record_reaches_the_token() {
    let setup = setup();
    let settler = setup.deploy(SETTLER).await;
    let rich = U256::from(u128::MAX - 10_000_000_000_000);
    setup
        .devnet
        .mint(setup.payer.address, rich)
        .expect("the token mints");
    let payment = TransferWithAuthorization {
        to: Address::repeat_byte(0xfe),
        value: rich,
        validAfter: U256::from(0x0102_0304),
        validBefore: U256::from(u64::MAX - 1),
        nonce: B256::repeat_byte(0xab),
        ..setup.payment(setup.payer.address, 0)
    };
    let whole = record(&payment, &setup.sign(&payment).as_bytes());
    let receipt = setup
        .transact(settler, setup.batch(&[whole]), MUCH_GAS)
        .await;
    assert_eq!(
        receipt["logs"].as_array().map(Vec::len),
        Some(2),
        "{receipt}"
    );
    assert_eq!(setup.client.balance(payment.to).await, rich);
}

#[tokio::test]
async fn a_call_that_burns_all_its_gas_harms_no_neighbour() {
    let setup = setup();
    let settler = setup.deploy(SETTLER).await;
    let burning = setup.deploy(BURNING).await;
    setup
        .devnet
        .mint(burning, U256::from(1000))
        .expect("the token mints");
    let records = [
        setup.record(&setup.payer, 1),
        record(&setup.payment(burning, 2), &[7; 65]),
        setup.record(&setup.payer, 3),
    ];
    let receipt = setup
        .transact(settler, setup.batch(&records), 3 * GAS_EACH + 60_000)
        .await;
    assert_eq!(paid(&receipt), [1, 3], "{receipt}");
    assert!(quantity(&receipt["gasUsed"]) > GAS_EACH);
}

#[tokio::test]
async fn an_answer_of_a_megabyte_costs_no_more_than_the_calls_own_gas() {
    let setup = setup();
    let settler = setup.deploy(SETTLER).await;
    let flooding = setup.deploy(FLOODING).await;
    // As a wallet: the token would have to read the answer, for which its gas does not suffice.
    let records = [
        setup.record(&setup.payer, 1),
        record(&setup.payment(flooding, 2), &[7; 65]),
        setup.record(&setup.payer, 3),
    ];
    let receipt = setup
        .transact(settler, setup.batch(&records), MUCH_GAS)
        .await;
    assert_eq!(paid(&receipt), [1, 3], "{receipt}");
    // As a token, with gas enough to answer: the settler itself copies nothing of it.
    let gas_each = 2_300_000;
    let records = vec![0; 4 * RECORD_BYTES];
    let receipt = setup
        .transact(flooding, Vec::new(), gas_each + 100_000)
        .await;
    assert!(
        succeeded(&receipt),
        "the answer fits into the gas: {receipt}"
    );
    let alone = quantity(&receipt["gasUsed"]);
    let receipt = setup
        .transact(settler, batch(flooding, gas_each, records), MUCH_GAS)
        .await;
    assert!(succeeded(&receipt), "{receipt}");
    assert!(quantity(&receipt["gasUsed"]) < 4 * alone, "{receipt}");
}

#[tokio::test]
async fn too_little_gas_for_one_call_undoes_all() {
    let setup = setup();
    let settler = setup.deploy(SETTLER).await;
    let data = setup.batch(&[setup.record(&setup.payer, 1), setup.record(&setup.payer, 2)]);
    let estimate =
        json!([{"from": setup.gas.address, "to": settler, "data": Bytes::from(data.clone())}]);
    let enough = setup.client.number("eth_estimateGas", estimate).await;
    for gas in [enough - 10_000, GAS_EACH] {
        let reason = setup.revert_data(settler, data.clone(), gas).await;
        assert_eq!(reason, json!(Bytes::from(TooLittleGas {}.abi_encode())));
        let receipt = setup.transact(settler, data.clone(), gas).await;
        assert!(!succeeded(&receipt), "{receipt}");
    }
    assert_eq!(setup.client.balance(PAYEE).await, U256::ZERO);
    // A limit that would overflow is no small one.
    let huge = settleCall {
        token: setup.client.token,
        gasEach: U256::MAX,
        payments: setup.record(&setup.payer, 1).into(),
    };
    let receipt = setup.transact(settler, huge.abi_encode(), MUCH_GAS).await;
    assert!(!succeeded(&receipt), "{receipt}");
    let receipt = setup.transact(settler, data, enough).await;
    assert_eq!(paid(&receipt), [1, 2], "{receipt}");
}

#[tokio::test]
async fn payments_that_are_no_whole_records_undo_all() {
    let setup = setup();
    let settler = setup.deploy(SETTLER).await;
    let good = setup.record(&setup.payer, 1);
    for length in [1, RECORD_BYTES - 1, RECORD_BYTES + 1, 2 * RECORD_BYTES - 1] {
        let broken: Vec<u8> = good.iter().copied().cycle().take(length).collect();
        let data = batch(setup.client.token, GAS_EACH, broken);
        let reason = setup.revert_data(settler, data.clone(), MUCH_GAS).await;
        assert_eq!(reason, json!(Bytes::from(BrokenRecord {}.abi_encode())));
        assert!(!succeeded(&setup.transact(settler, data, MUCH_GAS).await));
    }
    // None at all is a whole number of records.
    let data = batch(setup.client.token, GAS_EACH, Vec::new());
    assert!(succeeded(&setup.transact(settler, data, MUCH_GAS).await));
}

/// The figures of contracts/README.md; each payer is another one, so that all its storage is cold.
#[tokio::test]
async fn a_batch_costs_as_much_gas_for_each_payment_as_the_readme_says() {
    let setup = setup();
    let settler = setup.deploy(SETTLER).await;
    setup
        .devnet
        .mint(PAYEE, U256::from(1))
        .expect("the token mints");
    let mut next = 0_u16;
    let mut figures = Vec::new();
    for count in [1_u16, 10, 100, 200] {
        let mut records = Vec::new();
        for _ in 0..count {
            next += 1;
            let payer = account(next);
            setup
                .devnet
                .mint(payer.address, U256::from(5000))
                .expect("the token mints");
            records.push(setup.record(&payer, next));
        }
        let receipt = setup
            .transact(settler, setup.batch(&records), MUCH_GAS)
            .await;
        assert_eq!(paid(&receipt).len(), usize::from(count), "{receipt}");
        figures.push((count, quantity(&receipt["gasUsed"]) / u64::from(count)));
    }
    let lone = setup.payment(setup.payer.address, 1);
    let receipt = setup.send(settle_vrs(&lone, &setup.sign(&lone))).await;
    let alone = quantity(&receipt["gasUsed"]);
    let readme = include_str!("../../../../contracts/README.md");
    for (count, gas) in figures {
        let row = format!("| {count} | {gas} |");
        assert!(readme.contains(&row), "the README lacks {row}");
    }
    let row = format!("| 1, without the settler | {alone} |");
    assert!(readme.contains(&row), "the README lacks {row}");
}

struct Counterfactual {
    factory: Address,
    wallet: Address,
    payment: TransferWithAuthorization,
}

/// A funded wallet of the payer that has no code yet.
async fn counterfactual(setup: &Setup) -> Counterfactual {
    let factory = setup.deploy(FACTORY).await;
    let owner = setup.payer.address;
    let ask = walletOfCall {
        owner,
        salt: B256::ZERO,
    };
    let wallet = setup.client.read(factory, ask).await;
    setup
        .devnet
        .mint(wallet, U256::from(5000))
        .expect("the token mints");
    Counterfactual {
        factory,
        wallet,
        payment: setup.payment(wallet, 1),
    }
}

fn deploy_and_pay(
    setup: &Setup,
    factory: Address,
    payment: &TransferWithAuthorization,
) -> settleCounterfactualCall {
    settleCounterfactualCall {
        factory,
        factoryGas: U256::from(1_000_000),
        factoryData: deployCall {
            owner: setup.payer.address,
            salt: B256::ZERO,
        }
        .abi_encode()
        .into(),
        token: setup.client.token,
        transferGas: U256::from(GAS_EACH),
        transferCall: settle_bytes(payment, &setup.sign(payment)).into(),
    }
}

#[tokio::test]
async fn a_wallet_is_deployed_and_pays_in_one_transaction() {
    let setup = setup();
    let settler = setup.deploy(SETTLER).await;
    let Counterfactual {
        factory,
        wallet,
        payment,
    } = counterfactual(&setup).await;
    let call = deploy_and_pay(&setup, factory, &payment);
    let receipt = setup.transact(settler, call.abi_encode(), MUCH_GAS).await;
    assert_eq!(paid(&receipt), [1], "{receipt}");
    let code = setup
        .client
        .ok("eth_getCode", json!([wallet, "latest"]))
        .await;
    assert_ne!(code, json!("0x"));
    // The wallet is there now: the factory reverts and the next payment is made all the same.
    let next = setup.payment(wallet, 2);
    let call = deploy_and_pay(&setup, factory, &next);
    let receipt = setup.transact(settler, call.abi_encode(), MUCH_GAS).await;
    assert_eq!(paid(&receipt), [2], "{receipt}");
}

#[tokio::test]
async fn a_payment_that_the_token_refuses_undoes_the_deployment_and_passes_its_words_on() {
    let setup = setup();
    let settler = setup.deploy(SETTLER).await;
    let Counterfactual {
        factory,
        wallet,
        payment,
    } = counterfactual(&setup).await;
    let forged = settle_bytes(
        &payment,
        &sign_typed(&setup.gas, &setup.client.domain("USDC", "2"), &payment),
    );
    let call = settleCounterfactualCall {
        transferCall: forged.into(),
        ..deploy_and_pay(&setup, factory, &payment)
    };
    let reason = setup
        .revert_data(settler, call.abi_encode(), MUCH_GAS)
        .await;
    let words = [
        "08c379a0",
        &hex::encode("FiatTokenV2: invalid signature".abi_encode()),
    ]
    .concat();
    assert_eq!(reason, json!(format!("0x{words}")));
    let receipt = setup.transact(settler, call.abi_encode(), MUCH_GAS).await;
    assert!(!succeeded(&receipt), "{receipt}");
    let code = setup
        .client
        .ok("eth_getCode", json!([wallet, "latest"]))
        .await;
    assert_eq!(code, json!("0x"));
    // A factory that burns its gas costs that much and no more.
    let burning = setup.deploy(BURNING_FACTORY).await;
    let call = deploy_and_pay(&setup, burning, &payment);
    let receipt = setup.transact(settler, call.abi_encode(), MUCH_GAS).await;
    assert!(!succeeded(&receipt), "{receipt}");
    let gas = quantity(&receipt["gasUsed"]);
    assert!(
        (1_000_000..1_000_000 + 2 * GAS_EACH).contains(&gas),
        "{gas}"
    );
    // With less gas than both calls were promised, it says so and calls nobody.
    let call = deploy_and_pay(&setup, factory, &payment).abi_encode();
    let reason = setup.revert_data(settler, call, 900_000).await;
    assert_eq!(reason, json!(Bytes::from(TooLittleGas {}.abi_encode())));
}
