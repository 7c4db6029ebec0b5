//! The pieces of an order that need no directory; whole orders are in farebox's tests.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::*;

#[test]
fn the_answer_to_a_handshake_is_as_rfc_8737_asks_for() {
    let digest = [7; 32];
    let pem = question_certificate("a.example", &digest).expect("a certificate");
    let der = CertificateDer::from_pem_slice(&pem).expect("PEM");
    let (_, certificate) = X509Certificate::from_der(&der).expect("a certificate");
    let names = certificate
        .subject_alternative_name()
        .expect("read")
        .expect("names");
    let names: Vec<String> = names
        .value
        .general_names
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names, ["DNSName(a.example)"]);
    let mut extensions = certificate.iter_extensions();
    let identifier = extensions.find(|one| one.oid.to_id_string() == "1.3.6.1.5.5.7.1.31");
    let identifier = identifier.expect("an acmeIdentifier");
    assert!(identifier.critical);
    assert_eq!(
        identifier.value,
        [&[4, 32][..], &digest].concat(),
        "an OCTET STRING of the digest"
    );
}

#[test]
fn a_token_that_could_name_another_file_is_none() {
    assert!(is_token("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr_oA"));
    let long = "x".repeat(257);
    for token in [
        "", "..", ".", "a/b", "a\\b", "a.b", "a b", "é", "a\0", &long,
    ] {
        assert!(!is_token(token), "{token:?}");
    }
}
