//! Addresses, macaroons and certificates, good and bad ones.

use super::*;

fn macaroon() -> Macaroon {
    Macaroon::read(&[2; 40]).unwrap()
}

#[test]
fn a_macaroon_is_read_from_its_file_or_from_hex() {
    let hex = "02".repeat(40);
    for bytes in [
        vec![2; 40],
        hex.clone().into_bytes(),
        format!("{hex}\n").into_bytes(),
    ] {
        let header = Macaroon::read(&bytes).unwrap().header().unwrap();
        assert_eq!(header, hex.as_str());
        assert!(header.is_sensitive());
    }
    for bad in [
        &b""[..],
        b"\n",
        b"02",
        b"my macaroon",
        &[3; 40],
        &[2; 20_000],
        b"020",
    ] {
        assert_eq!(Macaroon::read(bad).err(), Some(OptionsError::Macaroon));
    }
}

#[test]
fn an_address_is_https_or_on_this_machine() {
    for good in [
        "https://127.0.0.1:8080",
        "https://node.example.com",
        "http://localhost:8080",
        "http://[::1]:1/",
    ] {
        assert!(LndOptions::new(good, macaroon()).is_ok(), "{good}");
    }
    for (bad, why) in [
        ("http://node.example.com", OptionsError::Clear),
        ("http://10.0.0.1:8080", OptionsError::Clear),
        ("127.0.0.1:8080", OptionsError::Url),
        ("ftp://127.0.0.1", OptionsError::Url),
        ("https://user:secret@127.0.0.1", OptionsError::Url),
        ("https://127.0.0.1/v1", OptionsError::Url),
        ("https://127.0.0.1/?a=b", OptionsError::Url),
        ("", OptionsError::Url),
    ] {
        assert_eq!(LndOptions::new(bad, macaroon()).err(), Some(why), "{bad}");
    }
}

#[test]
fn what_is_no_certificate_is_refused() {
    let empty = "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n";
    for bad in ["", "a certificate", empty] {
        let options = LndOptions::new("https://127.0.0.1:8080", macaroon()).unwrap();
        let pinned = options.pinned(bad.as_bytes());
        assert_eq!(pinned.err(), Some(OptionsError::Certificate), "{bad}");
    }
}
