//! EVM words in hex: exactly the right digits, written back in lower case.
#![no_main]

use farebox_wire::evm::{EvmAddress, Word, parse_hex};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &str)| {
    let (bytes_max, text) = input;
    if let Ok(word) = text.parse::<Word>() {
        assert_eq!(word.to_string(), text.to_ascii_lowercase());
    }
    if let Ok(address) = text.parse::<EvmAddress>() {
        assert_eq!(address.to_string(), text.to_ascii_lowercase());
    }
    if let Ok(bytes) = parse_hex(text, usize::from(bytes_max)) {
        assert!(bytes.len() <= usize::from(bytes_max));
        assert_eq!(text.len(), 2 + 2 * bytes.len());
    }
});
