//! What a facilitator that does its work is asked, and what is made of its word.

use farebox_core::rail::{CollectRail, Finding, Funds, Outcome, Proof};
use farebox_wire::x402::reason::Reason;

use crate::support::{Lines, PRICE, Town, WAIT_MS, examine, json_of, settle};

#[tokio::test]
async fn with_an_rpc_the_chain_proves_the_settlement_and_tells_the_balance() {
    let town = Town::new();
    let peer = town.facilitator().await;
    let collector = town.collector(true, &[&peer.url()]).await;
    let examined = town.signed(&collector).await;
    let funds = collector.verify(&examined).await.expect("good");
    assert!(matches!(funds, Funds::Balance(has) if has.atomic() > PRICE));
    let lines = Lines::new();
    let outcome = settle(&collector, &examined, &lines, WAIT_MS).await;
    let Outcome::Settled {
        transaction,
        proof: Proof::Chain,
        ..
    } = outcome
    else {
        panic!("{outcome:?}");
    };
    assert_eq!(lines.hashes(), [transaction]);
    assert_eq!(lines.handles().len(), 1);
    assert_eq!(town.revenue(), PRICE);
}

#[tokio::test]
async fn without_an_rpc_its_word_is_final_and_the_balance_is_for_one() {
    let town = Town::new();
    let peer = town.facilitator().await;
    let collector = town.collector(false, &[&peer.url()]).await;
    let examined = town.signed(&collector).await;
    assert_eq!(collector.verify(&examined).await, Ok(Funds::EnoughForOne));
    let lines = Lines::new();
    let outcome = settle(&collector, &examined, &lines, WAIT_MS).await;
    let Outcome::Settled {
        transaction,
        is_final: true,
        proof: Proof::Word,
    } = outcome
    else {
        panic!("{outcome:?}");
    };
    assert_eq!(lines.hashes(), [transaction]);
    assert_eq!(town.revenue(), PRICE);
    // The local rail reads the same handle, should an RPC be named one day.
    let keyless = town.collector(true, &[&peer.url()]).await;
    let found = keyless.check(&lines.handles()[0]).await;
    assert!(matches!(found, Finding::Settled { .. }), "{found:?}");
}

#[tokio::test]
async fn the_same_bytes_and_the_same_key_go_to_verify_and_to_every_settle() {
    let town = Town::new();
    let peer = town.facilitator().await;
    let collector = town.collector(true, &[&peer.url()]).await;
    let examined = town.signed(&collector).await;
    collector.verify(&examined).await.expect("good");
    let lines = Lines::new();
    settle(&collector, &examined, &lines, WAIT_MS).await;
    // As after a crash: another process, the handle from the ledger.
    let restarted = town.collector(true, &[&peer.url()]).await;
    let again = lines.handles().remove(0);
    restarted.settle(&again, Lines::new(), WAIT_MS).await;
    let (verify, settles) = (peer.came("/verify").remove(0), peer.came("/settle"));
    assert_eq!(settles.len(), 2);
    for came in &settles {
        assert_eq!(came.body, verify.body);
        assert_eq!(
            came.headers["idempotency-key"],
            settles[0].headers["idempotency-key"]
        );
        assert_eq!(came.headers["authorization"], "Bearer token");
    }
    let body = json_of(&verify.body);
    assert_eq!(body["x402Version"], 2);
    assert_eq!(
        body["paymentPayload"]["accepted"],
        body["paymentRequirements"]
    );
    assert_eq!(town.revenue(), PRICE);
}

#[tokio::test]
async fn two_gates_with_one_credential_have_two_keys() {
    let town = Town::new();
    let peer = town.facilitator().await;
    let any = town.collector(true, &[&peer.url()]).await;
    let (payload, offer) = town.credential(&any).await;
    for collector in [
        town.collector(true, &[&peer.url()]).await,
        town.collector(true, &[&peer.url()]).await,
    ] {
        let examined = examine(&collector, &payload, &offer);
        settle(&collector, &examined, &Lines::new(), WAIT_MS).await;
    }
    let settles = peer.came("/settle");
    assert_eq!(settles.len(), 2);
    assert_ne!(
        settles[0].headers["idempotency-key"],
        settles[1].headers["idempotency-key"]
    );
}

#[tokio::test]
async fn what_a_facilitator_refuses_is_refused_with_its_reason() {
    let town = Town::new();
    let peer = town.facilitator().await;
    let collector = town.collector(false, &[&peer.url()]).await;
    let examined = town.signed(&collector).await;
    settle(&collector, &examined, &Lines::new(), WAIT_MS).await;
    let refusal = collector.verify(&examined).await.expect_err("it is used");
    assert_eq!(refusal.reason, Reason::NonceAlreadyUsed);
    assert!(!refusal.is_ours);
}
