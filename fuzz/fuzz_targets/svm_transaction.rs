//! A transaction of Solana that a stranger wants a fee payer to sign.
#![no_main]

use farebox_rail_solana::readers;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| readers::transaction(data));
