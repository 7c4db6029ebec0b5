//! What a seller remembers of a token makes it cheaper, and nothing else.

use axum::body::Body;
use farebox_seller::l402::{TokenTerms, Uses};
use farebox_seller::layer::{MatchedRoute, PaidBy};
use http::header::{AUTHORIZATION, ORIGIN};
use http::{Response, StatusCode};

use crate::support::l402::{Bought, Stand, challenge_of, sold_for, with_token};
use crate::support::{Step, get};

fn nine_uses() -> TokenTerms {
    TokenTerms {
        uses: Uses::Times(9),
        ..TokenTerms::default()
    }
}

#[tokio::test]
async fn a_token_that_is_known_is_checked_as_one_that_is_new() {
    let stand = Stand::selling(vec![
        sold_for("weather", "/weather/*", nine_uses()),
        sold_for("other", "/other/*", nine_uses()),
    ]);
    let bought = stand.buy("/weather/x").await;
    let below = bought.narrowed(&["farebox_path=/weather/x"]);
    for token in [&bought, &below, &bought, &below] {
        let seen = stand.show("/weather/x", token).await;
        assert_eq!(seen.status, StatusCode::OK);
    }
    let unpaid = Bought {
        preimage: "00".repeat(32),
        ..bought.clone()
    };
    for (token, path, code) in [
        (&bought, "/other/x", "token_not_allowed"),
        (&below, "/weather/y", "token_not_allowed"),
        (&unpaid, "/weather/x", "preimage_wrong"),
    ] {
        let seen = stand.show(path, token).await;
        assert_eq!((seen.status.as_u16(), &*seen.code()), (401, code));
        assert!(challenge_of(&seen).is_some(), "{code}: a new challenge");
    }
    let request = with_token(get("/weather/x"), &bought.header());
    let seen = stand.send(with_token(request, &below.header())).await;
    assert_eq!(seen.code(), "several_credentials");
    assert_eq!(stand.goods.calls(), 4);
    assert_eq!(
        stand.show("/weather/x", &bought).await.status,
        StatusCode::OK
    );
}

/// A stand, and an hour's token whose second use needs nothing of the books.
async fn passing() -> (Stand, Bought) {
    let an_hour = TokenTerms {
        uses: Uses::Unlimited,
        valid_for_s: Some(3_600),
        ..TokenTerms::default()
    };
    let stand = Stand::selling(vec![
        sold_for("weather", "/weather/*", an_hour.clone()),
        sold_for("other", "/other/*", an_hour),
    ]);
    let bought = stand.buy("/weather/x").await;
    let seen = stand.show("/weather/x", &bought).await;
    assert_eq!(seen.status, StatusCode::OK);
    stand.ledger.fail_at(Some(Step::Use));
    (stand, bought)
}

#[tokio::test]
async fn what_has_a_pass_is_answered_as_what_was_written_down() {
    let (stand, bought) = passing().await;
    stand.goods.behave(|request| async move {
        assert!(!request.headers().contains_key(AUTHORIZATION));
        let matched = request.extensions().get::<MatchedRoute>();
        assert!(matched.is_some_and(|route| route.is_paid));
        let mut answer = Response::new(Body::from("sunny"));
        let forged = "forged".parse().expect("a value");
        answer.headers_mut().insert("payment-response", forged);
        Ok(answer)
    });
    let mut request = with_token(get("/weather/x"), &bought.header());
    let page = "https://page.example".parse().expect("a value");
    request.headers_mut().insert(ORIGIN, page);
    let answer = stand.open(request).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let [payment] = &stand.payments().await[..] else {
        panic!("one payment");
    };
    let paid_by = answer.extensions().get::<PaidBy>().map(|paid| &paid.0);
    assert_eq!(paid_by, Some(&payment.id));
    let headers = answer.headers();
    assert_eq!(headers["cache-control"], "private");
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert!(!headers.contains_key("payment-response"));
}

#[tokio::test]
async fn a_pass_is_good_for_nothing_but_its_token() {
    let (stand, bought) = passing().await;
    let seen = stand.show("/other/x", &bought).await;
    assert_eq!(
        (seen.status.as_u16(), &*seen.code()),
        (401, "token_not_allowed")
    );
    let elsewhere = bought.narrowed(&["farebox_path=/weather/x"]);
    let seen = stand.show("/weather/y", &elsewhere).await;
    assert_eq!(
        (seen.status.as_u16(), &*seen.code()),
        (401, "token_not_allowed")
    );
    // Of the same payment, and with a number of uses: the books are asked for each.
    let counted = bought.narrowed(&["farebox_uses=1"]);
    let seen = stand.show("/weather/x", &counted).await;
    assert_eq!(seen.code(), "ledger_unavailable");
    let unpaid = Bought {
        preimage: "00".repeat(32),
        ..bought.clone()
    };
    let seen = stand.show("/weather/x", &unpaid).await;
    assert_eq!(seen.code(), "preimage_wrong");
    // The hour begins where its invoice ends.
    stand.clock.advance_s(2 * 3_600);
    let seen = stand.show("/weather/x", &bought).await;
    assert_eq!(
        (seen.status.as_u16(), &*seen.code()),
        (402, "token_expired")
    );
    assert_eq!(stand.goods.calls(), 1);
}

#[tokio::test]
async fn a_failure_behind_a_pass_is_passed_on() {
    let (stand, bought) = passing().await;
    stand.goods.answer_status(StatusCode::NOT_FOUND);
    let seen = stand.show("/weather/x", &bought).await;
    assert_eq!(
        (seen.status, &*seen.body),
        (StatusCode::NOT_FOUND, &b"no luck"[..])
    );
    stand.goods.behave(|_| async { Err("broken".to_owned()) });
    let seen = stand.show("/weather/x", &bought).await;
    assert_eq!(
        (seen.status, &*seen.code()),
        (StatusCode::BAD_GATEWAY, "upstream_failed")
    );
    stand.goods.behave(|_| async { panic!("broken") });
    let seen = stand.show("/weather/x", &bought).await;
    assert_eq!(seen.status, StatusCode::INTERNAL_SERVER_ERROR);
    stand.goods.answer_status(StatusCode::OK);
    let seen = stand.show("/weather/x", &bought).await;
    assert_eq!(seen.status, StatusCode::OK);
}
