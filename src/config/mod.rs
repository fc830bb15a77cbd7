//! From settings as given ([`layers`]) to values as checked.

mod flags;
mod layers;
mod machine;
mod topics;

use std::path::PathBuf;
use std::time::Duration;

use citystream_dataflows::time::{Micros, TimePolicy};
use citystream_live_apis::Secret;
use citystream_wire::{Declaration, PerTopic, Topic};
use jiff::tz::TimeZone;
use toml::{Table, Value};

use crate::error::RunError;
use crate::escape::escaped;
use crate::source::assignment::From;

pub use flags::{ApiArgs, Settings};
use layers::original_credentials;
pub use layers::{Variables, api_keys, effective, flags_from_environment, log_filter, merged, parse, print};

/// The keys of the live APIs. Neither `Debug` nor `Display` shows them.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys {
    /// `OPENWEATHER_API_KEY`.
    pub openweather: Option<Secret>,
    /// `TOMTOM_API_KEY`.
    pub tomtom: Option<Secret>,
}

/// Where records come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceConfig {
    /// Kafka.
    Kafka,
    /// A directory of JSON lines.
    Dir {
        /// The directory.
        path: PathBuf,
        /// Whether the log clock is the records' own event time.
        event_clock: bool,
    },
}

/// Checked settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The lake.
    pub lake: String,
    /// Whether a lake is made at an address that some readers cannot open.
    pub any_path: bool,
    /// The S3 endpoint.
    pub s3_endpoint: Option<String>,
    /// The S3 region.
    pub s3_region: Option<String>,
    /// The original's names for the credentials, where they are set: key id and secret.
    pub s3_credentials: Option<(String, String)>,
    /// The source.
    pub source: SourceConfig,
    /// Kafka's addresses.
    pub bootstrap_servers: String,
    /// Further librdkafka settings.
    pub kafka: Vec<(String, String)>,
    /// The consumer group.
    pub group: String,
    /// Where a new lake starts.
    pub from: From,
    /// Whether offsets that the log no longer holds may be passed over.
    pub accept_loss: bool,
    /// Names of the topics.
    pub topics: PerTopic<String>,
    /// Whether the derived tables are made.
    pub derives: bool,
    /// The zone's name.
    pub timezone: String,
    /// The zone of timestamps without one.
    pub zone: TimeZone,
    /// What decides lateness and the horizon.
    pub policy: TimePolicy,
    /// After how long without a record a drained partition is quiet.
    pub idle: Duration,
    /// Longest record in bytes.
    pub max_record: usize,
    /// Length of an epoch.
    pub epoch: Duration,
    /// Time between commits.
    pub commit_interval: Duration,
    /// Byte budget of a process.
    pub memory: u64,
    /// Bound of a process's state, in bytes.
    pub state_memory: u64,
    /// Whether to end once all is committed.
    pub until_drained: bool,
    /// Whether the log has ended then.
    pub is_final: bool,
    /// How often to look for new partitions.
    pub discover_interval: Duration,
    /// Where to serve metrics and health.
    pub listen: Option<String>,
    /// Processes, workers of each, and this one's index.
    pub processes: usize,
    /// Workers of each process.
    pub workers: usize,
    /// This process.
    pub process: usize,
    /// The hostfile.
    pub hostfile: Option<PathBuf>,
    /// How long to wait for the other processes.
    pub connect_timeout: Duration,
}

/// An error in one line, whatever the settings say.
fn usage(what: impl AsRef<str>) -> RunError {
    RunError::Usage(escaped(what.as_ref()))
}

/// Reads single values of a merged table.
struct Values<'a>(&'a Table);

impl Values<'_> {
    fn optional(&self, key: &str) -> Option<String> {
        match self.0.get(key)? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    fn text(&self, key: &str) -> String {
        self.optional(key).unwrap_or_default()
    }

    fn flag(&self, key: &str) -> Result<bool, RunError> {
        match self.optional(key).as_deref().map(str::trim) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(usage(format!("--{key} {other}: expected true or false"))),
        }
    }

    fn parse<T, E: std::fmt::Display>(&self, key: &str, parse: impl Fn(&str) -> Result<T, E>) -> Result<T, RunError> {
        let text = self.text(key);
        parse(text.trim()).map_err(|e| usage(format!("--{key} {text}: {e}")))
    }

    fn number(&self, key: &str) -> Result<usize, RunError> {
        self.parse(key, str::parse::<usize>)
    }

    fn duration(&self, key: &str) -> Result<Duration, RunError> {
        self.parse(key, |t| parse_duration(t).ok_or("expected a time such as 250ms, 2s, 10m or 24h, at most 36500d"))
    }

    fn micros(&self, key: &str) -> Result<Micros, RunError> {
        let time = self.duration(key)?;
        Micros::try_from(time.as_micros()).map_err(|_| usage(format!("--{key} is too long")))
    }

    fn size(&self, key: &str) -> Result<u64, RunError> {
        self.parse(key, |t| parse_bytes(t).ok_or("expected a size such as 64KiB, 256MiB or 1GB"))
    }

    fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<T, RunError> {
        let names = choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        self.parse(key, |t| {
            choices.iter().find(|(name, _)| *name == t).map(|(_, v)| *v).ok_or(format!("expected one of {names}"))
        })
    }
}

/// The longest time: added to any clock, twice too, it is a time.
const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

/// A time such as `250ms`, `2s`, `10m`, `24h` or `7d`; at most a hundred years.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number: f64 = text[..digits].parse().ok()?;
    let seconds = match &text[digits..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * seconds).ok().filter(|time| *time <= LONGEST)
}

fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

impl Config {
    /// Checks merged settings.
    ///
    /// # Errors
    /// The first value that does not fit, named with its setting.
    pub fn check(table: &Table) -> Result<Config, RunError> {
        let values = Values(table);
        let lake = values.text("lake");
        let timezone = values.text("timezone");
        let zone = values.parse("timezone", |t| TimeZone::get(t).map_err(|_| "no time zone has this name"))?;
        let commit_default = if lake.starts_with("s3://") { "60s" } else { "2s" };
        let commit_interval = match values.optional("commit-interval") {
            Some(_) => values.duration("commit-interval")?,
            None => parse_duration(commit_default).unwrap_or_default(),
        };
        let process = values.number("process")?;
        let config = Config {
            any_path: values.flag("any-path")?,
            s3_endpoint: values.optional("s3-endpoint"),
            s3_region: values.optional("s3-region"),
            s3_credentials: original_credentials()?,
            source: source(&values)?,
            bootstrap_servers: values.text("bootstrap-servers"),
            kafka: kafka_settings(table)?,
            group: values.text("group"),
            from: values
                .choice("from", &[("earliest", From::Earliest), ("latest", From::Latest), ("group", From::Group)])?,
            accept_loss: values.flag("accept-loss")?,
            topics: PerTopic::new(|topic| values.text(topic.setting())),
            derives: values.choice("tables", &[("all", true), ("raw", false)])?,
            timezone,
            zone,
            policy: TimePolicy {
                lateness: values.micros("lateness")?,
                slack: values.micros("slack")?,
                max_ahead: values.micros("max-ahead")?,
                max_hold: values.micros("max-hold")?,
            },
            idle: values.duration("idle")?,
            max_record: values.size("max-record")? as usize,
            epoch: values.duration("epoch")?,
            commit_interval,
            memory: values.size("memory")?,
            state_memory: match values.optional("state-memory") {
                Some(_) => values.size("state-memory")?,
                None => machine::memory() / 10 * 6,
            },
            until_drained: values.flag("until-drained")?,
            is_final: values.flag("final")?,
            discover_interval: values.duration("discover-interval")?,
            listen: listen(&values, process),
            processes: values.number("processes")?,
            workers: values.number("workers")?,
            process,
            hostfile: values.optional("hostfile").map(PathBuf::from),
            connect_timeout: values.duration("connect-timeout")?,
            lake,
        };
        config.bounds()?;
        Ok(config)
    }

    /// A hash of what must be equal on all processes of a cluster.
    pub fn fingerprint(&self) -> u64 {
        let equal = (&self.lake, &self.source, &self.bootstrap_servers, &self.topics, &self.timezone, self.policy);
        let paced = (
            self.max_record,
            self.idle,
            self.epoch,
            self.commit_interval,
            self.until_drained,
            env!("CARGO_PKG_VERSION"),
        );
        // Processes name topics to each other by their place in the list.
        let declared: Vec<&Declaration> = Topic::all().map(Topic::declaration).collect();
        xxhash_rust::xxh3::xxh3_64(format!("{equal:?}{paced:?}{}{declared:?}", self.derives).as_bytes())
    }

    fn bounds(&self) -> Result<(), RunError> {
        if self.memory < 1 << 20 {
            return Err(usage("--memory: the least budget is 1MiB"));
        }
        if self.is_final && !self.until_drained {
            return Err(usage("--final says that the log has ended, which --until-drained finds out: give both"));
        }
        if self.epoch < Duration::from_millis(10) {
            return Err(usage("--epoch: the shortest epoch is 10ms"));
        }
        let mut names = self.topics.values().to_vec();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|w| w[0] == w[1]) {
            return Err(usage(format!("topic {} is named twice; the topics must differ", twice[0])));
        }
        Ok(())
    }
}

fn source(values: &Values<'_>) -> Result<SourceConfig, RunError> {
    let event_clock = values.choice("log-clock", &[("log", false), ("event", true)])?;
    match values.text("source").as_str() {
        "kafka" if event_clock => Err(usage("--log-clock event is for dir: sources; Kafka's records carry a log time")),
        "kafka" => Ok(SourceConfig::Kafka),
        other => match other.strip_prefix("dir:") {
            Some(path) if !path.is_empty() => Ok(SourceConfig::Dir { path: path.into(), event_clock }),
            _ => Err(usage(format!("--source {other}: expected kafka or dir:PATH"))),
        },
    }
}

fn kafka_settings(table: &Table) -> Result<Vec<(String, String)>, RunError> {
    let items = table.get("kafka").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    items
        .map(|item| match item.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_owned(), value.to_owned())),
            None => Err(usage(format!("--kafka {item}: expected key=value"))),
        })
        .collect()
}

fn listen(values: &Values<'_>, process: usize) -> Option<String> {
    match values.optional("listen") {
        Some(none) if none == "none" => None,
        Some(address) => Some(address),
        None => Some(format!("127.0.0.1:{}", 9090_usize.saturating_add(process))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<Config, RunError> {
        Config::check(&merged(&Settings::default(), parse("citystream.toml", text)?, &Variables::new())?)
    }

    #[test]
    fn what_is_absurd_is_refused_in_one_line() {
        let times = ["lateness = \"36501d\"", "connect-timeout = \"99999999999999d\""];
        for text in times.into_iter().chain(["source = \"x\\ny\"", "\"a\\nb\" = 1", "kafka = \"a\\nb\""]) {
            let error = checked(text).unwrap_err().to_string();
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        assert_eq!(checked("lateness = \"36500d\"").unwrap().policy.lateness, 3_153_600_000_000_000);
    }

    #[test]
    fn a_process_that_no_port_is_left_for_has_no_other_ones() {
        let last = checked(&format!("process = \"{}\"", usize::MAX)).unwrap();
        assert_eq!(last.listen, Some(format!("127.0.0.1:{}", usize::MAX)));
    }
}
