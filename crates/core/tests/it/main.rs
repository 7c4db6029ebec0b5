//! The rules of core, tested from outside: tables, algebra, and ten thousand simulated worlds.

#![allow(clippy::unwrap_used, missing_docs)]

mod claim;
mod payment;
mod policy;
mod sim;
