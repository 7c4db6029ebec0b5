//! A signature that may be wrapped by ERC-6492, and what a wallet's probe writes.
#![no_main]

use farebox_rail_evm::readers;
use libfuzzer_sys::fuzz_target;

/// What stands at the end of every wrapper: found once, so that the fuzzer need not.
const MAGIC: [u8; 2] = [0x64, 0x92];

fuzz_target!(|data: &[u8]| {
    readers::signature(data);
    readers::signature(&[data, &MAGIC.repeat(16)].concat());
    readers::probe(data);
});
