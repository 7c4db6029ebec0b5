//! What a buyer is set up with, and the limits of its loop, each with its reason.

use std::time::Duration;

use tokio::time::Instant;

use farebox_core::cidr::Cidr;

/// How long a call waits for a twin, or for the head of an answer, unless it says otherwise:
/// three times as long as our own gate takes to settle.
pub(crate) const MAX_TIME_DEFAULT: Duration = Duration::from_secs(60);
/// How long a connection may take to come up; longer is a dead host.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a request's body. It is kept whole, because it is sent again with the credential.
pub(crate) const REQUEST_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of an answer that [`crate::Fetched::collect`] keeps; larger ones are to be streamed.
pub(crate) const COLLECT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Redirects that are followed, as many as browsers and curl's scripts expect to suffice.
pub(crate) const REDIRECTS_MAX: usize = 10;
/// Header lines of an answer; hyper bounds their bytes at about 400 KiB.
pub(crate) const RESPONSE_HEADERS_MAX: usize = 128;
/// The first pause while a twin is waited for; doubled up to [`TWIN_POLL_MAX`].
pub(crate) const TWIN_POLL_MIN: Duration = Duration::from_millis(10);
/// The longest pause while a twin is waited for: what a person does not notice.
pub(crate) const TWIN_POLL_MAX: Duration = Duration::from_millis(100);
/// Rounds in which a call asks a seller anew, because its invoice was another call's: a hundred
/// calls at once, of which the seller lets one pay at a time, want no more.
pub(crate) const ASKS_MAX: usize = 100;
/// The first pause between two rounds; doubled up to [`ASK_AGAIN_MAX`].
pub(crate) const ASK_AGAIN_MIN: Duration = Duration::from_millis(50);
/// The longest pause between two rounds.
pub(crate) const ASK_AGAIN_MAX: Duration = Duration::from_secs(1);
/// Characters of a stranger's reason that are kept.
pub(crate) const REASON_CHARS_MAX: usize = 120;

/// Bytes of a transaction's name in a receipt; the longest that any chain has, Solana's, has 88.
pub(crate) const TRANSACTION_BYTES_MAX: usize = 128;
/// As good as for ever: the end of a wait that is longer than the clock can count.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// When a wait that begins now is over. Adding alone would panic where the sum does not fit.
pub(crate) fn deadline(wait: Duration) -> Instant {
    Instant::now() + wait.min(FOREVER)
}

/// What is left until a deadline, in milliseconds.
pub(crate) fn until_ms(deadline: Instant) -> u64 {
    let left = deadline.saturating_duration_since(Instant::now());
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
}

/// How a [`crate::Buyer`] behaves.
#[derive(Clone, Debug, Default)]
pub struct BuyerOptions {
    /// Private addresses that guarded calls may reach all the same (`[policy] allow_private`).
    pub allow_private: Vec<Cidr>,
}
