//! Certificates from an ACME directory (RFC 8555): ordered, kept in a folder, renewed in time.
//!
//! The binary makes a [`Keeper`] of a [`Plan`] and lets it run beside a server. The keeper writes
//! and never serves: the certificate and its key lie in one file ([`Plan::bundle`]), and what the
//! directory's questions are answered with lies in a folder ([`Plan::challenges`]); the server
//! reads both. So any number of servers on one folder answer for each other and order once.
//!
//! | state | crash | no answer, refusal | twin on the same folder |
//! |---|---|---|---|
//! | **holds a certificate that is not due**: nothing is asked but when to renew (ARI) | nothing has happened | two thirds of its life are taken | reads the same file |
//! | **due**: the lock is taken, then the file is read again | the system gives the lock back | – | waits for the lock, then finds it renewed |
//! | **ordering**: answers to questions lie in the folder | the next order clears the folder; the order is left to the directory, which forgets it | the old certificate stays; when to try again is written down before anything else is done | answers questions too, orders nothing |
//! | **written**: one rename replaces key and chain together | either file is whole | – | sees that the file has changed |
//!
//! What is tried in vain is written down as well, because a directory counts: a process that is
//! started again and again must not order again and again.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::float_arithmetic
    )
)]

mod bundle;
mod examine;
mod fault;
mod keeper;
mod order;
mod plan;
mod schedule;
mod store;
mod transport;

pub use bundle::{Life, life};
pub use examine::{Facts, examine};
pub use fault::AcmeError;
pub use keeper::Keeper;
pub use plan::{Challenge, LETS_ENCRYPT, Plan, PlanError};
