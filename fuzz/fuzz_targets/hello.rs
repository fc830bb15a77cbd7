//! Hands `fuzz/src/hello.rs` what the fuzzer makes up.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::hello::check_input(input));
