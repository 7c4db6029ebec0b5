//! A node's answer to a batch, read as whatever was asked: the Lens, single calls, receipts, blocks.
#![no_main]

use farebox_rail_evm::readers;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for calls in [1, 2, 4] {
        readers::node(data, calls);
    }
});
