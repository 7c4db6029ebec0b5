//! Which hosts are none.

use http::{Request, Version};

use super::wrong;

fn request(version: Version, target: &str, hosts: &[&str]) -> Request<()> {
    let mut request = Request::builder().version(version).uri(target);
    for host in hosts {
        request = request.header("host", *host);
    }
    request.body(()).expect("a request")
}

#[test]
fn a_request_has_one_host_that_is_one() {
    for host in [
        "a",
        "a.example",
        "A.Example:8402",
        "127.0.0.1:1",
        "[::1]",
        "[::1]:65535",
    ] {
        let request = request(Version::HTTP_11, "/", &[host]);
        assert_eq!(wrong(&request), None, "{host}");
    }
    for host in [
        "", "user@a", "a:b@c", "a:", "a:x", "a:65536", "a:-1", "a:+1", "a/b", "a b", "a,b",
        "http://a", "a%00", "[::1", "a?b", "a#b",
    ] {
        let request = request(Version::HTTP_11, "/", &[host]);
        assert!(wrong(&request).is_some(), "{host}");
    }
    for hosts in [&["a", "a"][..], &["a", "b"]] {
        assert!(wrong(&request(Version::HTTP_11, "/", hosts)).is_some());
    }
}

#[test]
fn only_http_1_1_needs_a_host() {
    assert!(wrong(&request(Version::HTTP_11, "/", &[])).is_some());
    assert_eq!(wrong(&request(Version::HTTP_10, "/", &[])), None);
    assert_eq!(wrong(&request(Version::HTTP_2, "http://a/", &[])), None);
}

#[test]
fn in_http_2_host_and_authority_are_the_same() {
    let request = |hosts| request(Version::HTTP_2, "http://a.example/", hosts);
    assert_eq!(wrong(&request(&["A.example"])), None);
    assert!(wrong(&request(&["b.example"])).is_some());
    let user = self::request(Version::HTTP_2, "http://user@a.example/", &[]);
    assert!(wrong(&user).is_some());
}
