//! How the authority of these tests looks for proofs: RFC 8555 §8.3 and RFC 8737 §3.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ring::digest::{SHA256, digest};
use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// The extension that carries a proof.
const ACME_IDENTIFIER: &str = "1.3.6.1.5.5.7.1.31";

/// What an account shows for a token.
pub(super) fn key_authorization(token: &str, key: &Value) -> String {
    let part = |name: &str| key[name].as_str().expect("a part of a key");
    let canonical = format!(
        r#"{{"crv":"{}","kty":"{}","x":"{}","y":"{}"}}"#,
        part("crv"),
        part("kty"),
        part("x"),
        part("y")
    );
    let thumbprint = BASE64.encode(digest(&SHA256, canonical.as_bytes()));
    format!("{token}.{thumbprint}")
}

/// Shakes hands and reads the certificate.
pub(super) async fn by_handshake(
    prover: SocketAddr,
    name: &str,
    expected: &str,
) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let stream = TcpStream::connect(prover).await.map_err(text)?;
    let server = ServerName::try_from(name.to_owned()).expect("a name");
    let client = TlsConnector::from(Arc::new(believing(&["acme-tls/1"])));
    let stream = client.connect(server, stream).await.map_err(text)?;
    let (_, session) = stream.get_ref();
    if session.alpn_protocol() != Some(b"acme-tls/1") {
        return Err("another protocol".to_owned());
    }
    let shown = session.peer_certificates().expect("a certificate");
    let (_, certificate) = X509Certificate::from_der(&shown[0]).map_err(|why| why.to_string())?;
    let names = certificate
        .subject_alternative_name()
        .expect("read")
        .expect("names");
    if names.value.general_names != [GeneralName::DNSName(name)] {
        return Err(format!("for other names: {names:?}"));
    }
    let mut extensions = certificate.iter_extensions();
    let proof = extensions.find(|one| one.oid.to_id_string() == ACME_IDENTIFIER);
    let proof = proof.filter(|one| one.critical).ok_or("no proof in it")?;
    let digest = digest(&SHA256, expected.as_bytes());
    match proof.value == [&[4, 32][..], digest.as_ref()].concat() {
        true => Ok(()),
        false => Err("the proof of something else".to_owned()),
    }
}

/// Asks in the clear.
pub(super) async fn by_request(
    prover: SocketAddr,
    name: &str,
    token: &str,
    expected: &str,
) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(prover).await.map_err(text)?;
    let request = format!(
        "GET /.well-known/acme-challenge/{token} HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(text)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(text)?;
    let is_well =
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&format!("\r\n\r\n{expected}"));
    is_well.then_some(()).ok_or(answer)
}

/// A client that believes any certificate, to look at it.
pub(super) fn believing(alpn: &[&str]) -> ClientConfig {
    let provider = rustls::crypto::ring::default_provider();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider.clone()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Believer(provider)))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// Believes every certificate: rustls reads none with the critical extension of a proof.
#[derive(Debug)]
struct Believer(CryptoProvider);

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
