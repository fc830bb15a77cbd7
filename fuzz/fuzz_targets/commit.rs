#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::commit::check_input(input));
