//! What looks like a secret in an address, and a ledger on a disk that is not local.

use std::path::Path;

use super::super::Severity;
use super::{holds_secret, on_disk};

#[test]
fn an_address_with_a_key_is_told_from_one_without() {
    for url in [
        "https://user:word@node.example",
        "https://node.example/v2/3f9d2c51aa0b4e7f8c61",
        "https://node.example/?apikey=1",
        "https://node.example/v3/a1B2-c3D4_e5F6g7H8",
    ] {
        assert!(holds_secret(url), "{url}");
    }
    for url in [
        "http://127.0.0.1:8545",
        "https://sepolia.base.org/",
        "https://node.example/base-sepolia-public-rpc",
        "https://node.example/v1/mainnet",
        "nonsense",
    ] {
        assert!(!holds_secret(url), "{url}");
    }
}

#[test]
fn a_ledger_on_a_network_disk_is_an_error() {
    let table = "22 1 8:1 / / rw - ext4 /dev/vda rw\n\
                 30 22 0:40 / /srv/books rw,relatime shared:9 - nfs4 host:/books rw\n";
    let found = on_disk(table, Path::new("/srv/books/farebox.db")).expect("a finding");
    assert_eq!(
        (found.id, found.severity),
        ("ledger_network_disk", Severity::Error)
    );
    assert!(found.message.contains("nfs4"), "{}", found.message);
    assert_eq!(on_disk(table, Path::new("/srv/farebox.db")), None);
    assert_eq!(on_disk("junk", Path::new("/srv/farebox.db")), None);
}
