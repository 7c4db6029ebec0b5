//! Addresses and headers that are refused before anything is sent.

use super::*;

fn code(url: &str) -> Option<&'static str> {
    Place::remote(url, &[]).err().map(|why| why.code)
}

#[test]
fn a_facilitator_is_an_https_url_or_on_this_machine() {
    for good in [
        "https://x402.example.com",
        "https://x402.example.com/facilitator/",
        "http://127.0.0.1:4021",
        "http://localhost:4021",
        "http://[::1]:4021",
    ] {
        assert_eq!(code(good), None, "{good}");
    }
    for bad in [
        "",
        "x402.example.com",
        "ftp://x402.example.com",
        "http://x402.example.com",
        "http://127.0.0.1.example.com",
        "https://user:secret@x402.example.com",
        "https://x402.example.com/?key=secret",
        "https://x402.example.com/#a",
    ] {
        assert_eq!(code(bad), Some("facilitator_invalid"), "{bad}");
    }
}

#[test]
fn headers_that_http_itself_needs_are_refused_and_values_are_never_shown() {
    let header = |name: &str, value: &str| {
        let headers = [(name.to_owned(), value.to_owned())];
        Place::remote("https://x402.example.com", &headers)
    };
    for (name, value) in [
        ("Host", "a"),
        ("Content-Length", "1"),
        ("a b", "c"),
        ("a", "b\nc"),
    ] {
        let why = header(name, value).err().expect("refused");
        assert!(!why.message.contains("b\nc"), "{}", why.message);
    }
    let Ok(Place::Remote { headers, .. }) = header("Authorization", "Bearer secret") else {
        panic!("it is a good header");
    };
    assert!(!format!("{headers:?}").contains("secret"));
}

#[test]
fn every_facilitator_stands_there_once() {
    let twice = RemoteOptions {
        places: vec![Place::Local, Place::Local],
        chains: vec![],
    };
    assert!(twice.check().is_err());
    let none = RemoteOptions {
        places: vec![],
        chains: vec![],
    };
    assert!(none.check().is_err());
}
