//! A credential goes to the URL that asked for it, and nowhere else.

use axum::body::Body;
use axum::http::Response;
use farebox_core::payment::Phase;

use crate::purse::{Customer, code, exit, get, unknown};
use crate::sellers::{Seller, answer, asks, receipt, redirect, sold};

/// A seller that sends whoever has paid elsewhere, with or without a receipt.
async fn leads_away(to: String, with_receipt: bool) -> Seller {
    Seller::answering(move |_| {
        let mut response: Response<Body> = redirect(302, &to);
        if with_receipt {
            let said = answer(200, Some(&receipt()), "");
            response.headers_mut().extend(said.headers().clone());
        }
        response
    })
    .await
}

#[tokio::test]
async fn after_paying_no_redirect_is_followed() {
    let elsewhere = Seller::honest().await;
    for (with_receipt, exit_code, fault) in [
        (true, 7, "paid_not_delivered"),
        (false, 5, "payment_refused"),
    ] {
        for to in [elsewhere.url("/taken"), "/same-origin".to_owned()] {
            let customer = Customer::with_budget_for(1).await;
            let seller = leads_away(to.clone(), with_receipt).await;
            let mut call = get(&seller.url("/x"));
            call.follow_redirects = true;
            let result = customer.fetch(call).await;
            assert_eq!((exit(&result), code(&result)), (exit_code, fault), "{to}");
            assert_eq!(
                seller.seen().len(),
                2,
                "{to}: asked, and shown, and no more"
            );
        }
    }
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn a_redirect_that_nobody_asked_to_follow_is_an_answer() {
    let customer = Customer::with_budget_for(1).await;
    let seller = leads_away("/elsewhere".to_owned(), true).await;
    let result = customer.fetch(get(&seller.url("/x"))).await;
    assert_eq!(exit(&result), 0);
    let fetched = result.unwrap();
    assert_eq!(fetched.status, 302);
    assert_eq!(fetched.headers["location"], "/elsewhere");
    assert_eq!(customer.only().await, (Phase::Settled, None));
}

#[tokio::test]
async fn before_paying_redirects_are_followed_and_the_last_one_is_paid() {
    let customer = Customer::with_budget_for(1).await;
    let shop = Seller::honest().await;
    let to = shop.url("/shop");
    let door = Seller::with(move |_| {
        let response = redirect(307, &to);
        async move { response }
    })
    .await;
    let mut call = get(&door.url("/door"));
    call.follow_redirects = true;
    call.headers
        .insert("authorization", "Bearer secret".parse().unwrap());
    let fetched = customer.fetch(call).await.unwrap();
    assert_eq!(fetched.url.as_str(), shop.url("/shop"));
    assert_eq!(shop.shown(), ["credential-0"]);
    assert!(door.shown().is_empty());
    assert!(door.seen()[0].authorization.is_some());
    assert!(shop.seen().iter().all(|seen| seen.authorization.is_none()));
}

#[tokio::test]
async fn an_open_payment_is_shown_again_only_where_it_was_signed_for() {
    let customer = Customer::with_budget_for(1).await;
    let shop = Seller::answering(|_| answer(500, None, "")).await;
    let to = shop.url("/shop");
    let door = Seller::with(move |_| {
        let response = redirect(302, &to);
        async move { response }
    })
    .await;
    for _ in 0..2 {
        let mut call = get(&door.url("/door"));
        call.follow_redirects = true;
        assert_eq!(exit(&customer.fetch(call).await), 5);
    }
    assert_eq!(shop.shown(), ["credential-0", "credential-0"]);
    assert!(door.shown().is_empty());
}

#[tokio::test]
async fn an_idempotency_key_of_another_url_shows_nothing_there() {
    let customer = Customer::with_budget_for(2).await;
    let first = Seller::answering(|_| answer(500, None, "")).await;
    let second = Seller::with(|_| async { asks() }).await;
    let keyed = |url: String| {
        let mut call = get(&url);
        call.idempotency_key = Some("order-7".into());
        call
    };
    assert_eq!(exit(&customer.fetch(keyed(first.url("/a"))).await), 5);
    let result = customer.fetch(keyed(second.url("/b"))).await;
    assert_eq!(
        (exit(&result), code(&result)),
        (6, "open_payment_elsewhere")
    );
    assert!(second.shown().is_empty());
    assert_eq!(customer.signed(), 1);
    assert_eq!(customer.only().await, unknown("not_presented"));
    // At its own URL it goes on as before.
    assert_eq!(exit(&customer.fetch(keyed(first.url("/a"))).await), 5);
    assert_eq!(first.shown(), ["credential-0", "credential-0"]);
}

#[tokio::test]
async fn eleven_redirects_are_too_many() {
    let customer = Customer::with_budget_for(1).await;
    let seller = Seller::with(|seen| {
        let hops: u32 = seen.path.trim_start_matches('/').parse().unwrap();
        let response = match hops {
            0 => sold(&seen),
            _ => redirect(302, &format!("/{}", hops - 1)),
        };
        async move { response }
    })
    .await;
    for (hops, exit_code) in [(10, 0), (11, 1)] {
        let mut call = get(&seller.url(&format!("/{hops}")));
        call.follow_redirects = true;
        assert_eq!(exit(&customer.fetch(call).await), exit_code, "{hops}");
    }
}

#[tokio::test]
async fn an_open_payment_is_not_called_unpaid_where_its_redirect_is_gone() {
    for status in [402, 500] {
        let customer = Customer::with_budget_for(1).await;
        let shop = Seller::answering(|_| answer(500, None, "")).await;
        let to = shop.url("/shop");
        let asked = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let door = Seller::with(move |_| {
            let response = match asked.swap(true, std::sync::atomic::Ordering::SeqCst) {
                false => redirect(302, &to),
                true => answer(status, None, "moved"),
            };
            async move { response }
        })
        .await;
        let go = || {
            let mut call = get(&door.url("/door"));
            call.follow_redirects = true;
            customer.fetch(call)
        };
        assert_eq!(exit(&go().await), 5);
        let result = go().await;
        assert_eq!(
            (exit(&result), code(&result)),
            (6, "open_payment_elsewhere"),
            "{status}"
        );
        assert_eq!(customer.signed(), 1);
    }
}
