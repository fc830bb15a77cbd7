//! Single values of merged settings.

use std::time::Duration;

use citystream_dataflows::time::Micros;
use toml::Value;

use super::effective::{self, Effective};
use crate::error::RunError;
use crate::escape::escaped;
use crate::units;

/// An error in one line, whatever the settings say.
pub(super) fn usage(what: impl AsRef<str>) -> RunError {
    RunError::Usage(escaped(what.as_ref()))
}

/// Reads single values of merged settings. An error names a setting as the user does.
pub(super) struct Values<'a>(pub(super) &'a Effective);

impl Values<'_> {
    pub(super) fn optional(&self, key: &str) -> Option<String> {
        self.0.get(key).map(effective::text)
    }

    pub(super) fn text(&self, key: &str) -> String {
        self.optional(key).unwrap_or_default()
    }

    pub(super) fn error(&self, key: &str, why: impl std::fmt::Display) -> RunError {
        usage(format!("{}: {why}", self.0.shown(key)))
    }

    pub(super) fn flag(&self, key: &str) -> Result<bool, RunError> {
        match self.optional(key).as_deref().map(str::trim) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(self.error(key, "expected true or false")),
        }
    }

    pub(super) fn parse<T, E: std::fmt::Display>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, RunError> {
        parse(self.text(key).trim()).map_err(|why| self.error(key, why))
    }

    /// A value that may be missing.
    pub(super) fn given<T, E: std::fmt::Display>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, RunError> {
        self.optional(key).map(|_| self.parse(key, parse)).transpose()
    }

    pub(super) fn number(&self, key: &str, least: usize, most: usize) -> Result<usize, RunError> {
        let expected = format!("expected a whole number from {least} to {most}");
        self.parse(key, |t| t.parse().ok().filter(|n| (least..=most).contains(n)).ok_or(&expected))
    }

    pub(super) fn list(&self, key: &str) -> impl Iterator<Item = &str> + Clone {
        self.0.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    pub(super) fn time(&self, key: &str) -> Result<Duration, RunError> {
        self.parse(key, units::time)
    }

    pub(super) fn micros(&self, key: &str) -> Result<Micros, RunError> {
        Micros::try_from(self.time(key)?.as_micros()).map_err(|_| self.error(key, "is too long"))
    }

    pub(super) fn size(&self, key: &str) -> Result<u64, RunError> {
        self.parse(key, units::size)
    }

    pub(super) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<T, RunError> {
        let names = choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        self.parse(key, |t| {
            choices.iter().find(|(name, _)| *name == t).map(|(_, v)| *v).ok_or(format!("expected one of {names}"))
        })
    }
}
