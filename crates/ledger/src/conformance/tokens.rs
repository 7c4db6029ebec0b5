//! Rules of what is paid before there is a credential: the fee as it was, and the token.

use std::sync::Arc;

use farebox_core::ledger::{Actual, Attach, Ledger, LedgerError, NewSpend, PaymentId};
use farebox_core::payment::{Event, Role};
use farebox_core::policy::Level;
use farebox_core::rail::{Credential, Terms};
use farebox_core::token::{Scope, Token, TokenId, TokenNews, TokenState};
use farebox_wire::identity::Identity;
use farebox_wire::money::{Amount, UsdMicros};

use super::kit::{Ask, NOON_MS, PAYEE, Store, limits, reason, sending, spend, terms};

const SPENT: &str = "buyer/spent/";

/// 100 units and at most 10 of fee, at a dollar a million.
fn dear(name: &str) -> NewSpend {
    NewSpend {
        agent: Some("bot".to_owned()),
        terms: Terms {
            fee_max: Amount::from_atomic(10),
            cost: UsdMicros(110),
            ..terms(100)
        },
        ..spend(name, 100)
    }
}

fn actual(fee: u128) -> Attach {
    Attach {
        actual: Some(Actual {
            fee: Amount::from_atomic(fee),
            cost: UsdMicros(100 + fee),
        }),
        ..Attach::default()
    }
}

fn token(name: &str, payment: Option<&str>) -> Token {
    Token {
        id: TokenId(name.to_owned()),
        payment: payment.map(|id| PaymentId(id.to_owned())),
        scope: Scope {
            origin: "https://a.example:443".to_owned(),
            method: Some("GET".to_owned()),
            path: "/x".to_owned(),
        },
        agent: None,
        credential: Credential {
            header: "authorization".to_owned(),
            value: format!("L402 {name}:00"),
        },
        created_ms: NOON_MS,
        updated_ms: NOON_MS,
        expires_s: Some(2_000_000_000),
        uses_left: Some(2),
        state: TokenState::Fresh,
    }
}

async fn rich(store: &dyn Store) -> Arc<dyn Ledger> {
    let ledger = store.open().await;
    for agent in [None, Some("bot")] {
        let set = ledger.set_budget(agent, limits(None, None, Some(1_000)));
        set.await.expect("a working store");
    }
    ledger
}

/// (reserved, spent) of the asset, and of every budget line that counts.
async fn used(ledger: &Arc<dyn Ledger>) -> ((i128, i128), Vec<(u128, u128)>) {
    let own = (
        ledger.balance("buyer/reserved").await,
        ledger.balance(&format!("{SPENT}{PAYEE}")).await,
    );
    let lines = ledger.budgets(NOON_MS).await.expect("lines");
    let lines = lines.iter().filter(|line| line.level != Level::Payment);
    (
        own,
        lines.map(|line| (line.reserved.0, line.spent.0)).collect(),
    )
}

/// The most is held; what was paid is spent, and the rest is there again, in every budget.
pub async fn a_fee_is_held_at_its_most_and_spent_as_it_was(store: &dyn Store) {
    let ledger = rich(store).await;
    ledger.must_reserve(dear("one")).await;
    assert_eq!(used(&ledger).await, ((110, 0), vec![(110, 0); 4]));
    ledger.must_take("one", sending()).await;
    let settled = Event::Settled {
        transaction: "hash".to_owned(),
        is_final: true,
    };
    let id = PaymentId("one".to_owned());
    let applied = ledger.apply(&id, settled.clone(), actual(3), NOON_MS).await;
    let payment = applied.expect("a settlement").payment;
    assert_eq!(payment.buyer.expect("a buyer").actual, actual(3).actual);
    assert_eq!(used(&ledger).await, ((0, 103), vec![(0, 103); 4]));
    assert_eq!(ledger.balance("buyer/wallet").await, -103);
    // Once more changes nothing.
    let again = ledger.apply(&id, settled, actual(3), NOON_MS).await;
    assert!(again.is_ok());
    assert_eq!(used(&ledger).await, ((0, 103), vec![(0, 103); 4]));
    let stored = ledger.payment(&id).await.expect("a working store");
    let buyer = stored.and_then(|payment| payment.buyer).expect("a buyer");
    assert_eq!(buyer.actual, actual(3).actual);
    assert_eq!(buyer.method.as_deref(), Some("GET"));
    ledger.must_add_up().await;
}

/// All of it goes back where nothing moved.
pub async fn a_fee_that_was_never_paid_is_given_back(store: &dyn Store) {
    let ledger = rich(store).await;
    for (name, last) in [
        ("failed", Event::Failed { reason: reason() }),
        ("expired", Event::Expired),
    ] {
        ledger.must_reserve(dear(name)).await;
        ledger.must_take(name, sending()).await;
        ledger.must_take(name, last).await;
        assert_eq!(used(&ledger).await, ((0, 0), vec![(0, 0); 4]));
    }
    ledger.must_add_up().await;
}

/// Nobody could be asked, so all of it counted as spent; then the proof came.
pub async fn a_fee_that_is_heard_of_late_gives_the_rest_back(store: &dyn Store) {
    let ledger = rich(store).await;
    ledger.must_reserve(dear("one")).await;
    ledger.must_take("one", sending()).await;
    ledger.must_take("one", Event::ExpiredUnasked).await;
    assert_eq!(used(&ledger).await, ((0, 110), vec![(0, 110); 4]));
    let settled = Event::Settled {
        transaction: "hash".to_owned(),
        is_final: true,
    };
    let id = PaymentId("one".to_owned());
    assert!(ledger.apply(&id, settled, actual(0), NOON_MS).await.is_ok());
    assert_eq!(used(&ledger).await, ((0, 100), vec![(0, 100); 4]));
    // Even a second word counts, and every way back from there.
    let none = ledger.apply_all(&id, vec![], actual(10), NOON_MS).await;
    assert!(none.is_ok());
    assert_eq!(used(&ledger).await, ((0, 110), vec![(0, 110); 4]));
    ledger.must_add_up().await;
}

/// What was spent with its fee comes back with it, and is held at its most again.
pub async fn a_fee_follows_its_amount_through_a_reorg(store: &dyn Store) {
    let ledger = rich(store).await;
    ledger.must_reserve(dear("one")).await;
    let id = PaymentId("one".to_owned());
    let settled = || Event::Settled {
        transaction: "hash".to_owned(),
        is_final: false,
    };
    assert!(
        ledger
            .apply(&id, settled(), actual(4), NOON_MS)
            .await
            .is_ok()
    );
    ledger
        .must_take("one", Event::Undone { resendable: true })
        .await;
    assert_eq!(used(&ledger).await, ((110, 0), vec![(110, 0); 4]));
    ledger.must_take("one", settled()).await;
    assert_eq!(used(&ledger).await, ((0, 104), vec![(0, 104); 4]));
    ledger
        .must_take("one", Event::Undone { resendable: false })
        .await;
    assert_eq!(used(&ledger).await, ((0, 0), vec![(0, 0); 4]));
    ledger.must_add_up().await;
}

/// One invoice is one payment, unless the money of the first never moved.
pub async fn a_name_on_the_rail_belongs_to_one_payment_that_has_money(store: &dyn Store) {
    let ledger = rich(store).await;
    let named = || Attach {
        identity: Some(Identity::from_stored("l402:01")),
        ..Attach::default()
    };
    for name in ["one", "two", "three"] {
        ledger.must_reserve(spend(name, 5)).await;
    }
    let send = async |name: &str| {
        let id = PaymentId(name.to_owned());
        ledger.apply(&id, sending(), named(), NOON_MS).await
    };
    assert!(send("one").await.is_ok());
    // Its own name once more.
    assert!(send("one").await.is_ok());
    let taken = send("two").await.err();
    assert!(matches!(taken, Some(LedgerError::Taken(id)) if id.0 == "one"));
    ledger
        .must_take("one", Event::Failed { reason: reason() })
        .await;
    assert!(send("two").await.is_ok());
    let found = ledger
        .by_identity(Role::Buyer, &Identity::from_stored("l402:01"))
        .await;
    let found = found.expect("a working store").expect("the name");
    assert_eq!(found.id.0, "two");
    let settled = Event::Settled {
        transaction: "01".to_owned(),
        is_final: true,
    };
    ledger.must_take("two", settled).await;
    let taken = send("three").await.err();
    assert!(matches!(taken, Some(LedgerError::Taken(id)) if id.0 == "two"));
    ledger.must_add_up().await;
}

/// Proof and token are one; a second word of the same payment brings no second token.
pub async fn a_token_is_kept_with_its_payment_and_once(store: &dyn Store) {
    let ledger = rich(store).await;
    let id = ledger.must_reserve(spend("one", 5)).await.id;
    let bought = |name: &str| Attach {
        token: Some(Box::new(token(name, Some("one")))),
        ..Attach::default()
    };
    // What is refused leaves no token.
    let abandoned = Event::Undone { resendable: true };
    assert!(
        ledger
            .apply(&id, abandoned, bought("t0"), NOON_MS)
            .await
            .is_err()
    );
    assert!(ledger.tokens(None).await.expect("tokens").is_empty());
    ledger.must_take("one", sending()).await;
    let settled = || Event::Settled {
        transaction: "01".to_owned(),
        is_final: true,
    };
    for name in ["t1", "t2"] {
        assert!(
            ledger
                .apply(&id, settled(), bought(name), NOON_MS)
                .await
                .is_ok()
        );
    }
    let reopened = store.open().await;
    let tokens = reopened.tokens(None).await.expect("tokens");
    let [kept] = tokens.as_slice() else {
        panic!("{} tokens", tokens.len());
    };
    assert_eq!(kept.id.0, "t1");
    assert_eq!(kept.payment, Some(id));
    assert_eq!(kept.scope, token("t1", None).scope);
    assert_eq!(kept.credential.value, "L402 t1:00");
    assert_eq!(kept.state, TokenState::Fresh);
    assert_eq!(
        (kept.expires_s, kept.uses_left),
        (Some(2_000_000_000), Some(2))
    );
    ledger.must_add_up().await;
}

/// Newest first, by origin or all; what is learned stays, what is removed is gone.
pub async fn tokens_are_found_changed_and_removed(store: &dyn Store) {
    let ledger = store.open().await;
    let mut elsewhere = token("t3", None);
    "https://b.example:443".clone_into(&mut elsewhere.scope.origin);
    elsewhere.scope.method = None;
    elsewhere.expires_s = None;
    elsewhere.agent = Some("bot".to_owned());
    for new in [token("t1", None), token("t2", None), elsewhere] {
        assert!(ledger.keep_token(new).await.expect("a working store"));
    }
    let twice = ledger.keep_token(token("t1", None)).await;
    assert!(!twice.expect("a working store"), "the same credential");
    let names = async |origin: Option<&str>| {
        let tokens = ledger.tokens(origin).await.expect("tokens");
        tokens
            .into_iter()
            .map(|token| token.id.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(None).await, ["t3", "t2", "t1"]);
    assert_eq!(names(Some("https://a.example:443")).await, ["t2", "t1"]);
    let id = TokenId("t1".to_owned());
    for (left, state) in [(1, TokenState::Used), (0, TokenState::Exhausted)] {
        let noted = ledger.note_token(&id, TokenNews::Served, NOON_MS + 1).await;
        let noted = noted.expect("a working store").expect("the token");
        assert_eq!((noted.uses_left, noted.state), (Some(left), state));
    }
    let found = ledger.token(&id).await.expect("a working store");
    let found = found.expect("the token");
    assert_eq!(
        (found.state, found.updated_ms),
        (TokenState::Exhausted, NOON_MS + 1)
    );
    assert!(ledger.remove_token(&id).await.expect("a working store"));
    assert!(!ledger.remove_token(&id).await.expect("a working store"));
    assert!(ledger.token(&id).await.expect("a working store").is_none());
    let none = ledger.note_token(&id, TokenNews::Served, NOON_MS).await;
    assert!(none.expect("a working store").is_none());
    assert_eq!(names(None).await, ["t3", "t2"]);
}
