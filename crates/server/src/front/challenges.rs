//! How a certificate authority finds out that a name leads here: handshakes and requests that are
//! answered from files, and reach nobody behind the door.
//!
//! Looked up by [`super::tls`] and [`super::redirect`]. The files are laid out by whoever orders
//! certificates, in this process or another on the same folder, and only while an order is open.
//! What is asked for names a file, so only names and tokens that can be nothing else are looked up.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ClientHello;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use zeroize::Zeroizing;

/// The protocol of such a handshake (RFC 8737 §6.2).
const ALPN: &[u8] = b"acme-tls/1";
/// Where such requests go (RFC 8555 §8.3).
const PATH: &str = "/.well-known/acme-challenge/";
/// Bytes of a token, and of the answer to it: a token, a dot and a digest.
const TOKEN_BYTES_MAX: usize = 256;
const ANSWER_BYTES_MAX: u64 = 512;
/// Bytes of a certificate and its key that answer a handshake.
const HANDSHAKE_BYTES_MAX: u64 = 16 * 1024;

/// See the module.
#[derive(Clone, Debug)]
pub struct Challenges {
    handshakes: Arc<Path>,
    requests: Arc<Path>,
}

impl Challenges {
    /// Answers are in `tls-alpn-01/<name>.pem` and `http-01/<token>` of `folder`, while there are
    /// any.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            handshakes: folder.join("tls-alpn-01").into(),
            requests: folder.join("http-01").into(),
        }
    }

    /// What to shake hands with where it is such a handshake and there is an answer: a
    /// configuration that agrees on nothing but `acme-tls/1`.
    pub(super) async fn config(&self, name: String) -> Option<Arc<ServerConfig>> {
        let folder = Arc::clone(&self.handshakes);
        // Files are read on threads that may wait.
        let read = tokio::task::spawn_blocking(move || answering(&folder, &name));
        read.await.ok().flatten()
    }

    /// The answer to a request for `path`, if it is such a request.
    pub(super) async fn answer(&self, path: &str) -> Option<String> {
        let token = path.strip_prefix(PATH).filter(|token| is_token(token))?;
        let path = self.requests.join(token);
        let read = tokio::task::spawn_blocking(move || {
            let mut answer = String::new();
            let file = std::fs::File::open(path).ok()?;
            let read = file.take(ANSWER_BYTES_MAX).read_to_string(&mut answer);
            read.ok().map(|_| answer)
        });
        read.await.ok().flatten()
    }
}

/// The name that such a handshake is about: it offers `acme-tls/1` and nothing else (RFC 8737 §3).
pub(super) fn asked(hello: &ClientHello<'_>) -> Option<String> {
    let mut offered = hello.alpn()?;
    let is_question = offered.next() == Some(ALPN) && offered.next().is_none();
    let name = hello.server_name().filter(|_| is_question)?;
    Some(name.to_ascii_lowercase())
}

/// `name` was read as a name of the DNS, so it has no slash and no empty part.
fn answering(folder: &Path, name: &str) -> Option<Arc<ServerConfig>> {
    let file = folder.join(format!("{name}.pem"));
    let mut pem = Zeroizing::new(Vec::new());
    let file = std::fs::File::open(file).ok()?;
    file.take(HANDSHAKE_BYTES_MAX).read_to_end(&mut pem).ok()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>();
    let key = PrivateKeyDer::from_pem_slice(&pem).ok()?;
    let key = provider.key_provider.load_private_key(key).ok()?;
    // Without a look whether they are a pair: nobody but the one who asks could read such a certificate.
    let certified = CertifiedKey::new(chain.ok()?, key);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .ok()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    Some(Arc::new(config))
}

fn is_token(token: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !token.is_empty() && token.len() <= TOKEN_BYTES_MAX && token.bytes().all(is_plain)
}
