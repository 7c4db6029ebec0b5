//! Where secrets are found, and what is said about those that are not.

use super::*;

fn places(base: &Path) -> Places<'_> {
    Places {
        base,
        keystore: base,
        passphrase: None,
    }
}

#[test]
fn a_reference_says_where_a_secret_is() {
    assert_eq!(parse("env:KEY").unwrap(), SecretRef::Env("KEY".into()));
    assert_eq!(
        parse("file:a/b.key").unwrap(),
        SecretRef::File("a/b.key".into())
    );
    assert_eq!(
        parse("keystore:default").unwrap(),
        SecretRef::Keystore("default".into())
    );
    assert!(matches!(
        parse("env:"),
        Err(SecretError::EmptyReference("env:"))
    ));
}

#[test]
fn a_literal_secret_is_refused_and_not_repeated() {
    let key = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    let error = parse(key).unwrap_err();
    assert!(matches!(error, SecretError::Literal));
    assert!(!format!("{error} {error:?}").contains("ac0974"));
}

#[test]
fn a_file_is_found_beside_the_configuration_and_loses_its_line_end() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("buyer.key"), "0xabc\r\n").unwrap();
    let secret = load(&SecretRef::File("buyer.key".into()), &places(dir.path())).unwrap();
    assert_eq!(secret.expose_str().unwrap(), "0xabc");
}

#[test]
fn what_is_missing_or_empty_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("empty.key"), "\n").unwrap();
    let load = |text: &str| load(&parse(text).unwrap(), &places(dir.path())).map(|_| ());
    let empty = load("file:empty.key").unwrap_err();
    assert!(matches!(empty, SecretError::FileSize(_)), "{empty}");
    let absent = load("file:absent.key").unwrap_err();
    assert!(absent.to_string().contains("absent.key"), "{absent}");
    let unset = load("env:FAREBOX_TEST_SURELY_UNSET").unwrap_err();
    assert!(matches!(unset, SecretError::NoVariable(_)), "{unset}");
    let locked = load("keystore:default").unwrap_err();
    assert!(matches!(locked, SecretError::NoPassphrase(_)), "{locked}");
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_read_is_noticed() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    fs::write(&path, "x").unwrap();
    for (mode, open) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(
            is_open_to_others(&fs::metadata(&path).unwrap()),
            open,
            "{mode:o}"
        );
    }
}
