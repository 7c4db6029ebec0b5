//! Lines of `Authorization`, and of gRPC metadata: the credential of L402 among them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| farebox_fuzz::l402_credential(data));
