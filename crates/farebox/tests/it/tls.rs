//! TLS and proxies in front of the binary: a payment over https, and what is refused at the start.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::market::Upstream;
use crate::support::{Ended, User};

/// Leaves a root in `ca.pem`, and a certificate for this machine with its key in `net`.
fn write_certificates(user: &User) {
    let mut root = CertificateParams::new(Vec::new()).expect("parameters");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate().expect("a key");
    let signed = root.self_signed(&root_key).expect("a root");
    user.write("ca.pem", &signed.pem());
    let key = KeyPair::generate().expect("a key");
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    let issuer = Issuer::new(root, root_key);
    let signed = server.signed_by(&key, &issuer).expect("a certificate");
    user.write("net/cert.pem", &signed.pem());
    user.write("net/key.pem", &key.serialize_pem());
}

#[test]
fn a_payment_over_https_is_made_by_who_trusts_the_certificate() {
    let user = User::new();
    let _net = user.devnet();
    write_certificates(&user);
    let upstream = Upstream::start();
    let tls = "tls = { cert = \"file:cert.pem\", key = \"file:key.pem\" }";
    let config = format!("{tls}\n{}", user.read("net/seller.toml"));
    user.write("net/shop.toml", &config);
    let url = upstream.url();
    let gate = user.start(&[
        "gate",
        "--config",
        "net/shop.toml",
        "--upstream",
        &url,
        "--price",
        "0.001 USD",
        "--listen",
        "127.0.0.1:0",
        "--json",
    ]);
    let gate = gate.text("/listening");
    assert!(gate.starts_with("https://127.0.0.1:"), "{gate}");
    let url = format!("{gate}/ok");
    let fetch = ["fetch", "--config", "net/buyer.toml", &url];
    let mut trusting = user.command(&fetch);
    trusting.env("SSL_CERT_FILE", user.path("ca.pem"));
    let paid = Ended::of(trusting.output().expect("farebox starts"));
    assert_eq!(
        (paid.exit, paid.stdout.as_str()),
        (0, "ok\n"),
        "{}",
        paid.stderr
    );
    assert_eq!(upstream.calls(), 1);
    let distrusting = user.run(&fetch);
    assert_eq!(distrusting.exit, 1, "{}", distrusting.stderr);
    assert_eq!(upstream.calls(), 1);
}

/// Why neither a gate nor a facilitator starts with these lines at the top of its file.
fn refused(user: &User, lines: &str) -> (String, String) {
    let config = format!("{lines}\n{}", user.read("net/seller.toml"));
    user.write("net/shop.toml", &config);
    let listen = ["--config", "net/shop.toml", "--listen", "127.0.0.1:0"];
    let sale = [
        "--upstream",
        "http://127.0.0.1:3000",
        "--price",
        "0.001 USD",
    ];
    let gate = [&["gate"][..], &listen, &sale].concat();
    let all = [
        [&gate[..], &["--check"]].concat(),
        gate,
        [&["facilitator"][..], &listen].concat(),
    ];
    let mut refusals = all.iter().map(|arguments| {
        let (exit, answer) = user.json(arguments);
        assert_eq!(exit, 2, "{arguments:?}: {answer}");
        let text = |key: &str| answer["error"][key].as_str().expect("a text").to_owned();
        (text("code"), text("message"))
    });
    let first = refusals.next().expect("three");
    for other in refusals {
        assert_eq!(other, first);
    }
    first
}

#[test]
fn certificates_that_cannot_be_used_are_refused_with_their_file() {
    let user = User::new();
    let _net = user.devnet();
    write_certificates(&user);
    user.write("net/junk.pem", "junk");
    for (cert, key, named) in [
        ("missing.pem", "key.pem", "missing.pem"),
        ("junk.pem", "key.pem", "junk.pem"),
        ("cert.pem", "junk.pem", "junk.pem"),
        ("cert.pem", "missing.pem", "missing.pem"),
    ] {
        let tls = format!("tls = {{ cert = \"file:{cert}\", key = \"file:{key}\" }}");
        let (code, message) = refused(&user, &tls);
        assert_eq!(code, "tls_unusable", "{message}");
        assert!(message.contains(named), "{message}");
    }
}

#[test]
fn what_stands_in_front_is_refused_with_what_to_write() {
    let user = User::new();
    let _net = user.devnet();
    write_certificates(&user);
    for (lines, says) in [
        ("proxy_protocol = true", "trusted_proxies"),
        ("trusted_proxies = [\"10.0.0.0/99\"]", "10.0.0.0/99"),
        ("trusted_proxies = [\"proxy.example\"]", "proxy.example"),
        (
            "tls = { cert = \"cert.pem\", key = \"file:key.pem\" }",
            "file:cert.pem",
        ),
        (
            "tls = { cert = \"file:cert.pem\", key = \"env:KEY\" }",
            "file:key.pem",
        ),
        (
            "public_url = \"http://api.example.com\"\n\
             tls = { cert = \"file:cert.pem\", key = \"file:key.pem\", redirect_from = \"127.0.0.1:0\" }",
            "https://",
        ),
    ] {
        let (code, message) = refused(&user, lines);
        assert_eq!(code, "config_invalid", "{message}");
        assert!(message.contains(says), "{message}");
    }
}
