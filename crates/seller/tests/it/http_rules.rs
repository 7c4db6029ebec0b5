//! What the layer does about HTTP itself.

use axum::body::Body;
use http::{Request, StatusCode, Version};

use crate::support::{World, get, with_credential};

#[tokio::test]
async fn ambiguous_paths_are_refused_before_any_route_is_looked_up() {
    let world = World::with(|config| config.unmatched = farebox_seller::Unmatched::Free);
    for path in [
        "/weather%2fx",
        "/weather%5cx",
        "//weather/x",
        "/free/../weather/x",
        "/free/%2e%2e/weather/x",
        "/w%65ather/x",
        "/weather/%zz",
        "/weather/%00",
    ] {
        let seen = world.send(get(path)).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(seen.code(), "ambiguous_path");
    }
    assert_eq!(world.goods.calls(), 0);
}

#[tokio::test]
async fn a_request_line_with_an_authority_is_refused_in_http_1() {
    let world = World::new();
    let request = |version| {
        let request = Request::get("http://evil.example/free/x").version(version);
        request.body(Body::empty()).expect("a request")
    };
    let seen = world.send(request(Version::HTTP_11)).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    assert_eq!(seen.code(), "absolute_form");
    // In HTTP/2 every request has one.
    let seen = world.send(request(Version::HTTP_2)).await;
    assert_eq!(seen.status, StatusCode::OK);
}

#[tokio::test]
async fn head_and_range_are_paid() {
    let world = World::new();
    let head = Request::head("/weather/x")
        .body(Body::empty())
        .expect("a request");
    world.send(head).await.assert_challenged("Payment required");
    let range = Request::get("/weather/x")
        .header("range", "bytes=0-0")
        .body(Body::empty())
        .expect("a request");
    world
        .send(range)
        .await
        .assert_challenged("Payment required");
    assert_eq!(world.goods.calls(), 0);
}

#[tokio::test]
async fn a_preflight_of_a_priced_route_is_answered_for_free() {
    let world = World::new();
    let preflight = |path: &str| {
        Request::options(path)
            .header("origin", "https://app.example")
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "payment-signature, x-a")
            .body(Body::empty())
            .expect("a request")
    };
    let seen = world.send(preflight("/weather/x")).await;
    assert_eq!(seen.status, StatusCode::NO_CONTENT);
    assert_eq!(seen.headers["access-control-allow-origin"], "*");
    assert_eq!(seen.headers["access-control-allow-methods"], "GET");
    let allowed = &seen.headers["access-control-allow-headers"];
    assert_eq!(
        allowed,
        "PAYMENT-SIGNATURE, X-PAYMENT, payment-signature, x-a"
    );
    assert_eq!(world.goods.calls(), 0);
    // What is free answers for itself, and what is not for sale is not found.
    assert_eq!(
        world.send(preflight("/free/x")).await.status,
        StatusCode::OK
    );
    let seen = world.send(preflight("/nothing")).await;
    assert_eq!(seen.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_options_request_that_is_no_preflight_is_paid() {
    let world = World::new();
    let request = Request::options("/other/x")
        .body(Body::empty())
        .expect("a request");
    world
        .send(request)
        .await
        .assert_challenged("Payment required");
}

#[tokio::test]
async fn programs_in_browsers_can_read_challenge_and_receipt() {
    let world = World::new();
    let from_page = |mut request: Request<Body>| {
        let origin = "https://app.example".parse().expect("ascii");
        request.headers_mut().insert("origin", origin);
        request
    };
    let challenge = world.send(from_page(get("/weather/x"))).await;
    let credential = world.credential("/weather/x", "1");
    let paid = world
        .send(from_page(with_credential(get("/weather/x"), &credential)))
        .await;
    paid.assert_served();
    for seen in [challenge, paid] {
        assert_eq!(seen.headers["access-control-allow-origin"], "*");
        let exposed = &seen.headers["access-control-expose-headers"];
        assert_eq!(
            exposed,
            "PAYMENT-REQUIRED, PAYMENT-RESPONSE, X-PAYMENT-RESPONSE"
        );
    }
}
