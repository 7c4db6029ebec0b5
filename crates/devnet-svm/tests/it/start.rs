//! What a devnet is started with, and how it ends.

use std::time::Duration;

use farebox_devnet_svm::{DevnetSvm, DevnetSvmError, DevnetSvmOptions};
use serde_json::json;
use solana_signer::Signer as _;

use crate::client::*;
use crate::socket::Socket;

#[tokio::test]
async fn the_ten_accounts_are_the_same_every_time() {
    let (devnet, _) = quick();
    let accounts = devnet.accounts();
    assert_eq!(accounts.len(), 10);
    let addresses = accounts.iter().map(|account| account.address.to_string());
    assert_eq!(
        addresses.collect::<Vec<_>>(),
        [
            "2mxJRDHgiB7ExxwonEkD7gTSJ4jenGWDJp22vQpQCRFe",
            "93DS32Y9GtTpkfxsEejNL7471r7cxKUksEPSFg7Tnz3C",
            "65Fh5oP1hHsCHCmfi6b4fPihiSgwiRhERU2STRmUE6M3",
            "EjWk1Xc25WjdKVhbf4tAdX6R7auSG7HpFYen3EzkHwjF",
            "3xSmZBmxSJ6af6PXjZYAcmHXuZEY1JqoskkgQDVJ9PYZ",
            "vT36fPkPZpNxWvoACuxUKe1BFGw2UV9FnanqxD5bnkS",
            "72mEJYUaZQdHSUrAVT8XruJFVWbqV7UNghpD16WautPu",
            "2tvbGVb8VsndxBvAzbbFXbNLPoCcTAXRStjMSjKUEF3s",
            "5kxH9cSW2vDGgi72dTSDEv2icTZSaT7wK8zsuqgc2gGe",
            "71GuVgAgYauQGBP8R69cyeSpAr3jMwWeNpUCeJMvfZoS"
        ]
    );
    for (number, account) in accounts.iter().enumerate() {
        assert_eq!(account.keypair().pubkey(), account.address);
        let key = bs58::decode(account.key_base58())
            .into_vec()
            .expect("base58");
        assert_eq!(
            key,
            [&account.seed[..], &account.address.to_bytes()].concat()
        );
        assert_eq!(devnet.balance(account.address), 100_000_000_000);
        let tokens = if (1..=8).contains(&number) {
            1_000_000_000_000
        } else {
            0
        };
        assert_eq!(devnet.token_balance(account.address, devnet.usdc()), tokens);
    }
}

#[tokio::test]
async fn slots_pass_by_themselves_at_the_pace_that_is_asked_for() {
    // Nothing passes yet, so that no blockhash expires before it is used.
    let (devnet, client) = quiet();
    let mut socket = Socket::open(&devnet).await;
    let tx = client.payment(&devnet, 1000).await;
    let params = json!([name(&tx), {"commitment": "finalized"}]);
    socket.call("signatureSubscribe", params).await;
    let config = json!({"preflightCommitment": "processed"});
    client.send_with(&tx, config).await.expect("it is taken");
    devnet.set_slot_time(Some(Duration::from_millis(5)));
    let told = socket.receive().await.expect("it is told when it is final");
    assert_eq!(told["params"]["result"]["value"], json!({"err": null}));
    devnet.set_slot_time(None);
}

#[tokio::test]
async fn a_taken_port_is_refused_and_free_again_after_shutdown() {
    let (devnet, _) = quiet();
    let url = devnet.rpc_url();
    let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
    let options = DevnetSvmOptions {
        port: port.expect("a port"),
        ..DevnetSvmOptions::quiet()
    };
    let twin = || DevnetSvm::start(options.clone());
    assert!(matches!(twin(), Err(DevnetSvmError::Listen { .. })));
    devnet.shutdown().await;
    assert_eq!(twin().expect("the port is free").rpc_url(), url);
}

#[tokio::test]
async fn what_cannot_be_done_to_tokens_is_said() {
    let (devnet, _) = quick();
    let accounts = devnet.accounts();
    let (nobody, usdc) = (accounts[0].address, devnet.usdc());
    let no_mint = devnet.mint(nobody, nobody, 1);
    assert!(matches!(no_mint, Err(DevnetSvmError::NoMint(_))));
    let no_account = devnet.freeze(nobody, usdc);
    assert!(matches!(no_account, Err(DevnetSvmError::NoTokenAccount(_))));
    let too_much = devnet.mint(accounts[1].address, usdc, u64::MAX);
    assert!(matches!(too_much, Err(DevnetSvmError::TooMuch(_))));
}

#[tokio::test]
async fn a_transaction_of_another_run_is_worth_nothing() {
    let (one, client) = quick();
    let (_other, other_client) = quick();
    let tx = client.payment(&one, 1000).await;
    let refused = other_client
        .send(&tx)
        .await
        .expect_err("it is unknown there");
    assert_eq!(refused.data["err"], json!("BlockhashNotFound"));
}
