//! Keys at rest: passphrases, seals, names and file modes.

use super::*;

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn import_into(dir: &Path, name: &str, overwrite: bool) -> Result<Entry, KeystoreError> {
    import(
        dir,
        name,
        &secret("the key"),
        "0xabc",
        &secret("pass"),
        overwrite,
    )
}

#[test]
fn a_key_comes_back_with_its_passphrase_and_with_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let address_of = |key: &Secret| {
        assert_eq!(key.expose().len(), KEY_BYTES);
        Ok(format!("0x{}", hex::encode(key.expose())))
    };
    let entry = create(dir.path(), "default", &secret("pass"), address_of, false).unwrap();
    let key = open(dir.path(), "default", &secret("pass")).unwrap();
    assert_eq!(entry.address, format!("0x{}", hex::encode(key.expose())));
    let wrong = open(dir.path(), "default", &secret("Pass"));
    assert!(matches!(wrong, Err(KeystoreError::WrongPassphrase(_))));
    assert_eq!(list(dir.path()).unwrap(), [entry]);
}

#[test]
fn a_changed_address_breaks_the_seal() {
    let dir = tempfile::tempdir().unwrap();
    import_into(dir.path(), "a", false).unwrap();
    let path = path(dir.path(), "a").unwrap();
    let text = fs::read_to_string(&path).unwrap().replace("0xabc", "0xabd");
    fs::write(&path, text).unwrap();
    let opened = open(dir.path(), "a", &secret("pass"));
    assert!(matches!(opened, Err(KeystoreError::WrongPassphrase(_))));
}

#[test]
fn an_existing_key_is_overwritten_only_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    import_into(dir.path(), "a", false).unwrap();
    let before = fs::read(path(dir.path(), "a").unwrap()).unwrap();
    assert!(matches!(
        import_into(dir.path(), "a", false),
        Err(KeystoreError::Exists(_))
    ));
    // The same where the early look saw nothing: the last step refuses too.
    let place = path(dir.path(), "a").unwrap();
    assert!(matches!(
        write_whole(dir.path(), "a", &place, b"x", false),
        Err(KeystoreError::Exists(_))
    ));
    assert_eq!(fs::read(&place).unwrap(), before);
    import_into(dir.path(), "a", true).unwrap();
    assert_ne!(fs::read(&place).unwrap(), before);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no leftovers");
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_a_key_file() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    import_into(dir.path(), "a", false).unwrap();
    let mode = fs::metadata(path(dir.path(), "a").unwrap())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_name_cannot_leave_the_keystore() {
    for name in ["", "../x", "a/b", "A", "a.b", &"a".repeat(65)] {
        assert!(
            matches!(path(Path::new("/k"), name), Err(KeystoreError::Name(_))),
            "{name:?}"
        );
    }
}

#[test]
fn a_file_that_asks_for_a_terabyte_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    import_into(dir.path(), "a", false).unwrap();
    let path = path(dir.path(), "a").unwrap();
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("\"memory_kib\": 65536", "\"memory_kib\": 1073741824");
    fs::write(&path, text).unwrap();
    let opened = open(dir.path(), "a", &secret("pass"));
    assert!(matches!(opened, Err(KeystoreError::Damaged { .. })));
}

#[test]
fn a_missing_key_an_empty_passphrase_and_garbage_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let open = |name: &str| open(dir.path(), name, &secret("p")).map(|_| ());
    assert!(matches!(open("none"), Err(KeystoreError::NotFound(_))));
    fs::write(dir.path().join("bad.key.json"), "{}").unwrap();
    assert!(matches!(open("bad"), Err(KeystoreError::Damaged { .. })));
    let empty = import(dir.path(), "b", &secret("k"), "0x", &secret(""), false);
    assert!(matches!(empty, Err(KeystoreError::EmptyPassphrase)));
    assert_eq!(list(&dir.path().join("nowhere")).unwrap(), []);
}
