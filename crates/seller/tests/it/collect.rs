//! From a credential to a paid answer.

use std::sync::Arc;

use axum::body::Body;
use farebox_core::ledger::Ledger;
use farebox_core::payment::{Delivery, Phase};
use farebox_core::rail::Finding;
use http::{Request, Response, StatusCode};

use crate::support::{World, fake_rail, get, post, with_credential};

#[tokio::test]
async fn a_good_credential_is_settled_served_and_on_record() {
    let world = World::new();
    let seen = world.buy("/weather/x", "1").await;
    let receipt = seen.assert_served();
    assert_eq!(&*seen.body, b"sunny");
    assert_eq!(receipt.transaction, fake_rail::hash_of("1"));
    assert_eq!(receipt.network, "eip155:84532");
    assert!(receipt.payer.is_some());
    assert_eq!(seen.headers["cache-control"], "private");
    let payment = world.payment().await;
    assert_eq!(payment.state.phase, Phase::Settled);
    assert_eq!(payment.state.delivery, Delivery::Delivered);
    assert!(payment.hashes().eq([&receipt.transaction]));
    // Law 4: what is unknown is looked for by these.
    let [sent] = &payment.sent[..] else {
        panic!("one transaction: {:?}", payment.sent)
    };
    assert!(sent.signer.is_some() && sent.nonce == Some(7));
    let side = payment.seller.expect("a seller's payment");
    assert_eq!(side.route, "weather");
    assert!(side.body_digest.is_some());
    world.ledger.verify(true).await.expect("sound books");
}

#[tokio::test]
async fn a_credential_sent_100_times_at_once_reaches_the_upstream_once() {
    let world = Arc::new(World::new());
    world.rail.close_gate();
    let requests = (0..100)
        .map(|_| world.paid("/weather/x", "1"))
        .collect::<Vec<_>>();
    let answers = requests.into_iter().map(|request| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.open(request).await.status() })
    });
    let mut answers = answers.collect::<Vec<_>>();
    // The 99 that did not get the seat are answered while the first one still settles.
    let mut statuses = Vec::new();
    while statuses.len() < 99 {
        let (status, _, rest) = futures_util::future::select_all(answers).await;
        statuses.push(status.expect("an answer"));
        answers = rest;
    }
    assert!(
        statuses
            .iter()
            .all(|status| *status == StatusCode::CONFLICT)
    );
    world.rail.open_gate();
    let last = answers.remove(0).await.expect("an answer");
    assert_eq!(last, StatusCode::OK);
    world.seller.finish().await;
    assert_eq!(world.goods.calls(), 1);
    assert_eq!(world.rail.settlements(), 1);
}

#[tokio::test]
async fn a_hundred_authorizations_on_a_balance_for_one_reach_the_upstream_once() {
    let world = Arc::new(World::new());
    world.rail.set_balance(1_999);
    world.rail.close_gate();
    let answers = (0..100)
        .map(|nonce| world.paid("/weather/x", &nonce.to_string()))
        .map(|request| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.open(request).await })
        })
        .collect::<Vec<_>>();
    let mut answers = answers;
    let mut refused = 0;
    while refused < 99 {
        let (answer, _, rest) = futures_util::future::select_all(answers).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), StatusCode::PAYMENT_REQUIRED);
        refused += 1;
        answers = rest;
    }
    world.rail.open_gate();
    let last = answers.remove(0).await.expect("an answer");
    assert_eq!(last.status(), StatusCode::OK);
    drop(last);
    world.seller.finish().await;
    assert_eq!(world.goods.calls(), 1);
    assert_eq!(world.payments().await.len(), 1);
}

#[tokio::test]
async fn an_uncovered_credential_is_challenged_and_leaves_no_claim() {
    let world = World::new();
    world.rail.set_balance(999);
    let seen = world.buy("/weather/x", "1").await;
    seen.assert_challenged("invalid_exact_evm_insufficient_balance");
    assert!(world.payments().await.is_empty());
    world.rail.set_balance(1_000);
    world.buy("/weather/x", "1").await.assert_served();
}

#[tokio::test]
async fn a_junk_signature_never_burns_somebody_elses_nonce() {
    let world = World::new();
    let mut junk = world.credential("/weather/x", "1");
    junk.payload["signature"] = "forged".into();
    let forged = || with_credential(get("/weather/x"), &junk);
    let reason = "invalid_exact_evm_signature";
    world.send(forged()).await.assert_challenged(reason);
    assert_eq!(world.rail.verifications(), 0);
    world.buy("/weather/x", "1").await.assert_served();
    // Nor does it learn anything about a delivered one.
    world.send(forged()).await.assert_challenged(reason);
    assert_eq!(world.goods.calls(), 1);
}

#[tokio::test]
async fn an_expired_credential_is_challenged() {
    let world = World::new();
    world.clock.advance_s(60);
    let seen = world.buy("/weather/x", "1").await;
    seen.assert_challenged("invalid_exact_evm_payload_authorization_valid_before");
}

#[tokio::test]
async fn the_upstream_sees_the_request_and_no_credential() {
    let world = World::new();
    world.goods.behave(|request: Request<Body>| async move {
        let names: Vec<String> = request.headers().keys().map(ToString::to_string).collect();
        let route = request
            .extensions()
            .get::<farebox_seller::layer::MatchedRoute>()
            .map(|route| (route.index, route.id.clone()));
        assert_eq!(route, Some((1, "post".into())));
        let mut response = Response::new(request.into_body());
        response
            .headers_mut()
            .insert("x-seen", names.join(",").parse().expect("ascii"));
        for name in ["payment-response", "payment-required", "farebox-x"] {
            response
                .headers_mut()
                .insert(name, "forged".parse().expect("ascii"));
        }
        Ok(response)
    });
    let credential = world.credential("/weather/x", "1");
    let mut request = with_credential(post("/weather/x?q=1", "a body"), &credential);
    request
        .headers_mut()
        .insert("accept", "*/*".parse().expect("ascii"));
    request
        .headers_mut()
        .insert("farebox-agent", "x".parse().expect("ascii"));
    let seen = world.send(request).await;
    seen.assert_served();
    assert_eq!(&*seen.body, b"a body");
    assert_eq!(seen.headers["x-seen"], "accept");
    assert!(!seen.headers.contains_key("farebox-x"));
}

#[tokio::test]
async fn before_settles_first_and_says_so_in_the_offer() {
    let world = World::new();
    let seen = world.send(get("/dear/x")).await;
    let challenge = seen.challenge().expect("a challenge");
    assert_eq!(challenge.accepts[0]["extra"]["paymentFlow"], "upfront");
    let rail = Arc::clone(&world.rail);
    world.goods.behave(move |_| {
        let settlements = rail.settlements();
        async move {
            assert_eq!(settlements, 1);
            Ok(Response::new(Body::from("dear")))
        }
    });
    world.buy("/dear/x", "1").await.assert_served();
    assert_eq!(world.goods.calls(), 1);
}

#[tokio::test]
async fn a_final_settlement_is_not_asked_about_again() {
    let world = World::new();
    world.buy("/weather/x", "1").await.assert_served();
    assert!(!world.payment().await.state.is_final);
    world.rail.chain_says(
        "1",
        Finding::Settled {
            transaction: fake_rail::hash_of("1"),
            is_final: true,
        },
    );
    let watching = world.seller.clone().watch(std::future::pending());
    let is_final = crate::support::eventually(|| async { world.payment().await.state.is_final });
    tokio::select! { () = watching => {}, () = is_final => {} }
    assert!(world.payment().await.state.is_final);
}
