//! Every spelling that servers are known to read in two ways.

use super::{AmbiguousPath, PATH_BYTES_MAX, check};

#[test]
fn ordinary_paths_pass() {
    for path in [
        "/",
        "/weather",
        "/weather/",
        "/weather/z%C3%BCrich",
        "/a%20b/c",
        "/100%25",
        "/.well-known/x402",
        "/a..b/...",
        "/~user/x;v=1",
    ] {
        assert_eq!(check(path), Ok(()), "{path}");
    }
}

#[test]
fn a_path_with_two_readings_is_refused() {
    for (path, why) in [
        ("*", AmbiguousPath::NotAbsolute),
        ("", AmbiguousPath::NotAbsolute),
        ("//weather", AmbiguousPath::EmptySegment),
        ("/a//b", AmbiguousPath::EmptySegment),
        ("/./weather", AmbiguousPath::DotSegment),
        ("/free/../weather", AmbiguousPath::DotSegment),
        ("/free/..", AmbiguousPath::DotSegment),
        ("/free/..;x/weather", AmbiguousPath::DotSegment),
        ("/free/%2e%2e/weather", AmbiguousPath::DotSegment),
        ("/free/.%2E/weather", AmbiguousPath::DotSegment),
        ("/weather%2fzurich", AmbiguousPath::Slash),
        ("/weather%2Fzurich", AmbiguousPath::Slash),
        ("/weather%5czurich", AmbiguousPath::Slash),
        ("/weather\\zurich", AmbiguousPath::Slash),
        ("/weather%", AmbiguousPath::BadEscape),
        ("/weather%4", AmbiguousPath::BadEscape),
        ("/weather%zz", AmbiguousPath::BadEscape),
        ("/weather%00", AmbiguousPath::Control),
        ("/weather%0d%0a", AmbiguousPath::Control),
        ("/we%61ther", AmbiguousPath::NeedlessEscape),
        ("/%7Euser", AmbiguousPath::NeedlessEscape),
    ] {
        assert_eq!(check(path), Err(why), "{path}");
    }
}

#[test]
fn a_path_over_the_limit_is_refused() {
    let path = format!("/{}", "a".repeat(PATH_BYTES_MAX));
    assert_eq!(check(&path), Err(AmbiguousPath::TooLong));
}
