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
        "/a%2520b",
        "/100%25/x",
        "/..%20x",
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
        ("/caf\u{e9}", AmbiguousPath::NotAscii),
        ("/free/..%c0%afweather", AmbiguousPath::NotUtf8),
        ("/free/%ff", AmbiguousPath::NotUtf8),
        // For servers that undo escapes twice, or more often.
        ("/free/%252e%252e/weather", AmbiguousPath::DotSegment),
        ("/weather%252fzurich", AmbiguousPath::Slash),
        ("/weather%25252fzurich", AmbiguousPath::Slash),
        ("/weather%255czurich", AmbiguousPath::Slash),
        ("/weather%2500", AmbiguousPath::Control),
        ("/we%2561ther", AmbiguousPath::NeedlessEscape),
        // For servers that cut off parameters and blanks first.
        ("/free/..%3bx/weather", AmbiguousPath::DotSegment),
        ("/free/..%3Bx/weather", AmbiguousPath::DotSegment),
        ("/free/..%20/weather", AmbiguousPath::DotSegment),
        ("/free/.%20%20;x/weather", AmbiguousPath::DotSegment),
    ] {
        assert_eq!(check(path), Err(why), "{path}");
    }
}

#[test]
fn a_path_over_the_limit_is_refused() {
    let path = format!("/{}", "a".repeat(PATH_BYTES_MAX));
    assert_eq!(check(&path), Err(AmbiguousPath::TooLong));
}
