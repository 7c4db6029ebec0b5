//! What becomes of a token, in full, and where it is shown.

use super::{Scope, TokenNews, TokenState, after, fits};

#[test]
fn the_table_of_the_module_is_what_happens() {
    use TokenNews::{AskedAgain, NotTaken, Revoked as TakenBack, Served};
    use TokenState::{Exhausted, Fresh, Refused, Revoked, Used};
    for (state, news, then) in [
        (Fresh, Served, Used),
        (Used, Served, Used),
        (Refused, Served, Used),
        (Fresh, AskedAgain, Refused),
        (Used, AskedAgain, Exhausted),
        (Refused, AskedAgain, Exhausted),
        (Fresh, NotTaken, Refused),
        (Used, NotTaken, Refused),
        (Refused, NotTaken, Exhausted),
        (Fresh, TakenBack, Revoked),
        (Used, TakenBack, Revoked),
        (Refused, TakenBack, Revoked),
    ] {
        assert_eq!(after(state, None, news), (then, None), "{state:?} {news:?}");
        let left = matches!(news, Served).then_some(2).or(Some(3));
        assert_eq!(after(state, Some(3), news), (then, left), "{state:?}");
    }
    for dead in [Exhausted, Revoked] {
        for news in [Served, AskedAgain, NotTaken, TakenBack] {
            assert_eq!(after(dead, Some(3), news), (dead, Some(3)));
        }
    }
}

#[test]
fn the_last_use_exhausts() {
    let served = |left| after(TokenState::Used, left, TokenNews::Served);
    assert_eq!(served(Some(2)), (TokenState::Used, Some(1)));
    assert_eq!(served(Some(1)), (TokenState::Exhausted, Some(0)));
    assert_eq!(served(Some(0)), (TokenState::Exhausted, Some(0)));
}

#[test]
fn a_token_is_shown_inside_its_scope_only() {
    let scope = |method: Option<&str>, path: &str| Scope {
        origin: "https://a.example:443".to_owned(),
        method: method.map(str::to_owned),
        path: path.to_owned(),
    };
    let here = "https://a.example:443";
    assert!(scope(Some("GET"), "/x").covers(here, "GET", "/x"));
    assert!(scope(None, "/x").covers(here, "POST", "/x"));
    assert!(!scope(Some("GET"), "/x").covers(here, "POST", "/x"));
    assert!(!scope(None, "/x").covers(here, "GET", "/x/y"));
    assert!(!scope(None, "*").covers("http://a.example:443", "GET", "/x"));
    assert!(!scope(None, "*").covers("https://a.example:444", "GET", "/x"));
}

#[test]
fn stars_cross_slashes_and_do_not_overlap() {
    for (pattern, text, is) in [
        ("", "", true),
        ("", "/", false),
        ("*", "", true),
        ("*", "/a/b", true),
        ("/a", "/a", true),
        ("/a", "/ab", false),
        ("/a/*", "/a/b/c", true),
        ("/a/*", "/a", false),
        ("*.json", "/x.json", true),
        ("/a*a", "/a", false),
        ("/a*a", "/aa", true),
        ("/*/b/*/d", "/1/b/2/d", true),
        ("/*/b/*/d", "/1/b/d", false),
        ("/*b*b", "/b", false),
        ("/*b*b", "/bb", true),
    ] {
        assert_eq!(fits(pattern, text), is, "{pattern:?} {text:?}");
    }
}
