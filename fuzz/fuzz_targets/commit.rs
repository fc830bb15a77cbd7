//! Hands `fuzz/src/commit.rs` what the fuzzer makes up.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::commit::check_input(input));
