//! Hands `fuzz/src/settings.rs` what the fuzzer makes up.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::settings::check_input(input));
