//! Seeds in files, and secrets that are not printed.

use super::*;

#[test]
fn a_seed_comes_back_from_its_file_and_nothing_else_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("seed");
    let seed = Seed::generate().unwrap();
    std::fs::write(&path, format!("{}\n", *seed.expose_hex())).unwrap();
    assert_eq!(Seed::read(&path).unwrap().bytes(), seed.bytes());
    for bad in [
        "",
        "00",
        &"zz".repeat(64),
        &"00".repeat(63),
        &"00".repeat(65),
    ] {
        std::fs::write(&path, bad).unwrap();
        assert!(matches!(Seed::read(&path), Err(Error::Seed(_))), "{bad}");
    }
    assert!(Seed::read(&dir.path().join("none")).is_err());
    assert_ne!(Seed::generate().unwrap().bytes(), seed.bytes());
}

#[test]
fn a_chain_source_is_printed_without_its_password() {
    let source = ChainSource::BitcoindRpc {
        host: "h".to_owned(),
        port: 1,
        user: "u".to_owned(),
        password: Zeroizing::new("hunter2".to_owned()),
    };
    assert_eq!(format!("{source:?}"), "BitcoindRpc");
}
