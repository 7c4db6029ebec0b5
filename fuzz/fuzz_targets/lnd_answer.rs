//! Everything that lnd answers: invoices, payments, pages, lines of streams, errors.
#![no_main]

use farebox_rail_lightning::readers;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| readers::lnd(data));
