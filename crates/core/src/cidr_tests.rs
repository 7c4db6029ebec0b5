//! How blocks are read, and what is in them.

use super::*;

#[test]
fn a_block_of_addresses_is_read_strictly() {
    for bad in [
        "",
        "10.0.0.0/33",
        "::/129",
        "10.0.0/8",
        "host/8",
        "10.0.0.0/",
        "10.0.0.0/-1",
    ] {
        assert!(bad.parse::<Cidr>().is_err(), "{bad}");
    }
    assert_eq!("10.0.0.1".parse::<Cidr>(), "10.0.0.1/32".parse());
}

#[test]
fn a_block_holds_what_agrees_with_its_bits() {
    for (block, inside, outside) in [
        ("10.8.0.0/13", "10.15.255.255", "10.16.0.0"),
        ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
        ("fd00::/8", "fdff::1", "fc00::1"),
        ("0.0.0.0/0", "255.255.255.255", "::ffff:1.2.3.4"),
        ("::/0", "ffff::", "1.2.3.4"),
    ] {
        let block: Cidr = block.parse().unwrap();
        assert!(block.contains(inside.parse().unwrap()), "{inside}");
        assert!(!block.contains(outside.parse().unwrap()), "{outside}");
    }
}
