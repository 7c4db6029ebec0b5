//! The keys about rates. Part of `file.rs`; `assemble` makes a board of them.

use serde::Deserialize;

use super::lightning::Percent;
use super::values::{Timespan, Usd};

/// What one of something is worth.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RateSection {
    /// In dollars, set by hand, for instance `"3000"`; for bitcoin on test networks alone.
    pub(crate) fixed: Option<Usd>,
    /// Where the rate is read again and again, in place of `fixed`: JSON over https.
    pub(crate) url: Option<String>,
    /// Where the number stands in the answer, as a JSON pointer, for instance `/data/price`. Needed with `url`.
    pub(crate) pointer: Option<String>,
    /// How old it may become (default `5m`); then it is refused.
    pub(crate) max_age: Option<Timespan>,
    /// By how much one reading may differ from the one before (default `10%`). More is refused until the source comes back, or has stuck to it for `max_age`.
    pub(crate) max_jump: Option<Percent>,
    /// The least that is plausible; less is refused. Needed with `url`.
    pub(crate) min: Option<Usd>,
    /// The most that is plausible; more is refused. Needed with `url`.
    pub(crate) max: Option<Usd>,
}
