//! Rules of reading: whole, in order, and never half of somebody's write.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use farebox_core::ledger::{CallKey, Filter, Ledger, NewClaim, NewSpend, PaymentId, Stage};
use farebox_core::payment::{Event, Role};

use super::kit::{
    Ask, NOON_MS, Store, claim, lease, limits, reason, sending, settled, spend, terms,
};

/// With any filter.
pub async fn payments_are_listed_newest_first(store: &dyn Store) {
    let ledger = rich(store).await;
    ledger.must_reserve(spend("bought", 5)).await;
    ledger.must_claim(claim("sold", 5)).await;
    let facilitated = NewClaim {
        role: Role::Facilitator,
        ..claim("facilitated", 5)
    };
    ledger.must_claim(facilitated).await;
    let all = names(&ledger, Filter::default()).await;
    assert_eq!(all, ["facilitated", "sold", "bought"]);
    let two = Filter {
        limit: Some(2),
        ..Filter::default()
    };
    assert_eq!(names(&ledger, two).await, ["facilitated", "sold"]);
    let sellers = Filter {
        role: Some(Role::Seller),
        ..Filter::default()
    };
    assert_eq!(names(&ledger, sellers).await, ["sold"]);
}

/// A reader of many pages sees every payment once, in order, though others come meanwhile.
pub async fn pages_follow_each_other_without_a_gap(store: &dyn Store) {
    let ledger = store.open().await;
    for n in 0..7 {
        ledger.must_claim(claim(&format!("p{n}"), 5)).await;
    }
    for oldest_first in [true, false] {
        let mut expected: Vec<String> = (0..7).map(|n| format!("p{n}")).collect();
        if !oldest_first {
            expected.reverse();
        }
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = Filter {
                oldest_first,
                after: after.clone(),
                limit: Some(3),
                ..Filter::default()
            };
            let page = names(&ledger, page).await;
            let Some(last) = page.last() else { break };
            after = Some(PaymentId(last.clone()));
            seen.extend(page);
        }
        assert_eq!(seen, expected);
    }
}

/// Reserved, sent, unknown, or settled and not final.
pub async fn only_what_a_rail_must_be_asked_about_is_open(store: &dyn Store) {
    let ledger = store.open().await;
    let final_settlement = Event::Settled {
        transaction: "0x01".to_owned(),
        is_final: true,
    };
    let stories = [
        ("reserved", vec![]),
        ("sent", vec![sending()]),
        (
            "unknown",
            vec![sending(), Event::NoReply { reason: reason() }],
        ),
        ("settled", vec![settled()]),
        ("spent", vec![sending(), Event::ExpiredUnasked]),
        (
            "undone",
            vec![settled(), Event::Undone { resendable: true }],
        ),
        ("final", vec![final_settlement]),
        ("finalised", vec![settled(), Event::Finalised]),
        ("released", vec![Event::Abandoned { reason: reason() }]),
        ("rejected", vec![Event::Failed { reason: reason() }]),
        ("lost", vec![settled(), Event::Undone { resendable: false }]),
    ];
    for (name, events) in stories {
        ledger.must_claim(claim(name, 5)).await;
        for event in events {
            ledger.must_take(name, event).await;
        }
    }
    let at = |stage, oldest_first| Filter {
        stage,
        oldest_first,
        ..Filter::default()
    };
    assert_eq!(
        names(&ledger, at(Stage::Open, false)).await,
        ["undone", "spent", "settled", "unknown", "sent", "reserved"]
    );
    assert_eq!(
        names(&ledger, at(Stage::Undecided, true)).await,
        ["reserved", "sent", "unknown", "undone"]
    );
    assert_eq!(
        names(&ledger, at(Stage::NotFinal, true)).await,
        ["settled", "spent"]
    );
}

/// Every field of both sides.
pub async fn a_payment_comes_back_whole_after_reopening(store: &dyn Store) {
    let ledger = rich(store).await;
    let by_agent = limits(None, None, Some(10));
    let set = ledger.set_budget(Some("scout"), by_agent).await;
    set.expect("a working store");
    let new = NewSpend {
        agent: Some("scout".to_owned()),
        ..spend("bought", 5)
    };
    ledger.must_reserve(new).await;
    ledger.must_claim(claim("sold", 7)).await;
    let books = ledger.books().await.expect("books");
    drop(ledger);

    let ledger = store.open().await;
    assert_eq!(ledger.books().await.expect("books"), books);
    let find = |name: &str| {
        let (ledger, id) = (Arc::clone(&ledger), PaymentId(name.to_owned()));
        async move {
            let found = ledger.payment(&id).await.expect("a working store");
            found.expect("the payment")
        }
    };
    let bought = find("bought").await;
    assert_eq!((bought.role, &bought.terms), (Role::Buyer, &terms(5)));
    assert_eq!((bought.created_ms, bought.updated_ms), (NOON_MS, NOON_MS));
    assert_eq!(bought.valid_before_s, None);
    assert!(bought.seller.is_none());
    let buyer = bought.buyer.expect("a buyer");
    assert_eq!(buyer.call, CallKey("call of bought".to_owned()));
    assert_eq!(buyer.agent.as_deref(), Some("scout"));
    assert_eq!(buyer.url, "http://127.0.0.1/weather");
    assert_eq!(buyer.lease, lease("one"));
    assert!(buyer.credential.is_none());

    let sold = find("sold").await;
    let expected = claim("sold", 7);
    assert_eq!((sold.role, &sold.terms), (Role::Seller, &terms(7)));
    assert_eq!(sold.identity, Some(expected.identity));
    assert_eq!(sold.handle, Some(expected.handle));
    assert_eq!(sold.valid_before_s, Some(expected.valid_before_s));
    assert!(sold.buyer.is_none());
    let seller = sold.seller.expect("a seller");
    assert_eq!(seller.route, "weather");
    assert_eq!(seller.payload_digest, [1; 32]);
    assert_eq!(seller.request_digest, [2; 32]);
    assert_eq!(seller.body_digest, None);
}

/// A reader among writers sees whole entries only: every asset sums to zero in every look.
pub async fn books_are_one_snapshot_while_others_write(store: &dyn Store) {
    let (ledger, reader) = (rich(store).await, store.open().await);
    let is_done = Arc::new(AtomicBool::new(false));
    let writer = {
        let is_done = Arc::clone(&is_done);
        tokio::spawn(async move {
            for n in 0..100 {
                let name = format!("payment-{n}");
                ledger.must_reserve(spend(&name, 5)).await;
                ledger.must_take(&name, settled()).await;
            }
            is_done.store(true, Ordering::Release);
        })
    };
    let mut looks = 0;
    while !is_done.load(Ordering::Acquire) || looks == 0 {
        let mut sums: HashMap<String, i128> = HashMap::new();
        for line in reader.books().await.expect("books") {
            *sums.entry(format!("{:?}", line.asset)).or_default() += line.balance;
        }
        assert!(sums.values().all(|sum| *sum == 0), "{sums:?}");
        let lines = reader.budgets(NOON_MS).await.expect("lines");
        let used: Vec<_> = lines
            .iter()
            .map(|line| line.reserved.0 + line.spent.0)
            .collect();
        // The day and the total of one snapshot agree.
        assert!(
            matches!(used.as_slice(), [0, day, total] if day == total),
            "{used:?}"
        );
        looks += 1;
    }
    writer.await.expect("no panic");
}

async fn rich(store: &dyn Store) -> Arc<dyn Ledger> {
    let ledger = store.open().await;
    let set = ledger.set_budget(None, limits(None, None, Some(1_000_000)));
    set.await.expect("a working store");
    ledger
}

async fn names(ledger: &Arc<dyn Ledger>, filter: Filter) -> Vec<String> {
    let list = ledger.list(filter).await.expect("a list");
    list.into_iter().map(|payment| payment.id.0).collect()
}

/// However often it is asked whether the books can be written, they say the same afterwards.
pub async fn a_probe_changes_nothing(store: &dyn Store) {
    let ledger = rich(store).await;
    ledger.must_claim(claim("sold", 5)).await;
    let before = ledger.books().await.expect("books");
    for _ in 0..3 {
        ledger.probe().await.expect("it can be written");
    }
    assert_eq!(ledger.books().await.expect("books"), before);
    assert_eq!(names(&ledger, Filter::default()).await, ["sold"]);
    ledger.verify(true).await.expect("sound books");
    drop(ledger);
    let again = store.open().await;
    assert_eq!(names(&again, Filter::default()).await, ["sold"]);
}
