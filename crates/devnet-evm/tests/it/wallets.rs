//! The rest of the token: EIP-2612, payers with code, what it says of itself; and Multicall3.

use alloy_consensus::TxEip7702;
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{Address, Bytes, Signature, U256, keccak256};
use alloy_sol_types::{SolCall as _, SolEvent as _};
use farebox_devnet_evm::MULTICALL3_ADDRESS;

use crate::client::*;
use crate::setup::*;

#[tokio::test]
async fn a_permit_lets_another_spend_until_its_deadline() {
    let setup = setup();
    let now = setup.devnet.timestamp();
    let permit = |nonce: u64, deadline: u64| Permit {
        owner: setup.payer.address,
        spender: setup.gas.address,
        value: U256::from(100),
        nonce: U256::from(nonce),
        deadline: U256::from(deadline),
    };
    let call = |permit: &Permit, signature: &Signature| {
        Usd::permit_0Call {
            owner: permit.owner,
            spender: permit.spender,
            value: permit.value,
            deadline: permit.deadline,
            v: 27 + u8::from(signature.v()),
            r: signature.r().into(),
            s: signature.s().into(),
        }
        .abi_encode()
    };
    let good = permit(0, now + 3600);
    assert!(succeeded(
        &setup.send(call(&good, &setup.sign(&good))).await
    ));
    assert_eq!(
        setup.refusal(call(&good, &setup.sign(&good))).await,
        "EIP2612: invalid signature"
    );
    let late = permit(1, now - 1);
    assert_eq!(
        setup.refusal(call(&late, &setup.sign(&late))).await,
        "FiatTokenV2: permit is expired"
    );
    let spend = |value: u64| {
        Usd::transferFromCall {
            from: setup.payer.address,
            to: PAYEE,
            value: U256::from(value),
        }
        .abi_encode()
    };
    assert_eq!(
        setup.refusal(spend(101)).await,
        "ERC20: transfer amount exceeds allowance"
    );
    assert!(succeeded(&setup.send(spend(60)).await));
    let left = setup
        .client
        .read(
            setup.client.token,
            Usd::allowanceCall {
                owner: setup.payer.address,
                spender: setup.gas.address,
            },
        )
        .await;
    assert_eq!(left, U256::from(40));
    let second = permit(1, now + 3600);
    let bytes = Usd::permit_1Call {
        owner: second.owner,
        spender: second.spender,
        value: second.value,
        deadline: second.deadline,
        signature: setup.sign(&second).as_bytes().into(),
    };
    assert!(succeeded(&setup.send(bytes.abi_encode()).await));
}

#[tokio::test]
async fn a_contract_wallet_pays_by_erc1271() {
    let setup = setup();
    let wallet = setup.deploy_smart_wallet(setup.payer.address).await;
    setup
        .devnet
        .mint(wallet, U256::from(1000))
        .expect("the token mints");
    let payment = TransferWithAuthorization {
        from: wallet,
        ..authorization(&setup.payer, PAYEE, 1)
    };
    let stranger = sign_typed(&setup.gas, &setup.client.domain("USDC", "2"), &payment);
    assert_eq!(
        setup.refusal(settle_bytes(&payment, &stranger)).await,
        "FiatTokenV2: invalid signature"
    );
    assert!(succeeded(
        &setup
            .send(settle_bytes(&payment, &setup.sign(&payment)))
            .await
    ));
    assert_eq!(setup.client.balance(PAYEE).await, U256::from(1000));
}

#[tokio::test]
async fn an_eip7702_account_pays_by_erc1271() {
    let setup = setup();
    let delegate = setup.deploy_smart_wallet(Address::ZERO).await;
    let delegation = Authorization {
        chain_id: U256::from(setup.client.chain_id),
        address: delegate,
        nonce: 0,
    };
    let signed = delegation
        .clone()
        .into_signed(sign(&setup.payer, delegation.signature_hash()));
    let nonce = setup.client.nonce(setup.gas.address).await;
    let tx = TxEip7702 {
        chain_id: setup.client.chain_id,
        nonce,
        gas_limit: GAS,
        max_fee_per_gas: 2 * GWEI,
        max_priority_fee_per_gas: 1,
        to: setup.gas.address,
        value: U256::ZERO,
        access_list: Default::default(),
        authorization_list: vec![signed],
        input: Bytes::new(),
    };
    let hash = setup
        .client
        .send_raw(&sign_transaction(&setup.gas, tx))
        .await
        .expect("the delegation is taken");
    assert_eq!(quantity(&setup.client.receipt(hash).await["type"]), 4);
    let code = setup
        .client
        .ok(
            "eth_getCode",
            serde_json::json!([setup.payer.address, "latest"]),
        )
        .await;
    assert_eq!(
        code,
        serde_json::json!(Bytes::from(
            [&[0xef, 0x01, 0x00], delegate.as_slice()].concat()
        ))
    );
    let payment = authorization(&setup.payer, PAYEE, 1);
    assert!(succeeded(
        &setup
            .send(settle_bytes(&payment, &setup.sign(&payment)))
            .await
    ));
    assert_eq!(setup.client.balance(PAYEE).await, U256::from(1000));
}

#[tokio::test]
async fn the_supply_is_the_sum_of_the_balances() {
    let setup = setup();
    let total = setup
        .client
        .read(setup.client.token, Usd::totalSupplyCall {})
        .await;
    let mut sum = U256::ZERO;
    for account in setup.devnet.accounts() {
        sum += setup.client.balance(account.address).await;
    }
    assert_eq!(
        (total, sum),
        (U256::from(10 * FUNDED), U256::from(10 * FUNDED))
    );
}

#[tokio::test]
async fn the_token_describes_itself_as_wallets_expect() {
    let setup = setup();
    let token = setup.client.token;
    assert_eq!(setup.client.read(token, Usd::nameCall {}).await, "USDC");
    assert_eq!(setup.client.read(token, Usd::symbolCall {}).await, "USDC");
    assert_eq!(setup.client.read(token, Usd::versionCall {}).await, "2");
    assert_eq!(setup.client.read(token, Usd::decimalsCall {}).await, 6);
    let separator = setup.client.read(token, Usd::DOMAIN_SEPARATORCall {}).await;
    assert_eq!(separator, setup.client.domain("USDC", "2").separator());
    assert_eq!(
        keccak256("Transfer(address,address,uint256)"),
        Usd::Transfer::SIGNATURE_HASH
    );
}

#[tokio::test]
async fn a_failed_call_in_a_multicall_does_not_undo_the_others() {
    let setup = setup();
    let (good, twin) = (
        authorization(&setup.payer, PAYEE, 1),
        authorization(&setup.payer, PAYEE, 2),
    );
    let call = |data: Vec<u8>| Multicall::Call3 {
        target: setup.client.token,
        allowFailure: true,
        callData: data.into(),
    };
    let calls = vec![
        call(settle_bytes(&good, &setup.sign(&good))),
        call(settle_bytes(&good, &setup.sign(&good))),
        call(settle_vrs(&twin, &setup.sign(&twin))),
    ];
    let simulated = setup
        .client
        .read(
            MULTICALL3_ADDRESS,
            Multicall::aggregate3Call {
                calls: calls.clone(),
            },
        )
        .await;
    assert_eq!(
        simulated
            .iter()
            .map(|result| result.success)
            .collect::<Vec<_>>(),
        [true, false, true]
    );
    let receipt = setup
        .client
        .transact(
            &setup.gas,
            MULTICALL3_ADDRESS,
            Multicall::aggregate3Call {
                calls: calls.clone(),
            }
            .abi_encode(),
        )
        .await;
    assert!(succeeded(&receipt), "{receipt}");
    assert_eq!(receipt["logs"].as_array().map(Vec::len), Some(4));
    assert_eq!(setup.client.balance(PAYEE).await, U256::from(2000));
    let strict = calls
        .into_iter()
        .map(|call| Multicall::Call3 {
            allowFailure: false,
            ..call
        })
        .collect();
    let receipt = setup
        .client
        .transact(
            &setup.gas,
            MULTICALL3_ADDRESS,
            Multicall::aggregate3Call { calls: strict }.abi_encode(),
        )
        .await;
    assert!(!succeeded(&receipt));
}

#[tokio::test]
async fn multicall_reads_the_chain() {
    let setup = setup();
    setup.devnet.mine();
    let client = &setup.client;
    assert_eq!(
        client
            .read(MULTICALL3_ADDRESS, Multicall::getBlockNumberCall {})
            .await,
        U256::from(1)
    );
    assert_eq!(
        client
            .read(MULTICALL3_ADDRESS, Multicall::getChainIdCall {})
            .await,
        U256::from(84532)
    );
    assert_eq!(
        client
            .read(
                MULTICALL3_ADDRESS,
                Multicall::getCurrentBlockTimestampCall {}
            )
            .await,
        U256::from(setup.devnet.timestamp())
    );
    let ether = client
        .read(
            MULTICALL3_ADDRESS,
            Multicall::getEthBalanceCall {
                addr: setup.payer.address,
            },
        )
        .await;
    assert_eq!(
        ether,
        U256::from(10_000) * U256::from(10).pow(U256::from(18))
    );
}
