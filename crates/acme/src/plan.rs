//! What to obtain, from whom, and where it is kept.
//!
//! Made by the binary from its configuration. What cannot be obtained is refused here, before
//! anything is asked: a directory counts what is asked of it in vain.

use std::path::{Path, PathBuf};

use rustls::pki_types::ServerName;
use sha2::{Digest as _, Sha256};

/// The directory that most people mean.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Names in one certificate; Let's Encrypt takes as many.
const DOMAINS_MAX: usize = 100;
/// Bytes of a digest in a file's name: enough that two lists of names never share a file.
const DIGEST_BYTES: usize = 6;
/// Bytes of a readable part of a file's name.
const READABLE_BYTES_MAX: usize = 100;

/// How the directory finds out whose the names are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Challenge {
    /// A handshake on port 443 of each name (RFC 8737).
    #[default]
    TlsAlpn01,
    /// A request in the clear on port 80 of each name (RFC 8555 §8.3).
    Http01,
}

impl Challenge {
    /// Its name in the protocol, and of its folder.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Http01 => "http-01",
        }
    }

    /// Where the directory comes to.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::TlsAlpn01 => 443,
            Self::Http01 => 80,
        }
    }
}

/// Why there can be no such certificate.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Nothing to obtain.
    #[error("acme.domains is empty; write domains = [\"api.example.com\"]")]
    NoDomain,
    /// More than anybody signs at once.
    #[error(
        "acme.domains has {0} names, and a certificate holds {DOMAINS_MAX}; split them over several servers"
    )]
    TooMany(usize),
    /// Not a name, or one that needs a record in the DNS.
    #[error("acme.domains: {0:?} is no name that can be proven here; {1}")]
    Domain(String, &'static str),
    /// Not as the protocol writes it.
    #[error(
        "acme.contact: {0:?} is no address for a certificate authority; write \"mailto:ops@example.com\""
    )]
    Contact(String),
    /// Not over TLS.
    #[error("acme.directory: {0:?} is no https address; Let's Encrypt is \"{LETS_ENCRYPT}\"")]
    Directory(String),
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Plan {
    domains: Vec<String>,
    contact: Vec<String>,
    directory: String,
    /// Roots of the directory's own TLS, in PEM; without them those of this machine.
    authority: Option<Vec<u8>>,
    challenge: Challenge,
    folder: PathBuf,
}

impl Plan {
    /// A certificate of `directory` for `domains`, kept below `folder`, which need not be there.
    ///
    /// # Errors
    /// [`PlanError`]: it could not be obtained.
    pub fn new(
        folder: &Path,
        domains: &[String],
        contact: &[String],
        directory: &str,
    ) -> Result<Self, PlanError> {
        if domains.is_empty() {
            return Err(PlanError::NoDomain);
        }
        if domains.len() > DOMAINS_MAX {
            return Err(PlanError::TooMany(domains.len()));
        }
        let domains = domains.iter().map(|domain| read_domain(domain));
        let mut domains: Vec<String> = domains.collect::<Result<_, _>>()?;
        domains.dedup();
        for address in contact {
            let name = address.strip_prefix("mailto:").unwrap_or_default();
            if !name.contains('@') || !address.is_ascii() || address.contains([' ', ',', '?']) {
                return Err(PlanError::Contact(address.clone()));
            }
        }
        let is_https = reqwest::Url::parse(directory)
            .is_ok_and(|url| url.scheme() == "https" && url.host_str().is_some());
        if !is_https {
            return Err(PlanError::Directory(directory.to_owned()));
        }
        Ok(Self {
            domains,
            contact: contact.to_vec(),
            directory: directory.to_owned(),
            authority: None,
            challenge: Challenge::default(),
            folder: folder.to_owned(),
        })
    }

    /// The same, and the directory's own certificate leads to one of these roots, in PEM.
    #[must_use]
    pub fn trusting(mut self, authority: Vec<u8>) -> Self {
        self.authority = Some(authority);
        self
    }

    /// The same, proven in this way.
    #[must_use]
    pub fn proven_by(mut self, challenge: Challenge) -> Self {
        self.challenge = challenge;
        self
    }

    /// The names.
    #[must_use]
    pub fn domains(&self) -> &[String] {
        &self.domains
    }

    /// Who gives the certificate.
    #[must_use]
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// How the names are proven.
    #[must_use]
    pub const fn challenge(&self) -> Challenge {
        self.challenge
    }

    /// Where the answers to questions lie while there are any: `tls-alpn-01/<name>.pem` with a
    /// certificate and its key, `http-01/<token>` with the answer's body.
    #[must_use]
    pub fn challenges(&self) -> PathBuf {
        self.folder.join("challenges")
    }

    /// The file of the certificate: its key, then the chain, in PEM.
    #[must_use]
    pub fn bundle(&self) -> PathBuf {
        self.beside("pem")
    }

    /// The file that says what was tried in vain.
    #[must_use]
    pub fn tries(&self) -> PathBuf {
        self.beside("tries.json")
    }

    /// The file of the account at the directory, with its key.
    #[must_use]
    pub fn account(&self) -> PathBuf {
        self.of_directory().join("account.json")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.folder.join("lock")
    }

    pub(crate) fn contact(&self) -> Vec<&str> {
        self.contact.iter().map(String::as_str).collect()
    }

    pub(crate) fn authority(&self) -> Option<&[u8]> {
        self.authority.as_deref()
    }

    fn of_directory(&self) -> PathBuf {
        self.folder.join(named(&self.directory, &[&self.directory]))
    }

    /// One file for one list of names, so that servers with other lists do not renew in turns.
    fn beside(&self, kind: &str) -> PathBuf {
        let mut sorted: Vec<&str> = self.domains.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        let first = self.domains.first().map_or("", String::as_str);
        let name = named(first, &sorted);
        self.of_directory().join(format!("{name}.{kind}"))
    }
}

/// Lower case, as certificates have it.
fn read_domain(text: &str) -> Result<String, PlanError> {
    let refused = |why| PlanError::Domain(text.to_owned(), why);
    if text.contains('*') {
        return Err(refused(
            "one for all names below another needs a record in the DNS; list the names, or use cert and key",
        ));
    }
    match ServerName::try_from(text) {
        Ok(ServerName::DnsName(_)) if !text.ends_with('.') => Ok(text.to_ascii_lowercase()),
        Ok(ServerName::IpAddress(_)) => Err(refused(
            "it is an address; write the name that leads to it, or use cert and key",
        )),
        _ => Err(refused("write it like \"api.example.com\"")),
    }
}

/// A name for a file: what people know it by, and a digest of all of it.
fn named(readable: &str, all: &[&str]) -> String {
    let mut digest = Sha256::new();
    for one in all {
        digest.update(one.as_bytes());
        digest.update([0]);
    }
    let digest = digest.finalize();
    let digest = hex::encode(digest.get(..DIGEST_BYTES).unwrap_or(&digest));
    let readable = readable.strip_prefix("https://").unwrap_or(readable);
    let plain = readable.chars().map(|letter| match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_' => letter,
        _ => '-',
    });
    let plain: String = plain.take(READABLE_BYTES_MAX).collect();
    format!("{}-{digest}", plain.trim_start_matches('.'))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
