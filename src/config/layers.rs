//! Settings as given, from all places. The one file that reads the environment.
//!
//! A flag wins over `CITYSTREAM_*`, that over the original's names (`KAFKA_BOOTSTRAP_SERVERS`, `GPS_TOPIC`, ...), that
//! over the settings file, that over the default. What is misspelt is an error that names what may have been meant.

#![allow(clippy::disallowed_methods)] // The one place for it.

use std::collections::BTreeMap;
use std::ffi::OsString;

use citystream_live_apis::Secret;
use citystream_wire::Topic;
use clap::{Arg, Command};
use toml::{Table, Value};

use super::effective::{Effective, Origin};
use super::flags::{LIST as KAFKA, LISTS, SECRETS, TABLES, settings};
use super::{ApiKeys, usage};
use crate::error::RunError;
use crate::spelling;

/// The original program's names, and the usual ones of the services; those of the topics are `GPS_TOPIC` and so on.
const ALIASES: [(&str, &str); 2] =
    [("KAFKA_BOOTSTRAP_SERVERS", "bootstrap-servers"), ("AWS_ENDPOINT_URL", "s3-endpoint")];

/// What the names of our own variables begin with.
const PREFIX: &str = "CITYSTREAM_";

/// Variables of an environment.
pub type Variables = BTreeMap<String, OsString>;

/// A settings file that has been read.
#[derive(Clone, Debug, Default)]
pub struct SettingsFile {
    /// Where it is, for messages.
    pub path: String,
    /// What it sets.
    pub values: Table,
}

/// Merges flags, environment, file and defaults; values are not checked yet.
///
/// # Errors
/// A file that cannot be read; a name, in the file or the environment, that is no setting; a value of another type.
pub fn effective(flags: &Table, file: Option<&str>) -> Result<Effective, RunError> {
    merged(flags, settings_file(file)?, &environment())
}

/// As [`effective`], of a settings file that has been read and these variables.
///
/// # Errors
/// The same.
pub fn merged(flags: &Table, file: SettingsFile, variables: &Variables) -> Result<Effective, RunError> {
    let mut all = Effective::default();
    for setting in settings() {
        if let Some(default) = setting.default {
            let default = Value::String(default.to_owned());
            let is_list = LISTS.contains(&setting.name);
            all.set(setting.name, if is_list { Value::Array(vec![default]) } else { default }, Origin::Default);
        }
    }
    for (key, value) in file.values {
        all.set(&key, value, Origin::File(file.path.clone()));
    }
    for (variable, key) in ALIASES {
        overlay_variable(&mut all, variables, variable, key)?;
    }
    for topic in Topic::all() {
        overlay_variable(&mut all, variables, &variable(topic.setting()), topic.setting())?;
    }
    refuse_misspelt(variables)?;
    for key in keys() {
        overlay_variable(&mut all, variables, &format!("{PREFIX}{}", variable(key)), key)?;
    }
    for (key, value) in flags {
        all.set(key, value.clone(), Origin::Flag);
    }
    secrets_from_files(&mut all)?;
    Ok(all)
}

fn keys() -> impl Iterator<Item = &'static str> {
    settings().map(|setting| setting.name)
}

/// The name of a setting in the environment: `GPS_TOPIC`.
fn variable(key: &str) -> String {
    key.to_uppercase().replace('-', "_")
}

/// This process's variables.
fn environment() -> Variables {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect()
}

/// A variable's value, or what is in the file that `<variable>_FILE` names, and which of the two it is; `None` if neither is set.
fn named(variables: &Variables, variable: &str) -> Result<Option<(String, String)>, RunError> {
    let text = |name: &str| variables.get(name).and_then(|value| value.to_str()).filter(|value| !value.is_empty());
    if let Some(value) = text(variable) {
        return Ok(Some((value.to_owned(), variable.to_owned())));
    }
    let in_file = format!("{variable}_FILE");
    let Some(path) = text(&in_file) else { return Ok(None) };
    Ok(Some((secret_file(path, &in_file)?, in_file)))
}

fn given(variables: &Variables, variable: &str) -> Result<Option<String>, RunError> {
    Ok(named(variables, variable)?.map(|(value, _)| value))
}

/// What is in a file, but for the newline at its end.
fn secret_file(path: &str, named_by: &str) -> Result<String, RunError> {
    let text = std::fs::read_to_string(path).map_err(|e| usage(format!("{named_by}: cannot read {path}: {e}")))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

fn overlay_variable(all: &mut Effective, variables: &Variables, variable: &str, key: &str) -> Result<(), RunError> {
    let Some((value, name)) = named(variables, variable)? else { return Ok(()) };
    let value = if LISTS.contains(&key) {
        let words = shlex::split(&value)
            .ok_or_else(|| usage(format!("{name}: a quote is open; a value with blanks stands in quotes")))?;
        Value::Array(words.into_iter().map(Value::String).collect())
    } else {
        Value::String(value)
    };
    all.set(key, value, Origin::Variable(name));
    Ok(())
}

/// Refuses variables of ours that are nearly a setting's. Others may be anybody's: a cluster's manager sets some.
fn refuse_misspelt(variables: &Variables) -> Result<(), RunError> {
    let others = ["LOG", "LOG_FORMAT", "ALERT_SECRET"].map(str::to_owned);
    let known: Vec<String> = keys().map(variable).chain(others).collect();
    refuse_nearly(variables, PREFIX, &known)
}

/// Refuses variables of this prefix that are nearly a known one's.
fn refuse_nearly(variables: &Variables, prefix: &str, known: &[String]) -> Result<(), RunError> {
    for name in variables.keys() {
        let Some(name) = name.strip_prefix(prefix) else { continue };
        let bare = name.strip_suffix("_FILE").unwrap_or(name);
        if known.iter().any(|known| known == name || known == bare) {
            continue;
        }
        if let Some(meant) = meant(bare, known.iter().map(String::as_str)) {
            return Err(usage(format!("{prefix}{name} is no setting: did you mean {prefix}{meant}?")));
        }
    }
    Ok(())
}

/// The name that a misspelt one is nearly.
fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    spelling::nearest(name, known, 1 + usize::from(name.len() > 5))
}

fn settings_file(given: Option<&str>) -> Result<SettingsFile, RunError> {
    let path = given.unwrap_or("citystream.toml");
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(error) if given.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(SettingsFile::default()),
        Err(error) => Err(usage(format!("cannot read settings file {path}: {error}"))),
    }
}

/// The settings in the text of a file; `path` is for the messages only.
///
/// # Errors
/// What is no TOML; a name that is no setting; a value of another type.
pub fn parse(path: &str, text: &str) -> Result<SettingsFile, RunError> {
    let mut values: Table =
        text.parse().map_err(|e: toml::de::Error| usage(format!("{path}: {}", unreadable(text, &e))))?;
    for (key, value) in &mut values {
        if !TABLES.contains(&key.as_str()) && !keys().any(|known| known == key) {
            let meant = meant(key, keys()).map(|meant| format!(": did you mean `{meant}`?")).unwrap_or_default();
            let help = if meant.is_empty() { "; `citystream run --help` lists them" } else { "" };
            return Err(usage(format!("{path}: no setting is called `{key}`{meant}{help}")));
        }
        check_type(key, value)
            .map_err(|expected| usage(format!("{path}: `{key}` is {}, expected {expected}", kind(key, value))))?;
    }
    Ok(SettingsFile { path: path.to_owned(), values })
}

/// What is wrong with a text that is no TOML, and in which line; the line itself may hold a secret.
fn unreadable(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
    let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
    format!("{line}{}", error.message())
}

/// A value, for a message; where secrets may be in it, only of which kind it is.
fn kind(key: &str, value: &Value) -> String {
    let is_open = !SECRETS.contains(&key) && !LISTS.contains(&key) && !TABLES.contains(&key);
    if is_open { value.to_string() } else { format!("of type {}", value.type_str()) }
}

/// A value as the flag of that name would be given; what is expected, if it is of another type.
fn check_type(key: &str, value: &mut Value) -> Result<(), &'static str> {
    match value {
        Value::Array(items) if LISTS.contains(&key) && items.iter().all(Value::is_str) => Ok(()),
        Value::String(one) if LISTS.contains(&key) => {
            *value = Value::Array(vec![Value::String(std::mem::take(one))]);
            Ok(())
        }
        Value::Table(all) if TABLES.contains(&key) && all.values().all(Value::is_table) => Ok(()),
        _ if TABLES.contains(&key) => Err("tables such as [views.slow]"),
        _ if key == KAFKA => Err("a list of texts such as [\"security.protocol=ssl\"]"),
        _ if LISTS.contains(&key) => Err("a list of texts such as [\"raw=90d\"]"),
        Value::String(_) | Value::Integer(_) | Value::Boolean(_) => Ok(()),
        _ => Err("a text, a number, or true or false"),
    }
}

/// `@FILE` is what the file holds, as the cluster's secret and as a value of `--kafka`; `@@` is an `@`.
fn secrets_from_files(all: &mut Effective) -> Result<(), RunError> {
    let name = all.name(KAFKA);
    let items = all.get_mut(KAFKA).and_then(Value::as_array_mut).into_iter().flatten();
    for item in items {
        let Value::String(setting) = item else { continue };
        let Some((key, value)) = setting.split_once('=') else { continue };
        *setting = format!("{key}={}", from_file(value, &format!("{name} {key}"))?);
    }
    for key in SECRETS {
        let (name, is_flag) = (all.name(key), all.origin(key) == &Origin::Flag);
        let Some(Value::String(secret)) = all.get_mut(key) else { continue };
        if is_flag && !secret.starts_with('@') {
            let variable = format!("{PREFIX}{}", variable(key));
            let instead = format!("give @FILE, or set {variable} or {variable}_FILE");
            return Err(usage(format!("{name}: a command line is for everyone to see: {instead}")));
        }
        *secret = from_file(secret, &name)?;
    }
    Ok(())
}

/// A value, or what is in the file that it names.
fn from_file(value: &str, named_by: &str) -> Result<String, RunError> {
    match value.strip_prefix('@') {
        None => Ok(value.to_owned()),
        Some(text) if text.starts_with('@') => Ok(text.to_owned()),
        Some(path) => secret_file(path, named_by),
    }
}

/// The words of a command line, and which of its flags are from which variable.
pub type Words = (Vec<OsString>, Vec<(String, String)>);

/// The command line, with flags that only `simulate` and `feed` have and that the environment gives (`CITYSTREAM_SIMULATE_SEED`);
/// these also by themselves, each with its variable.
///
/// # Errors
/// A name that is nearly such a variable's; a switch that is neither true nor false.
pub fn flags_from_environment(cli: Command, given: impl Iterator<Item = OsString>) -> Result<Words, RunError> {
    let words: Vec<OsString> = given.collect();
    let command = words.iter().skip(1).find_map(|word| cli.find_subcommand(word));
    match command.filter(|command| ["simulate", "feed"].contains(&command.get_name())) {
        Some(command) => with_variables(command, words, &environment()),
        None => Ok((words, Vec::new())),
    }
}

fn with_variables(command: &Command, mut words: Vec<OsString>, variables: &Variables) -> Result<Words, RunError> {
    let prefix = format!("{PREFIX}{}_", variable(command.get_name()));
    // `--live` is a switch here, and a setting of `run`.
    let is_setting = |takes: bool, long: &str| takes && keys().any(|key| key == long);
    let own = |flag: &&Arg| {
        let takes = flag.get_action().takes_values();
        flag.get_long().is_some_and(|long| !is_setting(takes, long))
    };
    let known: Vec<String> = command.get_arguments().filter(own).filter_map(Arg::get_long).map(variable).collect();
    refuse_nearly(variables, &prefix, &known)?;
    let mut from = Vec::new();
    for flag in command.get_arguments().filter(own) {
        let long = flag.get_long().unwrap_or_default();
        let is_given = |word: &OsString| {
            let word = word.to_str().and_then(|word| word.strip_prefix("--"));
            word.is_some_and(|word| word.split('=').next() == Some(long))
        };
        let name = format!("{prefix}{}", variable(long));
        let Some(value) = variables.get(&name).filter(|value| !value.is_empty() && !words.iter().any(is_given)) else {
            continue;
        };
        let mut word = OsString::from(format!("--{long}"));
        if flag.get_action().takes_values() {
            word.push("=");
            word.push(value);
        } else if value == "false" {
            continue;
        } else if value != "true" {
            return Err(usage(format!("{name} is {}: expected true or false", value.display())));
        }
        words.push(word);
        from.push((format!("--{long}"), name));
    }
    Ok((words, from))
}

/// What is to be logged: `CITYSTREAM_LOG`, in the form of `RUST_LOG`.
pub fn log_filter() -> Option<String> {
    std::env::var("CITYSTREAM_LOG").ok().filter(|text| !text.is_empty())
}

/// How the log looks: `CITYSTREAM_LOG_FORMAT`.
pub fn log_format() -> Option<String> {
    std::env::var("CITYSTREAM_LOG_FORMAT").ok().filter(|text| !text.is_empty())
}

/// Whether a terminal is to be written to in colours: not where `NO_COLOR` is set, nor where it has none.
pub fn wants_colour() -> bool {
    let is_set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    is_set("NO_COLOR").is_none() && is_set("TERM").is_none_or(|term| term != "dumb")
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

/// What alerts are signed with: a variable, or the file that it names.
pub(super) fn alert_secret() -> Result<Option<String>, RunError> {
    given(&environment(), "CITYSTREAM_ALERT_SECRET")
}

/// `AWS_ACCESS_KEY` and `AWS_SECRET_KEY`, the original's names; the standard ones are aws-config's to read.
pub(super) fn original_credentials() -> Result<Option<(String, String)>, RunError> {
    let variables = environment();
    Ok(given(&variables, "AWS_ACCESS_KEY")?.zip(given(&variables, "AWS_SECRET_KEY")?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::flags::SECRET;
    use super::*;

    fn file(text: &str) -> Result<Table, RunError> {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("citystream.toml");
        std::fs::write(&path, text).unwrap();
        settings_file(path.to_str()).map(|file| file.values)
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
        let meant = |name: &str| meant(name, known().iter().map(String::as_str)).map(str::to_owned);
        assert_eq!(meant("LATENES").as_deref(), Some("LATENESS"));
        assert_eq!(meant("COMIT_INTERVAL").as_deref(), Some("COMMIT_INTERVAL"));
        for anybodys in ["SERVICE_HOST", "PORT", "PORT_9090_TCP", "SEED", "REQUIRE_SERVERS", "STACK_DIR", "TEST_BUCKET"]
        {
            assert_eq!(meant(anybodys), None, "{anybodys}");
        }
    }

    #[test]
    fn an_error_about_a_secret_does_not_tell_it() {
        for text in [
            "[kafka]\n\"sasl.password\" = \"hunter2\"",
            "kafka = [\"sasl.password=hunter2\", 1]",
            "cluster-secret = [\"hunter2\"]",
            "workers = 1\ncluster-secret = \"hunter2",
        ] {
            let error = file(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(file("workers = 1\nlake = \"").unwrap_err().to_string().contains("line 2: "));
    }

    #[test]
    fn flags_of_the_simulator_have_variables() {
        let flags = [Arg::new("seed").long("seed"), Arg::new("live").long("live").action(clap::ArgAction::SetTrue)];
        let simulate = Command::new("simulate").args(flags);
        let words = |given: &[(&str, &str)]| {
            let variables = given.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
            with_variables(&simulate, vec!["--seed=1".into()], &variables).map(|(words, _)| words.len())
        };
        assert_eq!(words(&[("CITYSTREAM_SIMULATE_SEED", "2")]).unwrap(), 1, "a flag wins");
        assert_eq!(words(&[("CITYSTREAM_SIMULATE_LIVE", "true")]).unwrap(), 2);
        assert_eq!(words(&[("CITYSTREAM_SIMULATE_LIVE", "false")]).unwrap(), 1);
        assert_eq!(words(&[("CITYSTREAM_SIMULATE_SERVICE_HOST", "10.0.0.1")]).unwrap(), 1, "a cluster's manager's");
        assert!(words(&[("CITYSTREAM_SIMULATE_LIVE", "yes")]).unwrap_err().to_string().contains("true or false"));
        assert!(words(&[("CITYSTREAM_SIMULATE_SEDE", "2")]).unwrap_err().to_string().contains("_SEED?"));
    }

    #[test]
    fn secrets_come_from_files() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("password");
        std::fs::write(&path, "two words\n").unwrap();
        let items = [format!("sasl.password=@{}", path.display()), "ssl.key.password=@@x".into(), "acks=all".into()];
        let mut all = Effective::default();
        all.set(KAFKA, Value::Array(items.map(Value::String).to_vec()), Origin::Flag);
        secrets_from_files(&mut all).unwrap();
        let read = ["sasl.password=two words", "ssl.key.password=@x", "acks=all"];
        assert_eq!(all.get(KAFKA), Some(&Value::Array(read.map(|text| Value::String(text.to_owned())).to_vec())));
        all.set(KAFKA, Value::Array(vec!["a=@/nowhere".into()]), Origin::Variable("CITYSTREAM_KAFKA".to_owned()));
        let error = secrets_from_files(&mut all).unwrap_err().to_string();
        assert!(error.contains("CITYSTREAM_KAFKA a: cannot read /nowhere"), "{error}");
    }

    #[test]
    fn the_clusters_secret_is_in_a_file_or_a_variable_and_never_on_the_command_line() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        let read = |flag: Option<String>, variable: Option<(&str, String)>| {
            let flags = flag.map(|flag| (SECRET.to_owned(), Value::String(flag)));
            let variables = variable.map(|(name, value)| (name.to_owned(), value.into()));
            let all = merged(&flags.into_iter().collect(), SettingsFile::default(), &variables.into_iter().collect())?;
            Ok::<_, RunError>(all.get(SECRET).cloned())
        };
        let file = path.display().to_string();
        let expected = Some(Value::String("0123456789abcdef".to_owned()));
        assert_eq!(read(Some(format!("@{file}")), None).unwrap(), expected);
        assert_eq!(read(None, Some(("CITYSTREAM_CLUSTER_SECRET_FILE", file))).unwrap(), expected);
        let plain = Some(("CITYSTREAM_CLUSTER_SECRET", "0123456789abcdef".to_owned()));
        assert_eq!(read(None, plain).unwrap(), expected);
        let error = read(Some("0123456789abcdef".to_owned()), None).unwrap_err().to_string();
        assert!(error.starts_with("--cluster-secret: a command line") && !error.contains("0123"), "{error}");
    }

    #[test]
    fn the_last_word_is_the_flags_then_the_variables_then_the_files() {
        let file = parse("my.toml", "lateness = \"1m\"\nidle = \"1m\"\ngps-topic = \"a\"\nslack = \"1m\"").unwrap();
        let variables = [("CITYSTREAM_LATENESS", "2m"), ("CITYSTREAM_IDLE", "2m"), ("GPS_TOPIC", "b")];
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let flags = Table::from_iter([("lateness".to_owned(), "3m".into())]);
        let all = merged(&flags, file, &variables).unwrap();
        let shown = ["lateness", "idle", "gps-topic", "slack", "max-ahead"].map(|key| all.shown(key));
        let expected =
            ["--lateness 3m", "CITYSTREAM_IDLE=2m", "GPS_TOPIC=b", "my.toml: slack = \"1m\"", "--max-ahead 24h"];
        assert_eq!(shown, expected);
    }
}
