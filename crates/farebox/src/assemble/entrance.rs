//! What a gate and a facilitator have in front of them: TLS, its redirect, proxies, connections.
//!
//! Used by `selling` and `facilitating`. Certificates are read here, so that files that cannot be
//! used are refused before anything is listened on. How they are obtained is for `certificates`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use farebox_core::cidr::Cidr;
use farebox_seller::buckets::BucketLimits;
use farebox_server::{FrontDoor, Redirect, Tls, TlsFiles};

use super::selling::invalid;
use super::{certificates, service};
use crate::config::{AcmeSection, Config, DataDir, TlsSection};
use crate::failure::Failure;

/// How references to files begin.
const FILE: &str = "file:";

/// What the file says about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entrance {
    tls: Option<TlsSection>,
    trusted_proxies: Vec<String>,
    proxy_protocol: bool,
    connections: Option<u32>,
    /// What relative paths are relative to.
    base: PathBuf,
}

impl Entrance {
    /// What `config` says.
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            tls: config.file.tls.clone(),
            trusted_proxies: config.file.trusted_proxies.clone(),
            proxy_protocol: config.file.proxy_protocol,
            connections: config.file.connections,
            base: config.base.clone(),
        }
    }

    /// The origin of a server that listens on `address`, where nobody has named it.
    pub(super) fn origin(&self, address: SocketAddr) -> String {
        match self.tls {
            Some(_) => format!("https://{address}"),
            None => format!("http://{address}"),
        }
    }

    /// What clients may cause in vain: as configured. Behind a proxy nobody is spared for having an
    /// address of this machine: whoever confuses the proxy's headers seems to be the proxy.
    pub(super) fn in_vain(&self, configured: Option<BucketLimits>) -> Option<BucketLimits> {
        configured.or_else(|| (!self.trusted_proxies.is_empty()).then(BucketLimits::default))
    }

    /// Connections at the same time, if that is said.
    pub(super) fn connections(&self) -> Option<usize> {
        self.connections
            .map(|connections| usize::try_from(connections).unwrap_or(usize::MAX))
    }

    /// Reads the certificates and the proxies.
    ///
    /// # Errors
    /// Exit 2, naming the key or the file.
    pub(super) fn front(&self, data_dir: &DataDir) -> Result<FrontDoor, Failure> {
        let proxies = self.trusted_proxies.iter().map(|text| {
            text.parse::<Cidr>()
                .map_err(|why| invalid(format!("trusted_proxies: {why}")))
        });
        let trusted_proxies: Vec<Cidr> = proxies.collect::<Result<_, _>>()?;
        if self.proxy_protocol && trusted_proxies.is_empty() {
            return Err(invalid(
                "proxy_protocol = true believes nobody without trusted_proxies = [\"10.0.0.0/8\"]; name the proxies"
                    .to_owned(),
            ));
        }
        Ok(FrontDoor {
            tls: self
                .tls
                .as_ref()
                .map(|tls| self.load(tls, data_dir))
                .transpose()?,
            trusted_proxies,
            proxy_protocol: self.proxy_protocol,
        })
    }

    /// Listens where the redirect comes from, if there is one; it leads to `origin`.
    ///
    /// # Errors
    /// Exit 2 where it cannot, or would lead to a place without TLS.
    pub(super) async fn redirect(&self, origin: &str) -> Result<Option<Redirect>, Failure> {
        let Some(from) = self.tls.as_ref().and_then(|tls| tls.redirect_from) else {
            return Ok(None);
        };
        self.check_redirect(origin)?;
        Ok(Some(Redirect {
            listener: service::bind(from.0, "tls.redirect_from").await?,
            to: origin.trim_end_matches('/').to_owned(),
        }))
    }

    /// Whether the redirect would lead to TLS.
    ///
    /// # Errors
    /// Exit 2.
    pub(super) fn check_redirect(&self, origin: &str) -> Result<(), Failure> {
        let has_redirect = self
            .tls
            .as_ref()
            .is_some_and(|tls| tls.redirect_from.is_some());
        // Everywhere is nowhere to be sent to.
        let is_somewhere = !["https://0.0.0.0", "https://[::]"]
            .iter()
            .any(|anywhere| origin.starts_with(anywhere));
        if has_redirect && !(origin.starts_with("https://") && is_somewhere) {
            return Err(invalid(format!(
                "tls.redirect_from would send everybody to {origin}, which is no address with TLS; write public_url = \"https://…\""
            )));
        }
        Ok(())
    }

    fn load(&self, tls: &TlsSection, data_dir: &DataDir) -> Result<Tls, Failure> {
        let refused = |why| Failure::config("tls_unusable", format!("tls: {why}"));
        let own = self.own_files(tls)?;
        let also = tls
            .also
            .iter()
            .map(|other| self.files(&other.cert, &other.key));
        let also: Vec<TlsFiles> = also.collect::<Result<_, _>>()?;
        match &tls.acme {
            None => Tls::load(own.into_iter().chain(also).collect()).map_err(refused),
            Some(acme) => {
                let obtained = certificates::obtained(self.order(tls, acme), data_dir)?;
                Tls::obtaining(obtained, also).map_err(refused)
            }
        }
    }

    /// The certificate that is not obtained.
    fn own_files(&self, tls: &TlsSection) -> Result<Option<TlsFiles>, Failure> {
        // Both or none, as the file was read.
        match (&tls.cert, &tls.key) {
            (Some(cert), Some(key)) => self.files(cert, key).map(Some),
            _ => Ok(None),
        }
    }

    fn files(&self, cert: &str, key: &str) -> Result<TlsFiles, Failure> {
        Ok(TlsFiles {
            cert: file("cert", cert, &self.base)?,
            key: file("key", key, &self.base)?,
        })
    }

    fn order<'a>(&'a self, tls: &TlsSection, acme: &'a AcmeSection) -> Order<'a> {
        Order {
            acme,
            base: &self.base,
            has_redirect: tls.redirect_from.is_some(),
        }
    }

    /// The certificate that is obtained, if there is one.
    pub(super) fn ordered(&self) -> Option<Order<'_>> {
        let tls = self.tls.as_ref()?;
        tls.acme.as_ref().map(|acme| self.order(tls, acme))
    }

    /// Files with certificates that are not obtained.
    pub(super) fn certificate_files(&self) -> Vec<PathBuf> {
        let Some(tls) = &self.tls else {
            return Vec::new();
        };
        let also = tls.also.iter().map(|other| &other.cert);
        let all = tls.cert.iter().chain(also);
        // What is no reference is refused where it is loaded.
        all.filter_map(|cert| file("cert", cert, &self.base).ok())
            .collect()
    }
}

/// A certificate that is to be obtained, as the file says it.
pub(super) struct Order<'a> {
    pub(super) acme: &'a AcmeSection,
    /// What relative paths are relative to.
    pub(super) base: &'a Path,
    pub(super) has_redirect: bool,
}

pub(super) fn file(key: &str, reference: &str, base: &Path) -> Result<PathBuf, Failure> {
    match reference.strip_prefix(FILE) {
        Some(path) if !path.is_empty() => Ok(base.join(path)),
        // What it says may be the key itself, and is not shown.
        _ => Err(invalid(format!(
            "tls.{key} is no reference to a file; write {key} = \"file:{key}.pem\""
        ))),
    }
}

#[cfg(test)]
#[path = "entrance_tests.rs"]
mod tests;
