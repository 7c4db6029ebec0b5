//! What a remote collector is told: whom to ask, in which order, and which chains can be asked.

use farebox_core::rail::RailError;
use farebox_wire::caip::ChainId;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// Facilitators that one seller may name: each costs a request at start and a wait when it hangs.
const PLACES_MAX: usize = 8;

/// What a remote collector is told.
pub struct RemoteOptions {
    /// Who settles, in order of preference; each stands there once.
    pub places: Vec<Place>,
    /// The chains that the local rail can ask. On any other a facilitator's word is all there is.
    pub chains: Vec<ChainId>,
}

/// Somebody who settles. No `Debug`: headers hold tokens.
pub enum Place {
    /// The local rail itself.
    Local,
    /// A facilitator elsewhere.
    Remote {
        /// Its address, checked.
        url: Url,
        /// What it wants to see with every request.
        headers: HeaderMap,
    },
}

impl Place {
    /// Reads an address and the headers that go there.
    ///
    /// # Errors
    /// An address that is no http or https URL, carries a password, query or fragment, or is plain
    /// http beyond this machine; a header that is none, or that HTTP itself needs.
    pub fn remote(url: &str, headers: &[(String, String)]) -> Result<Self, RailError> {
        let parsed = Url::parse(url).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        let Some(parsed) = parsed else {
            return Err(refuse(
                "a facilitator is named by its https URL, without user, query or fragment; write \"https://facilitator.example.com\", and put tokens into `headers`",
            ));
        };
        if parsed.scheme() == "http" && !is_loopback(&parsed) {
            return Err(refuse(
                "a facilitator beyond this machine needs https: whoever listens on plain http could settle, or lie, in its name",
            ));
        }
        Ok(Self::Remote {
            url: parsed,
            headers: headers_of(headers)?,
        })
    }
}

impl RemoteOptions {
    pub(crate) fn check(&self) -> Result<(), RailError> {
        if self.places.is_empty() || self.places.len() > PLACES_MAX {
            return Err(refuse(&format!(
                "name one to {PLACES_MAX} facilitators, not {}",
                self.places.len()
            )));
        }
        let mut names: Vec<&str> = self.places.iter().map(Place::name).collect();
        names.sort_unstable();
        names.dedup();
        if names.len() < self.places.len() {
            return Err(refuse("a facilitator is named twice; keep one"));
        }
        Ok(())
    }
}

impl Place {
    /// How a payment's handle calls it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Local => LOCAL,
            Self::Remote { url, .. } => url.as_str(),
        }
    }
}

/// The name of the local rail among the places.
pub(crate) const LOCAL: &str = "local";

/// Whether a URL stays on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

fn headers_of(headers: &[(String, String)]) -> Result<HeaderMap, RailError> {
    const OURS: [&str; 6] = [
        "host",
        "content-type",
        "content-length",
        "transfer-encoding",
        "connection",
        "idempotency-key",
    ];
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let parsed = HeaderName::try_from(name.as_str()).ok();
        let parsed = parsed.filter(|name| !OURS.contains(&name.as_str()));
        let Some(parsed) = parsed else {
            return Err(refuse(&format!(
                "{name:?} is no header to send to a facilitator"
            )));
        };
        let mut value = HeaderValue::try_from(value.as_str()).map_err(|_| {
            refuse(&format!(
                "the value of header {name} has characters that no header may have"
            ))
        })?;
        // Keeps it out of every debug output below us.
        value.set_sensitive(true);
        map.insert(parsed, value);
    }
    Ok(map)
}

fn refuse(message: &str) -> RailError {
    RailError {
        code: "facilitator_invalid",
        message: message.to_owned(),
    }
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
