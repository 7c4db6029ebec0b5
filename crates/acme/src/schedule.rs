//! When to renew and when to try again. Seconds since 1970; no clock, no I/O.
//!
//! Asked by the keeper before it does anything, and by those who only look.

use crate::bundle::Life;

/// How long after the first failure. Let's Encrypt takes five failed proofs an hour and name.
const RETRY_FIRST_S: u64 = 5 * 60;
/// The longest between two tries: a certificate that is due has weeks left.
const RETRY_MAX_S: u64 = 6 * 3600;
/// The longest that a directory may put us off: what it says may be a mistake.
const PUT_OFF_MAX_S: u64 = 7 * 24 * 3600;

/// The longest rest after a success.
const REST_MAX_S: u64 = 3600;

/// When the directory would like a certificate to be renewed (RFC 9773).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start_s: u64,
    pub(crate) end_s: u64,
}

/// When to renew. `place` is where in the window, of 2³²: the same for everybody who holds the
/// certificate, another for each certificate.
pub(crate) fn renew_at_s(life: &Life, window: Option<Window>, place: u32) -> u64 {
    let whole = life.not_after_s.saturating_sub(life.not_before_s);
    let usual = life
        .not_before_s
        .saturating_add(whole.saturating_mul(2) / 3);
    let Some(window) = window.filter(|window| window.end_s > window.start_s) else {
        return usual;
    };
    let length = u128::from(window.end_s.saturating_sub(window.start_s));
    let within = u64::try_from((length * u128::from(place)) >> u32::BITS).unwrap_or_default();
    // Whatever is suggested, a twelfth of its life stays for tries that fail.
    let latest = life.not_after_s.saturating_sub(whole / 12);
    window.start_s.saturating_add(within).min(latest)
}

/// How long nothing is ordered after a success, whatever the directory suggests: one that always
/// says "now" must not be asked for ever.
pub(crate) fn rest_s(life: &Life) -> u64 {
    let whole = life.not_after_s.saturating_sub(life.not_before_s);
    (whole / 4).min(REST_MAX_S)
}

/// How long to wait after so many failures, the last of which may have come with the directory's
/// own wish.
pub(crate) fn retry_after_s(failures: u32, asked_s: Option<u64>) -> u64 {
    let doublings = failures.saturating_sub(1).min(u64::BITS / 2);
    let ours = RETRY_FIRST_S
        .saturating_mul(1 << doublings)
        .min(RETRY_MAX_S);
    ours.max(asked_s.unwrap_or_default().min(PUT_OFF_MAX_S))
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
