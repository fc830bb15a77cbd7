//! Hands `fuzz/src/lake_json.rs` what the fuzzer makes up.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::lake_json::check_input(input));
