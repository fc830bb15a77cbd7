//! `citystream check`: whether a run with these settings would start, without one.

use clap::builder::styling::AnsiColor;
use serde_json::json;

use super::out::{painted, say};
use crate::config::Config;
use crate::error::RunError;
use crate::escape::escaped;
use crate::pipeline::check::{Finding, check as look};

pub const EXAMPLES: &str = "\
Looks at all that `run` looks at before it claims the lake: the address to
listen on, the other processes (each has to be checked at the same time), views
and alerts, topics and partitions, the lake's settings and its store, and where
reading would begin. Nothing is claimed, so a run that holds the lake goes on.
Ends as `run` would: with 0, or the exit code of what is wrong.

Examples:
  citystream check --lake s3://bucket/city --bootstrap-servers HOST:9092
  citystream check --lake ./lake --json
  citystream check -n 2 -w 2 -p 0 -h hosts.txt --lake s3://bucket/city";

/// Prints each finding, and returns the exit code of the first that keeps a run from starting.
pub fn check(config: &Config, as_json: bool) -> Result<i32, RunError> {
    let mut code = 0;
    look(config, |Finding { what, found }| {
        let is_good = found.is_ok();
        if let Err(error) = &found
            && code == 0
        {
            code = error.exit_code();
        }
        let text = found.unwrap_or_else(|error| error.to_string());
        if as_json {
            say!("{}", json!({"check": what, "ok": is_good, "found": text}));
        } else {
            let verdict = if is_good { painted("ok", AnsiColor::Green) } else { painted("NO", AnsiColor::Red) };
            say!("{what:<8} {verdict}  {}", escaped(&text));
        }
    })?;
    Ok(code)
}
