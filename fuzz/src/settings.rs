//! Settings that people write: `citystream.toml`, variables, and the hostfile.
//!
//! The text is the file; a line `#NAME=value` of it, a comment to TOML, is a variable as well. The same text is read as a
//! hostfile. Asserted: nothing panics; an error is one line; what is merged is shown as TOML; a time that is taken can be
//! added to a clock. Texts that name a file with a secret are left alone: no file is read here.

use std::fmt::Display;
use std::time::Instant;

use citystream::parts::{Config, Settings, Variables, merged, parse_settings};
use citystream_cluster::hostfile;
use citystream_dataflows::time::{Micros, TimePolicy};
use toml::{Table, Value};

/// Asserts it of an input.
pub fn check_input(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Err(error) = hostfile::parse("hosts.txt", text, 3) {
        one_line(&error);
    }
    let variables = variables(text);
    let file = match parse_settings("citystream.toml", text) {
        Ok(file) => file,
        Err(error) => return one_line(&error),
    };
    if names_a_file(&file.values, &variables) {
        return;
    }
    let effective = match merged(&Settings::default(), file, &variables) {
        Ok(effective) => effective,
        Err(error) => return one_line(&error),
    };
    let shown = effective.to_toml();
    assert!(shown.parse::<Table>().is_ok(), "no TOML: {shown}");
    match Config::check(&effective) {
        Ok(config) => check(&config),
        Err(error) => one_line(&error),
    }
}

/// Times that can be added to clocks.
fn check(config: &Config) {
    let times = [config.idle, config.epoch, config.commit_interval, config.discover_interval, config.connect_timeout];
    assert!(times.into_iter().all(|time| Instant::now().checked_add(time).is_some()), "{times:?}");
    let TimePolicy { lateness, slack, max_ahead, max_hold } = config.policy;
    assert!([lateness, slack, max_ahead, max_hold].into_iter().all(|time| (0..Micros::MAX / 2).contains(&time)));
    config.fingerprint();
}

fn variables(text: &str) -> Variables {
    let lines = text.lines().filter_map(|line| line.strip_prefix('#')?.split_once('='));
    lines.map(|(name, value)| (name.to_owned(), value.into())).collect()
}

fn names_a_file(file: &Table, variables: &Variables) -> bool {
    let items = file.get("kafka").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let is_file = |(name, value): (&String, &std::ffi::OsString)| {
        name.ends_with("_FILE") || (name.contains("KAFKA") && value.to_string_lossy().contains('@'))
    };
    items.into_iter().any(|item| item.contains("=@")) || variables.iter().any(is_file)
}

fn one_line(error: &dyn Display) {
    let text = error.to_string();
    assert!(!text.is_empty() && !text.contains(['\n', '\r']), "{text:?}");
}
