//! From settings as given ([`layers`]) to values as checked.

mod api_flags;
mod effective;
mod flags;
mod keep;
mod layers;
mod machine;
mod standing;
mod token;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use citystream_cluster::{MOST, Secret as ClusterSecret};
use citystream_dataflows::time::TimePolicy;
use citystream_live_apis::Secret;
use citystream_wire::{Declaration, PerTopic, Topic};
use jiff::tz::TimeZone;

use crate::error::RunError;
use crate::source::assignment::From;

pub use api_flags::ApiArgs;
pub use effective::Effective;
pub use flags::{Given, RESTARTS, SUPERVISED, Settings, TABLES, groups};
pub use keep::Keep;
use layers::original_credentials;
pub use layers::{
    SettingsFile, Variables, api_keys, effective, flags_from_environment, log_filter, log_format, merged, parse,
    wants_colour,
};
pub use standing::{SigningKey, Standing};
pub use token::Token;
use values::{Values, usage};

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
    /// Another lake.
    Lake {
        /// Where it is.
        location: String,
        /// Whether its log clock is the records' own event time.
        event_clock: bool,
    },
}

impl SourceConfig {
    /// What the log clock is, as a lake keeps it.
    pub fn log_clock(&self) -> &'static str {
        match self {
            SourceConfig::Dir { event_clock: true, .. } | SourceConfig::Lake { event_clock: true, .. } => "event",
            _ => "log",
        }
    }
}

/// Checked settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The lake.
    pub lake: String,
    /// Whether a lake is made at an address that some readers cannot open.
    pub any_path: bool,
    /// How long a file that a commit removed stays.
    pub grace: Duration,
    /// How long rows stay.
    pub keep: Keep,
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
    /// What the user calls the setting that names them.
    pub bootstrap_servers_name: String,
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
    /// Time between versions of the Delta tables; zero: each commit is one.
    pub publish_interval: Duration,
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
    /// Where to serve the page, metrics and health.
    pub listen: Option<String>,
    /// What whoever looks at the page from elsewhere has to show.
    pub token: Option<Token>,
    /// Whether small files are packed.
    pub compact: bool,
    /// Whether live views are kept.
    pub live: bool,
    /// Standing views and alerts.
    pub standing: Standing,
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
    /// Whether somebody looks after this process: it waits for others without end, and drains when the starter has gone.
    pub supervised: bool,
    /// How often it has done so again.
    pub restarts: u64,
    /// What the processes prove to each other.
    pub cluster_secret: Option<ClusterSecret>,
    /// Whether whoever reaches the addresses may join.
    pub insecure_cluster: bool,
}

/// Of so many epochs is a commit, about, as long as they are neither shorter nor longer than this.
const EPOCHS_A_COMMIT: u32 = 20;
const SHORT_EPOCH: Duration = Duration::from_millis(250);
const LONG_EPOCH: Duration = Duration::from_secs(3);

/// The length of an epoch, the time between commits, and between versions.
fn pace(values: &Values<'_>, is_s3: bool) -> Result<(Duration, Duration, Duration), RunError> {
    let given = |key: &str, otherwise: Duration| match values.optional(key) {
        Some(_) => values.time(key),
        None => Ok(otherwise),
    };
    let usual = Duration::from_secs(if is_s3 { 60 } else { 2 });
    let commit = given("commit-interval", usual)?;
    let epoch = given("epoch", (commit / EPOCHS_A_COMMIT).clamp(SHORT_EPOCH, LONG_EPOCH))?;
    Ok((epoch, commit, given("publish-interval", commit.max(usual))?))
}

impl Config {
    /// Checks merged settings.
    ///
    /// # Errors
    /// The first value that does not fit, named with its setting.
    pub fn check(settings: &Effective) -> Result<Config, RunError> {
        let values = Values(settings);
        let lake = values.text("lake");
        let timezone = values.text("timezone");
        let zone = values.parse("timezone", |t| TimeZone::get(t).map_err(|_| "no time zone has this name"))?;
        let (epoch, commit_interval, publish_interval) = pace(&values, lake.starts_with("s3://"))?;
        let (processes, process) = which_process(&values)?;
        let config = Config {
            any_path: values.flag("any-path")?,
            grace: values.time("grace")?,
            keep: keep(&values)?,
            s3_endpoint: values.optional("s3-endpoint"),
            s3_region: values.optional("s3-region"),
            s3_credentials: original_credentials()?,
            source: source(&values)?,
            bootstrap_servers: values.text("bootstrap-servers"),
            bootstrap_servers_name: settings.name("bootstrap-servers"),
            kafka: kafka_settings(&values)?,
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
            idle: values.time("idle")?,
            max_record: values.size("max-record")? as usize,
            epoch,
            commit_interval,
            publish_interval,
            memory: values.size("memory")?,
            state_memory: match values.optional("state-memory") {
                Some(_) => values.size("state-memory")?,
                None => machine::memory() / 10 * 6,
            },
            until_drained: values.flag("until-drained")?,
            is_final: values.flag("final")?,
            discover_interval: values.time("discover-interval")?,
            listen: listen(&values, process),
            token: values.given(flags::TOKEN, Token::new)?,
            compact: values.choice("compact", &[("auto", true), ("off", false)])?,
            live: values.choice("live", &[("off", false), ("on", true)])?,
            standing: Standing::check(&values, settings)?,
            processes,
            workers: values.number("workers", 1, MOST)?,
            process,
            hostfile: values.optional("hostfile").map(PathBuf::from),
            connect_timeout: values.time("connect-timeout")?,
            supervised: values.flag(SUPERVISED)?,
            restarts: values.number(RESTARTS, 0, u32::MAX as usize)? as u64,
            cluster_secret: values.given(flags::SECRET, ClusterSecret::new)?,
            insecure_cluster: values.flag("insecure-cluster")?,
            lake,
        };
        config.bounds(&values)?;
        Ok(config)
    }

    /// As [`check`](Config::check), for all processes of a run: where there are several hosts, how many has to be told.
    ///
    /// # Errors
    /// The same, and a number that has not been told.
    pub fn check_cluster(settings: &Effective) -> Result<Config, RunError> {
        let config = Config::check(settings)?;
        if settings.is_given("hostfile") && !settings.is_given("processes") {
            return Err(Values(settings).error("hostfile", "how many processes are there? Say -n as well"));
        }
        Ok(config)
    }

    /// As [`check_cluster`](Config::check_cluster), for a process of a run: of several each has to be told which it is.
    ///
    /// # Errors
    /// The same, and a process that has not been told.
    pub fn check_process(settings: &Effective) -> Result<Config, RunError> {
        let config = Config::check_cluster(settings)?;
        if config.standing.is_declared() && !config.live {
            let why =
                "the settings declare views or alerts, which are made of live views: say --live on, or live = \"on\"";
            return Err(Values(settings).error("live", why));
        }
        if config.processes > 1 && !settings.is_given("process") {
            let hosts =
                if settings.is_given("hostfile") { "" } else { ", and -h HOSTFILE if they are on several machines" };
            let last = config.processes - 1;
            let why = format!("which of them is this? Start each with its own -p, 0 to {last}{hosts}");
            return Err(Values(settings).error("processes", why));
        }
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
            self.publish_interval,
            self.until_drained,
            env!("CARGO_PKG_VERSION"),
        );
        // Processes name topics to each other by their place in the list.
        let declared: Vec<&Declaration> = Topic::all().map(Topic::declaration).collect();
        xxhash_rust::xxh3::xxh3_64(
            format!(
                "{equal:?}{paced:?}{}{}{declared:?}{:?}{:?}",
                self.derives, self.live, self.standing.views, self.standing.alerts
            )
            .as_bytes(),
        )
    }

    fn bounds(&self, values: &Values<'_>) -> Result<(), RunError> {
        if self.memory < 1 << 20 {
            return Err(values.error("memory", "the least budget is 1MiB"));
        }
        if self.live && !self.derives {
            return Err(values.error("live", "the city's views are made of its tables: --tables raw has none"));
        }
        if matches!(self.source, SourceConfig::Lake { .. }) && self.from != From::Earliest {
            return Err(values.error("from", "is for Kafka: a lake is read from its beginning"));
        }
        if self.is_final && !self.until_drained {
            let why = "says that the log has ended, which --until-drained finds out: give both";
            return Err(values.error("final", why));
        }
        if self.epoch < Duration::from_millis(10) {
            return Err(values.error("epoch", "the shortest epoch is 10ms"));
        }
        let mut names: Vec<(&str, &str)> = Topic::all().map(|t| (self.topics[t].as_str(), t.setting())).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|w| w[0].0 == w[1].0) {
            let why = format!("the topics must differ, and {} is the same", values.0.shown(twice[0].1));
            return Err(values.error(twice[1].1, why));
        }
        Ok(())
    }
}

/// How many processes there are, and which of them this is.
fn which_process(values: &Values<'_>) -> Result<(usize, usize), RunError> {
    let processes = values.number("processes", 1, MOST)?;
    let process = values.number("process", 0, usize::MAX)?;
    let last = processes - 1;
    if process > last {
        let why = format!("with {} the last one is {last}", values.0.shown("processes"));
        return Err(values.error("process", why));
    }
    Ok((processes, process))
}

fn source(values: &Values<'_>) -> Result<SourceConfig, RunError> {
    let event_clock = values.choice("log-clock", &[("log", false), ("event", true)])?;
    match values.text("source").as_str() {
        "kafka" if event_clock => {
            Err(values.error("log-clock", "is for dir: and lake: sources; Kafka's records carry a log time"))
        }
        "kafka" => Ok(SourceConfig::Kafka),
        other => match other.strip_prefix("dir:") {
            Some(path) if !path.is_empty() => Ok(SourceConfig::Dir { path: path.into(), event_clock }),
            _ => match other.strip_prefix("lake:") {
                Some(location) if !location.is_empty() => {
                    Ok(SourceConfig::Lake { location: location.to_owned(), event_clock })
                }
                _ => Err(values.error("source", "expected kafka, dir:PATH or lake:WHERE")),
            },
        },
    }
}

/// What is not said of change logs is as by default.
fn keep(values: &Values<'_>) -> Result<Keep, RunError> {
    let default = flags::settings().filter(|setting| setting.name == flags::RULES).find_map(|setting| setting.default);
    let rules = default.into_iter().chain(values.list(flags::RULES));
    Keep::parse(rules).map_err(|why| usage(format!("{} {why}", values.0.name(flags::RULES))))
}

fn kafka_settings(values: &Values<'_>) -> Result<Vec<(String, String)>, RunError> {
    values
        .list(flags::LIST)
        .map(|item| match item.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_owned(), value.to_owned())),
            // It may be a secret.
            None => Err(usage(format!("{}: one has no `=`: expected key=value", values.0.name(flags::LIST)))),
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
    fn an_error_names_a_setting_as_the_user_does_and_its_value() {
        for (text, expected) in [
            ("lateness = \"soon\"", "citystream.toml: lateness = \"soon\": expected a time such as"),
            ("memory = \"lots\"", "citystream.toml: memory = \"lots\": expected a size such as"),
            ("workers = 0", "citystream.toml: workers = 0: expected a whole number from 1 to 1024"),
            ("epoch = \"1ms\"", "citystream.toml: epoch = \"1ms\": the shortest epoch is 10ms"),
            ("from = \"now\"", "expected one of earliest, latest, group"),
            ("gps-topic = \"t\"\nweather-topic = \"t\"", "weather-topic = \"t\": the topics must differ, and"),
            ("cluster-secret = \"pass\"", "citystream.toml: cluster-secret = \"***\": expected at least 16 bytes"),
            ("keep = \"raw=1d\"", "citystream.toml: keep raw=1d: the shortest age is 3d"),
            ("final = true", "citystream.toml: final = true: says that the log has ended"),
        ] {
            let error = checked(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(checked("memory = \"512M\"").unwrap().memory, 512_000_000);
    }

    #[test]
    fn one_of_several_processes_is_told_which_it_is() {
        let effective = |text: &str| {
            merged(&Settings::default(), parse("citystream.toml", text).unwrap(), &Variables::new()).unwrap()
        };
        let error = Config::check_process(&effective("hostfile = \"hosts.txt\"")).unwrap_err().to_string();
        assert!(error.contains("-n"), "{error}");
        let error = Config::check_process(&effective("processes = 2")).unwrap_err().to_string();
        assert!(error.contains("own -p, 0 to 1, and -h HOSTFILE"), "{error}");
        assert!(Config::check(&effective("processes = 2")).is_ok(), "other commands are no process of a run");
        let error = checked("processes = 2\nprocess = 2").unwrap_err().to_string();
        assert!(error.contains("process = 2: with citystream.toml: processes = 2 the last one is 1"), "{error}");
        let config = Config::check_process(&effective("processes = 2\nprocess = 0")).unwrap();
        assert_eq!((config.processes, config.process), (2, 0));
    }
}
