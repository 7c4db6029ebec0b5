//! What pages of other origins may do: ask in advance, read the challenge, pay, and read the receipt.

use axum::body::Body;
use farebox_seller::{Cors, Route, SettleWhen};
use farebox_wire::money::UsdMicros;
use http::{Request, Response, StatusCode};

use crate::support::{Plan, Seen, World, get, route, with_credential};

const PAGE: &str = "https://app.example";

fn preflight(path: &str) -> Request<Body> {
    Request::options(path)
        .header("origin", PAGE)
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "payment-signature, x-a")
        .body(Body::empty())
        .expect("a request")
}

fn from(page: &str, mut request: Request<Body>) -> Request<Body> {
    let origin = page.parse().expect("ascii");
    request.headers_mut().insert("origin", origin);
    request
}

fn assert_readable(seen: &Seen, origin: &str) {
    let said = seen.headers.get_all("access-control-allow-origin");
    let said: Vec<_> = said.iter().collect();
    assert_eq!(said, [origin], "{seen:?}");
    let exposed = &seen.headers["access-control-expose-headers"];
    let exposed = exposed.to_str().expect("text");
    assert!(exposed.starts_with("PAYMENT-REQUIRED, PAYMENT-RESPONSE, X-PAYMENT-RESPONSE"));
}

#[tokio::test]
async fn a_preflight_of_a_priced_route_is_answered_for_free() {
    let world = World::new();
    let seen = world.send(preflight("/weather/x")).await;
    assert_eq!(seen.status, StatusCode::NO_CONTENT);
    assert_eq!(seen.headers["access-control-allow-origin"], "*");
    assert_eq!(seen.headers["access-control-allow-methods"], "GET");
    let allowed = &seen.headers["access-control-allow-headers"];
    assert_eq!(allowed, "PAYMENT-SIGNATURE, X-PAYMENT, x-a");
    assert_eq!(world.goods.calls(), 0);
    // What is free answers for itself, and what is not for sale is not found.
    let seen = world.send(preflight("/free/x")).await;
    assert_eq!(seen.status, StatusCode::OK);
    let seen = world.send(preflight("/nothing")).await;
    assert_eq!(seen.status, StatusCode::NOT_FOUND);
    assert_eq!(seen.headers["access-control-allow-origin"], "*");
}

/// The method that a preflight asks for may be free where OPTIONS is not: it would be a way to what
/// OPTIONS costs.
#[tokio::test]
async fn a_preflight_does_not_reach_what_options_costs() {
    let free_head = Route {
        price: UsdMicros(0),
        ..route("head", "HEAD /report", SettleWhen::After)
    };
    let world = World::with(|config| {
        let all = route("report", "/report", SettleWhen::After);
        config.routes = vec![free_head, all];
    });
    let mut request = preflight("/report");
    let head = "HEAD".parse().expect("a value");
    request
        .headers_mut()
        .insert("access-control-request-method", head);
    let seen = world.send(request).await;
    assert_eq!(seen.status, StatusCode::NO_CONTENT);
    assert_eq!(world.goods.calls(), 0);
}

#[tokio::test]
async fn pages_can_read_challenge_receipt_and_refusals() {
    let world = World::new();
    let challenge = world.send(from(PAGE, get("/weather/x"))).await;
    challenge.assert_challenged("Payment required");
    let credential = world.credential("/weather/x", "1");
    let request = || from(PAGE, with_credential(get("/weather/x"), &credential));
    let paid = world.send(request()).await;
    paid.assert_served();
    let again = world.send(request()).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let odd = world.send(from(PAGE, get("/weather//x"))).await;
    assert_eq!(odd.status, StatusCode::BAD_REQUEST);
    for seen in [challenge, paid, again, odd] {
        assert_readable(&seen, "*");
    }
    world.rail.plan(Plan::Reject);
    let credential = world.credential("/weather/x", "2");
    let request = with_credential(get("/weather/x"), &credential);
    let rejected = world.send(from(PAGE, request)).await;
    assert_eq!(rejected.status, StatusCode::PAYMENT_REQUIRED);
    assert_readable(&rejected, "*");
}

#[tokio::test]
async fn the_upstreams_cors_is_merged_and_not_doubled() {
    let world = World::new();
    world.goods.answer_with(|| {
        let mut answer = Response::new(Body::from("sunny"));
        for (name, value) in [
            ("access-control-allow-origin", PAGE),
            ("access-control-allow-credentials", "true"),
            ("access-control-expose-headers", "etag"),
            ("vary", "origin"),
        ] {
            let headers = answer.headers_mut();
            headers.append(name, value.parse().expect("a value"));
        }
        answer
    });
    let paid = world.send(from(PAGE, world.paid("/weather/x", "1"))).await;
    paid.assert_served();
    assert_readable(&paid, PAGE);
    assert_eq!(paid.headers["access-control-allow-credentials"], "true");
    assert_eq!(paid.headers.get_all("vary").iter().count(), 1);
    let exposed = paid.headers["access-control-expose-headers"].to_str();
    assert!(exposed.expect("text").ends_with(", etag"));
    // No other page may read what the upstream keeps for this one.
    let other = from("https://other.example", world.paid("/weather/x", "2"));
    assert_readable(&world.send(other).await, PAGE);
}

#[tokio::test]
async fn only_listed_pages_are_answered_when_the_seller_lists_them() {
    let cors = Cors::listed(&[PAGE], true).expect("an origin");
    let world = World::with(|config| config.cors = cors);
    let seen = world.send(preflight("/weather/x")).await;
    assert_eq!(seen.headers["access-control-allow-origin"], PAGE);
    assert_eq!(seen.headers["access-control-allow-credentials"], "true");
    let paid = world.send(from(PAGE, world.paid("/weather/x", "1"))).await;
    paid.assert_served();
    assert_readable(&paid, PAGE);
    assert_eq!(paid.headers["access-control-allow-credentials"], "true");

    let other = "https://other.example";
    let refused = world.send(from(other, preflight("/weather/x"))).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(refused.code(), "origin_not_allowed");
    let unread = world.send(from(other, world.paid("/weather/x", "2"))).await;
    unread.assert_served();
    for seen in [refused, unread] {
        assert!(!seen.headers.contains_key("access-control-allow-origin"));
        assert!(
            !seen
                .headers
                .contains_key("access-control-allow-credentials")
        );
    }
}

#[tokio::test]
async fn a_paid_answer_without_a_page_says_that_it_varies_by_page() {
    let world = World::new();
    let paid = world.buy("/weather/x", "1").await;
    paid.assert_served();
    assert_eq!(paid.headers["vary"], "origin");
    assert!(!paid.headers.contains_key("access-control-allow-origin"));
}
