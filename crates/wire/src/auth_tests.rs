//! Rules of reading authentication headers: every part is bounded, and one broken part hides no
//! other. What is read how is in `conformance/l402/auth.json`.

use super::*;

fn read(values: &[&str]) -> Challenges {
    challenges(values.iter().map(|value| value.as_bytes()))
}

fn whys(values: &[&str]) -> Vec<AuthError> {
    let unreadable = read(values).unreadable;
    unreadable.into_iter().map(|part| part.why).collect()
}

#[test]
fn a_value_that_is_too_long_hides_no_other() {
    let long = format!("A x=\"{}\"", "y".repeat(VALUE_BYTES_MAX));
    let said = read(&[&long, "B x=1"]);
    assert_eq!(said.challenges.len(), 1);
    assert_eq!(
        said.unreadable[0].why,
        AuthError::TooLong { bytes: long.len() }
    );
}

#[test]
fn values_challenges_and_parameters_are_counted() {
    let many = vec!["A"; VALUES_MAX + 5];
    assert_eq!(read(&many).challenges.len(), VALUES_MAX);
    assert_eq!(whys(&many), [AuthError::TooManyValues]);
    let folded = vec!["A"; CHALLENGES_MAX + 5].join(",");
    assert_eq!(read(&[&folded]).challenges.len(), CHALLENGES_MAX);
    assert_eq!(whys(&[&folded]), [AuthError::TooManyChallenges]);
    let params = vec!["x=1"; PARAMS_MAX];
    let most = format!("A {}", params.join(","));
    assert_eq!(read(&[&most]).challenges[0].params.len(), PARAMS_MAX);
    assert_eq!(whys(&[&format!("{most},x=1")]), [AuthError::TooManyParams]);
}

#[test]
fn a_part_that_breaks_off_names_its_scheme_in_short() {
    let scheme = "S".repeat(500);
    let said = read(&[&format!("{scheme} x=\"")]);
    let named = said.unreadable[0].scheme.as_deref();
    assert_eq!(named, Some(format!("{}…", "S".repeat(40)).as_str()));
    assert_eq!(read(&["\"x\""]).unreadable[0].scheme, None);
}

#[test]
fn a_parameter_with_two_values_has_none() {
    let said = read(&["A x=1, X=\"1\", y=1, y=2"]);
    let challenge = &said.challenges[0];
    assert!(challenge.is("a") && !challenge.is("b"));
    assert_eq!(challenge.param("x"), Ok(Some("1")));
    assert_eq!(challenge.param("z"), Ok(None));
    let twice = AuthError::Twice {
        name: "y".to_owned(),
    };
    assert_eq!(challenge.param("y"), Err(twice));
}

#[test]
fn control_characters_end_a_quote_and_bytes_beyond_ascii_are_kept_as_well_as_can_be() {
    for control in ["\n", "\r", "\0", "\x7f", "\\\n"] {
        let value = format!("A x=\"a{control}b\"");
        assert_eq!(whys(&[&value]), [AuthError::Quote { at: 4 }]);
    }
    let said = challenges([b"A x=\"caf\xe9\"".as_slice()]);
    assert_eq!(said.challenges[0].param("x"), Ok(Some("caf\u{fffd}")));
}

#[test]
fn an_authorization_is_a_scheme_and_the_rest() {
    for (value, scheme, rest) in [
        ("L402 a:b", "L402", "a:b"),
        ("\t Bearer  x y \t", "Bearer", "x y"),
        ("Negotiate", "Negotiate", ""),
    ] {
        let said = authorization(value.as_bytes()).expect("a scheme");
        assert_eq!((said.scheme, said.rest), (scheme, rest));
    }
    let long = format!("L402 {}", "x".repeat(VALUE_BYTES_MAX));
    for value in ["", "  ", "a/b c", "L402 caf\u{e9}", "L402 a\nb", &long] {
        assert!(authorization(value.as_bytes()).is_none(), "{value:.20}");
    }
    assert!(authorization(b"L402 \xff").is_none());
}
