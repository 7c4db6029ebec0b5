//! Rules of values beside those in `conformance/l402/caveats.json`: limits, and that nothing is
//! written which would be read otherwise.

use super::*;

#[test]
fn lists_are_bounded() {
    let names: Vec<String> = (0..LIST_MAX).map(|n| format!("s{n}")).collect();
    assert_eq!(parse_list(&names.join(",")).expect("short").len(), LIST_MAX);
    assert_eq!(format_list(&names), Ok(names.join(",")));
    let more = [names, vec!["one".to_owned()]].concat();
    assert_eq!(parse_list(&more.join(",")), Err(ValueError::TooMany));
    assert_eq!(format_list(&more), Err(ValueError::TooMany));
    let services: Vec<String> = more.iter().map(|name| format!("{name}:0")).collect();
    assert_eq!(
        parse_services(&services.join(",")),
        Err(ValueError::TooMany)
    );
}

#[test]
fn a_caveat_that_is_too_long_is_none() {
    let caveat = format!("a={}", "x".repeat(CAVEAT_BYTES_MAX - 2));
    assert!(split(caveat.as_bytes()).is_some());
    assert_eq!(split(format!("{caveat}x").as_bytes()), None);
    assert_eq!(split(b"a=\xff"), None);
}

#[test]
fn names_that_would_be_read_otherwise_are_not_written() {
    for name in ["", "a,b", "a:b", "a=b", "a b", "a\n", "é"] {
        let refused = Err(ValueError::Text(brief(name, 40)));
        assert_eq!(format_list(&[name.to_owned()]), refused);
        let service = Service {
            name: name.to_owned(),
            tier: 0,
        };
        assert_eq!(format_services(&[service]), refused);
    }
    assert_eq!(format_services(&[]), Err(ValueError::Empty));
    assert_eq!(format_list(&[]), Ok(String::new()));
}
