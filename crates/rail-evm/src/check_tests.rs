//! A payer who cancels: the one ending that only the payer's key can bring about.

use farebox_core::rail::{CollectRail, Handle, Outcome, PayRail, SentTransaction};
use farebox_devnet_evm::{Devnet, DevnetOptions};
use farebox_wire::x402::reason::Reason;

use super::*;
use crate::fixtures::{BUYER_KEY, cancellation, challenge, collector_on, offered, payer_on};
use crate::key::EvmKey;
use crate::network::Network;

#[tokio::test]
async fn a_cancelled_authorization_never_will_settle_once_that_is_final() {
    let net = Devnet::start(DevnetOptions::quiet()).unwrap();
    let mut network = Network::new(84532);
    network.rpc = vec![net.rpc_url()];
    network.finality = Finality::Blocks(1);
    let payer = payer_on(vec![network.clone()]);
    let quote = payer.quote(&offered(|_| ())).await.unwrap();
    let signed = payer.authorise(&quote, &challenge(), 60).await.unwrap();
    let mut handle = EvmHandle::clone(&EvmHandle::read(&signed.handle).unwrap());

    let chains = network::index(vec![network.clone()]).unwrap();
    let token = network::token_of(&chains, &quote.terms.asset).unwrap();
    let key = EvmKey::from_hex(BUYER_KEY).unwrap();
    let raw = cancellation(&key, &token.domain, &handle);
    chains[0].rpc().unwrap().send_raw(&raw).await.unwrap();

    assert_eq!(payer.check(&signed.handle).await, Finding::Open);
    net.mine();
    assert_eq!(payer.check(&signed.handle).await, Finding::NeverWill);

    // A seller who comes too late hears so, and sends nothing.
    let digest = crate::digest::transfer_digest(&token.domain, &handle.transfer);
    let bytes = key.sign(&digest).to_bytes().to_vec();
    handle.signature = Some(farebox_wire::x402::exact_evm::HexBytes(bytes));
    let sent_before = net.faults().calls("eth_sendRawTransaction");
    let outcome = collector_on(vec![network])
        .settle(
            &std::sync::Arc::new(handle).write().unwrap(),
            std::sync::Arc::new(NoJournal),
            WAIT_MS,
        )
        .await;
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.reason == Reason::NonceAlreadyUsed && !r.is_ours),
        "{outcome:?}"
    );
    assert_eq!(net.faults().calls("eth_sendRawTransaction"), sent_before);
}

const WAIT_MS: u64 = 20_000;

struct NoJournal;

#[async_trait::async_trait]
impl farebox_core::rail::Journal for NoJournal {
    async fn sending(&self, transaction: &SentTransaction) -> Result<(), RailError> {
        panic!("{transaction:?} must not be sent");
    }

    async fn handing_over(&self, _: &Handle) -> Result<(), RailError> {
        panic!("this rail settles by itself");
    }
}
