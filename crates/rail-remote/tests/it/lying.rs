//! Facilitators that say what is not so: the chain decides, where there is one.

use farebox_core::rail::{CollectRail, Finding, Outcome, Proof};
use farebox_wire::x402::reason::Reason;

use crate::support::{
    Lines, PRICE, Peer, SHORT_MS, Say, Town, WAIT_MS, refusal, settle, success, unknown,
};

const LIE: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";

#[tokio::test]
async fn a_claim_that_the_chain_does_not_have_is_unknown_and_its_hash_is_kept() {
    let town = Town::new();
    let liar = Peer::puppet().await;
    let collector = town.collector(true, &[&liar.url()]).await;
    liar.say("/settle", Say::Words(200, success(LIE, None)));
    let examined = town.signed(&collector).await;
    let lines = Lines::new();
    let reason = unknown(settle(&collector, &examined, &lines, SHORT_MS).await);
    assert_eq!(reason, "facilitator_claim_not_on_chain");
    assert_eq!(lines.hashes(), [LIE]);
    assert_eq!(collector.check(&lines.handles()[0]).await, Finding::Open);
}

#[tokio::test]
async fn without_an_rpc_a_claim_is_believed_only_for_this_payment() {
    let town = Town::new();
    let liar = Peer::puppet().await;
    let collector = town.collector(false, &[&liar.url()]).await;
    let examined = town.signed(&collector).await;
    for lie in [
        success("", None),
        success(LIE, Some("0x0000000000000000000000000000000000000001")),
        success(LIE, None).replace("eip155:84532", "eip155:1"),
        success(LIE, None).replace("true", "\"true\""),
        format!("[{}]", success(LIE, None)),
    ] {
        for _ in 0..20 {
            liar.say("/settle", Say::Words(200, lie.clone()));
        }
        let outcome = settle(&collector, &examined, &Lines::new(), SHORT_MS).await;
        assert_eq!(unknown(outcome), "facilitator_no_answer", "{lie}");
        liar.forget();
    }
    liar.say("/settle", Say::Words(200, success(LIE, None)));
    let outcome = settle(&collector, &examined, &Lines::new(), WAIT_MS).await;
    assert!(
        matches!(
            outcome,
            Outcome::Settled {
                proof: Proof::Word,
                ..
            }
        ),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_refusal_of_what_was_settled_is_settled() {
    for say in [
        Say::WorkThen(200, refusal("invalid_exact_evm_nonce_already_used")),
        Say::WorkThen(200, refusal("invalid_exact_evm_insufficient_balance")),
        Say::WorkThen(500, "oops".to_owned()),
        Say::WorkThenHang,
    ] {
        let town = Town::new();
        let liar = town.facilitator().await;
        let collector = town.collector(true, &[&liar.url()]).await;
        liar.say("/settle", say);
        let examined = town.signed(&collector).await;
        let outcome = settle(&collector, &examined, &Lines::new(), WAIT_MS).await;
        assert!(
            matches!(
                outcome,
                Outcome::Settled {
                    proof: Proof::Chain,
                    ..
                }
            ),
            "{outcome:?}"
        );
        assert_eq!(town.revenue(), PRICE);
    }
}

#[tokio::test]
async fn a_refusal_that_the_chain_contradicts_burns_no_good_credential() {
    let town = Town::new();
    let liar = town.facilitator().await;
    let collector = town.collector(true, &[&liar.url()]).await;
    let no = refusal("invalid_exact_evm_insufficient_balance");
    liar.say("/settle", Say::Words(200, no.clone()));
    liar.say("/settle", Say::Words(200, no));
    let examined = town.signed(&collector).await;
    let lines = Lines::new();
    let reason = unknown(settle(&collector, &examined, &lines, SHORT_MS).await);
    assert_eq!(reason, "invalid_exact_evm_insufficient_balance");
    // It thinks better of it, and the same payment goes through.
    let again = lines.handles().pop().expect("a line");
    let outcome = collector.settle(&again, Lines::new(), WAIT_MS).await;
    assert!(matches!(outcome, Outcome::Settled { .. }), "{outcome:?}");
    assert_eq!(town.revenue(), PRICE);
}

#[tokio::test]
async fn without_an_rpc_only_the_buyers_own_fault_is_believed() {
    let town = Town::new();
    let peer = Peer::puppet().await;
    let collector = town.collector(false, &[&peer.url()]).await;
    let examined = town.signed(&collector).await;
    for reason in [
        "invalid_exact_evm_nonce_already_used",
        "settlement_pending",
        "new_reason",
    ] {
        peer.say("/settle", Say::Words(200, refusal(reason)));
        peer.say("/settle", Say::Words(200, refusal(reason)));
        let outcome = settle(&collector, &examined, &Lines::new(), WAIT_MS).await;
        assert_eq!(unknown(outcome), reason);
    }
    let poor = refusal("invalid_exact_evm_insufficient_balance");
    peer.say("/settle", Say::Words(402, poor));
    let outcome = settle(&collector, &examined, &Lines::new(), WAIT_MS).await;
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.reason == Reason::InsufficientBalance && !r.is_ours),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn what_is_pending_is_asked_about_once_more_with_the_same_bytes() {
    let town = Town::new();
    let peer = Peer::puppet().await;
    let collector = town.collector(false, &[&peer.url()]).await;
    let pending = refusal("settlement_pending")
        .replace(r#""transaction":"""#, &format!(r#""transaction":"{LIE}""#));
    peer.say("/settle", Say::Words(200, pending.clone()));
    peer.say("/settle", Say::Words(200, pending));
    let examined = town.signed(&collector).await;
    let lines = Lines::new();
    let reason = unknown(settle(&collector, &examined, &lines, WAIT_MS).await);
    assert_eq!(reason, "settlement_pending");
    let came = peer.came("/settle");
    assert_eq!(came.len(), 2);
    assert_eq!(came[0].body, came[1].body);
    assert!(lines.hashes().iter().all(|hash| hash == LIE));
}

#[tokio::test]
async fn without_an_rpc_a_refusal_is_not_believed_where_an_earlier_ask_may_have_paid() {
    let pending = naming(LIE, &refusal("settlement_pending"));
    for first in [Say::WorkThenCut, Say::WorkThen(200, pending)] {
        let town = Town::new();
        // It keeps no books: asked again, it finds the payer without the money that it has moved.
        let forgetful = town.facilitator().await;
        let collector = town.collector(false, &[&forgetful.url()]).await;
        let poor = refusal("invalid_exact_evm_insufficient_balance");
        forgetful.say("/settle", first);
        forgetful.say("/settle", Say::Words(200, poor.clone()));
        forgetful.say("/settle", Say::Words(200, poor.clone()));
        let examined = town.signed(&collector).await;
        let lines = Lines::new();
        let reason = unknown(settle(&collector, &examined, &lines, WAIT_MS).await);
        assert_eq!(reason, "invalid_exact_evm_insufficient_balance");
        assert_eq!(town.revenue(), PRICE);
        // The watch, in the next process too.
        forgetful.forget();
        forgetful.say("/settle", Say::Words(200, poor.clone()));
        forgetful.say("/settle", Say::Words(200, poor));
        let again = lines.handles().pop().expect("a line");
        unknown(collector.settle(&again, Lines::new(), WAIT_MS).await);
    }
}

#[tokio::test]
async fn without_an_rpc_a_refusal_that_names_a_transaction_is_not_believed() {
    let town = Town::new();
    let peer = Peer::puppet().await;
    let collector = town.collector(false, &[&peer.url()]).await;
    let poor = naming(LIE, &refusal("invalid_exact_evm_insufficient_balance"));
    peer.say("/settle", Say::Words(200, poor.clone()));
    peer.say("/settle", Say::Words(200, poor));
    let examined = town.signed(&collector).await;
    let lines = Lines::new();
    unknown(settle(&collector, &examined, &lines, WAIT_MS).await);
    assert!(lines.hashes().iter().all(|hash| hash == LIE));
}

#[tokio::test]
async fn without_an_rpc_a_refusal_is_believed_after_another_that_did_not_get_the_payment() {
    let town = Town::new();
    let (away, peer) = (Peer::puppet().await, Peer::puppet().await);
    away.hangs_up_after_supported();
    let urls = [away.url(), peer.url()];
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let collector = town.collector(false, &urls).await;
    away.leave().await;
    let poor = refusal("invalid_exact_evm_insufficient_balance");
    peer.say("/settle", Say::Words(200, poor));
    let examined = town.signed(&collector).await;
    let outcome = settle(&collector, &examined, &Lines::new(), WAIT_MS).await;
    assert!(matches!(&outcome, Outcome::Rejected(_)), "{outcome:?}");
}

/// An answer that names a transaction.
fn naming(transaction: &str, answer: &str) -> String {
    answer.replace(
        r#""transaction":"""#,
        &format!(r#""transaction":"{transaction}""#),
    )
}
