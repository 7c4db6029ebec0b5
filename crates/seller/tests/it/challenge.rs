//! What a request without a good credential gets.

use axum::body::Body;
use farebox_seller::{Protocol, Route, Seller, SellerConfig, SellerError};
use farebox_wire::money::UsdMicros;
use http::{Request, StatusCode};
use serde_json::json;

use crate::support::{FakeRail, ORIGIN, World, get, post, with_credential};

#[tokio::test]
async fn an_anonymous_request_gets_every_offer_and_costs_nothing() {
    let world = World::new();
    let seen = world.send(get("/weather/zurich?x=1")).await;
    seen.assert_challenged("Payment required");
    let challenge = seen.challenge().expect("a challenge");
    assert_eq!(challenge.x402_version, 2);
    assert_eq!(challenge.resource.url, format!("{ORIGIN}/weather/zurich"));
    assert_eq!(challenge.accepts[0]["amount"], "1000");
    assert_eq!(seen.headers["content-type"], "application/json");
    let body = seen.json();
    assert_eq!(seen.code(), "payment_required");
    assert_eq!(body["accepts"][0]["maxAmountRequired"], "1000");
    assert_eq!(body["accepts"][0]["resource"], challenge.resource.url);
    assert_eq!(world.goods.calls(), 0);
    assert_eq!(world.rail.verifications(), 0);
    assert!(world.payments().await.is_empty());
}

#[tokio::test]
async fn a_route_for_one_path_says_the_same_as_a_route_for_many() {
    let many = World::new().send(get("/weather/zurich")).await;
    let one = World::with(|config| {
        config.routes[0].matcher = "GET /weather/zurich".parse().expect("a route");
    });
    let seen = one.send(get("/weather/zurich")).await;
    assert_eq!((seen.headers, seen.body), (many.headers, many.body));
}

#[tokio::test]
async fn the_host_header_is_never_believed() {
    let world = World::new();
    let request = Request::get("/weather/x")
        .header("host", "evil.example")
        .header("x-forwarded-host", "evil.example")
        .body(Body::empty())
        .expect("a request");
    let seen = world.send(request).await;
    let challenge = seen.challenge().expect("a challenge");
    assert_eq!(challenge.resource.url, format!("{ORIGIN}/weather/x"));
}

#[tokio::test]
async fn a_path_is_written_into_the_challenge_as_json() {
    let world = World::new();
    let seen = world.send(get("/weather/\"},{\"a\":\"")).await;
    let challenge = seen.challenge().expect("still JSON");
    let url = format!("{ORIGIN}/weather/\"}},{{\"a\":\"");
    assert_eq!(challenge.resource.url, url);
    assert_eq!(seen.json()["accepts"][0]["resource"], url);
}

#[tokio::test]
async fn a_damaged_credential_is_challenged_with_its_reason() {
    let world = World::new();
    for junk in [
        "%%%",
        "aGVsbG8",
        "e30=",
        "eyJ4NDAyVmVyc2lvbiI6Mn0=",
        "bm90IGpzb24=",
    ] {
        let request = Request::get("/weather/x")
            .header("payment-signature", junk)
            .body(Body::empty())
            .expect("a request");
        let seen = world.send(request).await;
        seen.assert_challenged("invalid_payload");
        assert_eq!(seen.code(), "invalid_payload");
    }
    assert!(world.payments().await.is_empty());
}

#[tokio::test]
async fn another_version_is_challenged_with_its_reason() {
    let world = World::new();
    let mut credential = world.credential("/weather/x", "1");
    credential.x402_version = 1;
    let seen = world
        .send(with_credential(get("/weather/x"), &credential))
        .await;
    seen.assert_challenged("invalid_x402_version");
}

#[tokio::test]
async fn a_payment_header_over_the_limit_is_refused() {
    let world = World::new();
    let request = Request::get("/weather/x")
        .header("payment-signature", "A".repeat(32 * 1024 + 1))
        .body(Body::empty())
        .expect("a request");
    let seen = world.send(request).await;
    assert_eq!(seen.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(seen.code(), "payment_header_too_long");
}

#[tokio::test]
async fn two_payment_headers_are_refused_even_where_nothing_is_for_sale() {
    let world = World::new();
    for path in ["/weather/x", "/free/x", "/nothing"] {
        for (first, second) in [
            ("payment-signature", "payment-signature"),
            ("payment-signature", "x-payment"),
            ("x-payment", "x-payment"),
        ] {
            let request = Request::get(path)
                .header(first, "a")
                .header(second, "a")
                .body(Body::empty())
                .expect("a request");
            let seen = world.send(request).await;
            assert_eq!(seen.status, StatusCode::BAD_REQUEST);
            assert_eq!(seen.code(), "several_payment_headers");
        }
    }
    assert_eq!(world.goods.calls(), 0);
}

#[tokio::test]
async fn an_offer_that_was_never_made_is_not_accepted() {
    let world = World::new();
    for (field, value) in [
        ("amount", json!("1")),
        ("payTo", json!("0x0000000000000000000000000000000000000001")),
        ("network", json!("eip155:1")),
        ("asset", json!("0x0000000000000000000000000000000000000002")),
        ("scheme", json!("upto")),
        ("maxTimeoutSeconds", json!(61)),
        ("extra", json!({"name": "USD Coin"})),
    ] {
        let mut credential = world.credential("/weather/x", "1");
        credential.accepted[field] = value;
        let seen = world
            .send(with_credential(get("/weather/x"), &credential))
            .await;
        seen.assert_challenged("No matching payment requirements");
    }
    // An offer of the other way of settling is no offer of this route either.
    let upfront = world.credential("/dear/x", "1");
    let seen = world.send(with_credential(get("/dear/x"), &upfront)).await;
    seen.assert_served();
    let plain = world.credential("/weather/x", "2");
    let seen = world.send(with_credential(get("/dear/x"), &plain)).await;
    seen.assert_challenged("No matching payment requirements");
    assert_eq!(world.goods.calls(), 1);
}

#[tokio::test]
async fn an_echoed_resource_must_be_this_route_on_our_origin() {
    let world = World::new();
    for url in [
        "https://evil.example/weather/x",
        "https://api.example.com.evil/weather/x",
        "https://api.example.com/other/x",
        "https://api.example.com",
        "/weather/x",
    ] {
        let mut credential = world.credential("/weather/x", "1");
        let resource = farebox_wire::x402::types::ResourceInfo {
            url: url.to_owned(),
            ..Default::default()
        };
        credential.resource = Some(resource);
        let seen = world
            .send(with_credential(get("/weather/x"), &credential))
            .await;
        seen.assert_challenged("No matching payment requirements");
    }
    assert!(world.payments().await.is_empty());
    let mut credential = world.credential("/weather/x", "1");
    credential.resource = world
        .send(get("/weather/x"))
        .await
        .challenge()
        .map(|challenge| challenge.resource);
    let seen = world
        .send(with_credential(get("/weather/x"), &credential))
        .await;
    seen.assert_served();
}

#[tokio::test]
async fn what_no_route_covers_is_not_found_unless_it_is_free() {
    let world = World::new();
    for request in [get("/nothing"), post("/weatherx", ""), get("/")] {
        let seen = world.send(request).await;
        assert_eq!(seen.status, StatusCode::NOT_FOUND);
        assert_eq!(seen.code(), "not_found");
    }
    let seen = world.send(get("/free/x")).await;
    assert_eq!((seen.status, &*seen.body), (StatusCode::OK, &b"sunny"[..]));
    let world = World::with(|config| config.unmatched = farebox_seller::Unmatched::Free);
    assert_eq!(world.send(get("/nothing")).await.status, StatusCode::OK);
    world
        .send(get("/weather/x"))
        .await
        .assert_challenged("Payment required");
}

#[tokio::test]
async fn a_seller_that_cannot_sell_says_what_to_do() {
    let world = World::new();
    let start = |config: SellerConfig,
                 rails: Vec<std::sync::Arc<dyn farebox_core::rail::CollectRail>>| {
        Seller::new(
            config,
            rails,
            world.ledger.clone() as _,
            world.clock.clone() as _,
        )
        .err()
        .expect("refused")
    };
    let rail = || vec![FakeRail::new() as _];
    let route = |id: &str| Route::new(id, "/*".parse().expect("a route"), UsdMicros(1));
    for url in [
        "",
        "api.example.com",
        "https://a/b",
        "ftp://a",
        "https://u@a",
        "https://a/?x",
    ] {
        let why = start(SellerConfig::new(url, vec![]), rail());
        assert!(matches!(why, SellerError::PublicUrl(_)), "{url}: {why}");
    }
    let twice = SellerConfig::new(ORIGIN, vec![route("a"), route("a")]);
    assert!(matches!(
        start(twice, rail()),
        SellerError::DuplicateRoute(_)
    ));
    let none = SellerConfig::new(ORIGIN, vec![route("a")]);
    assert!(matches!(start(none, vec![]), SellerError::NoOffers(_)));
    let mut unpayable = route("a");
    unpayable
        .accept
        .retain(|protocol| *protocol != Protocol::X402);
    let config = SellerConfig::new(ORIGIN, vec![unpayable]);
    assert!(matches!(
        start(config, rail()),
        SellerError::NothingAccepted(_)
    ));
    let mut long = route("a");
    long.description = Some("x".repeat(8 * 1024));
    let config = SellerConfig::new(ORIGIN, vec![long]);
    assert!(matches!(
        start(config, rail()),
        SellerError::ChallengeTooLong(..)
    ));
}
