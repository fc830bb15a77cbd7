//! What the fuzz targets assert holds of every input that is kept for them.
#![allow(clippy::print_stdout)] // Which input it was that failed.

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::path::Path;

/// Checks all inputs of a target; names the one that fails.
fn check(target: &str, check_input: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let inputs: Vec<_> = folder.read_dir().expect("a corpus").map(|entry| entry.expect("an input").path()).collect();
    assert!(inputs.len() > 2, "{} inputs", inputs.len());
    for path in inputs {
        println!("{}", path.display());
        check_input(&std::fs::read(path).expect("an input"));
    }
}

#[test]
fn commits() {
    check("commit", fuzz::commit::check_input);
}

#[test]
fn hellos() {
    check("hello", fuzz::hello::check_input);
}

#[test]
fn settings_of_a_lake() {
    check("lake_json", fuzz::lake_json::check_input);
}

#[test]
fn records() {
    check("records", fuzz::records::check_input);
}

#[test]
fn scanner() {
    check("scanner", fuzz::scanner::check_input);
}

#[test]
fn settings() {
    check("settings", fuzz::settings::check_input);
}
