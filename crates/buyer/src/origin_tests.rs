//! Which origins are the same, and which may see a credential.

use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

#[test]
fn an_origin_is_scheme_host_and_port() {
    let a = url("https://h.example/x");
    for same in [
        "https://h.example",
        "https://H.EXAMPLE:443/y?z",
        "https://u:p@h.example/",
    ] {
        assert!(is_same(&a, &url(same)), "{same}");
    }
    for other in [
        "http://h.example/x",
        "https://h.example:8443/x",
        "https://a.h.example/x",
    ] {
        assert!(!is_same(&a, &url(other)), "{other}");
    }
}

#[test]
fn a_credential_travels_encrypted_or_stays_on_this_machine() {
    for safe in [
        "https://h.example/",
        "http://127.0.0.1:8402/",
        "http://127.9.9.9/",
        "http://[::1]:1/",
        "http://localhost/",
    ] {
        assert!(check_safe_for_credentials(&url(safe)).is_ok(), "{safe}");
    }
    for open in [
        "http://h.example/",
        "http://10.0.0.1/",
        "http://localhost.h.example/",
        "http://[::ffff:127.0.0.1]/",
    ] {
        let fault = check_safe_for_credentials(&url(open)).unwrap_err();
        assert_eq!(fault.code, "insecure_origin", "{open}");
    }
}

#[test]
fn a_stored_url_has_no_password() {
    let bare = bare(&url("https://user:secret@h.example/p?q=1#f"));
    assert_eq!(bare.as_str(), "https://h.example/p?q=1");
}

#[test]
fn what_is_shown_of_a_url_has_no_password_even_where_it_is_no_url() {
    for (written, shown) in [
        (
            "https://user:secret@h.example/p?q=a@b",
            "https://h.example/p?q=a@b",
        ),
        ("http://user:sec@ret@h:99999/", "http://h:99999/"),
        ("ftp://user:secret@h/", "ftp://h/"),
        ("http:/user:secret@h/", "http:/h/"),
        ("https:\\\\user:secret@h\\p", "https:\\\\h\\p"),
        ("user:secret@h", "user:h"),
        (
            "https://h.example:8443/@user",
            "https://h.example:8443/@user",
        ),
        ("", ""),
    ] {
        assert_eq!(without_userinfo(written), shown, "{written}");
    }
}

#[test]
fn an_origin_has_its_port_and_nothing_behind_it() {
    for (text, origin) in [
        (
            "https://API.example.com/x?q",
            Some("https://api.example.com:443"),
        ),
        ("http://u:p@127.0.0.1:8402", Some("http://127.0.0.1:8402")),
        ("http://[::1]/", Some("http://[::1]:80")),
        ("ftp://h.example/", None),
        ("h.example", None),
    ] {
        assert_eq!(super::origin_of(text).as_deref(), origin, "{text}");
    }
}
