//! What a connection to lnd is made of: address, certificate, macaroon. Made by `assemble.rs` from
//! the configuration.

use reqwest::Url;
use reqwest::header::HeaderValue;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

/// Bytes of a macaroon: lnd's own have three hundred, one with many caveats a few thousand.
const MACAROON_BYTES_MAX: usize = 16 * 1024;
/// Certificates in one file.
const CERTIFICATES_MAX: usize = 16;

/// What is wrong with the options.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// Not an address of lnd.
    #[error(
        "a Lightning node is named by its https address, without user, path, query or fragment, for instance \"https://127.0.0.1:8080\""
    )]
    Url,
    /// The macaroon would travel in the clear.
    #[error(
        "a Lightning node beyond this machine needs https: whoever listens on plain http could take the macaroon and with it the money"
    )]
    Clear,
    /// Not hexadecimal digits, and not a macaroon of the second format.
    #[error(
        "this is no macaroon of lnd; use the file that lnd has written, such as invoice.macaroon, or its bytes in hex"
    )]
    Macaroon,
    /// Not a certificate in PEM.
    #[error("this is no certificate in PEM; use lnd's tls.cert")]
    Certificate,
    /// The HTTP client cannot be built.
    #[error("no HTTP client: {0}")]
    Client(String),
}

/// What lnd wants to see with every request. Whoever has it can do what it allows, so it is a
/// secret: no `Debug`, no `Clone`, wiped when dropped.
pub struct Macaroon(Zeroizing<String>);

impl Macaroon {
    /// Reads the file that lnd writes, or its bytes in hex.
    ///
    /// # Errors
    /// [`OptionsError::Macaroon`].
    pub fn read(bytes: &[u8]) -> Result<Self, OptionsError> {
        if bytes.len() > MACAROON_BYTES_MAX {
            return Err(OptionsError::Macaroon);
        }
        let text = bytes.trim_ascii();
        let mut decoded = Zeroizing::new(Vec::new());
        let raw = match text.is_empty() || !text.iter().all(u8::is_ascii_hexdigit) {
            true => bytes,
            false => {
                *decoded = hex::decode(text).map_err(|_| OptionsError::Macaroon)?;
                decoded.as_slice()
            }
        };
        // Every macaroon of lnd is of the second binary format, which begins so.
        match raw.first() {
            Some(2) if raw.len() > 32 => Ok(Self(Zeroizing::new(hex::encode(raw)))),
            _ => Err(OptionsError::Macaroon),
        }
    }

    pub(super) fn header(&self) -> Result<HeaderValue, OptionsError> {
        let mut value =
            HeaderValue::try_from(self.0.as_str()).map_err(|_| OptionsError::Macaroon)?;
        // Keeps it out of every debug output below us.
        value.set_sensitive(true);
        Ok(value)
    }
}

/// How to reach lnd. No `Debug`: it holds a macaroon.
pub struct LndOptions {
    pub(super) url: Url,
    pub(super) macaroon: Macaroon,
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) with_private_channels: bool,
}

impl LndOptions {
    /// Reads the address of lnd's REST interface. Without [`LndOptions::pinned`] its certificate has
    /// to lead to an authority that this machine trusts.
    ///
    /// # Errors
    /// See [`OptionsError`].
    pub fn new(url: &str, macaroon: Macaroon) -> Result<Self, OptionsError> {
        let parsed = Url::parse(url).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.path() == "/"
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        let url = parsed.ok_or(OptionsError::Url)?;
        if url.scheme() == "http" && !is_loopback(&url) {
            return Err(OptionsError::Clear);
        }
        Ok(Self {
            url,
            macaroon,
            certificates: Vec::new(),
            with_private_channels: false,
        })
    }

    /// Takes these certificates, in PEM, for the only ones: lnd's own `tls.cert`, whatever names and
    /// dates it has, or the authority that has signed what is shown.
    ///
    /// # Errors
    /// [`OptionsError::Certificate`].
    pub fn pinned(mut self, pem: &[u8]) -> Result<Self, OptionsError> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let read = read.map_err(|_| OptionsError::Certificate)?;
        if read.is_empty() || read.len() > CERTIFICATES_MAX {
            return Err(OptionsError::Certificate);
        }
        self.certificates = read;
        Ok(self)
    }

    /// Whether invoices tell payers of channels that the network does not know: a node that has no
    /// others cannot be paid without.
    #[must_use]
    pub const fn with_private_channels(mut self, with: bool) -> Self {
        self.with_private_channels = with;
        self
    }
}

/// Whether a URL stays on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
