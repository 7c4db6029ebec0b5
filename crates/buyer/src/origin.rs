//! Where a credential may go: the same scheme, host and port, and not over plain HTTP except to
//! this machine (ARCHITECTURE law 11).

use farebox_core::fault::{Blame, Fault, Kind};
use url::{Host, Url};

/// The URL without its fragment.
pub(crate) fn without_fragment(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_fragment(None);
    url
}

/// The URL as it is stored and shown: without fragment, user name and password.
pub(crate) fn bare(url: &Url) -> Url {
    let mut url = without_fragment(url);
    // Only URLs without a host refuse this; ours have one.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

/// A URL as somebody wrote it, readable or not, without what may be a user name and a password:
/// for messages and logs.
#[must_use]
pub fn without_userinfo(text: &str) -> String {
    let after_scheme = text.find(':').map_or(0, |colon| colon + 1);
    let (scheme, rest) = text.split_at(after_scheme);
    let host = rest.trim_start_matches(['/', '\\']);
    let slashes = rest.strip_suffix(host).unwrap_or_default();
    let end = host.find(['/', '\\', '?', '#']).unwrap_or(host.len());
    let (authority, path) = host.split_at(end);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, it)| it);
    format!("{scheme}{slashes}{authority}{path}")
}

/// The origin of a URL as tokens are kept by it: scheme, host and port. `None` for anything but an
/// absolute `http` or `https` URL.
#[must_use]
pub fn origin_of(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let is_http = matches!(url.scheme(), "http" | "https");
    let (host, port) = (url.host_str()?, url.port_or_known_default()?);
    is_http.then(|| format!("{}://{host}:{port}", url.scheme()))
}

/// Whether two URLs have one scheme, host and port.
pub(crate) fn is_same(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.host() == b.host()
        && a.port_or_known_default() == b.port_or_known_default()
}

/// Refuses to show a credential where others on the way could take it.
pub(crate) fn check_safe_for_credentials(url: &Url) -> Result<(), Fault> {
    if url.scheme() == "https" || is_loopback(url) {
        return Ok(());
    }
    Err(Fault::harmless(
        "insecure_origin",
        Kind::Policy,
        Blame::Peer,
        format!(
            "{} asks for payment over plain http, where anybody on the way could take the credential; use https",
            url.host_str().unwrap_or_default()
        ),
    ))
}

/// Whether a URL stays on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
#[path = "origin_tests.rs"]
mod tests;
