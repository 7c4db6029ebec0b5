//! The rates of the file, checked: what is set by hand, and what is read from a source.
//!
//! Called where a board is made of them: for Lightning and for the gas of a facilitator.

use std::time::Duration;

use farebox_wire::money::UsdMicros;

use super::selling::invalid;
use crate::config::RateSection;
use crate::failure::Failure;
use crate::rates::{Board, Bounds, Feed};

/// What a rate is bounded by where the file does not say.
const MAX_AGE: Duration = Duration::from_secs(300);
const MAX_JUMP_PPM: u32 = 100_000;

/// Where a rate comes from.
pub(super) enum Source {
    /// Set by hand.
    Fixed(UsdMicros),
    /// Read again and again.
    Feed(Box<Feed>),
}

/// What the file says of one pair. Nobody is asked yet.
///
/// # Errors
/// Exit 2, naming the pair and the key.
pub(super) fn source(pair: &str, section: &RateSection) -> Result<Source, Failure> {
    let key = format!("[rates] {pair:?}");
    match (section.fixed, &section.url) {
        (Some(usd), None) => Ok(Source::Fixed(usd.0)),
        (None, Some(url)) => Ok(Source::Feed(Box::new(feed(url, section, &key)?))),
        _ => Err(invalid(format!(
            "{key} is either fixed or read from a url; write {{ url = \"https://…\", pointer = \"/price\", min = \"20000\", max = \"500000\" }}, or {{ fixed = \"60000\" }} on a test network"
        ))),
    }
}

/// Puts a rate on a board, which reads a source from now on. Needs a runtime.
pub(super) fn put(board: &mut Board, pair: &str, source: Source) {
    match source {
        Source::Fixed(usd) => board.fix(pair, usd),
        Source::Feed(feed) => board.follow(pair, *feed),
    }
}

fn feed(url: &str, section: &RateSection, key: &str) -> Result<Feed, Failure> {
    let missing = |what: &str, example: &str| {
        invalid(format!(
            "{key} with a url needs {what}; write {what} = {example:?}"
        ))
    };
    let pointer = section.pointer.as_deref();
    let pointer = pointer.ok_or_else(|| missing("pointer", "/price"))?;
    let min = section.min.ok_or_else(|| missing("min", "20000"))?.0;
    let max = section.max.ok_or_else(|| missing("max", "500000"))?.0;
    if min == UsdMicros(0) || min >= max {
        return Err(invalid(format!(
            "{key} takes rates from min = \"{min}\" to max = \"{max}\", which is no range"
        )));
    }
    let max_age = section.max_age.map_or(MAX_AGE, |span| span.0);
    if max_age < Duration::from_secs(10) {
        return Err(invalid(format!(
            "{key} max_age is too short to read a source in; the least is \"10s\""
        )));
    }
    let bounds = Bounds {
        max_age_ms: u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX),
        max_jump_ppm: section.max_jump.map_or(MAX_JUMP_PPM, |part| part.0),
        min,
        max,
    };
    Feed::new(url, pointer, bounds).map_err(|why| invalid(format!("{key}: {why}")))
}
