//! Headers as proxies send them, and damaged ones.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

const LINE: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";

/// A header of version 2: command, family, payload.
fn binary(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family][..], &length, payload].concat()
}

fn v4() -> Vec<u8> {
    binary(
        0x21,
        0x11,
        &[192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 4, 1, 0xbb],
    )
}

fn v6() -> Vec<u8> {
    let source: Ipv6Addr = "2001:db8::7".parse().unwrap();
    let destination = [0; 16];
    let ports = [0xdc, 4, 1, 0xbb];
    let extension = [4, 0, 1, 0];
    let payload = [&source.octets()[..], &destination, &ports, &extension].concat();
    binary(0x21, 0x21, &payload)
}

fn named(bytes: &[u8]) -> Option<SocketAddr> {
    match parse(bytes) {
        Header::Whole { client, length } => {
            assert_eq!(length, bytes.len());
            client
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_versions_name_the_client() {
    let four = Some("192.0.2.7:56324".parse().unwrap());
    assert_eq!(named(LINE), four);
    assert_eq!(named(&v4()), four);
    let six = Some("[2001:db8::7]:56324".parse().unwrap());
    assert_eq!(named(b"PROXY TCP6 2001:db8::7 ::1 56324 443\r\n"), six);
    assert_eq!(named(&v6()), six);
}

#[test]
fn a_proxy_that_speaks_for_itself_names_nobody() {
    for header in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN ffff::1 ffff::1 1 2\r\n".to_vec(),
        binary(0x20, 0, &[]),
        binary(0x20, 0x11, &[1; 30]),
        binary(0x21, 0x00, &[]),
        binary(0x21, 0x12, &[0; 12]),
        binary(0x21, 0x31, &[0; 216]),
    ] {
        assert_eq!(named(&header), None, "{header:?}");
    }
}

#[test]
fn what_follows_a_header_is_not_a_part_of_it() {
    for header in [LINE.to_vec(), v4(), v6()] {
        let more = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
        assert!(matches!(parse(&more), Header::Whole { length, .. } if length == header.len()));
    }
}

#[test]
fn what_is_no_header_is_broken() {
    let long = [LINE_START, [b'a'; LINE_BYTES_MAX].as_slice()].concat();
    let huge = [SIGNATURE, &[0x21, 0x11, 0x10, 0x01][..]].concat();
    for bytes in [
        b"GET / HTTP/1.1\r\n".as_slice(),
        b"\x16\x03\x01",
        b"proxy TCP4",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 1\r\n",
        b"PROXY TCP4 192.0.2.7  198.51.100.1 56324 443\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 +6324 443\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n",
        b"PROXY TCP4 2001:db8::7 ::1 56324 443\r\n",
        b"PROXY TCP6 192.0.2.7 ::1 56324 443\r\n",
        b"PROXY UDP4 192.0.2.7 198.51.100.1 56324 443\r\n",
        b"PROXY \xff\r\n",
        &binary(0x11, 0x11, &[0; 12]),
        &binary(0x22, 0x11, &[0; 12]),
        &binary(0x21, 0x11, &[0; 11]),
        &binary(0x21, 0x21, &[0; 35]),
        &long,
        &huge,
    ] {
        assert!(matches!(parse(bytes), Header::Broken(_)), "{bytes:?}");
    }
}

fn header() -> impl Strategy<Value = Vec<u8>> {
    select(vec![
        LINE.to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        v4(),
        v6(),
    ])
}

proptest! {
    #[test]
    fn a_header_is_unfinished_wherever_it_is_cut(header in header(), cut in any::<Index>()) {
        let cut = cut.index(header.len());
        prop_assert_eq!(parse(&header[..cut]), Header::Unfinished);
    }

    /// Damage changes what is named or breaks it; it never reads past the end, and never waits for
    /// more than a header may have.
    #[test]
    fn damaged_headers_stay_within_their_limits(
        header in header(),
        damage in vec((any::<Index>(), any::<u8>()), 0..6),
        more in vec(any::<u8>(), 0..6_000),
    ) {
        let mut bytes = [header, more].concat();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        match parse(&bytes) {
            Header::Whole { length, .. } => prop_assert!(length <= bytes.len()),
            Header::Unfinished => prop_assert!(bytes.len() < FIXED_BYTES + PAYLOAD_BYTES_MAX),
            Header::Broken(_) => {}
        }
    }
}
