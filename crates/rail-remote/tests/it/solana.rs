//! Facilitators on Solana, where the buyer signs over who pays the fee: only that one can settle.

use std::time::Duration;

use farebox_core::rail::{CollectRail, Finding, Funds, Outcome, Proof};
use farebox_wire::x402::reason::Reason;
use serde_json::json;

use crate::support::{
    Lines, PRICE, Peer, SHORT_MS, Say, WAIT_MS, examine, nobody, settle, unknown,
};
use crate::svm::{LOCAL, Town, fee_payer};

/// Somebody's signature, and of nothing that is paid here.
const LIE: &str =
    "2nBhEBYYvfaAe16UMNqRHre4YNSskvuYgx3M6E4JP1oDYvZEJHvoPzyUidNgNX5r9sTyN1J9UxtbCXy2rqYcuyuv";

fn transaction(outcome: &Outcome, is_proven: bool) -> String {
    match outcome {
        Outcome::Settled {
            transaction, proof, ..
        } if (*proof == Proof::Chain) == is_proven => transaction.clone(),
        other => panic!("not settled so: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_rpc_the_chain_proves_the_settlement_by_its_name() {
    let town = Town::new();
    let peer = town.facilitator(0).await;
    let collector = town.collector(true, &[&peer.url()]).await;
    assert_eq!(fee_payer(&collector), town.account(0));
    let (payload, offer) = town.credential(&collector).await;
    let examined = examine(&collector, &payload, &offer);
    let funds = collector.verify(&examined).await.expect("good");
    assert!(matches!(funds, Funds::Balance(has) if has.atomic() > PRICE));
    let lines = Lines::new();
    let outcome = settle(&collector, &examined, &lines, WAIT_MS).await;
    let name = town.name_by(0, &payload);
    assert_eq!(transaction(&outcome, true), name);
    assert_eq!((lines.hashes(), lines.handles().len()), (vec![name], 1));
    assert_eq!(town.revenue(), PRICE);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_rpc_its_word_is_final_and_an_rpc_that_comes_later_finds_the_message() {
    let town = Town::new();
    let peer = town.facilitator(0).await;
    let collector = town.collector(false, &[&peer.url()]).await;
    let examined = town.signed(&collector).await;
    assert_eq!(collector.verify(&examined).await, Ok(Funds::EnoughForOne));
    let lines = Lines::new();
    let outcome = settle(&collector, &examined, &lines, WAIT_MS).await;
    let name = transaction(&outcome, false);
    assert_eq!(town.revenue(), PRICE);
    let asking = town.collector(true, &[&peer.url()]).await;
    let settled = Finding::Settled {
        transaction: name,
        is_final: true,
    };
    assert_eq!(asking.check(&lines.handles()[0]).await, settled);
    let again = settle(&collector, &examined, &Lines::new(), SHORT_MS).await;
    assert!(!matches!(again, Outcome::Rejected(_)), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_name_the_first_that_answers_and_what_was_signed_is_settled_by_nobody_else() {
    let town = Town::new();
    let (first, second) = (town.facilitator(0).await, town.facilitator(2).await);
    first.hangs_up_after_supported();
    let collector = town.collector(true, &[&first.url(), &second.url()]).await;
    let mut told = collector.fee_payers();
    assert_eq!(fee_payer(&collector), town.account(0));
    let of_first = town.signed(&collector).await;

    first.leave().await;
    let refused = collector.verify(&of_first).await.expect_err("nobody");
    assert!(refused.is_ours, "{refused}");
    assert!(told.has_changed().expect("it lives"));
    let named = told.borrow_and_update().values().next().cloned();
    assert_eq!(named, Some(town.account(2)));
    assert_eq!(fee_payer(&collector), town.account(2));
    let outcome = settle(&collector, &of_first, &Lines::new(), SHORT_MS).await;
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.is_ours),
        "{outcome:?}"
    );

    let of_second = town.signed(&collector).await;
    collector.verify(&of_second).await.expect("good");
    let outcome = settle(&collector, &of_second, &Lines::new(), WAIT_MS).await;
    transaction(&outcome, true);
    let asked = |path| (first.came(path).len(), second.came(path).len());
    assert_eq!((asked("/verify"), asked("/settle")), ((0, 1), (0, 1)));

    first.come_back().await;
    collector.verify(&of_first).await.expect("it is back");
    assert_eq!(fee_payer(&collector), town.account(0));
    let outcome = settle(&collector, &of_first, &Lines::new(), WAIT_MS).await;
    transaction(&outcome, true);
    assert_eq!((asked("/verify"), asked("/settle")), ((1, 1), (1, 1)));
    assert_eq!(town.revenue(), 2 * PRICE);
}

#[tokio::test(flavor = "multi_thread")]
async fn facilitators_with_one_fee_payer_stand_in_for_each_other() {
    let town = Town::new();
    let (first, second) = (town.puppet(0).await, town.facilitator(0).await);
    first.hangs_up_after_supported();
    let collector = town.collector(true, &[&first.url(), &second.url()]).await;
    first.say("/verify", Say::Words(500, "oops".to_owned()));
    let examined = town.signed(&collector).await;
    collector
        .verify(&examined)
        .await
        .expect("the second says yes");
    // It was heard lately, so nobody knocks: it is on record, and then provably has nothing.
    first.leave().await;
    let (other, lines) = (town.signed(&collector).await, Lines::new());
    let outcome = settle(&collector, &other, &lines, WAIT_MS).await;
    transaction(&outcome, true);
    assert_eq!(lines.asked().last(), Some(&format!("{}/", second.url())));
    assert_eq!(town.revenue(), PRICE);
}

/// One that may have the credential, whatever it answered.
async fn never_asks_another(say: Say, has_rpc: bool) {
    let town = Town::new();
    let (first, second) = (town.puppet(0).await, town.facilitator(0).await);
    let urls = [first.url(), second.url()];
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let collector = town.collector(has_rpc, &urls).await;
    for _ in 0..20 {
        first.say("/settle", say.clone());
    }
    let (examined, lines) = (town.signed(&collector).await, Lines::new());
    unknown(settle(&collector, &examined, &lines, SHORT_MS).await);
    let again = lines.handles().pop().expect("a line before it left");
    let restarted = town.collector(has_rpc, &urls).await;
    unknown(restarted.settle(&again, Lines::new(), SHORT_MS).await);
    assert!(first.came("/settle").len() >= 2);
    assert_eq!(second.came("/settle").len(), 0);
    assert_eq!(town.revenue(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn once_a_byte_may_have_left_no_other_facilitator_gets_the_payment() {
    never_asks_another(Say::Words(200, "<html>".to_owned()), true).await;
    never_asks_another(Say::Hang, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_rail_settles_what_names_its_own_key_and_nothing_else() {
    let town = Town::new();
    let peer = town.facilitator(0).await;
    peer.hangs_up_after_supported();
    let collector = town.collector(true, &[&peer.url(), "local"]).await;
    assert_eq!(fee_payer(&collector), town.account(0));
    let of_peer = town.signed(&collector).await;
    peer.leave().await;
    collector
        .verify(&of_peer)
        .await
        .expect_err("nobody is there");
    let lines = Lines::new();
    let outcome = settle(&collector, &of_peer, &lines, SHORT_MS).await;
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.is_ours),
        "{outcome:?}"
    );
    assert!(lines.hashes().is_empty());

    assert_eq!(fee_payer(&collector), town.account(LOCAL));
    let of_local = town.signed(&collector).await;
    collector
        .verify(&of_local)
        .await
        .expect("the chain says yes");
    let lines = Lines::new();
    let outcome = settle(&collector, &of_local, &lines, WAIT_MS).await;
    let name = transaction(&outcome, true);
    assert_eq!(
        (lines.hashes(), lines.asked()),
        (vec![name], vec!["local".to_owned()])
    );
    assert_eq!(town.revenue(), PRICE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_the_fee_payers_signature_of_this_message_is_no_answer() {
    let town = Town::new();
    let liar = town.puppet(0).await;
    for has_rpc in [true, false] {
        let collector = town.collector(has_rpc, &[&liar.url()]).await;
        let (payload, offer) = town.credential(&collector).await;
        let examined = examine(&collector, &payload, &offer);
        let by_another = town.name_by(2, &payload);
        for lie in [LIE, "nonsense", &by_another] {
            for _ in 0..20 {
                liar.say("/settle", Say::Words(200, town.success(lie)));
            }
            let lines = Lines::new();
            let outcome = settle(&collector, &examined, &lines, SHORT_MS).await;
            assert_eq!(unknown(outcome), "facilitator_no_answer", "{lie}");
            assert!(lines.hashes().is_empty(), "it is none of this payment's");
            liar.forget();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_true_name_that_no_block_has_is_unknown_with_an_rpc_and_a_word_without() {
    let town = Town::new();
    let liar = town.puppet(0).await;
    for has_rpc in [true, false] {
        let collector = town.collector(has_rpc, &[&liar.url()]).await;
        let (payload, offer) = town.credential(&collector).await;
        let examined = examine(&collector, &payload, &offer);
        let name = town.name_by(0, &payload);
        liar.say("/settle", Say::Words(200, town.success(&name)));
        let lines = Lines::new();
        let outcome = settle(&collector, &examined, &lines, SHORT_MS).await;
        match has_rpc {
            true => assert_eq!(unknown(outcome), "facilitator_claim_not_on_chain"),
            false => assert_eq!(transaction(&outcome, false), name),
        }
        assert_eq!(lines.hashes(), [name]);
    }
    assert_eq!(town.revenue(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_what_was_settled_is_settled_though_it_has_no_name() {
    let town = Town::new();
    for say in [
        Say::WorkThen(200, town.refusal("duplicate_settlement")),
        Say::WorkThen(200, town.refusal("invalid_exact_svm_transaction_failed")),
        Say::WorkThen(500, "oops".to_owned()),
        Say::WorkThen(200, town.success(LIE)),
        Say::WorkThenHang,
    ] {
        let liar = town.facilitator(0).await;
        let collector = town.collector(true, &[&liar.url()]).await;
        liar.say("/settle", say);
        let (payload, offer) = town.credential(&collector).await;
        let examined = examine(&collector, &payload, &offer);
        let outcome = settle(&collector, &examined, &Lines::new(), WAIT_MS).await;
        assert_eq!(transaction(&outcome, true), town.name_by(0, &payload));
    }
    assert_eq!(town.revenue(), 5 * PRICE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_credential_is_not_burned_by_a_refusal_and_one_that_is_over_is() {
    let town = Town::new();
    let liar = town.puppet(0).await;
    let collector = town.collector(true, &[&liar.url()]).await;
    let examined = town.signed(&collector).await;
    for _ in 0..20 {
        let no = town.refusal("invalid_exact_svm_payload_signature_invalid");
        liar.say("/settle", Say::Words(200, no));
    }
    let lines = Lines::new();
    unknown(settle(&collector, &examined, &lines, SHORT_MS).await);
    town.net.increase_time(Duration::from_secs(300));
    town.net.expire_blockhashes();
    let again = lines.handles().pop().expect("a line");
    let outcome = collector.settle(&again, Lines::new(), WAIT_MS).await;
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if !r.is_ours && r.reason == Reason::SvmInvalidSignature),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_offered_before_somebody_says_who_pays_the_fees() {
    let town = Town::new();
    let away = nobody().await;
    let code = |started: Result<(), farebox_core::rail::RailError>| {
        let why = started.expect_err("it must not start");
        assert!(why.message.contains(town.net.network()), "{}", why.message);
        why.code
    };
    let none = town.collector_of(false, &[&away]);
    assert_eq!(code(none.start().await), "facilitator_unreachable");
    for extra in [json!(null), json!({"feePayer": "0xabc"})] {
        let vague = Peer::start(None, town.saying(&extra)).await;
        let collector = town.collector_of(false, &[&vague.url()]);
        assert_eq!(code(collector.start().await), "facilitator_unreachable");
    }
    let elsewhere = Peer::puppet().await;
    let collector = town.collector_of(false, &[&elsewhere.url()]);
    assert_eq!(code(collector.start().await), "facilitator_unsupported");
    // One that is away does not keep the others from selling.
    let peer = town.facilitator(0).await;
    let collector = town.collector(false, &[&away, &peer.url()]).await;
    assert_eq!(fee_payer(&collector), town.account(0));
}
