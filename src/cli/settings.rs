//! `citystream config`: the settings that are in force.

use toml::Table;

use super::out::put;
use crate::config::{self, Config};
use crate::error::RunError;

/// Shown below the help.
pub const EXAMPLES: &str = "\
Examples:
  citystream config
  citystream config --config other.toml --lateness 20m

What is printed can be a settings file, but for its masked secrets.";

/// Prints the settings, where they can be.
pub fn print(given: &Table, file: Option<&str>) -> Result<i32, RunError> {
    let effective = config::effective(given, file)?;
    Config::check(&effective)?;
    put!(config::print(&effective));
    Ok(0)
}
