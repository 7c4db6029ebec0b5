//! Rules of conditions beside those in `conformance/l402/conditions.json`.

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
    let request = Request {
        now_s: 0,
        service: "s",
        capability: None,
        payment_hash: PaymentHash([0; 32]),
        route: "r",
        origin: "o",
        tenant: None,
        method: "GET",
        path: "/",
        constraints: &[],
    };
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
