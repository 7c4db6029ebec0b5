//! Rules of conditions beside those in `conformance/l402/conditions.json`.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

#[test]
fn a_path_is_below_another_only_at_a_slash() {
    for (start, path, is_so) in [
        ("/v1", "/v1", true),
        ("/v1", "/v1/q", true),
        ("/v1/", "/v1/q", true),
        ("/v1/", "/v1", false),
        ("/v1", "/v10", false),
        ("/", "/anything", true),
        ("/v1", "/v2", false),
        ("/v1", "/", false),
    ] {
        assert_eq!(is_below(start, path), is_so, "{start} {path}");
    }
}

#[test]
fn what_is_refused_is_quoted_in_part() {
    let request = asked(0, "GET", "/");
    let long = format!("{}=1", "c".repeat(3000));
    let refused = check([long.as_bytes()], &request, Mode::Strict);
    assert_eq!(
        refused,
        Err(Refusal::Unknown(format!("{}…", "c".repeat(60))))
    );
    let longer = format!("{}=1", "c".repeat(5000));
    let refused = check([longer.as_bytes()], &request, Mode::Strict);
    assert_eq!(refused, Err(Refusal::Unreadable { place: 0 }));
}

/// A request for one service on one route.
fn asked(now_s: u64, method: &'static str, path: &'static str) -> Request<'static> {
    Request {
        now_s,
        service: "s",
        capability: None,
        payment_hash: PaymentHash([0; 32]),
        route: "r",
        origin: "o",
        tenant: None,
        method,
        path,
        constraints: &[],
    }
}

/// Caveats of all kinds that a token can have; some tokens of them allow nothing.
fn caveats() -> impl Strategy<Value = Vec<&'static str>> {
    let known = [
        "s_valid_until=5",
        "s_valid_until=8",
        "other_valid_until=3",
        "services=s:0,other:0",
        "farebox_uses=unlimited",
        "farebox_uses=2",
        "farebox_method=GET",
        "farebox_method=GET,POST",
        "farebox_method=HEAD",
        "farebox_path=/",
        "farebox_path=/a",
        "farebox_path=/a/",
        "farebox_path=/a/b",
        "farebox_path=/ab",
    ];
    vec(select(known.to_vec()), 0..6).prop_map(|some| {
        let bound = [
            "farebox_route=r",
            "farebox_origin=o",
            "services=s:1,other:1",
        ];
        bound.into_iter().chain(some).collect()
    })
}

fn request() -> impl Strategy<Value = Request<'static>> {
    let method = select(vec!["GET", "HEAD", "POST", "PUT"]);
    let path = select(vec!["/", "/a", "/a/", "/a/b", "/a/bc", "/a/b/c", "/ab"]);
    (0_u64..10, method, path).prop_map(|(now_s, method, path)| asked(now_s, method, path))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// What is remembered of a token says the same as the token itself.
    #[test]
    fn a_grant_still_allows_what_its_caveats_allow(
        caveats in caveats(),
        first in request(),
        next in request(),
    ) {
        let check = |request| check(caveats.iter().map(|text| text.as_bytes()), request, Mode::Strict);
        if let Ok(grant) = check(&first) {
            let still = grant.still_allows(next.now_s, next.method, next.path);
            let anew = check(&next);
            prop_assert_eq!(still, anew.is_ok());
            if let Ok(anew) = anew {
                prop_assert_eq!(grant, anew);
            }
        }
    }
}
