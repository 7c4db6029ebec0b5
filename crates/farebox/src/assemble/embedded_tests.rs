//! The seed of an embedded node is made once, for its owner alone.

use super::*;

#[test]
fn a_seed_is_made_once_and_read_from_then_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path().join("node");
    let made = seed(&dir).expect("a seed");
    let read = seed(&dir).expect("the same");
    assert_eq!(*made.expose_hex(), *read.expose_hex());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| {
            std::fs::metadata(path)
                .expect("it is there")
                .permissions()
                .mode()
        };
        assert_eq!(mode(&dir.join(SEED)) & 0o777, 0o600);
        assert_eq!(mode(&dir) & 0o777, 0o700);
    }
    std::fs::write(dir.join(SEED), "damaged").expect("written");
    assert!(seed(&dir).is_err(), "a damaged seed is not replaced");
}
