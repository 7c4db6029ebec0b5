//! Lines of `WWW-Authenticate`: challenges of any scheme, and L402 among them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| farebox_fuzz::www_authenticate(data));
