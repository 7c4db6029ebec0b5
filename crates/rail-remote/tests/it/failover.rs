//! Who is asked when one does not answer: freely for `/verify`, never twice for `/settle`.

use farebox_core::rail::{CollectRail, Outcome};
use farebox_rail_remote::RemoteCollector;
use farebox_wire::x402::reason::Reason;

use crate::support::{
    Lines, PRICE, Peer, SHORT_MS, Say, Town, WAIT_MS, nobody, refusal, settle, unknown,
};

fn garbage() -> Say {
    Say::Words(200, "<html>".to_owned())
}

#[tokio::test]
async fn verify_goes_to_the_next_at_once_on_any_failure_to_answer() {
    for failure in [
        garbage(),
        Say::Words(500, r#"{"error":"busy"}"#.to_owned()),
        Say::Words(
            200,
            r#"{"isValid":false,"invalidReason":"unexpected_verify_error"}"#.to_owned(),
        ),
        Say::Header(307, "location", "/elsewhere".to_owned(), String::new()),
    ] {
        let town = Town::new();
        let (bad, good) = (Peer::puppet().await, town.facilitator().await);
        let collector = town.collector(false, &[&bad.url(), &good.url()]).await;
        bad.say("/verify", failure);
        let examined = town.signed(&collector).await;
        collector
            .verify(&examined)
            .await
            .expect("the second one says yes");
        // Who verified settles: some settle nothing else.
        let outcome = settle(&collector, &examined, &Lines::new(), WAIT_MS).await;
        assert!(matches!(outcome, Outcome::Settled { .. }), "{outcome:?}");
        assert_eq!(
            (bad.came("/settle").len(), good.came("/settle").len()),
            (0, 1)
        );
    }
}

#[tokio::test]
async fn when_nobody_gives_a_verdict_the_buyer_may_try_again() {
    let town = Town::new();
    let collector = town.collector(false, &[&nobody().await]).await;
    let examined = town.signed(&collector).await;
    let refused = collector
        .verify(&examined)
        .await
        .expect_err("nobody is there");
    assert!(refused.is_ours);
    let lines = Lines::new();
    let outcome = settle(&collector, &examined, &lines, WAIT_MS).await;
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.is_ours && r.reason == Reason::UnexpectedSettle),
        "{outcome:?}"
    );
    assert!(
        lines.handles().is_empty(),
        "nothing has left, so nothing is on record"
    );
}

#[tokio::test]
async fn settle_goes_to_the_next_where_nobody_is_there() {
    let town = Town::new();
    let good = town.facilitator().await;
    let collector = town.collector(true, &[&nobody().await, &good.url()]).await;
    let examined = town.signed(&collector).await;
    let outcome = settle(&collector, &examined, &Lines::new(), WAIT_MS).await;
    assert!(matches!(outcome, Outcome::Settled { .. }), "{outcome:?}");
    assert_eq!(town.revenue(), PRICE);
}

/// One that may have the credential, whatever it answered.
async fn never_asks_another(say: Say, has_rpc: bool) {
    let town = Town::new();
    let (first, second) = (Peer::puppet().await, town.facilitator().await);
    let urls = [first.url(), second.url()];
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let collector = town.collector(has_rpc, &urls).await;
    for _ in 0..20 {
        first.say("/settle", say.clone());
    }
    let examined = town.signed(&collector).await;
    let lines = Lines::new();
    unknown(settle(&collector, &examined, &lines, SHORT_MS).await);
    // The watch, and the process after a crash.
    let again = lines.handles().pop().expect("a line before it left");
    unknown(collector.settle(&again, Lines::new(), SHORT_MS).await);
    let restarted = town.collector(has_rpc, &urls).await;
    unknown(restarted.settle(&again, Lines::new(), SHORT_MS).await);
    // Not even where the first is not configured any more.
    let without: RemoteCollector = town.collector(has_rpc, &[&second.url()]).await;
    let reason = unknown(without.settle(&again, Lines::new(), SHORT_MS).await);
    assert_eq!(reason, "facilitator_not_configured");
    assert!(first.came("/settle").len() >= 3);
    assert_eq!(second.came("/settle").len(), 0);
    assert_eq!(town.revenue(), 0);
}

#[tokio::test]
async fn once_a_byte_may_have_left_no_other_facilitator_gets_the_payment() {
    never_asks_another(garbage(), true).await;
    never_asks_another(garbage(), false).await;
    never_asks_another(Say::Hang, true).await;
    never_asks_another(Say::Words(502, String::new()), false).await;
    let elsewhere = "https://elsewhere.example.com/settle".to_owned();
    never_asks_another(
        Say::Header(308, "location", elsewhere, String::new()),
        false,
    )
    .await;
    never_asks_another(Say::Endless, true).await;
    never_asks_another(Say::Words(200, refusal("unexpected_settle_error")), true).await;
}

#[tokio::test]
async fn nothing_leaves_that_could_not_be_written_down() {
    let town = Town::new();
    let peer = town.facilitator().await;
    let collector = town.collector(true, &[&peer.url()]).await;
    let examined = town.signed(&collector).await;
    let outcome = settle(&collector, &examined, &Lines::refusing(), WAIT_MS).await;
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.is_ours),
        "{outcome:?}"
    );
    assert_eq!(peer.came("/settle").len(), 0);
}

#[tokio::test]
async fn the_local_engine_may_stand_among_them_and_is_recorded_like_them() {
    let town = Town::new();
    let away = nobody().await;
    let collector = town.collector(true, &[&away, "local"]).await;
    let examined = town.signed(&collector).await;
    collector
        .verify(&examined)
        .await
        .expect("the chain says yes");
    let lines = Lines::new();
    let outcome = settle(&collector, &examined, &lines, WAIT_MS).await;
    assert!(matches!(outcome, Outcome::Settled { .. }), "{outcome:?}");
    assert_eq!((lines.handles().len(), lines.hashes().len()), (1, 1));
    assert_eq!(town.revenue(), PRICE);
}

#[tokio::test]
async fn the_local_engine_is_recorded_after_one_that_did_not_get_the_payment() {
    let town = Town::new();
    let away = Peer::puppet().await;
    away.hangs_up_after_supported();
    let collector = town.collector(true, &[&away.url(), "local"]).await;
    // It was heard lately, so nobody knocks, and its name is written down.
    away.leave().await;
    town.devnet.set_automine(false);
    let examined = town.signed(&collector).await;
    let lines = Lines::new();
    unknown(settle(&collector, &examined, &lines, SHORT_MS).await);
    assert_eq!(lines.hashes().len(), 1, "the local engine has sent");
    assert_eq!(
        lines.asked(),
        [format!("{}/", away.url()), "local".to_owned()]
    );

    // The watch: the first is back, and must not get what the local engine has sent.
    away.come_back().await;
    town.devnet.set_automine(true);
    town.devnet.mine();
    let again = lines.handles().pop().expect("a line");
    let outcome = collector.settle(&again, Lines::new(), WAIT_MS).await;
    assert!(matches!(outcome, Outcome::Settled { .. }), "{outcome:?}");
    assert_eq!(away.came("/settle").len(), 0);
    assert_eq!(town.revenue(), PRICE);
}

#[tokio::test]
async fn a_third_is_asked_where_neither_the_first_nor_the_local_engine_sent() {
    let town = Town::new();
    let (away, good) = (Peer::puppet().await, town.facilitator().await);
    away.hangs_up_after_supported();
    let urls = [away.url(), "local".to_owned(), good.url()];
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let collector = town.collector(true, &urls).await;
    away.leave().await;
    let local = town.devnet.accounts()[8].address;
    town.devnet.set_ether_balance(local, Default::default());
    let examined = town.signed(&collector).await;
    let lines = Lines::new();
    let outcome = settle(&collector, &examined, &lines, WAIT_MS).await;
    assert!(matches!(outcome, Outcome::Settled { .. }), "{outcome:?}");
    assert_eq!(good.came("/settle").len(), 1);
    let names = [&away, &good].map(|peer| format!("{}/", peer.url()));
    assert_eq!(lines.asked(), names);
}
