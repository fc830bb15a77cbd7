//! `citystream config`: the settings that are in force.

use toml::Table;

use super::out::{put, say};
use crate::config::{self, Config};
use crate::error::RunError;
use crate::units::{show_size, show_time};

/// Shown below the help.
pub const EXAMPLES: &str = "\
Examples:
  citystream config
  citystream config --config other.toml --lateness 20m
  citystream config --json | jq .lateness

Behind a value that is no default stands where it is from. What is printed can
be a settings file, but for its masked secrets.";

/// Prints the settings, where they can be.
pub fn print(given: &Table, file: Option<&str>, json: bool) -> Result<i32, RunError> {
    let effective = config::effective(given, file)?;
    let config = Config::check(&effective)?;
    if json {
        say!("{:#}", effective.to_json(|key| settled(&config, key)));
    } else {
        put!(effective.to_toml());
    }
    Ok(0)
}

/// What a setting is that depends on others, or on the machine.
fn settled(config: &Config, key: &str) -> Option<String> {
    match key {
        "epoch" => Some(show_time(config.epoch)),
        "commit-interval" => Some(show_time(config.commit_interval)),
        "publish-interval" => Some(show_time(config.publish_interval)),
        "state-memory" => Some(show_size(config.state_memory)),
        "listen" => Some(config.listen.clone().unwrap_or_else(|| "none".to_owned())),
        "accept-loss" | "until-drained" | "final" => Some("false".to_owned()),
        _ => None,
    }
}
