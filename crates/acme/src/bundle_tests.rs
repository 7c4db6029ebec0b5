//! Certificates that can be served with, and those that cannot.

use rcgen::{CertificateParams, KeyPair};

use super::*;

/// Key and certificate for some names, in PEM.
fn made(names: &[&str]) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("parameters");
    params.not_before = rcgen::date_time_ymd(2027, 1, 1);
    params.not_after = rcgen::date_time_ymd(2027, 4, 1);
    let signed = params.self_signed(&key).expect("a certificate");
    (key.serialize_pem(), signed.pem())
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_bundle_is_read_with_its_life() {
    let (key, certificate) = made(&["a.example", "b.example"]);
    let pem = format!("{key}{certificate}");
    let bundle = Bundle::read(pem.as_bytes(), &names(&["b.example"])).expect("a bundle");
    let life = Life {
        not_before_s: 1_798_761_600,
        not_after_s: 1_806_537_600,
    };
    assert_eq!(bundle.life, life);
    assert_eq!(super::life(pem.as_bytes()).expect("a life"), life);
    let again = Bundle::read(pem.as_bytes(), &[]).expect("a bundle");
    assert_eq!(bundle.place(), again.place());
}

#[test]
fn what_cannot_be_served_with_is_no_bundle() {
    let (key, certificate) = made(&["a.example"]);
    let (other_key, _) = made(&["a.example"]);
    for (pem, why) in [
        (String::new(), "nothing"),
        (key.clone(), "no certificate"),
        (certificate.clone(), "no key"),
        (format!("{other_key}{certificate}"), "another one's key"),
        (
            format!("{key}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "junk",
        ),
    ] {
        let refused = Bundle::read(pem.as_bytes(), &names(&["a.example"]));
        assert!(matches!(refused, Err(AcmeError::Unusable(_))), "{why}");
    }
    let pem = format!("{key}{certificate}");
    let refused = Bundle::read(pem.as_bytes(), &names(&["a.example", "b.example"]));
    let why = refused.err().expect("not for b").to_string();
    assert!(why.contains("b.example"), "{why}");
}
