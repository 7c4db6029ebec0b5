//! EIP-3009 in both overloads, what the token refuses and in which words.

use alloy_primitives::{B256, Signature, U256};
use alloy_sol_types::{SolCall as _, SolEvent as _};

use crate::client::*;
use crate::setup::*;

#[tokio::test]
async fn an_authorization_moves_money_in_both_overloads() {
    let setup = setup();
    let (first, second) = (
        authorization(&setup.payer, PAYEE, 1),
        authorization(&setup.payer, PAYEE, 2),
    );
    let receipt = setup.send(settle_bytes(&first, &setup.sign(&first))).await;
    assert!(succeeded(&receipt), "{receipt}");
    let receipt = setup.send(settle_vrs(&second, &setup.sign(&second))).await;
    assert!(succeeded(&receipt), "{receipt}");
    assert_eq!(setup.client.balance(PAYEE).await, U256::from(2000));
    assert_eq!(
        setup
            .devnet
            .token_balance(PAYEE)
            .expect("the token answers"),
        U256::from(2000)
    );
    assert_eq!(
        setup.client.balance(setup.payer.address).await,
        U256::from(FUNDED - 2000)
    );
}

#[tokio::test]
async fn a_settlement_emits_transfer_and_authorization_used() {
    let setup = setup();
    let payment = authorization(&setup.payer, PAYEE, 1);
    let receipt = setup
        .send(settle_bytes(&payment, &setup.sign(&payment)))
        .await;
    let signatures: Vec<_> = receipt["logs"]
        .as_array()
        .expect("logs")
        .iter()
        .map(|log| log["topics"][0].clone())
        .collect();
    let expected = [
        Usd::AuthorizationUsed::SIGNATURE_HASH,
        Usd::Transfer::SIGNATURE_HASH,
    ];
    assert_eq!(signatures, expected.map(|hash| serde_json::json!(hash)));
    assert_eq!(
        receipt["logs"][0]["topics"][2],
        serde_json::json!(payment.nonce)
    );
}

#[tokio::test]
async fn an_authorization_is_used_once() {
    let setup = setup();
    let payment = authorization(&setup.payer, PAYEE, 1);
    let signature = setup.sign(&payment);
    assert!(!setup.used(payment.nonce).await);
    setup.send(settle_bytes(&payment, &signature)).await;
    assert!(setup.used(payment.nonce).await);
    let words = "FiatTokenV2: authorization is used or canceled";
    assert_eq!(
        setup.refusal(settle_bytes(&payment, &signature)).await,
        words
    );
    assert_eq!(setup.refusal(settle_vrs(&payment, &signature)).await, words);
    assert_eq!(setup.client.balance(PAYEE).await, U256::from(1000));
}

#[tokio::test]
async fn a_tampered_authorization_is_refused() {
    let setup = setup();
    let payment = authorization(&setup.payer, PAYEE, 1);
    let signature = setup.sign(&payment);
    let more = TransferWithAuthorization {
        value: U256::from(1001),
        ..authorization(&setup.payer, PAYEE, 1)
    };
    assert_eq!(
        setup.refusal(settle_bytes(&more, &signature)).await,
        "FiatTokenV2: invalid signature"
    );
    assert_eq!(
        setup.refusal(settle_vrs(&more, &signature)).await,
        "FiatTokenV2: invalid signature"
    );
    let elsewhere = TransferWithAuthorization {
        to: setup.gas.address,
        ..authorization(&setup.payer, PAYEE, 1)
    };
    assert_eq!(
        setup.refusal(settle_bytes(&elsewhere, &signature)).await,
        "FiatTokenV2: invalid signature"
    );
    assert!(!setup.used(payment.nonce).await);
}

#[tokio::test]
async fn a_signature_for_another_domain_is_refused() {
    let setup = setup();
    let payment = authorization(&setup.payer, PAYEE, 1);
    let signature = sign_typed(
        &setup.payer,
        &setup.client.domain("USD Coin", "2"),
        &payment,
    );
    assert_eq!(
        setup.refusal(settle_bytes(&payment, &signature)).await,
        "FiatTokenV2: invalid signature"
    );
}

#[tokio::test]
async fn a_malleated_or_short_signature_is_refused() {
    let setup = setup();
    let payment = authorization(&setup.payer, PAYEE, 1);
    let signature = setup.sign(&payment);
    let order = U256::from_be_bytes(secp256k1::constants::CURVE_ORDER);
    let high = Signature::new(signature.r(), order - signature.s(), !signature.v());
    assert_eq!(
        setup.refusal(settle_bytes(&payment, &high)).await,
        "ECRecover: invalid signature 's' value"
    );
    let mut short =
        Usd::transferWithAuthorization_1Call::abi_decode(&settle_bytes(&payment, &signature))
            .expect("it is the call");
    short.signature = short.signature.slice(..64);
    assert_eq!(
        setup.refusal(short.abi_encode()).await,
        "ECRecover: invalid signature length"
    );
}

#[tokio::test]
async fn time_bounds_are_strict() {
    let setup = setup();
    let now = U256::from(setup.devnet.timestamp());
    let hour = U256::from(3600);
    let expired = TransferWithAuthorization {
        validBefore: now,
        ..authorization(&setup.payer, PAYEE, 1)
    };
    assert_eq!(
        setup
            .refusal(settle_bytes(&expired, &setup.sign(&expired)))
            .await,
        "FiatTokenV2: authorization is expired"
    );
    let early = TransferWithAuthorization {
        validAfter: now + hour,
        ..authorization(&setup.payer, PAYEE, 2)
    };
    assert_eq!(
        setup
            .refusal(settle_bytes(&early, &setup.sign(&early)))
            .await,
        "FiatTokenV2: authorization is not yet valid"
    );
    setup
        .devnet
        .increase_time(std::time::Duration::from_secs(3602));
    assert!(succeeded(
        &setup.send(settle_bytes(&early, &setup.sign(&early))).await
    ));
}

#[tokio::test]
async fn a_payer_without_the_money_is_refused() {
    let setup = setup();
    let payment = TransferWithAuthorization {
        value: U256::from(FUNDED + 1),
        ..authorization(&setup.payer, PAYEE, 1)
    };
    assert_eq!(
        setup
            .refusal(settle_bytes(&payment, &setup.sign(&payment)))
            .await,
        "ERC20: transfer amount exceeds balance"
    );
    assert!(
        !setup.used(payment.nonce).await,
        "a refused settlement does not use the nonce up"
    );
}

#[tokio::test]
async fn only_the_payee_may_receive_with_authorization() {
    let setup = setup();
    let payee = setup.devnet.accounts()[9];
    let message = ReceiveWithAuthorization {
        from: setup.payer.address,
        to: payee.address,
        value: U256::from(5),
        validAfter: U256::ZERO,
        validBefore: U256::MAX,
        nonce: B256::repeat_byte(7),
    };
    let signature = setup.sign(&message);
    let bytes = Usd::receiveWithAuthorization_1Call {
        from: message.from,
        to: message.to,
        value: message.value,
        validAfter: message.validAfter,
        validBefore: message.validBefore,
        nonce: message.nonce,
        signature: signature.as_bytes().into(),
    };
    assert_eq!(
        setup.refusal(bytes.abi_encode()).await,
        "FiatTokenV2: caller must be the payee"
    );
    let receipt = setup
        .client
        .transact(&payee, setup.client.token, bytes.abi_encode())
        .await;
    assert!(succeeded(&receipt), "{receipt}");
    let again = Usd::receiveWithAuthorization_0Call {
        from: message.from,
        to: message.to,
        value: message.value,
        validAfter: message.validAfter,
        validBefore: message.validBefore,
        nonce: message.nonce,
        v: 27 + u8::from(signature.v()),
        r: signature.r().into(),
        s: signature.s().into(),
    };
    let refused = setup
        .client
        .simulate(payee.address, again.abi_encode())
        .await
        .expect_err("it is used");
    assert_eq!(
        refused.message,
        "execution reverted: FiatTokenV2: authorization is used or canceled"
    );
}

#[tokio::test]
async fn a_cancelled_authorization_cannot_be_used() {
    let setup = setup();
    for (nonce, as_bytes) in [(1, true), (2, false)] {
        let payment = authorization(&setup.payer, PAYEE, nonce);
        let cancel = CancelAuthorization {
            authorizer: setup.payer.address,
            nonce: payment.nonce,
        };
        let signature = setup.sign(&cancel);
        let bytes = Usd::cancelAuthorization_1Call {
            authorizer: cancel.authorizer,
            nonce: cancel.nonce,
            signature: signature.as_bytes().into(),
        };
        let vrs = Usd::cancelAuthorization_0Call {
            authorizer: cancel.authorizer,
            nonce: cancel.nonce,
            v: 27 + u8::from(signature.v()),
            r: signature.r().into(),
            s: signature.s().into(),
        };
        let data = if as_bytes {
            bytes.abi_encode()
        } else {
            vrs.abi_encode()
        };
        assert!(succeeded(&setup.send(data.clone()).await));
        let words = "FiatTokenV2: authorization is used or canceled";
        assert_eq!(
            setup
                .refusal(settle_bytes(&payment, &setup.sign(&payment)))
                .await,
            words
        );
        assert_eq!(setup.refusal(data).await, words);
    }
}
