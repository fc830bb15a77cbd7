//! The settings, each declared once: flags, their help, variables, names in the settings file and defaults follow from it.
//! Values are text here; they are checked in [`super::Config`].

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::LazyLock;

use citystream_wire::Topic;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};
use toml::{Table, Value};

/// Settings of a group concern a command together, or not at all.
pub mod groups {
    /// Where the lake is.
    pub const LAKE: u32 = 1;
    /// What is read.
    pub const SOURCE: u32 = 1 << 1;
    /// How Kafka is reached.
    pub const KAFKA: u32 = 1 << 2;
    /// The consumer group.
    pub const GROUP: u32 = 1 << 3;
    /// What the topics are called.
    pub const TOPICS: u32 = 1 << 4;
    /// Where reading begins, and when it ends.
    pub const SPAN: u32 = 1 << 5;
    /// What a record may be.
    pub const RECORDS: u32 = 1 << 6;
    /// What else decides a row.
    pub const ROWS: u32 = 1 << 7;
    /// How fast, and with how much memory.
    pub const PACE: u32 = 1 << 8;
    /// The workers of a process.
    pub const WORKERS: u32 = 1 << 9;
    /// The other processes.
    pub const CLUSTER: u32 = 1 << 10;
    /// Where a new lake may be.
    pub const NEW: u32 = 1 << 11;
    /// How long what a lake holds stays.
    pub const LIFE: u32 = 1 << 12;
    /// What a lake keeps.
    pub const KEEP: u32 = 1 << 13;
    /// All settings.
    pub const ALL: u32 = KEEP * 2 - 1;
    /// No group: `-h` is the hostfile, as in timely, and help is `--help` only.
    pub const DASH_H: u32 = 1 << 14;
}

use groups::{
    CLUSTER, DASH_H, GROUP, KAFKA, KEEP, LAKE, LIFE, NEW, PACE, RECORDS, ROWS, SOURCE, SPAN, TOPICS, WORKERS,
};

/// A setting.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its name, as in the settings file; behind `--` it is the flag.
    pub name: &'static str,
    /// Its default; some depend on other settings and are told in the help only.
    pub default: Option<&'static str>,
    group: u32,
    /// What the help calls its value.
    value: &'static str,
    help: Cow<'static, str>,
}

/// The settings that are lists.
pub const LISTS: [&str; 2] = [LIST, RULES];
pub const LIST: &str = "kafka";
pub const RULES: &str = "keep";
/// What the settings file has besides settings: tables of standing views, and of alerts, by name.
pub const TABLES: [&str; 2] = [VIEWS, ALERTS];
pub const VIEWS: &str = "views";
pub const ALERTS: &str = "alerts";
/// What processes prove to each other.
pub const SECRET: &str = "cluster-secret";
/// The other one.
pub const TOKEN: &str = "token";
/// The settings that are secrets as a whole.
pub const SECRETS: [&str; 2] = [SECRET, TOKEN];
/// The setting that `launch` gives the processes that it looks after.
pub const SUPERVISED: &str = "supervised";
/// And the one that says how often it has started them again.
pub const RESTARTS: &str = "restarts";
/// The value of a setting that is true or false: the flag alone is `true`.
const BOOL: &str = "BOOL";
/// Short flags, timely's; `-h` only where [`DASH_H`] says so.
const SHORT: [(&str, char); 4] = [("processes", 'n'), ("workers", 'w'), ("process", 'p'), (HOSTFILE, 'h')];
const HOSTFILE: &str = "hostfile";

/// Name, value, default, help.
type Declared = (&'static str, &'static str, Option<&'static str>, &'static str);

/// What is declared here; the topics' names stand behind the source.
const DECLARED: [(u32, &[Declared]); 13] = [
    (LAKE, LAKE_SETTINGS),
    (NEW, &[("any-path", BOOL, None, "Make the lake even where some readers cannot open its path")]),
    (LIFE, LIFE_SETTINGS),
    (KEEP, KEEP_SETTINGS),
    (SOURCE, SOURCE_SETTINGS),
    (KAFKA, KAFKA_SETTINGS),
    (GROUP, &[("group", "NAME", Some("citystream"), "Consumer group that lag tools see")]),
    (SPAN, SPAN_SETTINGS),
    (ROWS, ROW_SETTINGS),
    (RECORDS, RECORD_SETTINGS),
    (PACE, PACE_SETTINGS),
    (WORKERS, &[("workers", "W", Some("1"), "Worker threads of each process")]),
    (CLUSTER, CLUSTER_SETTINGS),
];

const LAKE_SETTINGS: &[Declared] = &[
    ("lake", "WHERE", Some("lake"), "The lake: a directory or s3://bucket/prefix"),
    ("s3-endpoint", "URL", None, "S3 endpoint, for stores that are not AWS"),
    ("s3-region", "REGION", None, "S3 region [default: us-east-1, or AWS's own settings]"),
];

const LIFE_SETTINGS: &[Declared] =
    &[("grace", "TIME", Some("7d"), "How long a file that a commit removed stays, for readers of older versions")];

const KEEP_SETTINGS: &[Declared] = &[(
    RULES,
    "TABLE=AGE",
    Some("changes=7d"),
    "How long rows stay, by the date of their partition: of a table, of all `changes`, or of all `raw` ones; and how long \
     `commits` do; what is not named stays for ever, `changes` 7d; may be given more than once",
)];

const SOURCE_SETTINGS: &[Declared] = &[
    (
        "source",
        "WHERE",
        Some("kafka"),
        "The source: kafka, dir:PATH of JSON lines, or lake:WHERE, another lake to fill this one from",
    ),
    (
        "log-clock",
        "WHAT",
        Some("log"),
        "Log clock of dir: sources, and of a lake: that was made of one: log, or event for archives of bare records",
    ),
];

const KAFKA_SETTINGS: &[Declared] = &[
    ("bootstrap-servers", "HOST:PORT,..", Some("127.0.0.1:9092"), "Kafka's addresses"),
    (LIST, "KEY=VALUE", None, "A librdkafka setting; may be given more than once"),
];

const SPAN_SETTINGS: &[Declared] = &[
    ("from", "WHERE", Some("earliest"), "Where a new lake starts: earliest, latest or group"),
    (
        "accept-loss",
        BOOL,
        None,
        "Go on although records are lost: offsets that the log no longer holds, a topic that was made anew, or files of a lake: source",
    ),
    ("discover-interval", "TIME", Some("10s"), "How often to look for new partitions"),
    ("until-drained", BOOL, None, "End once everything that is there is committed"),
    (
        "final",
        BOOL,
        None,
        "With --until-drained: the log has ended, so all windows are sealed; what may come later expires",
    ),
];

const ROW_SETTINGS: &[Declared] = &[
    ("tables", "WHICH", Some("all"), "The tables of the lake: all, or raw for the records alone"),
    ("timezone", "ZONE", Some("UTC"), "Time zone of timestamps without one"),
    ("slack", "TIME", Some("2m"), "How far the horizon stays behind what may still be on time"),
    (
        "max-hold",
        "TIME",
        Some("1h"),
        "How far behind the others a partition that has reached its end may hold the horizon",
    ),
];

const RECORD_SETTINGS: &[Declared] = &[
    (
        "lateness",
        "TIME",
        Some("10m"),
        "A record is late if the log received it more than this after the time it carries",
    ),
    ("max-ahead", "TIME", Some("24h"), "How far event time may run ahead of the log"),
    ("max-record", "BYTES", Some("256KiB"), "Longest record"),
];

const PACE_SETTINGS: &[Declared] = &[
    ("idle", "TIME", Some("30s"), "After how long without a record a partition holds the horizon no longer"),
    ("epoch", "TIME", None, "Length of an epoch [default: a twentieth of --commit-interval, 250ms to 3s]"),
    ("commit-interval", "TIME", None, "Time between commits [default: 2s on a local lake, 60s on S3]"),
    (
        "publish-interval",
        "TIME",
        None,
        "Time between versions of the Delta tables, 0s for one a commit [default: the commit interval, at least 2s on a \
         local lake, 60s on S3]",
    ),
    ("compact", "WHEN", Some("auto"), "Pack small files of the lake into long ones beside the run: auto or off"),
    (
        "memory",
        "BYTES",
        Some("512MiB"),
        "Bytes read and not yet committed, a quarter of it for the queues of Kafka's client, a process",
    ),
    (
        "state-memory",
        "BYTES",
        None,
        "Bytes of what is in reach, a process: at it, only the partitions furthest behind are read [default: 60% of the \
         machine's memory, or of the container's; of launch shared by its processes]",
    ),
    (
        "listen",
        "ADDRESS",
        None,
        "Address of the page, /metrics, /healthz and /readyz, or none; of launch that of the first process here, others \
         have the ports after it [default: 127.0.0.1:9090 + process]",
    ),
    (
        TOKEN,
        "@FILE",
        None,
        "What whoever asks for the page from another machine has to show: what this file holds [default: CITYSTREAM_TOKEN]",
    ),
    ("live", "SWITCH", Some("off"), "Live views of the city, for the page and /api/views: on or off [demo: on]"),
    ("most-views", "COUNT", Some("64"), "Standing views at one time"),
    ("most-view-keys", "COUNT", Some("1000"), "Vehicles that one standing view names"),
    ("alert-topic", "TOPIC", None, "Kafka topic that is told of alerts"),
    ("alert-webhook", "URL", None, "Where alerts are posted, signed with CITYSTREAM_ALERT_SECRET where that is set"),
    ("alert-log", "FILE", None, "File that alerts are appended to, a JSON object a line"),
    ("most-view-points", "COUNT", Some("10000"), "Points of the area of one standing view"),
];

const CLUSTER_SETTINGS: &[Declared] = &[
    ("processes", "N", Some("1"), "Processes of the cluster"),
    ("process", "INDEX", Some("0"), "Which of the processes this is"),
    (
        HOSTFILE,
        "FILE",
        None,
        "One host:port a line, in the order of the processes [default: this machine, ports from 2101 up]",
    ),
    ("connect-timeout", "TIME", Some("60s"), "How long to wait for the other processes"),
    (
        SUPERVISED,
        BOOL,
        None,
        "As `launch` starts it: wait for the other processes without end, and drain when the starter has gone",
    ),
    (RESTARTS, "COUNT", Some("0"), "How often `launch` has started it again, as /metrics tells"),
    (
        SECRET,
        "@FILE",
        None,
        "What all processes prove to each other: what this file holds [default: CITYSTREAM_CLUSTER_SECRET]",
    ),
    (
        "insecure-cluster",
        BOOL,
        None,
        "Let whoever reaches the addresses join: without a secret only loopback addresses are taken",
    ),
];

/// All settings, in the order in which they are shown.
static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    let declared = |(group, settings): &(u32, &'static [Declared])| {
        let group = *group;
        settings.iter().map(move |(name, value, default, help)| Setting {
            name,
            default: *default,
            group,
            value,
            help: Cow::Borrowed(*help),
        })
    };
    let (before, behind) = DECLARED.split_at(7);
    let topics = Topic::all().map(|topic| {
        let declaration = topic.declaration();
        let help = Cow::Owned(format!("Topic of {}", declaration.records));
        let default = Some(declaration.default_topic);
        Setting { name: topic.setting(), default, group: TOPICS, value: "TOPIC", help }
    });
    before.iter().flat_map(declared).chain(topics).chain(behind.iter().flat_map(declared)).collect()
});

/// All settings, in the order in which they are shown.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter()
}

impl Setting {
    fn heading(&self) -> &'static str {
        match self.group {
            LAKE | NEW | LIFE | KEEP => "Lake",
            SOURCE | GROUP | SPAN => "Source",
            KAFKA => "Kafka",
            TOPICS => "Topics",
            ROWS | RECORDS => "Rows: fixed for the life of a lake",
            PACE => "Pace and memory",
            _ => "Processes and workers",
        }
    }

    /// Its flag, `-h` too if that is the hostfile.
    fn flag(&self, dash_h: bool) -> Arg {
        let default = self.default.map_or_else(String::new, |default| format!(" [default: {default}]"));
        let help_is = if self.name == HOSTFILE && dash_h { "; help is --help" } else { "" };
        let flag = Arg::new(self.name)
            .long(self.name)
            .value_name(self.value)
            .help(format!("{}{default}{help_is}", self.help))
            .help_heading(self.heading());
        let short = SHORT.iter().find(|(name, letter)| *name == self.name && (*letter != 'h' || dash_h));
        let flag = short.map_or(flag.clone(), |(_, letter)| flag.short(*letter));
        match self.value {
            BOOL => flag.num_args(0..=1).default_missing_value("true"),
            _ if LISTS.contains(&self.name) => flag.action(ArgAction::Append),
            _ => flag,
        }
    }

    /// Its value on the command line.
    fn given(&self, matches: &ArgMatches) -> Option<Value> {
        let text = |text: &String| Value::String(text.clone());
        if LISTS.contains(&self.name) {
            return matches.get_many(self.name).map(|items| Value::Array(items.map(text).collect()));
        }
        matches.get_one(self.name).map(text)
    }
}

/// Settings of these groups as the command line gives them, by name.
#[derive(Clone, Debug, Default)]
pub struct Given<const GROUPS: u32>(Table);

/// All settings.
pub type Settings = Given<{ groups::ALL }>;

impl<const GROUPS: u32> Deref for Given<GROUPS> {
    type Target = Table;

    fn deref(&self) -> &Table {
        &self.0
    }
}

fn of_groups(groups: u32) -> impl Iterator<Item = &'static Setting> {
    settings().filter(move |setting| setting.group & groups != 0)
}

impl<const GROUPS: u32> Args for Given<GROUPS> {
    fn augment_args(command: Command) -> Command {
        let dash_h = GROUPS & DASH_H != 0;
        let command = command.args(of_groups(GROUPS).map(|setting| setting.flag(dash_h)));
        if !dash_h {
            return command;
        }
        let help = Arg::new("help").long("help").action(ArgAction::Help).help("Print help (-h is the hostfile)");
        command.disable_help_flag(true).arg(help)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const GROUPS: u32> FromArgMatches for Given<GROUPS> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = of_groups(GROUPS).filter_map(|s| Some((s.name.to_owned(), s.given(matches)?)));
        Ok(Given(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.extend(Self::from_arg_matches(matches)?.0);
        Ok(())
    }
}
