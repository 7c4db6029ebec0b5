//! Lines, however they come.

use super::*;

fn cut(parts: &[&str]) -> (Vec<String>, Option<String>) {
    let mut cut = Cut::new(10);
    let mut lines = Vec::new();
    for part in parts {
        cut.push(part.as_bytes()).unwrap();
        while let Some(line) = cut.line() {
            lines.push(String::from_utf8(line).unwrap());
        }
    }
    (
        lines,
        cut.rest().map(|rest| String::from_utf8(rest).unwrap()),
    )
}

#[test]
fn lines_are_whole_however_they_come() {
    let whole = (
        vec!["one".to_owned(), "two".to_owned()],
        Some("thr".to_owned()),
    );
    assert_eq!(cut(&["one\ntwo\nthr"]), whole);
    assert_eq!(cut(&["o", "ne\n\n", "t", "w", "o", "\n \n", "thr"]), whole);
    assert_eq!(cut(&["one\n", ""]), (vec!["one".to_owned()], None));
}

#[test]
fn a_line_that_is_too_long_is_refused_before_it_ends() {
    let mut cut = Cut::new(10);
    cut.push(b"0123456789").unwrap();
    assert!(cut.push(b"0").is_err());
    let mut cut = Cut::new(10);
    assert!(cut.push(b"short\n0123456789a\n").is_err());
}
