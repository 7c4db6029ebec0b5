//! Reads values that JSON carries as strings, without a copy of the string.
//!
//! For the `Deserialize` of types that are text on the wire, here and in the rails. serde's own
//! `Cow<str>` always copies, and a receipt of 200 payments has 3,000 such strings.

use std::fmt;

use serde::Deserializer;
use serde::de::{Error, Visitor};

/// Reads a string with `parse`.
///
/// # Errors
/// Those of the deserializer, where there is no string, and of `parse`.
pub fn read<'de, D, T, E>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    E: fmt::Display,
{
    deserializer.deserialize_str(Text(parse))
}

/// The start of a stranger's text, for an error or a log: at most `chars_max` characters, and no
/// control characters.
pub(crate) fn brief(text: &str, chars_max: usize) -> String {
    let mut kept: String = text
        .chars()
        .take(chars_max)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(chars_max).is_some() {
        kept.push('…');
    }
    kept
}

struct Text<F>(F);

impl<T, E, F> Visitor<'_> for Text<F>
where
    E: fmt::Display,
    F: FnOnce(&str) -> Result<T, E>,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<O: Error>(self, text: &str) -> Result<T, O> {
        (self.0)(text).map_err(O::custom)
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
