//! Which spellings are one to a careless server.

use super::Spelling;

#[test]
fn what_careless_servers_overlook_makes_no_difference() {
    let plain = Spelling::of("/weather/x");
    for other in [
        "/Weather/X",
        "/weather/x/",
        "/weather;a=b/x;c",
        "/weather%3Ba/x",
        "/weather./x..",
        "/weather%20/x%20",
        "/weather/x%3fa=b",
        "/weather/x%23a",
        "/weather%2fx",
        "/weather/%2578",
        "/%77eather/x",
    ] {
        assert_eq!(Spelling::of(other), plain, "{other}");
    }
    // The Kelvin sign is a lower-case k to whoever folds case by Unicode.
    assert_eq!(Spelling::of("/%E2%84%AA"), Spelling::of("/k"));
    assert_eq!(Spelling::of("/caf%C3%89"), Spelling::of("/caf%c3%a9"));
}

#[test]
fn other_paths_stay_apart() {
    let plain = Spelling::of("/weather/x");
    for other in ["/weather", "/weather/xx", "/weather/x/y", "/weather-x", "/"] {
        assert_ne!(Spelling::of(other), plain, "{other}");
    }
}
