//! Buying over L402: every way of asking, tokens that are shown before anything is bought, and what
//! becomes of money when sellers and nodes misbehave.

use std::sync::Arc;

use axum::http::Response;
use farebox_buyer::{Decision, Report, Shown};
use farebox_core::payment::Phase;
use farebox_core::token::{TokenState, Tokens};
use farebox_wire::money::UsdMicros;
use http::Method;
use serde_json::{Value, json};

use crate::lightning::{FEE, Fate, HELD, LnCustomer, Manner, PAID, PRICE, Shop, preimage};
use crate::purse::{code, exit, get};
use crate::sellers::{Seller, answer, asks, redirect, sold};

fn shown(number: u64) -> String {
    format!("L402 t{number}:{number:064x}")
}

fn report(fetched: &farebox_buyer::Fetched) -> Value {
    serde_json::to_value(Report::of(fetched, Shown::Nothing)).unwrap()
}

#[tokio::test]
async fn every_way_of_asking_is_paid_once_and_answered_in_its_name() {
    for manner in [
        Manner::Aperture,
        Manner::Spec,
        Manner::Folded,
        Manner::Odd,
        Manner::Lsat,
    ] {
        let customer = LnCustomer::with_budget_for(1).await;
        let shop = Shop::new(manner, 1).await;
        let mut fetched = customer.fetch(get(&shop.url("/x?q"))).await.unwrap();
        assert_eq!(fetched.collect().await.unwrap(), "sold /x?q", "{manner:?}");
        assert_eq!(fetched.ending.exit().code(), 0);
        let name = if manner == Manner::Lsat {
            "LSAT"
        } else {
            "L402"
        };
        let expected = format!("{name} t1:{}", preimage("i1"));
        assert_eq!(shop.shown(), [expected], "{manner:?}");
        assert_eq!(shop.asked(), 2, "asked once, shown once");
        assert_eq!(
            (customer.node.moved(), customer.used().await),
            (1, (PAID, 0))
        );
        let report = report(&fetched);
        assert_eq!(report["payment"]["state"], "settled");
        assert_eq!(report["payment"]["protocol"], "l402");
        assert_eq!(report["payment"]["rail"], "lightning");
        assert_eq!(report["payment"]["amount"]["atomic"], PRICE.to_string());
        assert_eq!(report["payment"]["fee"]["atomic"], FEE.to_string());
        assert_eq!(report["payment"]["transaction"], "hash-of-i1");
        assert_eq!(report["cost"]["amount"], "0.001003");
    }
}

#[tokio::test]
async fn a_token_is_shown_first_and_when_it_is_used_up_one_more_is_bought() {
    for manner in [Manner::Aperture, Manner::Spec] {
        let customer = LnCustomer::with_budget_for(2).await;
        let shop = Shop::new(manner, 2).await;
        assert_eq!(exit(&customer.fetch(get(&shop.url("/x"))).await), 0);
        let again = customer.fetch(get(&shop.url("/x"))).await.unwrap();
        assert_eq!(again.ending.exit().code(), 0);
        assert!(again.is_reused);
        let told = report(&again);
        assert_eq!(told["cost"], json!({"amount": "0", "currency": "USD"}));
        assert_eq!(told["payment"]["transaction"], "hash-of-i1");
        assert_eq!((customer.node.moved(), shop.asked()), (1, 3));
        // Elsewhere, and by another method, it is not shown.
        let mut post = get(&shop.url("/x"));
        post.method = Method::POST;
        post.dry_run = true;
        assert!(!customer.fetch(post).await.unwrap().is_reused);
        assert_eq!(shop.shown().len(), 2);

        let third = customer.fetch(get(&shop.url("/x"))).await.unwrap();
        assert_eq!((third.ending.exit().code(), third.is_reused), (0, false));
        assert_eq!(customer.node.moved(), 2);
        assert_eq!(customer.used().await, (2 * PAID, 0));
        let tokens = customer.customer.ledger.tokens(None).await.unwrap();
        let states: Vec<_> = tokens.iter().map(|token| token.state).collect();
        assert_eq!(states, [TokenState::Used, TokenState::Exhausted]);
    }
}

#[tokio::test]
async fn a_402_or_401_again_after_paying_exits_7_and_pays_nothing_more() {
    for (manner, states) in [
        (
            Manner::Aperture,
            [TokenState::Refused, TokenState::Exhausted],
        ),
        (Manner::Spec, [TokenState::Refused, TokenState::Exhausted]),
    ] {
        let customer = LnCustomer::with_budget_for(3).await;
        let shop = Shop::new(manner, 1).await;
        shop.takes_nothing(true);
        let result = customer.fetch(get(&shop.url("/x"))).await;
        assert_eq!((exit(&result), code(&result)), (7, "paid_not_delivered"));
        let fetched = result.unwrap();
        let told = report(&fetched);
        assert_eq!(told["payment"]["state"], "settled", "{manner:?}");
        assert_eq!(told["error"]["money_may_have_moved"], true);
        assert_eq!(told["error"]["retry_safe"], false);
        assert_eq!((customer.node.moved(), shop.shown().len()), (1, 1));
        let state = async || {
            let tokens = customer.customer.ledger.tokens(None).await.unwrap();
            tokens.last().unwrap().state
        };
        assert_eq!(state().await, states[0]);
        // The next call tries it once more, before it buys.
        assert_eq!(exit(&customer.fetch(get(&shop.url("/x"))).await), 7);
        assert_eq!(state().await, states[1]);
        assert_eq!((customer.node.moved(), shop.shown().len()), (2, 3));
        assert_eq!(shop.shown()[1], shown(1));
        assert_eq!(customer.used().await, (2 * PAID, 0));
    }
}

#[tokio::test]
async fn a_refused_token_that_is_taken_after_all_costs_nothing_more() {
    let customer = LnCustomer::with_budget_for(3).await;
    let shop = Shop::new(Manner::Spec, 1).await;
    shop.takes_nothing(true);
    assert_eq!(exit(&customer.fetch(get(&shop.url("/x"))).await), 7);
    shop.takes_nothing(false);
    assert_eq!(exit(&customer.fetch(get(&shop.url("/x"))).await), 0);
    assert_eq!(customer.node.moved(), 1);
}

#[tokio::test]
async fn an_error_after_paying_exits_7_and_the_next_call_shows_the_token_again() {
    let customer = LnCustomer::with_budget_for(2).await;
    let tries = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seller = Seller::with(move |seen| {
        let count = tries.clone();
        async move {
            if seen.authorization.is_none() {
                let line = r#"L402 macaroon="t1", invoice="i1""#;
                let asks = Response::builder().status(402);
                return asks
                    .header("www-authenticate", line)
                    .body("".into())
                    .unwrap();
            }
            match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                0 => answer(500, None, "oops"),
                _ => sold(&seen),
            }
        }
    })
    .await;
    let result = customer.fetch(get(&seller.url("/x"))).await;
    assert_eq!(exit(&result), 7);
    assert_eq!(report(&result.unwrap())["error"]["retry_safe"], true);
    assert_eq!(exit(&customer.fetch(get(&seller.url("/x"))).await), 0);
    assert_eq!(
        (customer.node.moved(), customer.used().await),
        (1, (PAID, 0))
    );
}

#[tokio::test]
async fn no_reply_after_paying_exits_6_and_the_next_call_shows_what_was_paid_for() {
    let customer = LnCustomer::with_budget_for(2).await;
    let asks = "HTTP/1.1 402 Payment Required\r\ncontent-length: 0\r\nconnection: close\r\nwww-authenticate: L402 macaroon=\"t1\", invoice=\"i1\"\r\n\r\n";
    let url = crate::sellers::raw(asks.into(), Vec::new()).await;
    // Below HTTP the seller asks everybody; with a token it asks again.
    let result = customer.fetch(get(&url)).await;
    assert_eq!(exit(&result), 7);
    assert_eq!(customer.node.moved(), 1);

    let seller = Seller::with(|seen| async move {
        match seen.authorization {
            None => {
                let line = r#"L402 macaroon="t2", invoice="i2""#;
                let asks = Response::builder().status(402);
                asks.header("www-authenticate", line)
                    .body("".into())
                    .unwrap()
            }
            Some(_) => std::future::pending().await,
        }
    })
    .await;
    let mut call = get(&seller.url("/x"));
    call.max_time = std::time::Duration::from_millis(300);
    for _ in 0..2 {
        let result = customer.fetch(call.clone()).await;
        assert_eq!((exit(&result), code(&result)), (6, "timeout"));
        let payment = result.err().unwrap().payment.unwrap();
        assert_eq!(payment.state.phase, Phase::Settled);
    }
    assert_eq!(customer.node.moved(), 2, "the second time nothing new");
}

#[tokio::test]
async fn what_the_node_does_not_tell_exits_6_and_is_not_paid_again() {
    let customer = LnCustomer::with_budget_for(3).await;
    let shop = Shop::new(Manner::Aperture, 1).await;
    customer.node.does(Fate::LosesTheAnswer);
    let result = customer.fetch(get(&shop.url("/x"))).await;
    assert_eq!((exit(&result), code(&result)), (6, "payment_undecided"));
    let error = result.err().unwrap();
    assert_eq!(error.payment.as_ref().unwrap().state.phase, Phase::Unknown);
    let told = serde_json::to_value(Report::failed(&error)).unwrap();
    assert_eq!(told["payment"]["reason"], "connection_lost");
    assert_eq!(customer.used().await, (0, HELD));
    customer.node.does(Fate::Pays);
    assert_eq!(exit(&customer.fetch(get(&shop.url("/x"))).await), 0);
    assert_eq!(shop.shown(), [shown(1)]);
    assert_eq!(
        (customer.node.moved(), customer.used().await),
        (1, (PAID, 0))
    );
}

#[tokio::test]
async fn a_node_without_preimages_exits_6_and_says_so() {
    let customer = LnCustomer::with_budget_for(3).await;
    let shop = Shop::new(Manner::Spec, 1).await;
    customer.node.does(Fate::GivesNoPreimage);
    for _ in 0..2 {
        let result = customer.fetch(get(&shop.url("/x"))).await;
        assert_eq!((exit(&result), code(&result)), (6, "preimage_unavailable"));
    }
    assert_eq!(
        (customer.node.moved(), customer.used().await),
        (1, (0, HELD))
    );
}

#[tokio::test]
async fn a_payment_that_fails_exits_4_and_holds_nothing() {
    let customer = LnCustomer::with_budget_for(3).await;
    let shop = Shop::new(Manner::Spec, 1).await;
    customer.node.does(Fate::Fails);
    let result = customer.fetch(get(&shop.url("/x"))).await;
    assert_eq!((exit(&result), code(&result)), (4, "payment_failed"));
    assert_eq!(
        report(&result.unwrap())["error"]["money_may_have_moved"],
        false
    );
    assert_eq!((shop.shown().len(), customer.used().await), (0, (0, 0)));
}

#[tokio::test]
async fn a_token_travels_with_no_redirect_and_is_found_behind_one() {
    let customer = LnCustomer::with_budget_for(2).await;
    let shop = Arc::new(Shop::new(Manner::Spec, 5).await);
    let target = shop.url("/x");
    let door = Seller::with(move |_| {
        let target = target.clone();
        async move { redirect(302, &target) }
    })
    .await;
    let mut call = get(&door.url("/door"));
    call.follow_redirects = true;
    for _ in 0..2 {
        assert_eq!(exit(&customer.fetch(call.clone()).await), 0);
    }
    assert_eq!((customer.node.moved(), shop.asked()), (1, 3));
    assert!(door.seen().iter().all(|seen| seen.authorization.is_none()));

    // The seller sends its own customer elsewhere: with the token shown, nobody follows with it.
    let elsewhere = Seller::honest().await;
    let target = elsewhere.url("/y");
    let sender = Seller::with(move |seen| {
        let target = target.clone();
        async move {
            if seen.authorization.is_some() {
                return redirect(307, &target);
            }
            let asks = Response::builder().status(402);
            let line = r#"L402 macaroon="t77", invoice="i77""#;
            asks.header("www-authenticate", line)
                .body("".into())
                .unwrap()
        }
    })
    .await;
    let mut call = get(&sender.url("/x"));
    call.follow_redirects = true;
    assert_eq!(exit(&customer.fetch(call).await), 7);
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn an_authorization_of_the_callers_own_stays_and_l402_is_left_out() {
    let customer = LnCustomer::with_budget_for(2).await;
    let shop = Shop::new(Manner::Spec, 5).await;
    assert_eq!(exit(&customer.fetch(get(&shop.url("/x"))).await), 0);
    let mut call = get(&shop.url("/x"));
    call.headers
        .insert("authorization", "Bearer mine".parse().unwrap());
    let result = customer.fetch(call.clone()).await;
    assert_eq!((exit(&result), code(&result)), (4, "no_payable_offer"));
    let fault = result.unwrap().ending.fault().unwrap();
    assert!(fault.message.contains("-H"), "{fault}");
    assert_eq!(shop.shown().last().map(String::as_str), Some("Bearer mine"));
    assert_eq!(customer.node.moved(), 1);

    // Beside x402, that is paid.
    let both = Seller::with(|seen| async move {
        if seen.credential.is_some() {
            return sold(&seen);
        }
        let mut response = asks();
        let line = r#"L402 macaroon="t9", invoice="i9""#.parse().unwrap();
        response.headers_mut().insert("www-authenticate", line);
        response
    })
    .await;
    let mut call = get(&both.url("/x"));
    call.headers
        .insert("authorization", "Bearer mine".parse().unwrap());
    assert_eq!(exit(&customer.fetch(call).await), 0);
    let all_mine = both
        .seen()
        .iter()
        .all(|seen| seen.authorization.as_deref() == Some("Bearer mine"));
    assert!(all_mine);
    assert_eq!(customer.node.moved(), 1);
}

#[tokio::test]
async fn new_buys_although_there_is_a_token() {
    let customer = LnCustomer::with_budget_for(2).await;
    let shop = Shop::new(Manner::Spec, 5).await;
    assert_eq!(exit(&customer.fetch(get(&shop.url("/x"))).await), 0);
    let mut fresh = get(&shop.url("/x"));
    fresh.fresh = true;
    assert_eq!(exit(&customer.fetch(fresh).await), 0);
    assert_eq!(shop.shown(), [shown(1), shown(2)]);
    assert_eq!(customer.node.moved(), 2);
}

#[tokio::test]
async fn x402_and_l402_are_ranked_by_cost_and_by_wish() {
    let customer = LnCustomer::with_budget_for(5).await;
    let both = Seller::with(|seen| async move {
        if seen.credential.is_some() || seen.authorization.is_some() {
            return sold(&seen);
        }
        let mut response = asks();
        let line = r#"L402 macaroon="t9", invoice="i9""#.parse().unwrap();
        response.headers_mut().insert("www-authenticate", line);
        response
    })
    .await;
    let mut plan = get(&both.url("/x"));
    plan.dry_run = true;
    let fetched = customer.fetch(plan).await.unwrap();
    let plan = fetched.plan.as_ref().unwrap();
    assert!(matches!(plan.decision, Decision::Allow(_)));
    let told = report(&fetched);
    let [x402, l402] = told["offers"].as_array().unwrap().as_slice() else {
        panic!("{told}")
    };
    assert_eq!(
        (&x402["protocol"], &x402["rank"]),
        (&json!("x402"), &json!(1))
    );
    assert_eq!(
        (&l402["protocol"], &l402["rank"]),
        (&json!("l402"), &json!(2))
    );
    assert_eq!(l402["network"], "lightning:regtest");
    assert_eq!(l402["amount"], PRICE.to_string());
    assert_eq!(
        l402["cost"]["amount"], "0.00102",
        "with the most that the fee may be"
    );
    assert_eq!(l402["reason"], "another offer is cheaper");
    assert_eq!(both.seen().len(), 1);
    assert_eq!((customer.node.moved(), customer.customer.signed()), (0, 0));

    let mut call = get(&both.url("/x"));
    call.prefer = vec!["lightning".into()];
    assert_eq!(exit(&customer.fetch(call).await), 0);
    assert_eq!((customer.node.moved(), customer.customer.signed()), (1, 0));
    let mut call = get(&both.url("/y"));
    call.protocol = Some("x402".into());
    assert_eq!(exit(&customer.fetch(call).await), 0);
    assert_eq!((customer.node.moved(), customer.customer.signed()), (1, 1));
}

#[tokio::test]
async fn the_most_that_a_fee_may_be_counts_for_max_cost() {
    let customer = LnCustomer::with_budget_for(5).await;
    let shop = Shop::new(Manner::Spec, 1).await;
    let mut call = get(&shop.url("/x"));
    call.max_cost = Some(UsdMicros(HELD - 1));
    let result = customer.fetch(call.clone()).await;
    assert_eq!((exit(&result), code(&result)), (3, "over_max_cost"));
    call.max_cost = Some(UsdMicros(HELD));
    assert_eq!(exit(&customer.fetch(call).await), 0);
}

#[tokio::test]
async fn an_invoice_that_the_rail_refuses_is_not_paid() {
    let customer = LnCustomer::with_budget_for(5).await;
    for line in [
        r#"L402 macaroon="t1", invoice="lnbc1junk""#,
        r#"L402 macaroon="t1""#,
        r#"L402 macaroon="t1", token="t2", invoice="i1""#,
        r#"L402 version="1", token="t1", invoice="i1""#,
    ] {
        let seller = Seller::with(move |_| async move {
            let asks = Response::builder().status(402);
            asks.header("www-authenticate", line)
                .body("".into())
                .unwrap()
        })
        .await;
        let result = customer.fetch(get(&seller.url("/x"))).await;
        assert_eq!(
            (exit(&result), code(&result)),
            (4, "no_payable_offer"),
            "{line}"
        );
    }
    assert_eq!((customer.node.moved(), customer.used().await), (0, (0, 0)));
}
