//! What a path may be read as by servers that are less strict than we are.
//!
//! Asked by the shop when a request is about to be let through for less than another route costs.
//! Two paths with one spelling here are never taken for one where prices are looked up: this only
//! finds what has to be refused. Upper and lower case, escapes, `;parameters`, a slash, dots or
//! blanks at the end: common servers drop or fold each of them.

/// Escapes of escapes that are undone; each pass makes the text shorter, and no server undoes more.
const PASSES_MAX: usize = 3;

/// A path without everything that a server may overlook.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Spelling {
    text: String,
}

impl Spelling {
    /// The spelling of a request's path.
    pub(crate) fn of(path: &str) -> Self {
        let text = fold(path);
        Self {
            text: text.trim_end_matches('/').to_owned(),
        }
    }

    /// Without a slash at the end, as routes without a star are compared.
    pub(crate) fn bare(&self) -> &str {
        &self.text
    }

    /// With one, because a star may stand for nothing after it.
    pub(crate) fn with_slash(&self) -> String {
        format!("{}/", self.text)
    }
}

/// A path, or a part of one, without what may be overlooked.
pub(crate) fn fold(path: &str) -> String {
    let mut text = path.to_owned();
    for _ in 0..PASSES_MAX {
        match decode(&text) {
            Some(decoded) if decoded != text => text = decoded,
            _ => break,
        }
    }
    // What looks encoded may be a query or a fragment to a server that decodes first.
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let segments: Vec<String> = text.split('/').map(fold_segment).collect();
    segments.join("/")
}

fn fold_segment(segment: &str) -> String {
    let name = segment.split(';').next().unwrap_or_default();
    let name = name.trim_end_matches(|c: char| c == '.' || c.is_whitespace());
    name.to_lowercase()
}

/// Undoes escapes once; those that are none stay. `None` where the bytes are no UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let decoded = match (first, after) {
            (b'%', [high, low, ..]) => escaped(*high, *low),
            _ => None,
        };
        bytes.push(decoded.unwrap_or(first));
        let taken = if decoded.is_some() { 3 } else { 1 };
        rest = rest.get(taken..).unwrap_or_default();
    }
    String::from_utf8(bytes).ok()
}

fn escaped(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
#[path = "spelling_tests.rs"]
mod tests;
