//! Hands `fuzz/src/scanner.rs` what the fuzzer makes up.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::scanner::check_input(input));
