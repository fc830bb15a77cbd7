//! Settings as given, from all places. The one file that reads the environment.
//!
//! A flag wins over `CITYSTREAM_*`, that over the original's names (`KAFKA_BOOTSTRAP_SERVERS`, `GPS_TOPIC`, ...), that
//! over the settings file, that over the default. What is misspelt is an error that names what may have been meant.

#![allow(clippy::disallowed_methods)] // The one place for it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;

use citystream_live_apis::Secret;
use citystream_wire::Topic;
use clap::Command;
use toml::{Table, Value};

use super::{ApiKeys, Settings, usage};
use crate::error::RunError;

/// Settings that are not given have these values; those that depend on others are settled in [`super::Config::check`].
const LAKE_AND_SOURCE: &[(&str, &str)] = &[
    ("lake", "lake"),
    ("source", "kafka"),
    ("bootstrap-servers", "127.0.0.1:9092"),
    ("group", "citystream"),
    ("from", "earliest"),
    ("log-clock", "log"),
];

/// The same, behind the names of the topics.
const RUN: &[(&str, &str)] = &[
    ("tables", "all"),
    ("timezone", "UTC"),
    ("lateness", "10m"),
    ("slack", "2m"),
    ("max-ahead", "24h"),
    ("max-hold", "1h"),
    ("idle", "30s"),
    ("max-record", "256KiB"),
    ("epoch", "250ms"),
    ("memory", "512MiB"),
    ("discover-interval", "10s"),
    ("processes", "1"),
    ("workers", "1"),
    ("process", "0"),
    ("connect-timeout", "60s"),
];

/// Settings without a default.
const OPTIONAL: [&str; 11] = [
    "accept-loss",
    "any-path",
    "commit-interval",
    "until-drained",
    "final",
    "listen",
    "s3-endpoint",
    "s3-region",
    "state-memory",
    "hostfile",
    KAFKA,
];

/// The setting that is a list.
const KAFKA: &str = "kafka";

/// The original program's names, and the usual ones of the services; those of the topics are `GPS_TOPIC` and so on.
const ALIASES: [(&str, &str); 2] =
    [("KAFKA_BOOTSTRAP_SERVERS", "bootstrap-servers"), ("AWS_ENDPOINT_URL", "s3-endpoint")];

/// What the names of our own variables begin with.
const PREFIX: &str = "CITYSTREAM_";

/// Variables of an environment.
pub type Variables = BTreeMap<String, OsString>;

/// Merges flags, environment, file and defaults; values are not checked yet.
///
/// # Errors
/// A file that cannot be read; a name, in the file or the environment, that is no setting; a value of another type.
pub fn effective(flags: &Settings, file: Option<&str>) -> Result<Table, RunError> {
    merged(flags, settings_file(file)?, &environment())
}

/// As [`effective`], of a settings file that has been read and these variables.
///
/// # Errors
/// The same.
pub fn merged(flags: &Settings, file: Table, variables: &Variables) -> Result<Table, RunError> {
    let mut table: Table = defaults().map(|(key, value)| (key.to_owned(), Value::String(value.to_owned()))).collect();
    table.extend(file);
    for (variable, key) in ALIASES {
        overlay_variable(&mut table, variables, variable, key)?;
    }
    for topic in Topic::all() {
        overlay_variable(&mut table, variables, &variable(topic.setting()), topic.setting())?;
    }
    refuse_misspelt(variables)?;
    for key in keys() {
        overlay_variable(&mut table, variables, &format!("{PREFIX}{}", variable(key)), key)?;
    }
    table.extend(Table::try_from(flags).map_err(|e| usage(e.to_string()))?);
    secrets_from_files(&mut table)?;
    Ok(table)
}

/// Settings with a default, in the order in which they are shown.
fn defaults() -> impl Iterator<Item = (&'static str, &'static str)> {
    let topics = Topic::all().map(|topic| (topic.setting(), topic.declaration().default_topic));
    LAKE_AND_SOURCE.iter().copied().chain(topics).chain(RUN.iter().copied())
}

fn keys() -> impl Iterator<Item = &'static str> {
    defaults().map(|(key, _)| key).chain(OPTIONAL)
}

/// The name of a setting in the environment: `GPS_TOPIC`.
fn variable(key: &str) -> String {
    key.to_uppercase().replace('-', "_")
}

/// This process's variables.
fn environment() -> Variables {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect()
}

/// A variable's value, or what is in the file that `<variable>_FILE` names; `None` if neither is set.
fn given(variables: &Variables, variable: &str) -> Result<Option<String>, RunError> {
    let text = |name: &str| variables.get(name).and_then(|value| value.to_str()).filter(|value| !value.is_empty());
    if let Some(value) = text(variable) {
        return Ok(Some(value.to_owned()));
    }
    let in_file = format!("{variable}_FILE");
    text(&in_file).map(|path| secret_file(path, &in_file)).transpose()
}

/// What is in a file, but for the newline at its end.
fn secret_file(path: &str, named_by: &str) -> Result<String, RunError> {
    let text = std::fs::read_to_string(path).map_err(|e| usage(format!("{named_by}: cannot read {path}: {e}")))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

fn overlay_variable(table: &mut Table, variables: &Variables, variable: &str, key: &str) -> Result<(), RunError> {
    let Some(value) = given(variables, variable)? else { return Ok(()) };
    let value = if key == KAFKA {
        let words = shlex::split(&value)
            .ok_or_else(|| usage(format!("{variable}: a quote is open; a value with blanks stands in quotes")))?;
        Value::Array(words.into_iter().map(Value::String).collect())
    } else {
        Value::String(value)
    };
    table.insert(key.to_owned(), value);
    Ok(())
}

/// Refuses variables of ours that are nearly a setting's. Others may be anybody's: a cluster's manager sets some.
fn refuse_misspelt(variables: &Variables) -> Result<(), RunError> {
    let known: Vec<String> = keys().map(variable).chain(["LOG".to_owned()]).collect();
    for name in variables.keys() {
        let Some(name) = name.strip_prefix(PREFIX) else { continue };
        let bare = name.strip_suffix("_FILE").unwrap_or(name);
        if known.iter().any(|known| known == name || known == bare) {
            continue;
        }
        if let Some(meant) = nearest(bare, known.iter().map(String::as_str)) {
            return Err(usage(format!("{PREFIX}{name} is no setting: did you mean {PREFIX}{meant}?")));
        }
    }
    Ok(())
}

/// The name that a misspelt one is nearly.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |other: &str| strsim::damerau_levenshtein(name, other);
    let (apart, meant) = known.map(|known| (distance(known), known)).min()?;
    (apart <= 1 + usize::from(name.len() > 5)).then_some(meant)
}

fn settings_file(given: Option<&str>) -> Result<Table, RunError> {
    let path = given.unwrap_or("citystream.toml");
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(error) if given.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(Table::new()),
        Err(error) => Err(usage(format!("cannot read settings file {path}: {error}"))),
    }
}

/// The settings in the text of a file; `path` is for the messages only.
///
/// # Errors
/// What is no TOML; a name that is no setting; a value of another type.
pub fn parse(path: &str, text: &str) -> Result<Table, RunError> {
    let mut table: Table = text.parse().map_err(|e: toml::de::Error| usage(format!("{path}: {}", e.message())))?;
    for (key, value) in &mut table {
        if !keys().any(|known| known == key) {
            let meant = nearest(key, keys()).map(|meant| format!(": did you mean `{meant}`?")).unwrap_or_default();
            let help = if meant.is_empty() { "; `citystream run --help` lists them" } else { "" };
            return Err(usage(format!("{path}: no setting is called `{key}`{meant}{help}")));
        }
        check_type(key, value).map_err(|expected| usage(format!("{path}: `{key}` is {value}, expected {expected}")))?;
    }
    Ok(table)
}

/// A value as the flag of that name would be given; what is expected, if it is of another type.
fn check_type(key: &str, value: &mut Value) -> Result<(), &'static str> {
    match value {
        Value::Array(items) if key == KAFKA && items.iter().all(Value::is_str) => Ok(()),
        Value::String(one) if key == KAFKA => {
            *value = Value::Array(vec![Value::String(std::mem::take(one))]);
            Ok(())
        }
        _ if key == KAFKA => Err("a list of texts such as [\"security.protocol=ssl\"]"),
        Value::String(_) | Value::Integer(_) | Value::Boolean(_) => Ok(()),
        _ => Err("a text, a number, or true or false"),
    }
}

/// `--kafka key=@FILE` is what the file holds; `@@` is an `@`.
fn secrets_from_files(table: &mut Table) -> Result<(), RunError> {
    let items = table.get_mut(KAFKA).and_then(Value::as_array_mut).into_iter().flatten();
    for item in items {
        let Value::String(setting) = item else { continue };
        let Some((key, value)) = setting.split_once('=') else { continue };
        let Some(path) = value.strip_prefix('@') else { continue };
        let value = if path.starts_with('@') { path.to_owned() } else { secret_file(path, &format!("--kafka {key}"))? };
        *setting = format!("{key}={value}");
    }
    Ok(())
}

/// The effective settings as lines of TOML, secrets masked.
pub fn print(table: &Table) -> String {
    let mut text = String::new();
    for key in keys() {
        let Some(value) = table.get(key) else { continue };
        let shown = match value {
            Value::Array(items) => {
                let masked = items.iter().filter_map(Value::as_str).map(mask).map(Value::String);
                Value::Array(masked.collect())
            }
            Value::String(text) => Value::String(mask_user(text)),
            other => other.clone(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key} = {shown}");
    }
    text
}

/// Hides the value of a librdkafka setting that is a secret.
fn mask(setting: &str) -> String {
    const SECRET: [&str; 8] = ["password", "passphrase", "secret", "pem", "jaas", "config", "token", "credential"];
    match setting.split_once('=') {
        Some((key, _)) if SECRET.iter().any(|secret| key.contains(secret)) => format!("{key}=***"),
        _ => mask_user(setting),
    }
}

/// Hides the user in URLs: `https://user:password@host`.
fn mask_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', ',']).unwrap_or(rest.len());
    match rest[..end].rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}{}", mask_user(&rest[end..])),
        None => format!("{scheme}://{}{}", &rest[..end], mask_user(&rest[end..])),
    }
}

/// The command line with flags that only `simulate` and `feed` have and that the environment gives: `CITYSTREAM_SIMULATE_SEED`.
pub fn flags_from_environment(cli: Command, given: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = given.collect();
    let command = words.iter().skip(1).find_map(|word| cli.find_subcommand(word));
    let Some(command) = command.filter(|command| ["simulate", "feed"].contains(&command.get_name())) else {
        return words;
    };
    for flag in command.get_arguments() {
        let Some(long) = flag.get_long().filter(|long| !keys().any(|key| key == *long)) else { continue };
        let is_given = |word: &OsString| {
            let word = word.to_str().and_then(|word| word.strip_prefix("--"));
            word.is_some_and(|word| word.split('=').next() == Some(long))
        };
        let name = format!("{PREFIX}{}_{}", variable(command.get_name()), variable(long));
        let Some(value) = std::env::var_os(name).filter(|_| !words.iter().any(is_given)) else { continue };
        let takes_value = flag.get_action().takes_values();
        if takes_value || value == "true" {
            let mut word = OsString::from(format!("--{long}"));
            if takes_value {
                word.push("=");
                word.push(value);
            }
            words.push(word);
        }
    }
    words
}

/// What is to be logged: `CITYSTREAM_LOG`, in the form of `RUST_LOG`.
pub fn log_filter() -> Option<String> {
    std::env::var("CITYSTREAM_LOG").ok()
}

/// The keys of the live APIs, which have no flag: a command line is for everyone to see.
///
/// # Errors
/// A file that a `.._FILE` variable names and that cannot be read.
pub fn api_keys() -> Result<ApiKeys, RunError> {
    let variables = environment();
    let key = |variable| Ok::<_, RunError>(given(&variables, variable)?.as_deref().and_then(Secret::new));
    Ok(ApiKeys { openweather: key("OPENWEATHER_API_KEY")?, tomtom: key("TOMTOM_API_KEY")? })
}

/// `AWS_ACCESS_KEY` and `AWS_SECRET_KEY`, the original's names; the standard ones are aws-config's to read.
pub(super) fn original_credentials() -> Result<Option<(String, String)>, RunError> {
    let variables = environment();
    Ok(given(&variables, "AWS_ACCESS_KEY")?.zip(given(&variables, "AWS_SECRET_KEY")?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<Table, RunError> {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("citystream.toml");
        std::fs::write(&path, text).unwrap();
        settings_file(path.to_str())
    }

    #[test]
    fn what_is_misspelt_in_the_file_is_named_with_what_was_meant() {
        for (text, expected) in [
            ("latenes = \"1m\"", "did you mean `lateness`?"),
            ("lateness = 1.5", "expected a text, a number"),
            ("wombat = 1", "--help"),
            ("kafka = 7", "a list of texts"),
            ("kafka = [1]", "a list of texts"),
            ("[kafka]\na = 1", "a list of texts"),
        ] {
            let error = file(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let one = file("kafka = \"security.protocol=ssl\"\nworkers = 2\nuntil-drained = true").unwrap();
        assert_eq!(one["kafka"], Value::Array(vec!["security.protocol=ssl".into()]));
    }

    #[test]
    fn a_misspelt_variable_is_told_from_anybody_elses() {
        let known = || keys().map(variable).collect::<Vec<_>>();
        let meant = |name: &str| nearest(name, known().iter().map(String::as_str)).map(str::to_owned);
        assert_eq!(meant("LATENES").as_deref(), Some("LATENESS"));
        assert_eq!(meant("COMIT_INTERVAL").as_deref(), Some("COMMIT_INTERVAL"));
        for anybodys in ["SERVICE_HOST", "PORT", "PORT_9090_TCP", "SEED", "REQUIRE_SERVERS", "STACK_DIR", "TEST_BUCKET"]
        {
            assert_eq!(meant(anybodys), None, "{anybodys}");
        }
    }

    #[test]
    fn secrets_come_from_files_and_are_shown_to_nobody() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("password");
        std::fs::write(&path, "two words\n").unwrap();
        let items = [format!("sasl.password=@{}", path.display()), "ssl.key.password=@@x".into(), "acks=all".into()];
        let mut table = Table::from_iter([("kafka".to_owned(), Value::Array(items.map(Value::String).to_vec()))]);
        table.insert("s3-endpoint".into(), "https://me:secret@store:9000/x".into());
        secrets_from_files(&mut table).unwrap();
        let read = ["sasl.password=two words", "ssl.key.password=@x", "acks=all"];
        assert_eq!(table["kafka"], Value::Array(read.map(|text| Value::String(text.to_owned())).to_vec()));
        let shown = print(&table);
        assert!(shown.contains("sasl.password=***") && shown.contains("ssl.key.password=***"), "{shown}");
        assert!(shown.contains("https://***@store:9000/x") && shown.contains("acks=all"), "{shown}");
        assert_eq!(mask("ssl.key.passphrase=x"), "ssl.key.passphrase=***");
        assert_eq!(mask_user("a:1,b:2"), "a:1,b:2");
        let mut missing = Table::from_iter([("kafka".to_owned(), Value::Array(vec!["a=@/nowhere".into()]))]);
        assert!(secrets_from_files(&mut missing).unwrap_err().to_string().contains("--kafka a: cannot read /nowhere"));
    }
}
