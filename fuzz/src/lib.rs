//! What must hold of bytes that come from outside, one file a kind; see each. `fuzz_targets/` hands them what a fuzzer makes up,
//! `tests/fuzz_corpus.rs` what is in `corpus/`.

pub mod commit;
pub mod hello;
pub mod lake_json;
pub mod records;
pub mod scanner;
pub mod settings;
