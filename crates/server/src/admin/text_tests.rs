//! The text form, as its description has it.

use farebox_seller::counts::{BOUNDS_US, Observed};

use super::{Kind, Page, seconds};

#[test]
fn labels_are_escaped_so_that_no_name_ends_its_line() {
    let mut page = Page::default();
    page.family("a_total", Kind::Counter, "Some.");
    page.sample("a_total", &[("route", "GET /\"\\\n*")], 7);
    page.sample("a_total", &[], 8);
    let expected = "# HELP a_total Some.\n# TYPE a_total counter\n\
                    a_total{route=\"GET /\\\"\\\\\\n*\"} 7\na_total 8\n";
    assert_eq!(page.finish(), expected);
}

#[test]
fn a_histogram_ends_with_everything_its_sum_and_its_count() {
    let mut page = Page::default();
    let observed = Observed {
        at_most: vec![1; BOUNDS_US.len()],
        count: 2,
        sum_us: 2_000_150,
    };
    page.histogram("t_seconds", &[("route", "/a")], &observed);
    let text = page.finish();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), BOUNDS_US.len() + 3);
    assert_eq!(lines[0], "t_seconds_bucket{route=\"/a\",le=\"0.0001\"} 1");
    let end = &lines[BOUNDS_US.len()..];
    assert_eq!(end[0], "t_seconds_bucket{route=\"/a\",le=\"+Inf\"} 2");
    assert_eq!(end[1], "t_seconds_sum{route=\"/a\"} 2.00015");
    assert_eq!(end[2], "t_seconds_count{route=\"/a\"} 2");
}

#[test]
fn seconds_are_exact() {
    let rows = [
        (0, "0"),
        (1, "0.000001"),
        (10_000_000, "10"),
        (2_500, "0.0025"),
    ];
    for (us, text) in rows {
        assert_eq!(seconds(us), text);
    }
}
