//! Invoices of BOLT 11, from strangers and from our own node.
#![no_main]

use farebox_rail_lightning::readers;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| readers::invoice(data));
