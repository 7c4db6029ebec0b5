//! A real network of two nodes, asked as a client of LND would ask, and embedded nodes beside them.

#![allow(clippy::unwrap_used)]

mod client;
mod embedded;
mod faces;
mod faults;
