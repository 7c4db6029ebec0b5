//! The rail against a node that speaks lnd's REST interface in the shapes of lnd's own interface
//! files, and that does on command what nodes do on bad days.

#![allow(clippy::unwrap_used)]

mod collector;
mod devnet;
mod embedded;
mod invoices;
mod pay;
mod payer;
mod settled;
mod stub;
mod tls;
