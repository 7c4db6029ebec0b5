//! Mints tokens of ours, with every restriction that `conditions` asks of one.
//!
//! Called by a seller when it writes a challenge. A token so made binds its payment to one route of
//! one gate, at one price, for so many requests and so long.

use crate::l402::caveat::{
    CAPABILITIES_SUFFIX, SERVICES, Service, VALID_UNTIL_SUFFIX, ValueError, format_list,
    format_services,
};
use crate::l402::conditions::{ORIGIN, PRICE, ROUTE, TENANT, UNLIMITED, USES, Uses};
use crate::l402::identifier::Identifier;
use crate::l402::macaroon::{Macaroon, MacaroonError};
use crate::text::brief;

/// What a token of ours is for.
#[derive(Clone, Debug)]
pub struct Terms<'a> {
    /// Our own origin: `https://api.example.com`.
    pub origin: &'a str,
    /// The id of the route.
    pub route: &'a str,
    /// The tenant of the route, where the gate has tenants.
    pub tenant: Option<&'a str>,
    /// The service that the route belongs to, and the tier that is sold.
    pub service: Service,
    /// What may be done there; `None` for everything.
    pub capabilities: Option<&'a [String]>,
    /// When it ends, in Unix seconds; `None` for never.
    pub valid_until_s: Option<u64>,
    /// How many requests it buys.
    pub uses: Uses,
    /// What it costs, in millisatoshi.
    pub price_msat: u64,
    /// Names and limits of the service's own conditions.
    pub constraints: &'a [(String, u64)],
}

/// Why no token can be minted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// A term that a caveat cannot say.
    #[error("the token's {what} cannot be written: {why}")]
    Value {
        /// Which one.
        what: &'static str,
        /// Why.
        why: ValueError,
    },
    /// Too many or too long terms.
    #[error(transparent)]
    Macaroon(#[from] MacaroonError),
}

/// Mints a token that is good for `terms` once the payment of `identifier` is made.
///
/// # Errors
/// See [`MintError`].
pub fn mint(
    root_key: &[u8],
    identifier: &Identifier,
    terms: &Terms<'_>,
) -> Result<Macaroon, MintError> {
    let bare = Macaroon::mint(root_key, terms.origin, &identifier.to_bytes());
    let mut macaroon = bare;
    for caveat in caveats(terms)? {
        macaroon = macaroon.add_first_party_caveat(caveat.as_bytes())?;
    }
    Ok(macaroon)
}

/// The caveats of a token of ours, in their order.
///
/// # Errors
/// [`MintError::Value`].
pub fn caveats(terms: &Terms<'_>) -> Result<Vec<String>, MintError> {
    let wrong = |what| move |why| MintError::Value { what, why };
    let name = &terms.service.name;
    let services =
        format_services(std::slice::from_ref(&terms.service)).map_err(wrong("service"))?;
    let mut caveats = vec![
        format!("{SERVICES}={services}"),
        format!("{ROUTE}={}", plain("route", terms.route)?),
        format!("{ORIGIN}={}", plain("origin", terms.origin)?),
    ];
    if let Some(tenant) = terms.tenant {
        caveats.push(format!("{TENANT}={}", plain("tenant", tenant)?));
    }
    caveats.push(format!("{PRICE}={}", terms.price_msat));
    caveats.push(match terms.uses {
        Uses::Times(times) => format!("{USES}={times}"),
        Uses::Unlimited => format!("{USES}={UNLIMITED}"),
    });
    if let Some(capabilities) = terms.capabilities {
        let list = format_list(capabilities).map_err(wrong("capabilities"))?;
        caveats.push(format!("{name}{CAPABILITIES_SUFFIX}={list}"));
    }
    if let Some(at_s) = terms.valid_until_s {
        caveats.push(format!("{name}{VALID_UNTIL_SUFFIX}={at_s}"));
    }
    for (constraint, limit) in terms.constraints {
        if constraint.contains('=') {
            let why = ValueError::Text(brief(constraint, 40));
            return Err(wrong("constraint")(why));
        }
        caveats.push(format!("{}={limit}", plain("constraint", constraint)?));
    }
    Ok(caveats)
}

/// A value that is compared as it stands: printable, and not empty.
fn plain<'a>(what: &'static str, value: &'a str) -> Result<&'a str, MintError> {
    if value.is_empty() || value.chars().any(char::is_control) {
        let why = ValueError::Text(brief(value, 40));
        return Err(MintError::Value { what, why });
    }
    Ok(value)
}

#[cfg(test)]
#[path = "mint_tests.rs"]
mod tests;
