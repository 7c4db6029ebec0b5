//! What a devnet is started with, and how it ends.

use alloy_primitives::U256;
use farebox_devnet_evm::{Devnet, DevnetError, DevnetOptions, TokenSpec};
use serde_json::json;

use crate::client::*;

#[tokio::test]
async fn a_second_devnet_may_have_another_chain_and_token() {
    let token = TokenSpec {
        address: FRIEND,
        name: "Euro Coin".to_owned(),
        symbol: "EURC".to_owned(),
        version: "1".to_owned(),
        decimals: 18,
    };
    let options = DevnetOptions {
        chain_id: 31337,
        token,
        ..DevnetOptions::quiet()
    };
    let (other, usual) = (
        Devnet::start(options).expect("the devnet starts"),
        Devnet::start(DevnetOptions::quiet()).expect("so does another"),
    );
    let client = Client::new(&other);
    assert_ne!(other.rpc_url(), usual.rpc_url());
    assert_eq!(
        (
            other.chain_id(),
            client.number("eth_chainId", json!([])).await
        ),
        (31337, 31337)
    );
    assert_eq!(client.read(FRIEND, Usd::symbolCall {}).await, "EURC");
    let payer = other.accounts()[1];
    assert_eq!(
        client.balance(payer.address).await,
        U256::from(10).pow(U256::from(24))
    );
    let payment = authorization(&payer, other.accounts()[9].address, 1);
    let data = settle_bytes(
        &payment,
        &sign_typed(&payer, &client.domain("Euro Coin", "1"), &payment),
    );
    assert!(succeeded(
        &client.transact(&other.accounts()[0], FRIEND, data).await
    ));
}

#[tokio::test]
async fn a_token_that_cannot_be_is_refused_at_start() {
    let token = TokenSpec {
        name: "x".repeat(32),
        ..TokenSpec::default()
    };
    let refused = Devnet::start(DevnetOptions {
        token,
        ..DevnetOptions::quiet()
    });
    assert!(matches!(refused, Err(DevnetError::Token(_))), "{refused:?}");
    let token = TokenSpec {
        decimals: 78,
        ..TokenSpec::default()
    };
    assert!(
        Devnet::start(DevnetOptions {
            token,
            ..DevnetOptions::quiet()
        })
        .is_err()
    );
}

#[tokio::test]
async fn a_taken_port_is_refused_and_free_again_after_shutdown() {
    let (devnet, _) = quiet();
    let port = socket(&devnet).port();
    let twin = || {
        Devnet::start(DevnetOptions {
            port,
            ..DevnetOptions::quiet()
        })
    };
    assert!(matches!(twin(), Err(DevnetError::Listen { .. })));
    devnet.shutdown().await;
    assert_eq!(socket(&twin().expect("the port is free")).port(), port);
}
