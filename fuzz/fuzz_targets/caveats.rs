//! Lines as the caveats that somebody added to a token of ours: nothing is gained.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| farebox_fuzz::caveats(data));
