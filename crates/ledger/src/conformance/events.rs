//! Rules of events: all or nothing, once, and the money where the state says.

use std::sync::Arc;

use farebox_core::ledger::{Applied, Attach, Lease, Ledger, LedgerError, PaymentId, Taker};
use farebox_core::payment::{Delivery, Effect, Event, Phase};
use farebox_core::policy::Level;
use farebox_core::rail::{Credential, Handle, SentTransaction};
use farebox_wire::identity::Identity;

use super::kit::{
    Ask, NOON_MS, PAYEE, PAYER, Store, claim, lease, limits, reason, sending, settled, spend,
};

/// Events, and where an amount of 5 is after each: away, held, spent.
type Story = Vec<(Event, [i128; 3])>;

const AWAY: [i128; 3] = [0, 0, 0];
const HELD: [i128; 3] = [-5, 5, 0];
const SPENT: [i128; 3] = [-5, 0, 5];

/// Every posting effect, on every way that leads to it.
fn stories() -> Vec<Story> {
    let failed = Event::Failed { reason: reason() };
    let no_reply = Event::NoReply { reason: reason() };
    let undone = |resendable| Event::Undone { resendable };
    vec![
        // Release.
        vec![(Event::Abandoned { reason: reason() }, AWAY)],
        vec![(sending(), HELD), (failed.clone(), AWAY)],
        // Commit.
        vec![
            (sending(), HELD),
            (settled(), SPENT),
            (Event::Finalised, SPENT),
        ],
        // CommitReturned: reality outranks our records.
        vec![
            (sending(), HELD),
            (no_reply.clone(), HELD),
            (Event::Expired, AWAY),
            (settled(), SPENT),
        ],
        // Reopen, and Commit again.
        vec![(settled(), SPENT), (undone(true), HELD), (settled(), SPENT)],
        // WriteOff.
        vec![(settled(), SPENT), (undone(false), AWAY)],
        vec![
            (sending(), HELD),
            (Event::ExpiredUnasked, SPENT),
            (Event::Expired, AWAY),
        ],
    ]
}

/// Asset and budgets alike.
pub async fn a_buyers_money_follows_every_effect(store: &dyn Store) {
    let ledger = rich(store).await;
    let spent = format!("buyer/spent/{PAYEE}");
    let mut before = [0; 3];
    for (n, story) in stories().into_iter().enumerate() {
        let id = format!("payment-{n}");
        ledger.must_reserve(spend(&id, 5)).await;
        for (event, expected) in story {
            let told = format!("story {n}, {event:?}");
            ledger.must_take(&id, event).await;
            let own = balances(&ledger, ["buyer/wallet", "buyer/reserved", &spent]).await;
            assert_eq!(less(own, before), expected, "{told}");
            let budget = [
                "budget/total/free",
                "budget/total/reserved",
                "budget/total/spent",
            ];
            assert_eq!(
                less(balances(&ledger, budget).await, before),
                expected,
                "{told}"
            );
        }
        before = balances(&ledger, ["buyer/wallet", "buyer/reserved", &spent]).await;
    }
    let lines = ledger.budgets(NOON_MS).await.expect("lines");
    let used: Vec<_> = lines
        .iter()
        .filter(|line| line.level != Level::Payment)
        .map(|line| (line.reserved.0, line.spent.0))
        .collect();
    // Three of the stories end with the amount spent.
    assert_eq!(used, [(0, 15), (0, 15)]);
    ledger.must_add_up().await;
}

/// Revenue is what has settled and was not undone.
pub async fn a_sellers_money_follows_every_effect(store: &dyn Store) {
    let ledger = store.open().await;
    let (held, revenue) = (
        format!("seller/held/{PAYER}"),
        format!("seller/revenue/{PAYEE}"),
    );
    let mut before = [0; 3];
    for (n, story) in stories().into_iter().enumerate() {
        let id = format!("payment-{n}");
        ledger.must_claim(claim(&id, 5)).await;
        for (event, expected) in story {
            let told = format!("story {n}, {event:?}");
            ledger.must_take(&id, event).await;
            let own = balances(&ledger, ["seller/payers", &held, &revenue]).await;
            assert_eq!(less(own, before), expected, "{told}");
        }
        before = balances(&ledger, ["seller/payers", &held, &revenue]).await;
    }
    assert_eq!(before, [-15, 0, 15]);
    ledger.must_add_up().await;
}

/// Watchers repeat themselves.
pub async fn a_repeated_event_changes_nothing(store: &dyn Store) {
    let ledger = rich(store).await;
    ledger.must_reserve(spend("one", 5)).await;
    for event in [
        sending(),
        Event::NoReply { reason: reason() },
        settled(),
        Event::Delivered,
        Event::Finalised,
    ] {
        let once = ledger.must_take("one", event.clone()).await;
        let books = ledger.books().await.expect("books");
        let twice = ledger.must_take("one", event).await;
        assert_eq!(once.state, twice.state);
        assert_eq!(ledger.books().await.expect("books"), books);
    }
    ledger.must_add_up().await;
}

/// Neither the state nor the books nor what was to be attached.
pub async fn an_illegal_event_changes_nothing(store: &dyn Store) {
    let ledger = rich(store).await;
    ledger.must_reserve(spend("one", 5)).await;
    ledger.must_take("one", sending()).await;
    let books = ledger.books().await.expect("books");
    let attach = Attach {
        receipt: Some("{}".to_owned()),
        lease: Some(lease("thief")),
        ..Attach::default()
    };
    let abandoned = Event::Abandoned { reason: reason() };
    let answer = ledger.apply(&id("one"), abandoned, attach, NOON_MS).await;
    assert!(matches!(answer, Err(LedgerError::Illegal(illegal)) if illegal.phase == Phase::Sent));
    let payment = ledger.payment(&id("one")).await.expect("a working store");
    let payment = payment.expect("the payment");
    assert_eq!(payment.state.phase, Phase::Sent);
    assert_eq!(payment.receipt, None);
    assert_eq!(payment.buyer.expect("a buyer").lease, lease("one"));
    assert_eq!(ledger.books().await.expect("books"), books);
    ledger.must_add_up().await;
}

/// A facilitator writes down "settled" and "answered" together; half of it is never there.
pub async fn events_in_turn_are_taken_all_or_none(store: &dyn Store) {
    let ledger = store.open().await;
    let id = ledger.must_claim(claim("one", 5)).await.id;
    ledger.must_take("one", sending()).await;
    let books = ledger.books().await.expect("books");
    let abandoned = Event::Abandoned { reason: reason() };
    let half_legal = vec![Event::NoReply { reason: reason() }, abandoned];
    let refused = ledger
        .apply_all(&id, half_legal, Attach::default(), NOON_MS)
        .await;
    assert!(matches!(refused, Err(LedgerError::Illegal(_))));
    let payment = ledger.payment(&id).await.expect("a working store");
    assert_eq!(payment.expect("the payment").state.phase, Phase::Sent);
    assert_eq!(ledger.books().await.expect("books"), books);

    let both = vec![settled(), Event::Delivered];
    let applied = ledger
        .apply_all(&id, both, Attach::default(), NOON_MS)
        .await
        .expect("legal events");
    assert_eq!(applied.payment.state.phase, Phase::Settled);
    assert_eq!(applied.payment.state.delivery, Delivery::Delivered);
    assert!(applied.effects.contains(&Effect::Deliver));
    ledger.must_add_up().await;
}

/// A transaction of many payments has a line for each, in one go; some of them have ended.
pub async fn an_event_on_many_is_as_on_each(store: &dyn Store) {
    let ledger = store.open().await;
    for name in ["together 1", "ended", "together 2", "alone"] {
        ledger.must_claim(claim(name, 5)).await;
    }
    let abandoned = Event::Abandoned { reason: reason() };
    ledger.must_take("ended", abandoned).await;
    let taker = |name, digest| Taker {
        id: id(name),
        attach: Attach {
            body_digest: digest,
            ..Attach::default()
        },
    };
    let takers = vec![
        taker("together 1", None),
        taker("ended", Some([7; 32])),
        taker("nobody", None),
        taker("together 2", Some([8; 32])),
    ];
    let taken = ledger.apply_to_each(takers, sending(), NOON_MS + 1).await;
    let [first, ended, nobody, second] = taken.as_slice() else {
        panic!("{} answers to 4", taken.len());
    };
    assert!(
        matches!(ended, Err(LedgerError::Illegal(illegal)) if illegal.phase == Phase::Released)
    );
    assert!(matches!(nobody, Err(LedgerError::NotFound(name)) if *name == id("nobody")));
    let alone = ledger.take("alone", sending()).await.expect("legal");
    for effects in [first, second] {
        assert_eq!(effects.as_ref().ok(), Some(&alone.effects));
    }
    let mut digests = Vec::new();
    for name in ["together 1", "together 2", "ended"] {
        let payment = ledger.payment(&id(name)).await.expect("a working store");
        let payment = payment.expect("the payment");
        digests.push(payment.seller.and_then(|side| side.body_digest));
        let is_ended = name == "ended";
        assert_eq!(payment.updated_ms == NOON_MS + 1, !is_ended, "{name}");
        assert_eq!(payment.state == alone.payment.state, !is_ended, "{name}");
    }
    assert_eq!(digests, [None, Some([8; 32]), None]);
    assert_eq!(ledger.balance(&format!("seller/held/{PAYER}")).await, 15);
    ledger.must_add_up().await;
}

/// A taker-over of a stale lease gives up while the owner wakes and sends.
pub async fn of_abandoning_and_sending_one_wins(store: &dyn Store) {
    let (owner, other) = (rich(store).await, store.open().await);
    let (mut sent, mut abandoned) = (0, 0);
    for n in 0..40 {
        let name = format!("payment-{n}");
        owner.must_reserve(spend(&name, 5)).await;
        let send = apply_later(&owner, &name, sending());
        let abandon = apply_later(&other, &name, Event::Abandoned { reason: reason() });
        let (send, abandon) = (
            send.await.expect("no panic"),
            abandon.await.expect("no panic"),
        );
        match (send, abandon) {
            (Ok(_), Err(LedgerError::Illegal(_))) => sent += 1,
            (Err(LedgerError::Illegal(_)), Ok(_)) => abandoned += 1,
            (send, abandon) => panic!("both or none: {} {}", send.is_ok(), abandon.is_ok()),
        }
    }
    assert_eq!(sent + abandoned, 40);
    assert_eq!(owner.balance("buyer/reserved").await, 5 * sent);
    owner.must_add_up().await;
}

/// Law 4: the handle is every transaction sent, with its signer and nonce.
pub async fn every_transaction_that_was_sent_is_kept_once(store: &dyn Store) {
    let ledger = store.open().await;
    ledger.must_claim(claim("one", 5)).await;
    let ours = SentTransaction {
        hash: "0x01".to_owned(),
        signer: Some("0xf39f".to_owned()),
        nonce: Some(u64::MAX),
    };
    let strangers = SentTransaction::by_stranger("0x02");
    for transaction in [&ours, &strangers, &ours] {
        let sending = Event::Sending {
            transaction: Some(transaction.clone()),
        };
        ledger.must_take("one", sending).await;
    }
    let payment = ledger.payment(&id("one")).await.expect("a working store");
    assert_eq!(payment.expect("the payment").sent, [ours, strangers]);
}

/// With and without an event; what is absent stays as it was.
pub async fn what_is_attached_stays(store: &dyn Store) {
    let ledger = rich(store).await;
    ledger.must_reserve(spend("one", 5)).await;
    let identity = Identity::from_stored("eip3009:mine");
    let first = Attach {
        credential: Some(Credential {
            header: "payment-signature".to_owned(),
            value: "secret".to_owned(),
        }),
        identity: Some(identity.clone()),
        handle: Some(Handle::new("{}".to_owned())),
        valid_before_s: Some(1_000_000),
        lease: Some(lease("two")),
        ..Attach::default()
    };
    let applied = ledger
        .apply(&id("one"), sending(), first, NOON_MS + 1)
        .await;
    assert_eq!(applied.expect("a sending").payment.updated_ms, NOON_MS + 1);
    let second = Attach {
        receipt: Some("{\"success\":true}".to_owned()),
        ..Attach::default()
    };
    ledger
        .attach(&id("one"), second)
        .await
        .expect("a working store");
    let found = ledger
        .by_identity(farebox_core::payment::Role::Buyer, &identity)
        .await;
    let payment = found
        .expect("a working store")
        .expect("found by its identity");
    assert_eq!(payment.receipt.as_deref(), Some("{\"success\":true}"));
    assert_eq!(payment.handle, Some(Handle::new("{}".to_owned())));
    assert_eq!(payment.valid_before_s, Some(1_000_000));
    let buyer = payment.buyer.expect("a buyer");
    assert_eq!(buyer.lease, lease("two"));
    let credential = buyer.credential.expect("a credential");
    assert_eq!(
        (credential.header.as_str(), credential.value.as_str()),
        ("payment-signature", "secret")
    );

    ledger.must_claim(claim("sold", 5)).await;
    let body = Attach {
        request_digest: Some([8; 32]),
        body_digest: Some([9; 32]),
        ..Attach::default()
    };
    let applied = ledger
        .apply(&id("sold"), Event::Aborted, body, NOON_MS)
        .await;
    let payment = applied.expect("an ending").payment;
    assert_eq!(payment.state.delivery, Delivery::Aborted);
    let seller = payment.seller.expect("a seller");
    assert_eq!(seller.body_digest, Some([9; 32]));
    assert_eq!(seller.request_digest, [8; 32]);
    let later = ledger.attach(&id("sold"), Attach::default()).await;
    later.expect("a working store");
    let payment = ledger.payment(&id("sold")).await.expect("a working store");
    let seller = payment
        .and_then(|payment| payment.seller)
        .expect("a seller");
    assert_eq!(seller.request_digest, [8; 32]);
}

/// Renewing does not take over; taking over is won by one.
pub async fn a_lease_is_renewed_by_its_owner_only(store: &dyn Store) {
    let ledger = rich(store).await;
    ledger.must_reserve(spend("one", 5)).await;
    let later = |owner: &str| Lease {
        until_ms: NOON_MS + 60_000,
        ..lease(owner)
    };
    let renew = |owner| {
        let lease = later(owner);
        let ledger = Arc::clone(&ledger);
        async move {
            ledger
                .renew_lease(&id("one"), lease)
                .await
                .expect("a working store")
        }
    };
    assert!(renew("one").await);
    assert!(!renew("two").await);
    let takers = ["two", "three", "four", "five"].map(|owner| {
        let (ledger, seen, lease) = (Arc::clone(&ledger), later("one"), later(owner));
        tokio::spawn(async move { ledger.take_lease(&id("one"), &seen, lease).await })
    });
    let mut winners = 0;
    for taker in takers {
        winners += u32::from(taker.await.expect("no panic").expect("a working store"));
    }
    assert_eq!(winners, 1);
    assert!(!renew("one").await);
}

/// Every call that names a payment says so.
pub async fn an_unknown_payment_is_not_found(store: &dyn Store) {
    let ledger = store.open().await;
    let none = id("none");
    let is_missing = |error: Option<LedgerError>| {
        assert!(matches!(error, Some(LedgerError::NotFound(missing)) if missing.0 == "none"));
    };
    is_missing(ledger.take("none", settled()).await.err());
    is_missing(ledger.attach(&none, Attach::default()).await.err());
    is_missing(ledger.renew_lease(&none, lease("one")).await.err());
    let taken = ledger.take_lease(&none, &lease("one"), lease("two")).await;
    is_missing(taken.err());
    assert!(
        ledger
            .payment(&none)
            .await
            .expect("a working store")
            .is_none()
    );
}

/// What is left to do is for the caller; what is posted is done.
pub async fn postings_are_not_left_to_the_caller(store: &dyn Store) {
    let ledger = store.open().await;
    ledger.must_claim(claim("one", 5)).await;
    let effects = |applied: Result<Applied, LedgerError>| match applied {
        Ok(applied) => applied.effects,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(effects(ledger.take("one", sending()).await), [Effect::Send]);
    let settled = effects(ledger.take("one", settled()).await);
    assert_eq!(settled, [Effect::Deliver, Effect::Watch]);
    let undone = Event::Undone { resendable: false };
    assert_eq!(effects(ledger.take("one", undone).await), [Effect::Alert]);
}

fn id(name: &str) -> PaymentId {
    PaymentId(name.to_owned())
}

async fn rich(store: &dyn Store) -> Arc<dyn Ledger> {
    let ledger = store.open().await;
    let set = ledger.set_budget(None, limits(None, None, Some(1_000_000)));
    set.await.expect("a working store");
    ledger
}

fn apply_later(
    ledger: &Arc<dyn Ledger>,
    name: &str,
    event: Event,
) -> tokio::task::JoinHandle<Result<Applied, LedgerError>> {
    let (ledger, id) = (Arc::clone(ledger), id(name));
    tokio::spawn(async move { ledger.apply(&id, event, Attach::default(), NOON_MS).await })
}

async fn balances(ledger: &Arc<dyn Ledger>, accounts: [&str; 3]) -> [i128; 3] {
    let [away, held, spent] = accounts;
    [
        ledger.balance(away).await,
        ledger.balance(held).await,
        ledger.balance(spent).await,
    ]
}

fn less([away, held, spent]: [i128; 3], [was_away, was_held, was_spent]: [i128; 3]) -> [i128; 3] {
    [away - was_away, held - was_held, spent - was_spent]
}
