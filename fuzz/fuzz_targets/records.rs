//! Hands `fuzz/src/records.rs` what the fuzzer makes up.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::records::check_input(input));
