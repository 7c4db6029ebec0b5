//! The certificate that lnd has signed itself, and nobody else's.

use std::sync::Arc;

use farebox_rail_lightning::{LndNode, LndOptions, Macaroon, Node as _};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use crate::stub::{MACAROON, Stub};

/// As lnd makes one: signed by itself, and an authority.
fn certificate() -> (String, CertificateDer<'static>, PrivateKeyDer<'static>) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    let der = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    (made.pem(), made.der().clone(), der)
}

/// TLS in front of the stub.
async fn serve(stub: &Stub, chain: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let behind = stub.serve().await.replace("http://", "");
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let Ok(mut tls) = acceptor.accept(socket).await else {
                    return;
                };
                let mut plain = tokio::net::TcpStream::connect(behind).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut tls, &mut plain).await;
            });
        }
    });
    format!("https://{address}")
}

fn node(url: &str, pem: Option<&str>) -> LndNode {
    let options = LndOptions::new(url, Macaroon::read(&MACAROON).unwrap()).unwrap();
    LndNode::new(match pem {
        Some(pem) => options.pinned(pem.as_bytes()).unwrap(),
        None => options,
    })
    .unwrap()
}

#[tokio::test]
async fn the_pinned_certificate_is_taken_by_any_name_and_no_other_is() {
    let stub = Stub::new();
    let (pem, der, key) = certificate();
    let url = serve(&stub, der, key).await;
    // The certificate names localhost alone; what is dialled is an address.
    assert!(node(&url, Some(&pem)).identity().await.is_ok());
    let (other, ..) = certificate();
    let asked = stub.books().asked.len();
    for pem in [Some(other.as_str()), None] {
        let why = node(&url, pem).identity().await.unwrap_err();
        assert_eq!(why.code(), "node_unreachable");
        assert!(why.message.contains("certificate"), "{}", why.message);
    }
    assert_eq!(
        stub.books().asked.len(),
        asked,
        "the macaroon goes to nobody else"
    );
}

#[tokio::test]
async fn the_wrong_macaroon_is_told_as_a_missing_permission() {
    let stub = Stub::new();
    let url = stub.serve().await;
    let macaroon = Macaroon::read(hex::encode([2; 60]).as_bytes()).unwrap();
    let node = LndNode::new(LndOptions::new(&url, macaroon).unwrap()).unwrap();
    let why = node.state().await.unwrap_err();
    assert_eq!(why.code(), "node_permission");
    assert!(!why.message.contains("0202"), "{}", why.message);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stub = Stub::new();
    let elsewhere = stub.serve().await;
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = socket.read(&mut request).await;
        let answer = format!(
            "HTTP/1.1 307 Elsewhere\r\nlocation: {elsewhere}/v1/getinfo\r\ncontent-length: 0\r\n\r\n"
        );
        let _ = socket.write_all(answer.as_bytes()).await;
    });
    assert!(node(&url, None).state().await.is_err());
    assert!(stub.books().asked.is_empty());
}
