//! Payments that share a transaction.
//!
//! Who may: payers without code, in listed tokens, with the signature of an ordinary account, as
//! verification has just seen them, and whose settlements have not reverted. Everybody else goes
//! [alone](super::alone), simulated first. Nothing here is simulated: one bad payment costs its
//! share of gas, and its neighbours nothing.
//!
//! What each state of one payment comes to, whatever happens meanwhile:
//!
//! | state | crash | the caller's time is up | the same authorization again | concurrent twin | a node that lies |
//! |---|---|---|---|---|---|
//! | queued (ticket) | as new: nothing was signed | the ticket is taken back: rejected, ours, nothing was sent | joins the first by its seat | the same | nobody is asked yet |
//! | journaled | the line names the hash; `check` finds it unused, and it is settled again | `Unknown`; the transaction leaves all the same | joins | the same; another process is refused by the ledger's claim | nobody is asked yet |
//! | sent | `check` asks the token | `Unknown`; followed to its end | joins, until it has an outcome | the token takes the first, the other finds it settled | a lost or unclear reply is watched as if it was taken |
//! | replaced | both hashes are on record; `check` asks the token, not them | as sent | joins | as sent | whichever version is mined counts |
//! | mined, with its log | `check` finds the log | `Unknown` or settled, whichever is first | settled: its verification fails as used | settled for both | without the log the token is asked; with a forged log a lying node is believed, as with any receipt |
//! | mined, without its log | as sent | `Unknown` | joins | settled by somebody else counts as settled | the token is asked at that block, and only then it is tried alone |
//! | reverted as a whole | as sent | `Unknown` | joins | as sent | halves are estimated before they are sent again, down to one alone |
//! | dropped by the node | as sent | `Unknown`; sent again | joins | as sent | a nonce said to be used is believed only where no version has a receipt |
//! | reorged | `check` finds it open | served already: `check` and the till's watch send it again while it is valid | settled anew | the token takes one | a node that lags behind is asked twice by the till |

mod collect;
mod contracts;
mod costs;
mod pack;
mod split;
mod traffic;

pub(super) use collect::{Arrivals, arrivals, collect};
pub(super) use contracts::Contracts;
pub(super) use costs::Costs;
pub(super) use pack::{Record, Shared};
pub(super) use traffic::{Traffic, Underway};

/// Payments in one transaction: past it the gas of each falls by less than one in a hundred.
const PAYMENTS_MAX: usize = 200;
/// Gas of one transaction: below the 16.78 M that EIP-7825 allows, and a quarter of a block of the
/// larger rollups.
const GAS_MAX: u64 = 15_000_000;
