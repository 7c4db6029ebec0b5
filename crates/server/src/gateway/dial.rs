//! Opens connections to one upstream: TCP, and TLS over it.
//!
//! Called by the pool. Whom an upstream's certificate has to convince is decided once, at the start:
//! the roots of this machine, or those in `upstream_ca`. There is no way to switch that off.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use tower_service::Service;

use super::pool::{Failed, chain};
use super::upstream::{Speech, Upstream, UpstreamError};

const HTTP_1: &[u8] = b"http/1.1";
const HTTP_2: &[u8] = b"h2";

/// A connection to an upstream, in the clear or over TLS.
pub(super) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Opens connections to one upstream.
pub(super) struct Dialer {
    connector: HttpConnector,
    address: Uri,
    patience: Duration,
    tls: Option<Tls>,
}

struct Tls {
    name: ServerName<'static>,
    either: TlsConnector,
    http_1: TlsConnector,
}

/// What may be agreed upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// HTTP/2, or else HTTP/1.1.
    Either,
    Http1,
}

impl Dialer {
    /// # Errors
    /// Where TLS is wanted and cannot be had.
    pub(super) fn new(upstream: &Upstream, patience: Duration) -> Result<Self, UpstreamError> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(patience));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let tls = match upstream.speech() {
            Speech::Tls => Some(Tls::new(upstream)?),
            Speech::Http1 | Speech::Http2 => None,
        };
        Ok(Self {
            connector,
            address: upstream.address(),
            patience,
            tls,
        })
    }

    /// Opens a connection; says whether HTTP/2 was agreed upon.
    pub(super) async fn open(&self, offer: Offer) -> Result<(Stream, bool), Failed> {
        let mut connector = self.connector.clone();
        let stream = connector.call(self.address.clone()).await;
        let stream = stream.map_err(|error| Failed::Unreachable(chain(error).into()))?;
        let stream = stream.into_inner();
        let Some(tls) = &self.tls else {
            return Ok((Stream::Left(stream), false));
        };
        let connector = match offer {
            Offer::Either => &tls.either,
            Offer::Http1 => &tls.http_1,
        };
        let shaking = connector.connect(tls.name.clone(), stream);
        let stream = tokio::time::timeout(self.patience, shaking)
            .await
            .map_err(|_| Failed::Unreachable("the TLS handshake took too long".into()))?
            .map_err(|error| failed(&error))?;
        let is_http_2 = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
        Ok((Stream::Right(Box::new(stream)), is_http_2))
    }
}

impl Tls {
    fn new(upstream: &Upstream) -> Result<Self, UpstreamError> {
        let broken = |why: String| UpstreamError::Trust(upstream.address().to_string(), why);
        let host = upstream.address().host().unwrap_or_default().to_owned();
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = ServerName::try_from(host).map_err(|error| broken(error.to_string()))?;
        let config = config(upstream.authority()).map_err(broken)?;
        let speaking = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            TlsConnector::from(Arc::new(config))
        };
        Ok(Self {
            name,
            either: speaking(&[HTTP_2, HTTP_1]),
            http_1: speaking(&[HTTP_1]),
        })
    }
}

/// Trusts those in `authority`, PEM, or else those whom this machine trusts.
fn config(authority: Option<&[u8]>) -> Result<ClientConfig, String> {
    let text = |error: rustls::Error| error.to_string();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(text)?;
    let Some(pem) = authority else {
        let builder = builder.with_platform_verifier().map_err(text)?;
        return Ok(builder.with_no_client_auth());
    };
    let builder = builder.with_root_certificates(roots(pem)?);
    Ok(builder.with_no_client_auth())
}

/// Those in a PEM file, one at least.
pub(super) fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    match roots.is_empty() {
        true => Err("there is no certificate in it".to_owned()),
        false => Ok(roots),
    }
}

fn failed(error: &io::Error) -> Failed {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(why)) => Failed::Untrusted(advice(why)),
        _ => Failed::Unreachable(format!("the TLS handshake failed: {error}").into()),
    }
}

/// What is wrong with a certificate, and what to do about it.
fn advice(why: &CertificateError) -> String {
    use CertificateError as E;
    match why {
        E::UnknownIssuer => {
            "nobody whom this machine trusts has signed its certificate; if it is signed by an \
             authority of your own, name that: upstream_ca = \"file:ca.pem\""
                .to_owned()
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            format!("its certificate is for another name; write that name in `upstream` ({why})")
        }
        E::Expired | E::ExpiredContext { .. } => {
            format!("its certificate has expired, or the clock here is wrong ({why})")
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            format!("its certificate is not valid yet, or the clock here is wrong ({why})")
        }
        other => format!("its certificate is not good: {other}"),
    }
}
