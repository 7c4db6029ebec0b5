//! What the layer does about HTTP itself.

use axum::body::Body;
use http::{Request, StatusCode, Version};

use crate::support::{World, get, post, route};
use farebox_seller::{Route, SettleWhen, Unmatched};
use farebox_wire::money::UsdMicros;

#[tokio::test]
async fn ambiguous_paths_are_refused_before_any_route_is_looked_up() {
    let world = World::with(|config| config.unmatched = Unmatched::Free);
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
async fn a_method_that_a_header_replaces_is_refused_on_every_route() {
    let world = World::with(|config| config.unmatched = Unmatched::Free);
    for path in ["/weather/x", "/free/x", "/nothing"] {
        for header in [
            "X-HTTP-Method-Override",
            "x-http-method",
            "x-method-override",
        ] {
            let mut request = post(path, "");
            let name: http::HeaderName = header.parse().expect("a name");
            let value = "GET".parse().expect("a value");
            request.headers_mut().insert(name, value);
            let seen = world.send(request).await;
            assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{header} {path}");
            assert_eq!(seen.code(), "method_override");
        }
    }
    assert_eq!(world.goods.calls(), 0);
}

fn priced(id: &str, matcher: &str, usd: u128) -> Route {
    Route {
        price: UsdMicros(usd),
        ..route(id, matcher, SettleWhen::After)
    }
}

#[tokio::test]
async fn another_spelling_of_a_priced_path_is_never_let_through_for_less() {
    let spellings = [
        "/Report",
        "/report/",
        "/report;a=b",
        "/report.",
        "/report%20",
        "/report%3fa",
        "/REPORT%23",
    ];
    let unmatched = World::with(|config| {
        config.routes = vec![priced("report", "GET /report", 1_000)];
        config.unmatched = Unmatched::Free;
    });
    let last_is_free = World::with(|config| {
        config.routes = vec![
            priced("report", "GET /report", 1_000),
            priced("all", "/*", 0),
        ];
    });
    let last_is_cheap = World::with(|config| {
        config.routes = vec![
            priced("report", "GET /report", 1_000),
            priced("all", "/*", 10),
        ];
    });
    for world in [unmatched, last_is_free, last_is_cheap] {
        for path in spellings {
            let seen = world.send(get(path)).await;
            assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{path}");
            assert_eq!(seen.code(), "ambiguous_path");
        }
        let lower = Request::builder().method("get").uri("/report");
        let lower = lower.body(Body::empty()).expect("a request");
        assert_eq!(world.send(lower).await.status, StatusCode::BAD_REQUEST);
        world
            .send(get("/report?a=b"))
            .await
            .assert_challenged("Payment required");
        assert_eq!(world.goods.calls(), 0);
    }
}

#[tokio::test]
async fn a_spelling_that_the_seller_has_written_down_costs_what_is_written_beside_it() {
    let world = World::with(|config| {
        config.routes = vec![
            priced("upper", "GET /Report", 1_000),
            priced("lower", "GET /report", 0),
            priced("files", "/files/*", 0),
            priced("all", "/*", 1_000),
        ];
    });
    for path in ["/report", "/files/Report", "/files/a;b"] {
        assert_eq!(world.send(get(path)).await.status, StatusCode::OK, "{path}");
    }
    for path in ["/Report", "/REPORT", "/Files/x"] {
        let seen = world.send(get(path)).await;
        seen.assert_challenged("Payment required");
    }
}
