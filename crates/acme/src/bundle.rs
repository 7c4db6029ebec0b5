//! A certificate with its key, as it lies in a file, and what it says about itself.
//!
//! Read by the keeper before it orders, after it ordered, and by those who only look. The key is
//! checked against the certificate and shown to nobody.

use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::fault::AcmeError;

/// From when until when a certificate is good, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// From then on.
    pub not_before_s: u64,
    /// Until then.
    pub not_after_s: u64,
}

/// A certificate that can be served with.
pub(crate) struct Bundle {
    pub(crate) life: Life,
    /// The server's own certificate.
    pub(crate) leaf: CertificateDer<'static>,
}

impl Bundle {
    /// Reads `pem`, which has to be for all of `domains`.
    ///
    /// # Errors
    /// [`AcmeError::Unusable`]: it cannot be served with for these names.
    pub(crate) fn read(pem: &[u8], domains: &[String]) -> Result<Self, AcmeError> {
        let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|why| unusable(&why))?;
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|why| unusable(&why))?;
        let leaf = chain.first().cloned();
        let leaf = leaf.ok_or_else(|| AcmeError::Unusable("there is none in it".to_owned()))?;
        let provider = rustls::crypto::ring::default_provider();
        let certified =
            CertifiedKey::from_der(chain, key, &provider).map_err(|why| unusable(&why))?;
        certified.keys_match().map_err(|why| unusable(&why))?;
        let parsed = ParsedCertificate::try_from(&leaf).map_err(|why| unusable(&why))?;
        for domain in domains {
            let name = ServerName::try_from(domain.as_str()).map_err(|why| unusable(&why))?;
            if verify_server_name(&parsed, &name).is_err() {
                return Err(AcmeError::Unusable(format!("it is not for {domain}")));
            }
        }
        Ok(Self {
            life: life_of(&leaf)?,
            leaf,
        })
    }

    /// A number that everybody who holds this certificate gets, and no other certificate.
    pub(crate) fn place(&self) -> u32 {
        let digest = Sha256::digest(&self.leaf);
        let mut first = [0; 4];
        first
            .iter_mut()
            .zip(digest)
            .for_each(|(to, from)| *to = from);
        u32::from_be_bytes(first)
    }
}

/// From when until when the first certificate in `pem` is good.
///
/// # Errors
/// [`AcmeError::Unusable`]: there is none, or it cannot be read.
pub fn life(pem: &[u8]) -> Result<Life, AcmeError> {
    let first = CertificateDer::pem_slice_iter(pem).next();
    let first = first.ok_or_else(|| AcmeError::Unusable("there is none in it".to_owned()))?;
    life_of(&first.map_err(|why| unusable(&why))?)
}

fn life_of(leaf: &CertificateDer<'_>) -> Result<Life, AcmeError> {
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|why| unusable(&why))?;
    // Before 1970 there were none.
    let seconds = |moment: i64| u64::try_from(moment).unwrap_or_default();
    Ok(Life {
        not_before_s: seconds(parsed.validity().not_before.timestamp()),
        not_after_s: seconds(parsed.validity().not_after.timestamp()),
    })
}

fn unusable(why: &dyn std::fmt::Display) -> AcmeError {
    AcmeError::Unusable(why.to_string())
}

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
