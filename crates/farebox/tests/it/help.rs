//! Each `--help` is a page that people and agents learn from: a change of it is seen.

use crate::support::User;

/// Every command, and the pages below them.
pub(crate) const PAGES: &[&[&str]] = &[
    &[],
    &["budget"],
    &["budget", "set"],
    &["budget", "show"],
    &["completions"],
    &["demo"],
    &["devnet"],
    &["doctor"],
    &["facilitator"],
    &["facilitator", "deploy-settler"],
    &["fetch"],
    &["gate"],
    &["man"],
    &["node"],
    &["node", "address"],
    &["node", "channels"],
    &["node", "close"],
    &["node", "info"],
    &["node", "open"],
    &["node", "run"],
    &["payments"],
    &["payments", "list"],
    &["payments", "resume"],
    &["payments", "revoke"],
    &["payments", "show"],
    &["token"],
    &["token", "attenuate"],
    &["token", "import"],
    &["token", "list"],
    &["token", "remove"],
    &["token", "show"],
    &["wallet"],
    &["wallet", "address"],
    &["wallet", "balance"],
    &["wallet", "create"],
    &["wallet", "show"],
];

#[test]
fn every_command_explains_itself_with_examples() {
    let user = User::new();
    for page in PAGES {
        let ended = user.run(&[page, ["--help"].as_slice()].concat());
        assert_eq!(ended.exit, 0, "{page:?}: {}", ended.stderr);
        assert_eq!(ended.stderr, "");
        assert!(ended.stdout.contains("Examples:"), "{page:?} has examples");
        let name = ["farebox", &page.join("_")].join("_");
        insta::assert_snapshot!(name.trim_end_matches('_'), ended.stdout);
    }
}

#[test]
fn the_version_is_on_stdout() {
    let ended = User::new().run(&["--version"]);
    assert_eq!(ended.exit, 0);
    assert_eq!(
        ended.stdout,
        format!("farebox {}\n", env!("CARGO_PKG_VERSION"))
    );
}
