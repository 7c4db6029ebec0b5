//! What routes cover, and what they refuse to be.

use http::Method;

use super::{ParseRouteError, RouteMatcher};
use crate::spelling::Spelling;

fn route(text: &str) -> RouteMatcher {
    text.parse().expect("a route")
}

#[test]
fn a_star_crosses_slashes_and_may_stand_for_nothing() {
    let weather = route("GET /weather/*");
    for path in ["/weather/", "/weather/zurich", "/weather/ch/zurich"] {
        assert!(weather.matches(&Method::GET, path), "{path}");
    }
    for path in ["/weather", "/weathers/x", "/Weather/x", "/x/weather/y"] {
        assert!(!weather.matches(&Method::GET, path), "{path}");
    }
}

#[test]
fn stars_in_the_middle_need_their_pieces_in_order() {
    let route = route("/v*/b/*.json");
    assert!(route.matches_path("/v1/a/b/c.json"));
    assert!(route.matches_path("/v/b/.json"));
    assert!(!route.matches_path("/v1/c.json"));
    // The end may not be used twice.
    assert!(
        !"/a*a"
            .parse::<RouteMatcher>()
            .expect("a route")
            .matches_path("/a")
    );
}

#[test]
fn get_covers_head_and_no_other_method() {
    let route = route("GET /x");
    assert!(route.matches(&Method::HEAD, "/x"));
    assert!(!route.matches(&Method::POST, "/x"));
}

#[test]
fn no_method_covers_every_method() {
    for method in [Method::GET, Method::DELETE, Method::OPTIONS] {
        assert!(route("/x").matches(&method, "/x"));
    }
}

#[test]
fn everything_covers_everything() {
    assert_eq!(RouteMatcher::everything(), route("/*"));
    assert!(RouteMatcher::everything().matches(&Method::PATCH, "/"));
}

#[test]
fn a_route_that_no_request_can_match_is_refused() {
    assert!(matches!(
        "/a//b".parse::<RouteMatcher>(),
        Err(ParseRouteError::Path { .. })
    ));
    for text in [
        "", "weather", "get /x", "GET  /x", "/x?y=1", "GET /a b", "/ü",
    ] {
        assert!(
            matches!(text.parse::<RouteMatcher>(), Err(ParseRouteError::Form(_))),
            "{text}"
        );
    }
}

#[test]
fn a_route_is_written_as_it_was_read() {
    for text in ["GET /weather/*", "/a*b*", "POST /x"] {
        assert_eq!(route(text).to_string(), text);
    }
}

#[test]
fn a_route_may_be_read_into_other_spellings_of_its_paths_and_methods() {
    let weather = route("GET /Weather/*");
    let get = |path| weather.may_be_read_as(&Method::GET, &Spelling::of(path));
    for path in [
        "/weather/x",
        "/WEATHER/x",
        "/weather",
        "/weather;a/x",
        "/weather./x",
    ] {
        assert!(get(path), "{path}");
    }
    assert!(!get("/other/x"));
    let lower: Method = "get".parse().expect("a method");
    assert!(weather.may_be_read_as(&lower, &Spelling::of("/weather/x")));
    assert!(!weather.may_be_read_as(&Method::POST, &Spelling::of("/weather/x")));
    let exact = route("/report");
    assert!(exact.may_be_read_as(&Method::PUT, &Spelling::of("/Report/")));
    assert!(!exact.may_be_read_as(&Method::PUT, &Spelling::of("/report/1")));
}
