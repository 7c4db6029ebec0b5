//! Caveats as text: a condition and a value, and the lists that some values are.
//!
//! Only reading and writing; `conditions` decides what they allow. The bytes matter: `a=1` and
//! `a = 1` are two conditions.

use crate::text::brief;

/// Which services, and at which tier.
pub const SERVICES: &str = "services";
/// After the name of a service: what may be done there.
pub const CAPABILITIES_SUFFIX: &str = "_capabilities";
/// After the name of a service: until when, in Unix seconds.
pub const VALID_UNTIL_SUFFIX: &str = "_valid_until";
/// The proof of payment, which gRPC clients carry in the token.
pub const PREIMAGE: &str = "preimage";

/// Bytes of one condition with its value that are read.
pub const CAVEAT_BYTES_MAX: usize = 4 * 1024;
/// Entries of one list.
pub const LIST_MAX: usize = 64;

/// Splits a caveat at its first `=`; `None` where it has none, is no text, or is longer than
/// [`CAVEAT_BYTES_MAX`].
#[must_use]
pub fn split(caveat: &[u8]) -> Option<(&str, &str)> {
    if caveat.len() > CAVEAT_BYTES_MAX {
        return None;
    }
    str::from_utf8(caveat).ok()?.split_once('=')
}

/// A service that a token is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The tier that was bought; 0 is the base.
    pub tier: u8,
}

/// Why the value of a caveat cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Nothing in it.
    #[error("the list is empty")]
    Empty,
    /// More than [`LIST_MAX`].
    #[error("the list has more than {LIST_MAX} entries")]
    TooMany,
    /// One name twice: two readers would see two tiers.
    #[error("{0} stands in the list twice")]
    Twice(String),
    /// Not `name:tier` with a tier from 0 to 255.
    #[error("{0:?} is not a service and its tier, like `weather:0`")]
    Service(String),
    /// Not a number in plain digits.
    #[error("{0:?} is not a whole number in plain digits")]
    Number(String),
    /// An entry with a character that has a meaning in lists, or that is not printable.
    #[error("{0:?} cannot stand in a caveat")]
    Text(String),
}

/// Reads `name:tier,name:tier`.
///
/// # Errors
/// See [`ValueError`].
pub fn parse_services(value: &str) -> Result<Vec<Service>, ValueError> {
    if value.is_empty() {
        return Err(ValueError::Empty);
    }
    let mut services: Vec<Service> = Vec::new();
    for entry in value.split(',') {
        if services.len() >= LIST_MAX {
            return Err(ValueError::TooMany);
        }
        let wrong = || ValueError::Service(brief(entry, 40));
        let (name, tier) = entry.split_once(':').ok_or_else(wrong)?;
        let tier = parse_number(tier).ok().and_then(|n| u8::try_from(n).ok());
        let tier = tier.filter(|_| !name.is_empty()).ok_or_else(wrong)?;
        if services.iter().any(|known| known.name == name) {
            return Err(ValueError::Twice(brief(name, 40)));
        }
        services.push(Service {
            name: name.to_owned(),
            tier,
        });
    }
    Ok(services)
}

/// Writes `name:tier,name:tier`.
///
/// # Errors
/// See [`ValueError`].
pub fn format_services(services: &[Service]) -> Result<String, ValueError> {
    for service in services {
        check_text(&service.name)?;
    }
    let entries: Vec<String> = services
        .iter()
        .map(|service| format!("{}:{}", service.name, service.tier))
        .collect();
    let value = entries.join(",");
    parse_services(&value)?;
    Ok(value)
}

/// Reads a list of names. The empty text is the list of nothing, as aperture writes it.
///
/// # Errors
/// [`ValueError::TooMany`].
pub fn parse_list(value: &str) -> Result<Vec<&str>, ValueError> {
    let names = value.split(',').filter(|name| !name.is_empty());
    let names: Vec<&str> = names.take(LIST_MAX.saturating_add(1)).collect();
    if names.len() > LIST_MAX {
        return Err(ValueError::TooMany);
    }
    Ok(names)
}

/// Writes a list of names.
///
/// # Errors
/// See [`ValueError`].
pub fn format_list(names: &[String]) -> Result<String, ValueError> {
    if names.len() > LIST_MAX {
        return Err(ValueError::TooMany);
    }
    for name in names {
        check_text(name)?;
    }
    Ok(names.join(","))
}

/// Reads a whole number in plain digits: `0`, `60`; not `060`, `+60` or `6e1`.
///
/// # Errors
/// [`ValueError::Number`].
pub fn parse_number(value: &str) -> Result<u64, ValueError> {
    let wrong = || ValueError::Number(brief(value, 40));
    let is_plain = value.bytes().all(|b| b.is_ascii_digit());
    let is_short = value == "0" || !value.starts_with('0');
    if !is_plain || !is_short {
        return Err(wrong());
    }
    value.parse().map_err(|_| wrong())
}

/// An entry must not be empty, nor be read as two.
fn check_text(name: &str) -> Result<(), ValueError> {
    let is_plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b',' | b':' | b'=');
    if name.is_empty() || !name.bytes().all(is_plain) {
        return Err(ValueError::Text(brief(name, 40)));
    }
    Ok(())
}

#[cfg(test)]
#[path = "caveat_tests.rs"]
mod tests;
