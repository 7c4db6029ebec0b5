//! What a redirect does to method, body and secrets.

use super::*;

fn call(method: Method) -> Call {
    let mut call = Call::new(method, "https://a.example/x?q=1#f").unwrap();
    call.follow_redirects = true;
    call.body = "body".into();
    for name in ["authorization", "cookie", "content-type", "x-own"] {
        call.headers.insert(name, "v".parse().unwrap());
    }
    call
}

fn to(location: &str) -> HeaderMap {
    HeaderMap::from_iter([(LOCATION, location.parse().unwrap())])
}

fn follow(method: Method, status: u16, location: &str) -> Option<Hop> {
    let status = StatusCode::from_u16(status).unwrap();
    let call = call(method);
    next(&call, &first(&call), status, &to(location))
}

#[test]
fn secrets_of_the_caller_stay_with_their_origin() {
    let near = follow(Method::GET, 302, "/y").unwrap();
    assert_eq!(near.url.as_str(), "https://a.example/y");
    assert!(near.headers.contains_key("authorization"));
    for far in [
        "https://b.example/y",
        "http://a.example/y",
        "//a.example:444/y",
    ] {
        let far = follow(Method::GET, 302, far).unwrap();
        assert!(!far.headers.contains_key("authorization"));
        assert!(!far.headers.contains_key("cookie"));
        assert!(far.headers.contains_key("x-own"));
    }
}

#[test]
fn a_post_becomes_a_get_except_by_307_and_308() {
    for (status, method, kept) in [
        (301, Method::POST, false),
        (302, Method::POST, false),
        (303, Method::POST, false),
        (303, Method::PUT, false),
        (302, Method::PUT, true),
        (307, Method::POST, true),
        (308, Method::POST, true),
    ] {
        let next = follow(method.clone(), status, "/y").unwrap();
        let expected = if kept { method } else { Method::GET };
        assert_eq!(next.method, expected, "{status}");
        assert_eq!(!next.body.is_empty(), kept, "{status}");
        assert_eq!(next.headers.contains_key("content-type"), kept, "{status}");
    }
}

#[test]
fn what_leads_nowhere_is_an_answer() {
    assert!(follow(Method::GET, 304, "/y").is_none());
    assert!(follow(Method::GET, 200, "/y").is_none());
    assert!(follow(Method::GET, 302, "file:///etc/passwd").is_none());
    let mut call = call(Method::GET);
    let hop = first(&call);
    assert!(next(&call, &hop, StatusCode::FOUND, &HeaderMap::new()).is_none());
    call.follow_redirects = false;
    assert!(next(&call, &hop, StatusCode::FOUND, &to("/y")).is_none());
}
