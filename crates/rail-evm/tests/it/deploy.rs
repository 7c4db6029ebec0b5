//! The settler is deployed once, wherever it is asked for.

use farebox_devnet_evm::{Devnet, DevnetOptions, Fault};
use farebox_rail_evm::{Network, deploy_settler};

use crate::evm::key;

fn network(net: &Devnet) -> Network {
    let mut network = Network::new(84532);
    network.rpc = vec![net.rpc_url()];
    network
}

#[tokio::test]
async fn a_settler_is_deployed_once() {
    let net = Devnet::start(DevnetOptions::quiet()).unwrap();
    let key = key(&net.accounts()[0].key_hex());
    let first = deploy_settler(network(&net), &key).await.unwrap();
    assert!(first.transaction.is_some());
    let again = deploy_settler(network(&net), &key).await.unwrap();
    assert_eq!(again.settler, first.settler);
    assert_eq!(again.transaction, None);
    assert_eq!(net.nonce(net.accounts()[0].address), 1);
}

#[tokio::test]
async fn a_lost_reply_deploys_it_all_the_same() {
    let net = Devnet::start(DevnetOptions::quiet()).unwrap();
    let key = key(&net.accounts()[0].key_hex());
    net.faults()
        .set_times("eth_sendRawTransaction", Fault::LoseReply, 1);
    let first = deploy_settler(network(&net), &key).await.unwrap();
    assert!(first.transaction.is_some());
}

#[tokio::test]
async fn a_key_without_money_is_told_and_nothing_is_deployed() {
    let net = Devnet::start(DevnetOptions::quiet()).unwrap();
    let pauper = key(&"11".repeat(32));
    let refused = deploy_settler(network(&net), &pauper).await;
    assert!(!refused.unwrap_err().message.is_empty());
    assert_eq!(net.block_number(), 0);
}
