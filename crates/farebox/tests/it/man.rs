//! `farebox man`: the pages of the manual.

use crate::help::PAGES;
use crate::support::User;

#[test]
fn every_command_has_a_page_with_its_examples_line_by_line() {
    let user = User::new();
    let (exit, answer) = user.json(&["man", "--dir", "share/man1"]);
    assert_eq!(exit, 0, "{answer}");
    let written = answer["pages"].as_array().expect("paths");
    assert_eq!(written.len(), PAGES.len());
    for page in PAGES {
        let name = [&["farebox"][..], *page].concat().join("-");
        let text = user.read(&format!("share/man1/{name}.1"));
        assert!(text.contains(&format!(".TH {name} 1")), "{name}: {text}");
        let (_, examples) = text.split_once(".SH EXAMPLES\n.nf\n").expect("examples");
        let first = examples.lines().next().unwrap_or_default();
        assert!(first.starts_with("farebox "), "{name}: {first}");
        assert!(text.contains("FAREBOX_CONFIG"), "{name} names variables");
    }
}

#[test]
fn without_a_directory_the_first_page_is_on_stdout_and_names_every_command() {
    let ended = User::new().run(&["man"]);
    assert_eq!((ended.exit, ended.stderr.as_str()), (0, ""));
    for page in PAGES.iter().filter(|page| page.len() == 1) {
        // A hyphen is escaped where it must not break.
        let named = ended.stdout.replace("\\-", "-");
        let name = format!("farebox-{}(1)", page[0]);
        assert!(named.contains(&name), "{name}: {named}");
    }
    assert!(ended.stdout.contains(".SH \"EXIT CODES\""));
}

#[test]
fn pages_that_cannot_be_written_are_a_usage_error() {
    let user = User::new();
    user.write("taken", "");
    let (exit, answer) = user.json(&["man", "--dir", "taken"]);
    assert_eq!(exit, 2, "{answer}");
    assert_eq!(answer["error"]["code"], "man_write");
}
