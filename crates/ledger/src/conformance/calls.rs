//! Rules of logical calls (law 3): one open payment for each, unless asked for more.

use std::sync::Arc;

use farebox_core::ledger::{CallKey, Ledger, NewSpend, PaymentId, Reserved};
use farebox_core::payment::{Event, Hold, Phase};

use super::kit::{Ask, Store, limits, reason, sending, settled, spend};

/// Two processes with the same wish pay once.
pub async fn of_parallel_twins_one_is_first(store: &dyn Store) {
    let (one, two) = (rich(store).await, store.open().await);
    let tasks: Vec<_> = (0..50)
        .zip([&one, &two].into_iter().cycle())
        .map(|(n, ledger)| {
            let (ledger, new) = (Arc::clone(ledger), same_call(n));
            tokio::spawn(async move { ledger.reserve(new).await })
        })
        .collect();
    let (mut first, mut twins) = (Vec::new(), Vec::new());
    for task in tasks {
        match task.await.expect("no panic").expect("a working store") {
            Reserved::First(payment) => first.push(payment.id),
            Reserved::Twin(payment) => twins.push(payment.id),
            Reserved::Denied(denial) => panic!("{denial}"),
        }
    }
    assert_eq!(first.len(), 1);
    assert_eq!(twins.len(), 49);
    assert!(twins.iter().all(|id| first.contains(id)));
    one.must_add_up().await;
}

/// A call lives until its payment is committed or released.
pub async fn a_call_that_ended_is_bought_anew(store: &dyn Store) {
    let ledger = rich(store).await;
    let endings = [
        vec![Event::Abandoned { reason: reason() }],
        vec![sending(), settled()],
        vec![sending(), Event::Failed { reason: reason() }],
        vec![
            sending(),
            Event::NoReply { reason: reason() },
            Event::Expired,
        ],
    ];
    for (n, events) in endings.into_iter().enumerate() {
        let payment = ledger.must_reserve(same_call(n)).await;
        for event in events {
            assert_eq!(open(&ledger).await, Some(payment.id.clone()));
            ledger.must_take(&payment.id.0, event).await;
        }
        assert_eq!(open(&ledger).await, None);
    }
    ledger.must_add_up().await;
}

/// `--new`: several payments of one call; the newest is the one to wait for.
pub async fn a_fresh_reserve_ignores_the_open_one(store: &dyn Store) {
    let ledger = rich(store).await;
    ledger.must_reserve(same_call(1)).await;
    let fresh = NewSpend {
        fresh: true,
        ..same_call(2)
    };
    ledger.must_reserve(fresh).await;
    assert_eq!(open(&ledger).await, Some(same_call(2).id));
    ledger.must_take(&same_call(2).id.0, settled()).await;
    assert_eq!(open(&ledger).await, Some(same_call(1).id));
    ledger.must_add_up().await;
}

/// Without anyone to ask, the hold becomes spending at expiry: there is nothing left to show.
pub async fn a_hold_counted_as_spent_ends_the_call(store: &dyn Store) {
    let ledger = rich(store).await;
    let payment = ledger.must_reserve(same_call(1)).await;
    ledger.must_take(&payment.id.0, sending()).await;
    let payment = ledger.must_take(&payment.id.0, Event::ExpiredUnasked).await;
    assert_eq!(payment.state.phase, Phase::Unknown);
    assert_eq!(payment.state.hold, Hold::Spent);
    assert_eq!(open(&ledger).await, None);
    ledger.must_reserve(same_call(2)).await;
    ledger.must_add_up().await;
}

fn same_call(n: usize) -> NewSpend {
    NewSpend {
        call: CallKey("the call".to_owned()),
        ..spend(&format!("payment-{n}"), 5)
    }
}

async fn rich(store: &dyn Store) -> Arc<dyn Ledger> {
    let ledger = store.open().await;
    let set = ledger.set_budget(None, limits(None, None, Some(1_000_000)));
    set.await.expect("a working store");
    ledger
}

async fn open(ledger: &Arc<dyn Ledger>) -> Option<PaymentId> {
    let call = CallKey("the call".to_owned());
    let found = ledger.by_call(&call).await.expect("a working store");
    found.map(|payment| payment.id)
}
