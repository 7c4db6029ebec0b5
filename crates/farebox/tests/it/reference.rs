//! The tables of docs/configuration.md beside what the binary reads: the same keys, section by section.

use std::collections::BTreeSet;

use crate::support::User;

const PAGE: &str = include_str!("../../../../docs/configuration.md");
/// A key that nothing has, so that the reader lists those that it knows.
const NOBODYS: &str = "nobodys_key";

/// A section of the page: the line that opens it in a file, and the keys of its table.
fn sections() -> Vec<(String, BTreeSet<&'static str>)> {
    let (_, rest) = PAGE.split_once("<!-- begin").expect("a mark");
    let (tables, _) = rest.split_once("<!-- end").expect("another");
    let mut sections = Vec::new();
    for part in tables.split("\n### ").skip(1) {
        let (heading, rows) = part.split_once('\n').expect("a heading");
        let opens = heading.split('`').nth(1).unwrap_or_default();
        let keys = rows.lines().filter_map(|row| row.strip_prefix("| `"));
        let keys = keys.filter_map(|row| row.split('`').next()).collect();
        sections.push((opens.to_owned(), keys));
    }
    sections
}

/// A section's place in the file.
fn path(opens: &str) -> &str {
    opens.trim_matches(['[', ']'])
}

/// The line that has to stand before a section: that of the list whose last table it is a part of.
fn list_around<'a>(section: &str, sections: &'a [(String, BTreeSet<&str>)]) -> &'a str {
    let mut lists = sections.iter().map(|(opens, _)| opens.as_str());
    let around = lists.find(|opens| {
        let inside = path(section).strip_prefix(path(opens));
        opens.starts_with("[[") && inside.is_some_and(|rest| rest.starts_with('.'))
    });
    around.unwrap_or_default()
}

/// What the binary says that it knows in this section.
fn known(section: &str, sections: &[(String, BTreeSet<&str>)]) -> BTreeSet<String> {
    let user = User::new();
    let around = list_around(section, sections);
    let file = format!("{around}\n{section}\n{NOBODYS} = 1\n");
    user.write("farebox.toml", &file);
    let (exit, answer) = user.json(&["budget", "show", "--config", "farebox.toml"]);
    assert_eq!(exit, 2, "{section}: {answer}");
    let message = answer["error"]["message"].as_str().expect("a sentence");
    let (_, expected) = message
        .split_once(&format!("unknown field `{NOBODYS}`, expected "))
        .unwrap_or_else(|| panic!("{section}: {message}"));
    expected
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The keys of a section that open sections of their own.
fn opening(section: &str, sections: &[(String, BTreeSet<&str>)]) -> BTreeSet<String> {
    let above = match path(section) {
        "" => String::new(),
        path => format!("{path}."),
    };
    let below = sections.iter().filter_map(|(opens, _)| {
        let rest = path(opens).strip_prefix(&above)?;
        rest.split('.').next().map(str::to_owned)
    });
    below.filter(|name| !name.is_empty()).collect()
}

#[test]
fn the_page_has_the_keys_that_the_binary_reads_and_no_others() {
    let sections = sections();
    assert!(sections.len() > 10, "{sections:?}");
    for (section, keys) in &sections {
        let mut listed = opening(section, &sections);
        listed.extend(keys.iter().map(|key| (*key).to_owned()));
        assert_eq!(listed, known(section, &sections), "{section}");
    }
}
