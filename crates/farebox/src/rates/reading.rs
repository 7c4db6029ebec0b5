//! Takes one number out of a source's answer: JSON, at a JSON pointer (RFC 6901).
//!
//! Called with the bytes of a stranger. A number is read from its digits, never through a float; what
//! is finer than a millionth of a dollar is cut off. Anything else is an error, never zero.

use std::collections::BTreeMap;

use farebox_wire::money::{USD_DECIMALS, UsdMicros, parse_decimal};
use serde_json::value::RawValue;

/// Characters of a number: sixteen before the point, and as fine as sources write.
const NUMBER_CHARS_MAX: usize = 40;

/// The number at `pointer`.
pub(crate) fn read(body: &[u8], pointer: &str) -> Result<UsdMicros, String> {
    let mut at: &RawValue =
        serde_json::from_slice(body).map_err(|_| "its answer is not JSON".to_owned())?;
    let missing = || format!("its answer has nothing at {pointer:?}");
    for token in tokens(pointer).ok_or_else(|| format!("{pointer:?} is no JSON pointer"))? {
        at = below(at, &token).ok_or_else(missing)?;
    }
    let text = match at.get().starts_with('"') {
        true => serde_json::from_str(at.get()).map_err(|_| missing())?,
        false => at.get().to_owned(),
    };
    number(&text).ok_or_else(|| {
        let shown: String = text.chars().take(NUMBER_CHARS_MAX).collect();
        format!("what it has at {pointer:?} is no price: {shown:?}")
    })
}

/// Whether a text is a JSON pointer to something in a document.
pub(crate) fn is_pointer(pointer: &str) -> bool {
    tokens(pointer).is_some()
}

fn tokens(pointer: &str) -> Option<Vec<String>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    let tokens = pointer.strip_prefix('/')?.split('/');
    Some(
        tokens
            .map(|token| token.replace("~1", "/").replace("~0", "~"))
            .collect(),
    )
}

fn below<'a>(at: &'a RawValue, token: &str) -> Option<&'a RawValue> {
    if at.get().starts_with('[') {
        let list: Vec<&RawValue> = serde_json::from_str(at.get()).ok()?;
        return list.get(token.parse::<usize>().ok()?).copied();
    }
    let table: BTreeMap<String, &RawValue> = serde_json::from_str(at.get()).ok()?;
    table.get(token).copied()
}

/// Plain digits with a point at most; positive.
fn number(text: &str) -> Option<UsdMicros> {
    if text.len() > NUMBER_CHARS_MAX {
        return None;
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let kept = fraction.get(..fraction.len().min(usize::from(USD_DECIMALS)))?;
    let micros = parse_decimal(&format!("{whole}.{kept}"), USD_DECIMALS).ok()?;
    (micros > 0).then_some(UsdMicros(micros))
}

#[cfg(test)]
#[path = "reading_tests.rs"]
mod tests;
