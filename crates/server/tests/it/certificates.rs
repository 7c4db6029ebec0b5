//! Certificates that are made for a test, servers that show them, and clients that trust them.

use std::path::PathBuf;
use std::sync::Arc;

use farebox_server::TlsFiles;
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme, WantsVerifier,
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A root, and a folder for what it signs.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    root_pem: String,
    dir: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let root = params.self_signed(&key).expect("a root");
        Self {
            issuer: Issuer::new(params, key),
            root: root.der().clone(),
            root_pem: root.pem(),
            dir: tempfile::tempdir().expect("a folder"),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where the certificate and the key called `name` are.
    pub(crate) fn files(&self, name: &str) -> TlsFiles {
        TlsFiles {
            cert: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
        }
    }

    /// The root in PEM, for those who are to trust it.
    pub(crate) fn root_pem(&self) -> String {
        self.root_pem.clone()
    }

    /// A new certificate for `host`.
    fn sign(&self, host: &str) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![host.to_owned()]).expect("parameters");
        let signed = params.signed_by(&key, &self.issuer).expect("a certificate");
        (signed, key)
    }

    /// Writes a new certificate for `host` to the files called `name`; gives it.
    pub(crate) fn write(&self, name: &str, host: &str) -> CertificateDer<'static> {
        let (signed, key) = self.sign(host);
        let files = self.files(name);
        std::fs::write(&files.cert, signed.pem()).expect("written");
        std::fs::write(&files.key, key.serialize_pem()).expect("written");
        signed.der().clone()
    }

    /// A server for `host` that speaks these protocols.
    pub(crate) fn server(&self, host: &str, alpn: &[&str]) -> TlsAcceptor {
        let (signed, key) = self.sign(host);
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![signed.der().clone()], key)
            .expect("a certificate");
        config.alpn_protocols = names(alpn);
        TlsAcceptor::from(Arc::new(config))
    }

    /// A client that trusts the root and offers these protocols.
    pub(crate) fn client(&self, alpn: &[&str]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("a root");
        client(alpn, |builder| builder.with_root_certificates(roots))
    }
}

/// A client that believes any certificate, to look at it.
pub(crate) fn believing(alpn: &[&str]) -> TlsConnector {
    let believer = Arc::new(Believer(rustls::crypto::ring::default_provider()));
    client(alpn, |builder| {
        builder
            .dangerous()
            .with_custom_certificate_verifier(believer)
    })
}

fn client(
    alpn: &[&str],
    trust: impl FnOnce(
        ConfigBuilder<ClientConfig, WantsVerifier>,
    ) -> ConfigBuilder<ClientConfig, WantsClientCert>,
) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions");
    let mut config = trust(builder).with_no_client_auth();
    config.alpn_protocols = names(alpn);
    TlsConnector::from(Arc::new(config))
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

fn names(alpn: &[&str]) -> Vec<Vec<u8>> {
    alpn.iter().map(|name| name.as_bytes().to_vec()).collect()
}

/// Connects to `address` as `host`.
pub(crate) async fn connect(
    client: &TlsConnector,
    address: std::net::SocketAddr,
    host: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await.expect("connected");
    connect_over(client, stream, host).await
}

/// Speaks TLS with `host` on what is open already.
pub(crate) async fn connect_over(
    client: &TlsConnector,
    stream: TcpStream,
    host: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let host = ServerName::try_from(host.to_owned()).expect("a name");
    client.connect(host, stream).await
}
