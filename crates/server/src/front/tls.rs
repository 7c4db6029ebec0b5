//! TLS at the front door: certificates from files, which are read anew when they change.
//!
//! The binary loads a [`Tls`] and hands it to the servers; [`super::connections`] looks at the files
//! now and then while it serves. Connections that are open keep what they began with. Files that
//! cannot be used, or that do not belong together yet, leave the old certificates in place. Keys
//! stay in here and are in no message. A certificate that is obtained while the server serves may be
//! missing at first; then there is no TLS for its names, and a question of its authority
//! ([`super::challenges`]) ends with the handshake: nothing of HTTP ever follows it.

use std::fmt;
use std::future::Future;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
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
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};
use zeroize::Zeroizing;

use super::challenges::{self, Challenges};

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

/// A certificate that somebody obtains and renews while the server serves.
pub struct Obtained {
    /// The key and the certificate, in one file. It need not be there yet.
    pub bundle: PathBuf,
    /// Where the questions of its authority are answered from.
    pub challenges: Challenges,
    /// Who obtains it.
    pub keeper: Arc<dyn CertificateKeeper>,
}

/// Obtains certificates and renews them.
pub trait CertificateKeeper: Send + Sync {
    /// Does so for as long as it is polled, and has `tls` read the file when there is a new one.
    fn keep<'a>(&'a self, tls: &'a Tls) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
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
    challenges: Option<Challenges>,
    keeper: Option<Arc<dyn CertificateKeeper>>,
    look_every: Duration,
}

/// Where a certificate comes from.
struct Source {
    files: TlsFiles,
    /// Whether it may be missing, because it is obtained while the server serves.
    is_awaited: bool,
}

struct Shared {
    sources: Vec<Source>,
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
        let sources = files.into_iter().map(|files| Source {
            files,
            is_awaited: false,
        });
        Self::of(sources.collect())
    }

    /// The same with a certificate that is obtained while the server serves, before `files`.
    /// Clients that ask for a name for which there is none are refused.
    ///
    /// # Errors
    /// [`TlsError`]: which of `files`, and what is wrong with it.
    pub fn obtaining(obtained: Obtained, files: Vec<TlsFiles>) -> Result<Self, TlsError> {
        let awaited = Source {
            files: TlsFiles {
                cert: obtained.bundle.clone(),
                key: obtained.bundle,
            },
            is_awaited: true,
        };
        let also = files.into_iter().map(|files| Source {
            files,
            is_awaited: false,
        });
        Ok(Self {
            challenges: Some(obtained.challenges),
            keeper: Some(obtained.keeper),
            ..Self::of(std::iter::once(awaited).chain(also).collect())?
        })
    }

    fn of(sources: Vec<Source>) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (digest, certificates) = read(&sources, &provider)?;
        let shown = Arc::new(Certificates {
            shown: RwLock::new(certificates),
            is_strict: sources.iter().any(|source| source.is_awaited),
        });
        let unusable = |why: rustls::Error| TlsError::Unusable {
            files: match sources.first() {
                Some(source) => source.files.clone(),
                None => TlsFiles {
                    cert: PathBuf::new(),
                    key: PathBuf::new(),
                },
            },
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
                sources,
                shown,
                seen: Mutex::new(digest),
            }),
            challenges: None,
            keeper: None,
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

    /// Where the questions of a certificate authority are answered from, if there are any.
    pub(super) fn challenges(&self) -> Option<&Challenges> {
        self.challenges.as_ref()
    }

    /// Looks at the files now and then, and has certificates obtained, for ever.
    pub(super) async fn watch(&self) {
        let keeping = async {
            if let Some(keeper) = &self.keeper {
                keeper.keep(self).await;
            }
        };
        tokio::join!(self.look_now_and_then(), keeping);
    }

    async fn look_now_and_then(&self) {
        loop {
            tokio::time::sleep(self.look_every).await;
            self.look().await;
        }
    }

    /// Shakes hands with a client.
    ///
    /// # Errors
    /// The client speaks no TLS, or none that is spoken here, or has gone, or wanted to see no more
    /// than who answers to a name.
    pub(super) async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(challenges) = &self.challenges else {
            return self.acceptor.accept(stream).await;
        };
        let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
        let asked = challenges::asked(&hello.client_hello());
        let answer = match asked {
            Some(name) => challenges.config(name).await,
            None => None,
        };
        let Some(answer) = answer else {
            // Which agrees on nothing with a question that has no answer.
            let usual = Arc::clone(self.acceptor.config());
            return hello.into_stream(usual).await;
        };
        let mut answered = hello.into_stream(answer).await?;
        answered.shutdown().await?;
        Err(io::Error::other(
            "a certificate authority has seen the answer to its question",
        ))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.shared.sources.iter().map(|source| &source.files);
        f.debug_list().entries(files).finish()
    }
}

impl Shared {
    fn reload(&self) -> Result<bool, TlsError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let provider = rustls::crypto::ring::default_provider();
        let contents = contents(&self.sources)?;
        let digest = digest(&contents);
        if *seen == digest {
            return Ok(false);
        }
        // Also where they cannot be used: that is said once, and looked at again when they change.
        *seen = digest;
        let both = self.sources.iter().zip(&contents);
        let certificates = both.map(|(source, contents)| certified(source, contents, &provider));
        let certificates: Vec<_> = certificates.collect::<Result<_, _>>()?;
        let mut shown = self
            .shown
            .shown
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for (old, new) in shown.iter_mut().zip(certificates) {
            // One whose file has gone is good until it ends.
            *old = new.or_else(|| old.take());
        }
        Ok(true)
    }
}

/// What is shown to clients, in the order of its sources.
struct Certificates {
    shown: RwLock<Vec<Shown>>,
    /// Whether names for which there is none are refused.
    is_strict: bool,
}

/// A certificate, where there is one.
type Shown = Option<Arc<CertifiedKey>>;

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates")
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        let mut shown = shown.iter().flatten();
        let name = hello
            .server_name()
            .and_then(|name| ServerName::try_from(name).ok());
        let named = name.and_then(|name| shown.clone().find(|key| is_for(key, &name)));
        match named {
            None if self.is_strict && hello.server_name().is_some() => None,
            named => named.or_else(|| shown.next()).cloned(),
        }
    }
}

fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let certificate = key.end_entity_cert().map(ParsedCertificate::try_from);
    matches!(certificate, Ok(Ok(certificate)) if verify_server_name(&certificate, name).is_ok())
}

/// A certificate's file and its key's.
type Contents = (Vec<u8>, Zeroizing<Vec<u8>>);

fn read(sources: &[Source], provider: &CryptoProvider) -> Result<([u8; 32], Vec<Shown>), TlsError> {
    if sources.is_empty() {
        return Err(TlsError::Nothing);
    }
    let contents = contents(sources)?;
    let shown = sources.iter().zip(&contents).map(|(source, contents)| {
        match certified(source, contents, provider) {
            // Whoever obtains it sees the same, and orders another.
            Err(_) if source.is_awaited => Ok(None),
            certified => certified,
        }
    });
    let shown = shown.collect::<Result<_, _>>()?;
    Ok((digest(&contents), shown))
}

fn contents(sources: &[Source]) -> Result<Vec<Option<Contents>>, TlsError> {
    let both = |files: &TlsFiles| Ok((bytes(&files.cert)?, Zeroizing::new(bytes(&files.key)?)));
    let contents = sources.iter().map(|source| match both(&source.files) {
        Err(TlsError::Unreadable { error, .. })
            if source.is_awaited && error.kind() == io::ErrorKind::NotFound =>
        {
            Ok(None)
        }
        contents => contents.map(Some),
    });
    contents.collect()
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

fn digest(contents: &[Option<Contents>]) -> [u8; 32] {
    let mut all = Sha256::new();
    for contents in contents {
        // Digests of one length, so that nothing runs together.
        let (cert, key) = contents
            .as_ref()
            .map_or((&[][..], &[][..]), |(cert, key)| (cert, key));
        all.update(Sha256::digest(cert));
        all.update(Sha256::digest(key));
    }
    all.finalize().into()
}

fn certified(
    source: &Source,
    contents: &Option<Contents>,
    provider: &CryptoProvider,
) -> Result<Shown, TlsError> {
    let Some(contents) = contents else {
        return Ok(None);
    };
    certified_key(&source.files, contents, provider).map(|key| Some(Arc::new(key)))
}

fn certified_key(
    files: &TlsFiles,
    (cert, key): &Contents,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(cert)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::NoCertificate(files.cert.clone()))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(files.cert.clone()));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey(files.key.clone()))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|why| TlsError::Unusable {
        files: files.clone(),
        why: why.to_string(),
    })
}
