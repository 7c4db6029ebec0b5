//! Settling: once, whoever asks and however often, and never before everything was checked.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use farebox_core::rail::{CollectRail, Outcome, Proof};
use farebox_devnet_svm::{DevnetSvmOptions, Fault};
use farebox_rail_solana::{Commitment, FeeLimits, SolanaKey};
use farebox_wire::x402::reason::Reason;
use solana_signature::Signature;

use crate::shop::{Recorder, Shop, WAIT_MS, collector, name_of, transaction};

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_is_named_by_the_fee_payers_signature_and_costs_what_it_says() {
    let shop = Shop::open().await;
    let signed = shop.transaction(&shop.buyer()).await;
    let examined = shop.examine(&signed);
    let money = shop.net.balance(shop.fee_payer());
    let journal = Recorder::new();
    let outcome = shop.settle(&examined, &journal).await;
    let name = name_of(&shop, &signed);
    assert_eq!(
        outcome,
        Outcome::Settled {
            transaction: name.clone(),
            is_final: true,
            proof: Proof::Chain,
        }
    );
    assert_eq!(journal.lines(), [name]);
    assert_eq!(shop.revenue(), 1_000);
    assert_eq!(shop.net.landed_transactions(), 1);
    let cost = money - shop.net.balance(shop.fee_payer());
    let health = shop.collector.health().await.remove(0);
    assert!(
        health.is_reachable && health.complaints.is_empty(),
        "{health:?}"
    );
    assert_eq!(health.signers[0].gas_spent_today.atomic(), u128::from(cost));
    assert_eq!(
        health.signers[0].gas_money.unwrap().atomic(),
        u128::from(money - cost)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_waits_for_the_commitment_that_was_asked_for() {
    let options = DevnetSvmOptions {
        final_depth: 4,
        ..DevnetSvmOptions::quiet()
    };
    let shop = Shop::with(options, |network| {
        network.commitment = Commitment::Finalized
    })
    .await;
    let examined = shop.examined().await;
    let journal = Recorder::new();
    shop.under_way(&examined, &journal).await;
    shop.net.advance(2);
    let outcome = shop.settle_within(&examined, &journal, 300).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    shop.net.advance(8);
    let outcome = shop.settle(&examined, &journal).await;
    assert!(
        matches!(outcome, Outcome::Settled { is_final: true, .. }),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_settlement_is_served_before_it_is_final() {
    let shop = Shop::with(DevnetSvmOptions::quiet(), |_| ()).await;
    let examined = shop.examined().await;
    let journal = Recorder::new();
    shop.under_way(&examined, &journal).await;
    shop.net.advance(3);
    let outcome = shop.settle(&examined, &journal).await;
    assert!(
        matches!(
            outcome,
            Outcome::Settled {
                is_final: false,
                ..
            }
        ),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_message_with_another_empty_place_settles_once() {
    let shop = Shop::open().await;
    let mut signed = shop.transaction(&shop.buyer()).await;
    let first = shop.examine(&signed);
    signed.signatures[0] = Signature::from([9; 64]);
    let second = shop.examine(&signed);
    let (one, two) = (Recorder::new(), Recorder::new());
    let (a, b) = tokio::join!(shop.settle(&first, &one), shop.settle(&second, &two));
    assert_eq!(transaction(&a), transaction(&b));
    assert_eq!(one.lines().len() + two.lines().len(), 1);
    assert_eq!(shop.revenue(), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blockhash_that_expires_between_verifying_and_settling_moves_nothing() {
    let shop = Shop::open().await;
    let examined = shop.examined().await;
    shop.net.expire_blockhashes();
    shop.never_pays(&examined, Reason::SvmSimulationFailed)
        .await;
    assert_eq!(shop.net.landed_transactions(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_settle_and_are_asked_about_together() {
    let shop = Arc::new(Shop::open().await);
    let mut settlements = Vec::new();
    for number in 0..50 {
        let buyer = shop.net.accounts()[1 + number % 8];
        let examined = shop.examined_of(&buyer).await;
        let shop = Arc::clone(&shop);
        settlements.push(tokio::spawn(async move {
            shop.settle(&examined, &Recorder::new()).await
        }));
    }
    let mut names = HashSet::new();
    for settlement in settlements {
        assert!(names.insert(transaction(&settlement.await.unwrap())));
    }
    assert_eq!(shop.revenue(), 50_000);
    assert_eq!(shop.net.landed_transactions(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_wait_one_question_asks_for_all() {
    let shop = Arc::new(Shop::with(DevnetSvmOptions::quiet(), |_| ()).await);
    let mut settlements = Vec::new();
    for number in 0..20 {
        let buyer = shop.net.accounts()[1 + number % 8];
        let examined = shop.examined_of(&buyer).await;
        let journal = Recorder::new();
        shop.under_way(&examined, &journal).await;
        settlements.push((examined, journal));
    }
    assert_eq!(shop.collector.health().await[0].signers[0].in_flight, 20);
    let asked = || shop.net.faults().calls("getSignatureStatuses");
    // A whole look that began after all of them were registered has asked one question.
    let (before, began) = (asked(), std::time::Instant::now());
    while asked() < before + 3 {
        tokio::task::yield_now().await;
    }
    let looks = asked() - before;
    assert!(looks < 20, "{looks} questions in {:?}", began.elapsed());
    shop.net.advance(3);
    for (examined, journal) in settlements {
        transaction(&shop.settle(&examined, &journal).await);
    }
    assert_eq!(shop.revenue(), 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_on_chain_is_used_up_and_paid_for_three_times_a_day() {
    let shop = Shop::with(DevnetSvmOptions::quiet(), |_| ()).await;
    fail_three_times(&shop).await;
    assert_eq!(shop.net.landed_transactions(), 3);
    assert_eq!(shop.revenue(), 0);
    let examined = shop.examined().await;
    let refusal = shop.refused(&examined).await;
    assert!(
        refusal.is_ours && refusal.message.contains("tomorrow"),
        "{refusal}"
    );
    let journal = Recorder::new();
    let outcome = shop.settle(&examined, &journal).await;
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.is_ours),
        "{outcome:?}"
    );
    assert!(journal.lines().is_empty());
    // Somebody else is none the worse for it.
    let other = shop.net.accounts()[2];
    let examined = shop.examined_of(&other).await;
    shop.verified(&examined).await;
    // And the next day begins anew.
    shop.clock.advance(Duration::from_secs(86_400));
    let examined = shop.examined().await;
    shop.verified(&examined).await;
}

/// Payments of one buyer that are good when they are simulated and fail in their block.
async fn fail_three_times(shop: &Shop) {
    let usdc = shop.net.usdc();
    let buyer = shop.buyer();
    for _ in 0..3 {
        let examined = shop.examined().await;
        let journal = Recorder::new();
        shop.under_way(&examined, &journal).await;
        // After it was simulated and sent.
        shop.net.freeze(buyer.address, usdc).unwrap();
        let money = shop.net.balance(shop.fee_payer());
        shop.net.advance(3);
        let outcome = shop.settle(&examined, &journal).await;
        assert!(
            matches!(&outcome, Outcome::Rejected(r) if r.reason == Reason::SvmTransactionFailed && !r.is_ours),
            "{outcome:?}"
        );
        assert!(
            shop.net.balance(shop.fee_payer()) < money,
            "its fee was ours"
        );
        shop.net.thaw(buyer.address, usdc).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_before_is_found_whatever_is_thought_of_its_payer_and_keys() {
    let shop = Shop::with(DevnetSvmOptions::quiet(), |_| ()).await;
    let examined = shop.examined().await;
    let earlier = Arc::new(shop.restarted().await);
    let journal = Recorder::new();
    let settling = {
        let (earlier, handle) = (Arc::clone(&earlier), examined.handle.clone());
        let journal = journal.clone();
        tokio::spawn(async move { earlier.settle(&handle, journal, WAIT_MS).await })
    };
    while shop.net.waiting_transactions() == 0 {
        tokio::task::yield_now().await;
    }
    shop.net.advance(3);
    let first = transaction(&settling.await.unwrap());
    assert_eq!(shop.revenue(), 1_000);

    fail_three_times(&shop).await;
    let outcome = shop.settle(&examined, &Recorder::again()).await;
    assert_eq!(transaction(&outcome), first);
    // With another key than that which has sent it nothing can be said, and nothing is given up.
    let rekeyed = collector(&shop.net, &shop.network, &shop.clock, |options| {
        options.signers = vec![Arc::new(SolanaKey::from_seed(&[7; 32]))];
    });
    let outcome = rekeyed
        .settle(&examined.handle, Recorder::again(), WAIT_MS)
        .await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    assert_eq!(shop.revenue(), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_fees_are_paid_in_a_day_than_is_allowed() {
    let shop = Shop::open().await;
    let limits = FeeLimits {
        per_day_lamports: Some(25_000),
        ..FeeLimits::default()
    };
    let thrifty = collector(&shop.net, &shop.network, &shop.clock, |options| {
        options.fees = limits;
    });
    for _ in 0..2 {
        let examined = shop.examined().await;
        transaction(
            &thrifty
                .settle(&examined.handle, Recorder::new(), WAIT_MS)
                .await,
        );
    }
    let examined = shop.examined().await;
    let journal = Recorder::new();
    let outcome = thrifty
        .settle(&examined.handle, journal.clone(), WAIT_MS)
        .await;
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.is_ours),
        "{outcome:?}"
    );
    assert!(journal.lines().is_empty());
    let health = thrifty.health().await.remove(0);
    assert!(
        health.complaints.iter().any(|c| c.contains("limit")),
        "{health:?}"
    );
    assert_eq!(shop.revenue(), 2_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_gives_up_before_it_was_signed_takes_it_back() {
    let shop = Shop::open().await;
    let examined = shop.examined().await;
    shop.net.faults().set("simulateTransaction", Fault::Hang);
    let journal = Recorder::new();
    let outcome = shop.settle_within(&examined, &journal, 300).await;
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.is_ours && r.message.contains("nothing was sent")),
        "{outcome:?}"
    );
    assert!(journal.lines().is_empty());
    assert_eq!(shop.net.faults().calls("sendTransaction"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_payment_that_was_tampered_with_is_not_signed() {
    use farebox_core::rail::Handle;
    let shop = Shop::open().await;
    let examined = shop.examined().await;
    let text = examined.handle.text();
    let stored: serde_json::Value = serde_json::from_str(text).unwrap();
    let other: serde_json::Value =
        serde_json::from_str(shop.examined().await.handle.text()).unwrap();
    for field in [
        "amount",
        "destination",
        "digest",
        "fee_payer",
        "transaction",
    ] {
        let mut tampered = stored.clone();
        tampered[field] = match field {
            "amount" => 1.into(),
            "destination" => stored["source"].clone(),
            "fee_payer" => stored["payer"].clone(),
            field => other[field].clone(),
        };
        let handle = Handle::new(tampered.to_string());
        let journal = Recorder::new();
        let outcome = shop
            .collector
            .settle(&handle, journal.clone(), WAIT_MS)
            .await;
        assert!(
            matches!(outcome, Outcome::Rejected(_)),
            "{field}: {outcome:?}"
        );
        assert!(journal.lines().is_empty());
    }
    assert_eq!(shop.net.faults().calls("sendTransaction"), 0);
    assert_eq!(shop.revenue(), 0);
}
