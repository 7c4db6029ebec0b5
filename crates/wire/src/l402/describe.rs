//! Says what a token seems to be, for people: `farebox token show` and dry runs.
//!
//! Best effort and unverified. Nothing is decided by it: for a buyer a token is opaque, and what it
//! is worth is told by the invoice and the seller's answers.

use crate::l402::caveat::{self, PREIMAGE};
use crate::l402::identifier::Identifier;
use crate::l402::macaroon::Macaroon;
use crate::text::brief;

/// Characters of one line.
const LINE_CHARS_MAX: usize = 200;

/// What a macaroon says of itself: text of a stranger, cut and without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Where it claims to be good.
    pub location: String,
    /// The payment and the token, where the identifier is one of L402.
    pub identifier: Option<Identifier>,
    /// Its conditions in their order. A preimage is left out.
    pub conditions: Vec<String>,
    /// Where third parties are that it needs the word of.
    pub third_parties: Vec<String>,
    /// When it says that it ends: the earliest of all `…_valid_until`, in Unix seconds.
    pub valid_until_s: Option<u64>,
}

/// Describes a token in base64; `None` where it is no macaroon.
#[must_use]
pub fn describe(token: &str) -> Option<Description> {
    let macaroon = Macaroon::from_base64(token).ok()?;
    Some(of(&macaroon))
}

/// Describes a macaroon.
#[must_use]
pub fn of(macaroon: &Macaroon) -> Description {
    let line = |bytes: &[u8]| brief(&String::from_utf8_lossy(bytes), LINE_CHARS_MAX);
    // However it is spelled: others write blanks around the sign.
    let is_preimage =
        |(condition, _): (&str, &str)| condition.trim().eq_ignore_ascii_case(PREIMAGE);
    let is_shown = |caveat: &&[u8]| !caveat::split(caveat).is_some_and(is_preimage);
    let ends = macaroon
        .first_party_caveats()
        .filter_map(caveat::split)
        .filter(|(condition, _)| condition.ends_with(caveat::VALID_UNTIL_SUFFIX))
        .filter_map(|(_, value)| caveat::parse_number(value).ok());
    Description {
        location: line(macaroon.location()),
        identifier: Identifier::read(macaroon.identifier()).ok(),
        conditions: macaroon
            .first_party_caveats()
            .filter(is_shown)
            .map(line)
            .collect(),
        third_parties: macaroon.third_parties().map(line).collect(),
        valid_until_s: ends.min(),
    }
}

#[cfg(test)]
#[path = "describe_tests.rs"]
mod tests;
