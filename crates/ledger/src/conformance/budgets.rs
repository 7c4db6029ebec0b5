//! Rules of budgets: limits count reserved money, whoever reserves it, from wherever.

use std::sync::Arc;

use farebox_core::ledger::{Ledger, NewSpend, Reserved};
use farebox_core::payment::Event;
use farebox_core::policy::{Denial, Level};
use farebox_wire::money::UsdMicros;

use super::kit::{Ask, DAY_MS, NOON_MS, Store, limits, reason, settled, spend};

/// Law 13: brakes are on by default.
pub async fn without_a_budget_nothing_is_spent(store: &dyn Store) {
    let ledger = store.open().await;
    let none = Denial::NoBudget { agent: None };
    assert_eq!(ledger.must_deny(spend("one", 0)).await, none);
    // A budget that limits nothing is none.
    set(&ledger, None, (None, None, None)).await;
    assert_eq!(ledger.must_deny(spend("two", 1)).await, none);
}

/// Per payment, per day and in total, with what is reserved and spent counted.
pub async fn every_limit_allows_itself_and_not_a_millionth_more(store: &dyn Store) {
    let ledger = store.open().await;
    set(&ledger, None, (Some(60), Some(100), Some(150))).await;
    let over = |level, limit, left, cost| Denial::OverLimit {
        agent: None,
        level,
        limit: UsdMicros(limit),
        left: UsdMicros(left),
        cost: UsdMicros(cost),
    };
    let denial = ledger.must_deny(spend("large", 61)).await;
    assert_eq!(denial, over(Level::Payment, 60, 60, 61));
    ledger.must_reserve(spend("one", 60)).await;
    ledger.must_take("one", settled()).await;
    let denial = ledger.must_deny(spend("two", 41)).await;
    assert_eq!(denial, over(Level::Day, 100, 40, 41));
    ledger.must_reserve(spend("two", 40)).await;
    let tomorrow = |name, amount| NewSpend {
        now_ms: NOON_MS + DAY_MS,
        ..spend(name, amount)
    };
    let denial = ledger.must_deny(tomorrow("three", 51)).await;
    assert_eq!(denial, over(Level::Total, 150, 50, 51));
    ledger.must_reserve(tomorrow("three", 50)).await;
    ledger.must_deny(tomorrow("four", 1)).await;
    // What is given back can be spent again.
    ledger
        .must_take("two", Event::Abandoned { reason: reason() })
        .await;
    ledger.must_reserve(tomorrow("five", 40)).await;
    ledger.must_add_up().await;
}

/// An agent spends from the owner's money within limits of its own.
pub async fn an_agent_needs_its_own_budget_and_the_owners(store: &dyn Store) {
    let ledger = store.open().await;
    let by_agent = |name, amount| NewSpend {
        agent: Some("scout".to_owned()),
        ..spend(name, amount)
    };
    set(&ledger, Some("scout"), (None, None, Some(50))).await;
    let denial = ledger.must_deny(by_agent("one", 10)).await;
    assert_eq!(denial, Denial::NoBudget { agent: None });
    set(&ledger, None, (None, None, Some(70))).await;
    ledger.must_reserve(by_agent("one", 50)).await;
    let denial = ledger.must_deny(by_agent("two", 1)).await;
    assert!(matches!(denial, Denial::OverLimit { agent: Some(name), .. } if name == "scout"));
    // The agent's money is the owner's money.
    let denial = ledger.must_deny(spend("three", 21)).await;
    assert!(matches!(denial, Denial::OverLimit { agent: None, .. }));
    let stranger = NewSpend {
        agent: Some("stranger".to_owned()),
        ..spend("four", 1)
    };
    let denial = ledger.must_deny(stranger).await;
    assert!(matches!(denial, Denial::NoBudget { agent: Some(_) }));
    let totals = used(&ledger, NOON_MS, Level::Total).await;
    assert_eq!(totals, [(None, 50, 0), (Some("scout".to_owned()), 50, 0)]);
    ledger.must_add_up().await;
}

/// Midnight is UTC.
pub async fn at_midnight_the_day_begins_anew_and_the_total_does_not(store: &dyn Store) {
    let ledger = store.open().await;
    set(&ledger, None, (None, Some(10), Some(15))).await;
    let at = |name, now_ms| NewSpend {
        now_ms,
        ..spend(name, 10)
    };
    let midnight = NOON_MS + DAY_MS / 2;
    ledger.must_reserve(at("one", midnight - 1)).await;
    ledger.must_deny(at("two", midnight - 1)).await;
    let denial = ledger.must_deny(at("two", midnight)).await;
    assert_eq!(denial.rule(), "total");
    set(&ledger, None, (None, None, Some(20))).await;
    ledger.must_reserve(at("two", midnight)).await;
    ledger.must_add_up().await;
}

/// What is settled or released tomorrow was spent or freed today.
pub async fn a_payment_counts_on_the_day_of_its_reserve(store: &dyn Store) {
    let ledger = store.open().await;
    set(&ledger, None, (None, Some(10), None)).await;
    ledger.must_reserve(spend("one", 10)).await;
    let tomorrow = NOON_MS + DAY_MS;
    let id = spend("one", 10).id;
    let applied = ledger
        .apply(&id, settled(), Default::default(), tomorrow)
        .await;
    assert!(applied.is_ok());
    assert_eq!(used(&ledger, NOON_MS, Level::Day).await, [(None, 0, 10)]);
    assert_eq!(used(&ledger, tomorrow, Level::Day).await, [(None, 0, 0)]);
    assert_eq!(used(&ledger, tomorrow, Level::Total).await, [(None, 0, 10)]);
    ledger.must_add_up().await;
}

/// Issue 2: a budget for 100, exactly, from several openings of one store.
pub async fn five_hundred_parallel_reserves_spend_a_budget_for_a_hundred(store: &dyn Store) {
    let mut ledgers = Vec::new();
    for _ in 0..4 {
        ledgers.push(store.open().await);
    }
    let [ledger, ..] = ledgers.as_slice() else {
        panic!("four ledgers");
    };
    set(ledger, None, (None, None, Some(100 * 7))).await;
    let tasks: Vec<_> = (0..500)
        .zip(ledgers.iter().cycle())
        .map(|(n, ledger)| {
            let (ledger, new) = (Arc::clone(ledger), spend(&format!("spend-{n}"), 7));
            tokio::spawn(async move { ledger.reserve(new).await })
        })
        .collect();
    let (mut allowed, mut denied) = (0, 0);
    for task in tasks {
        match task.await.expect("no panic").expect("a working store") {
            Reserved::First(_) => allowed += 1,
            Reserved::Denied(denial) => {
                assert_eq!(denial.rule(), "total");
                denied += 1;
            }
            Reserved::Twin(payment) => panic!("a twin of {}", payment.id),
        }
    }
    assert_eq!((allowed, denied), (100, 400));
    assert_eq!(used(ledger, NOON_MS, Level::Total).await, [(None, 700, 0)]);
    ledger.must_add_up().await;
}

/// docs/command-line.md: `[budget]` counts once, `budget set` replaces what it names and keeps what is used.
pub async fn a_budget_is_seeded_once_and_changed_limit_by_limit(store: &dyn Store) {
    let ledger = store.open().await;
    let seeded = ledger.seed_budget(limits(Some(5), Some(50), None)).await;
    assert!(seeded.expect("a working store"));
    ledger.must_reserve(spend("one", 5)).await;
    let again = ledger.seed_budget(limits(Some(9), None, None)).await;
    assert!(!again.expect("a working store"));
    set(&ledger, None, (None, Some(60), Some(70))).await;
    let lines = ledger.budgets(NOON_MS).await.expect("lines");
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (line.limit.map(|limit| limit.0), line.reserved.0))
        .collect();
    assert_eq!(seen, [(Some(5), 0), (Some(60), 5), (Some(70), 5)]);
}

/// No payment, no account.
pub async fn a_denied_reserve_leaves_nothing(store: &dyn Store) {
    let ledger = store.open().await;
    set(&ledger, None, (Some(5), None, None)).await;
    ledger.must_deny(spend("one", 6)).await;
    assert!(
        ledger
            .list(Default::default())
            .await
            .expect("a list")
            .is_empty()
    );
    assert!(ledger.books().await.expect("books").is_empty());
    // Its name is free.
    ledger.must_reserve(spend("one", 5)).await;
}

async fn set(
    ledger: &Arc<dyn Ledger>,
    agent: Option<&str>,
    (per_payment, per_day, total): (Option<u128>, Option<u128>, Option<u128>),
) {
    let change = limits(per_payment, per_day, total);
    let set = ledger.set_budget(agent, change).await;
    set.expect("a working store");
}

/// Who has how much reserved and spent at a level.
async fn used(
    ledger: &Arc<dyn Ledger>,
    now_ms: u64,
    level: Level,
) -> Vec<(Option<String>, u128, u128)> {
    let lines = ledger.budgets(now_ms).await.expect("lines");
    lines
        .into_iter()
        .filter(|line| line.level == level)
        .map(|line| (line.agent, line.reserved.0, line.spent.0))
        .collect()
}
