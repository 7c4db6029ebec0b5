//! TLS at the front door: certificates from files, which are read anew when they change.
//!
//! The binary loads a [`Tls`] and hands it to the servers; [`super::connections`] looks at the files
//! now and then while it serves. Connections that are open keep what they began with. Files that
//! cannot be used, or that do not belong together yet, leave the old certificates in place. Keys
//! stay in here and are in no message.

use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use zeroize::Zeroizing;

/// The name of HTTP/2 in ALPN (RFC 9113 §3.1).
pub(super) const ALPN_HTTP_2: &[u8] = b"h2";
const ALPN_HTTP_1: &[u8] = b"http/1.1";
/// How often the files are looked at: a certificate is renewed weeks before it ends.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Bytes of a file. A chain of certificates has a tenth of it.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A certificate and its key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate of the server, then those that lead to a root.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why files are no certificates to serve with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not there, too large, or not ours to read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// Of the file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// No certificate in it.
    #[error("there is no certificate in {}; it should be in PEM, the server's own first", .0.display())]
    NoCertificate(PathBuf),
    /// No key in it.
    #[error("there is no private key in {}; it should be in PEM, without a passphrase", .0.display())]
    NoKey(PathBuf),
    /// A key that is not the certificate's, or of a kind that is not known.
    #[error("the certificate in {} and the key in {} cannot be used together: {why}", files.cert.display(), files.key.display())]
    Unusable {
        /// Both.
        files: TlsFiles,
        /// What is wrong.
        why: String,
    },
    /// Nothing at all.
    #[error("there is no certificate to serve with")]
    Nothing,
}

/// TLS with certificates from files.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    shared: Arc<Shared>,
    look_every: Duration,
}

struct Shared {
    files: Vec<TlsFiles>,
    shown: Arc<Certificates>,
    /// What the files were when they were last read, usable or not.
    seen: Mutex<[u8; 32]>,
}

impl Tls {
    /// Reads the files. Of several certificates the first that is for the name that a client asks
    /// for is shown, else the first of all.
    ///
    /// # Errors
    /// [`TlsError`]: which file, and what is wrong with it.
    pub fn load(files: Vec<TlsFiles>) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (digest, certificates) = read(&files, &provider)?;
        let shown = Arc::new(Certificates(RwLock::new(certificates)));
        let unusable = |why: rustls::Error| TlsError::Unusable {
            files: files.first().cloned().unwrap_or_else(|| TlsFiles {
                cert: PathBuf::new(),
                key: PathBuf::new(),
            }),
            why: why.to_string(),
        };
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Certificates>::clone(&shown);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![ALPN_HTTP_2.to_vec(), ALPN_HTTP_1.to_vec()];
        // Sealed tickets: clients come back without a second exchange of keys, and nothing is kept here.
        config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(unusable)?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            shared: Arc::new(Shared {
                files,
                shown,
                seen: Mutex::new(digest),
            }),
            look_every: LOOK_EVERY,
        })
    }

    /// The same, and the files are looked at so often while it serves.
    #[must_use]
    pub fn looked_at_every(mut self, every: Duration) -> Self {
        self.look_every = every;
        self
    }

    /// Reads the files anew if they have changed; `false` where they have not. New connections
    /// get what they say.
    ///
    /// # Errors
    /// [`TlsError`]: the old certificates stay.
    pub async fn reload(&self) -> Result<bool, TlsError> {
        let shared = Arc::clone(&self.shared);
        match tokio::task::spawn_blocking(move || shared.reload()).await {
            Ok(reloaded) => reloaded,
            // The process is stopping.
            Err(_) => Ok(false),
        }
    }

    /// Reads the files anew if they have changed, and says in the log what came of it.
    pub async fn look(&self) {
        match self.reload().await {
            Ok(false) => {}
            Ok(true) => tracing::info!("certificates were read anew"),
            Err(error) => {
                tracing::error!(%error, "new certificates cannot be used; the old ones stay");
            }
        }
    }

    /// Looks at the files now and then, for ever.
    pub(super) async fn watch(&self) {
        loop {
            tokio::time::sleep(self.look_every).await;
            self.look().await;
        }
    }

    /// Shakes hands with a client.
    ///
    /// # Errors
    /// The client speaks no TLS, or none that is spoken here, or has gone.
    pub(super) async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.acceptor.accept(stream).await
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.shared.files).finish()
    }
}

impl Shared {
    fn reload(&self) -> Result<bool, TlsError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let provider = rustls::crypto::ring::default_provider();
        let contents = contents(&self.files)?;
        let digest = digest(&contents);
        if *seen == digest {
            return Ok(false);
        }
        // Also where they cannot be used: that is said once, and looked at again when they change.
        *seen = digest;
        let certificates = certified(&self.files, &contents, &provider)?;
        let mut shown = self.shown.0.write().unwrap_or_else(PoisonError::into_inner);
        *shown = certificates;
        Ok(true)
    }
}

/// What is shown to clients.
struct Certificates(RwLock<Vec<Arc<CertifiedKey>>>);

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates")
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let name = hello
            .server_name()
            .and_then(|name| ServerName::try_from(name).ok());
        let named = name.and_then(|name| shown.iter().find(|key| is_for(key, &name)));
        named.or_else(|| shown.first()).cloned()
    }
}

fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let certificate = key.end_entity_cert().map(ParsedCertificate::try_from);
    matches!(certificate, Ok(Ok(certificate)) if verify_server_name(&certificate, name).is_ok())
}

/// A certificate's file and its key's.
type Contents = (Vec<u8>, Zeroizing<Vec<u8>>);

fn read(
    files: &[TlsFiles],
    provider: &CryptoProvider,
) -> Result<([u8; 32], Vec<Arc<CertifiedKey>>), TlsError> {
    if files.is_empty() {
        return Err(TlsError::Nothing);
    }
    let contents = contents(files)?;
    Ok((digest(&contents), certified(files, &contents, provider)?))
}

fn contents(files: &[TlsFiles]) -> Result<Vec<Contents>, TlsError> {
    let both = |files: &TlsFiles| Ok((bytes(&files.cert)?, Zeroizing::new(bytes(&files.key)?)));
    files.iter().map(both).collect()
}

fn bytes(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
    read.map_err(|error| TlsError::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    Ok(bytes)
}

fn digest(contents: &[Contents]) -> [u8; 32] {
    let mut all = Sha256::new();
    for (cert, key) in contents {
        // Digests of one length, so that nothing runs together.
        all.update(Sha256::digest(cert));
        all.update(Sha256::digest(key));
    }
    all.finalize().into()
}

fn certified(
    files: &[TlsFiles],
    contents: &[Contents],
    provider: &CryptoProvider,
) -> Result<Vec<Arc<CertifiedKey>>, TlsError> {
    let all = files.iter().zip(contents);
    all.map(|(files, (cert, key))| {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(cert)
            .collect::<Result<_, _>>()
            .map_err(|_| TlsError::NoCertificate(files.cert.clone()))?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate(files.cert.clone()));
        }
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey(files.key.clone()))?;
        let certified = CertifiedKey::from_der(chain, key, provider);
        certified.map(Arc::new).map_err(|why| TlsError::Unusable {
            files: files.clone(),
            why: why.to_string(),
        })
    })
    .collect()
}
