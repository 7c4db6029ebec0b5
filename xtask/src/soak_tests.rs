//! The command line of the long runs.

use super::*;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_run_is_full_unless_a_tenth_is_asked_for() {
    assert_eq!(
        parse(&[]),
        Ok(Request {
            seed: None,
            scale: 10,
            job: None,
            minutes: None
        })
    );
    assert_eq!(
        parse(&words("--tenth --seed 7 --job kills --minutes 30")),
        Ok(Request {
            seed: Some(7),
            scale: 1,
            job: Some("kills".to_owned()),
            minutes: Some(30)
        })
    );
}

#[test]
fn a_flag_that_is_not_known_or_has_no_value_is_refused() {
    assert!(parse(&words("--fast")).is_err());
    assert!(parse(&words("--seed")).is_err());
    assert!(parse(&words("--seed x")).is_err());
    assert!(parse(&words("--minutes half")).is_err());
    assert!(run(&words("--job none")).is_err_and(|reason| reason.contains("kills")));
}
