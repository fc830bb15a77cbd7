//! The command line: structures only. Values are checked in [`config`](crate::config), which also reads the
//! environment and `citystream.toml`.

mod feed;
mod simulate;
mod topics;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;

pub use feed::{ApiArgs, FeedArgs};
pub use simulate::{EffectArgs, SimulateArgs, TroubleArgs};
pub use topics::TopicArgs;

/// Five Kafka topics in; correct, explainable tables out, committed atomically.
#[derive(Debug, Parser)]
#[command(name = "citystream", version, disable_help_flag = true, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Print help.
    #[arg(long, global = true, action = clap::ArgAction::Help)]
    pub help: Option<bool>,
    /// Settings file (default: citystream.toml, where there is one).
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  citystream demo                                        everything in one process, no server needed
  citystream topics create --bootstrap-servers HOST:9092
  citystream run --lake s3://bucket/city --bootstrap-servers HOST:9092 -w 2
  citystream run -n 2 -w 2 -p 0 -h hosts.txt             process 0 of 2, two workers each
  citystream lake status --lake ./lake --json

Every setting --some-name can also be CITYSTREAM_SOME_NAME or `some-name = \"...\"` in citystream.toml.
Exit codes: 0 done, 1 error, 2 usage, 3 replaced by another run, 4 peer lost, 5 integrity, 6 source lost, 7 timed out.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Simulator, pipeline and lake in one process, without any server.
    Demo {
        /// Demo settings.
        #[command(flatten)]
        demo: DemoArgs,
        /// Settings.
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Run the pipeline: this process, of a cluster or alone.
    Run {
        /// Settings.
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Send the records of a simulated city to a directory or to Kafka, and tell the truth about them.
    #[command(after_help = simulate::EXAMPLES)]
    Simulate {
        /// Simulator settings.
        #[command(flatten)]
        simulate: Box<SimulateArgs>,
        /// Settings.
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Produce what live APIs tell of cameras, weather stations and emergency services, to Kafka or a directory.
    #[command(after_help = feed::EXAMPLES)]
    Feed {
        /// Feed settings.
        #[command(flatten)]
        feed: Box<FeedArgs>,
        /// Settings.
        #[command(flatten, next_help_heading = "Settings")]
        settings: Box<Settings>,
    },
    /// Look after a lake.
    Lake {
        /// What to do.
        #[command(subcommand)]
        command: LakeCommand,
    },
    /// Look after the five topics.
    Topics {
        /// What to do.
        #[command(subcommand)]
        command: TopicsCommand,
    },
    /// Print the effective settings, secrets masked.
    Config {
        /// Settings.
        #[command(flatten)]
        settings: Box<Settings>,
    },
}

/// Commands on a lake.
#[derive(Debug, Subcommand)]
pub enum LakeCommand {
    /// Create the lake, and its bucket where missing, and check that the store keeps its promises.
    Init {
        /// Settings.
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Show the last commit, the positions, and the size of each table.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Settings.
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Check the promises from the lake alone; exit code 5 if one is broken.
    Verify {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Settings.
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Say why a row is what it is: its revisions, the records behind it, and the row derived once more.
    #[command(
        after_help = "Examples:\n  citystream lake explain enriched_pings:0/42\n  citystream lake explain gps/0/42 --json"
    )]
    Explain {
        /// A row, table:row_key, or a record, topic/partition/offset.
        target: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// How many records of each table to print.
        #[arg(long, value_name = "N", default_value_t = 5)]
        records: usize,
        /// Settings.
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Print what to paste into DuckDB, Polars, Spark or Athena.
    Sql {
        /// The reader: duckdb, polars or spark (Athena too).
        #[arg(long = "for", value_name = "READER", default_value = "duckdb", value_parser = ["duckdb", "polars", "spark"])]
        reader: String,
        /// Settings.
        #[command(flatten)]
        settings: Box<Settings>,
    },
}

/// Commands on topics.
#[derive(Debug, Subcommand)]
pub enum TopicsCommand {
    /// Create the five topics; those that exist are left alone.
    Create {
        /// Partitions of each topic.
        #[arg(long, default_value_t = 4)]
        partitions: i32,
        /// For simulated time: the producer's timestamps, and no retention.
        #[arg(long)]
        simulated: bool,
        /// Settings.
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Show offsets, lag and identity of every partition.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Settings.
        #[command(flatten)]
        settings: Box<Settings>,
    },
}

/// What `demo` adds.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where the demo keeps its log and its lake.
    #[arg(long, default_value = "demo")]
    pub dir: String,
    /// Vehicles; each reports five records every 30 to 60 s of simulated time.
    #[arg(long, default_value_t = 750)]
    pub vehicles: u32,
    /// Stop by itself after this long, such as 30s.
    #[arg(long, value_name = "TIME")]
    pub duration: Option<String>,
}

/// Settings as given: text, unchecked. Names are those of the flags.
#[derive(Clone, Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Settings")]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// The lake: a directory or s3://bucket/prefix [default: lake].
    #[arg(long, value_name = "WHERE")]
    pub lake: Option<String>,
    /// The source: kafka, or dir:PATH of JSON lines [default: kafka].
    #[arg(long, value_name = "WHERE")]
    pub source: Option<String>,
    /// Kafka's addresses [default: 127.0.0.1:9092].
    #[arg(long, value_name = "HOST:PORT,..")]
    pub bootstrap_servers: Option<String>,
    /// A librdkafka setting; may be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kafka: Vec<String>,
    /// Consumer group that lag tools see [default: citystream].
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// Where a new lake starts: earliest, latest or group [default: earliest].
    #[arg(long, value_name = "WHERE")]
    pub from: Option<String>,
    /// Go on although records are lost: offsets that the log no longer holds, or a topic that was made anew.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub accept_loss: Option<String>,
    /// Log clock of dir: sources: log, or event for archives of bare records [default: log].
    #[arg(long, value_name = "WHAT")]
    pub log_clock: Option<String>,
    /// What the topics are called.
    #[command(flatten)]
    #[serde(flatten)]
    pub topics: TopicArgs,
    /// The tables of the lake: all, or raw for the records alone [default: all].
    #[arg(long, value_name = "WHICH")]
    pub tables: Option<String>,
    /// Time zone of timestamps without one [default: UTC].
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
    /// A record is late if the log received it more than this after the time it carries [default: 10m].
    #[arg(long, value_name = "TIME")]
    pub lateness: Option<String>,
    /// How far the horizon stays behind that [default: 2m].
    #[arg(long, value_name = "TIME")]
    pub slack: Option<String>,
    /// How far event time may run ahead of the log [default: 24h].
    #[arg(long, value_name = "TIME")]
    pub max_ahead: Option<String>,
    /// Longest record [default: 256KiB].
    #[arg(long, value_name = "BYTES")]
    pub max_record: Option<String>,
    /// Length of an epoch [default: 250ms].
    #[arg(long, value_name = "TIME")]
    pub epoch: Option<String>,
    /// Time between commits [default: 2s on a local lake, 60s on S3].
    #[arg(long, value_name = "TIME")]
    pub commit_interval: Option<String>,
    /// Bytes read and not yet committed, a process [default: 512MiB].
    #[arg(long, value_name = "BYTES")]
    pub memory: Option<String>,
    /// End once everything that is there is committed.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub until_drained: Option<String>,
    /// How often to look for new partitions [default: 10s].
    #[arg(long, value_name = "TIME")]
    pub discover_interval: Option<String>,
    /// Address of /metrics, /healthz and /readyz, or none [default: 127.0.0.1:9090 + process].
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// S3 endpoint, for stores that are not AWS.
    #[arg(long, value_name = "URL")]
    pub s3_endpoint: Option<String>,
    /// S3 region [default: us-east-1, or AWS's own settings].
    #[arg(long, value_name = "REGION")]
    pub s3_region: Option<String>,
    /// Processes of the cluster [default: 1].
    #[arg(short = 'n', long, value_name = "N")]
    pub processes: Option<String>,
    /// Worker threads of each process [default: 1].
    #[arg(short = 'w', long, value_name = "W")]
    pub workers: Option<String>,
    /// Which of the processes this is [default: 0].
    #[arg(short = 'p', long, value_name = "INDEX")]
    pub process: Option<String>,
    /// One host:port a line, in the order of the processes (help is --help).
    #[arg(short = 'h', long, value_name = "FILE")]
    pub hostfile: Option<String>,
    /// How long to wait for the other processes [default: 60s].
    #[arg(long, value_name = "TIME")]
    pub connect_timeout: Option<String>,
}
