//! `citystream topics`: the five topics on the broker.

use clap::Subcommand;
use serde_json::json;

use super::load;
use super::out::say;
use crate::config::Given;
use crate::config::groups::{GROUP, KAFKA, TOPICS};
use crate::error::RunError;
use crate::process::source::kafka_settings;
use crate::source::kafka::KafkaCatalog;
use crate::source::kafka::topics::{self, PartitionStatus};
use crate::units;

/// Commands on topics.
#[derive(Debug, Subcommand)]
pub enum TopicsCommand {
    /// Create the five topics; those that exist are left alone.
    #[command(after_help = CREATE)]
    Create {
        /// Partitions of each topic.
        #[arg(long, value_name = "NUMBER", default_value = "4", value_parser = partitions)]
        partitions: i32,
        /// For simulated time: the producer's timestamps, and no retention.
        #[arg(long)]
        simulated: bool,
        /// Settings.
        #[command(flatten)]
        settings: Given<{ KAFKA | TOPICS }>,
    },
    /// Show offsets, lag and identity of every partition.
    #[command(after_help = STATUS)]
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Settings.
        #[command(flatten)]
        settings: Given<{ KAFKA | TOPICS | GROUP }>,
    },
}

/// Shown below the help of `topics`, and of each of its commands.
pub const EXAMPLES: &str = "\
Examples:
  citystream topics create --bootstrap-servers HOST:9092
  citystream topics status --bootstrap-servers HOST:9092";

const CREATE: &str = "\
Examples:
  citystream topics create --bootstrap-servers HOST:9092 --partitions 8
  citystream topics create --simulated         for `citystream simulate`

The broker sets the records' log time (LogAppendTime); with --simulated the
producer does.";

const STATUS: &str = "\
Examples:
  citystream topics status --bootstrap-servers HOST:9092
  citystream topics status --group citystream --json | jq '.[].lag'";

fn partitions(text: &str) -> Result<i32, &'static str> {
    let number = units::count::<u32>(text)?;
    i32::try_from(number).ok().filter(|number| *number > 0).ok_or("a topic has at least 1 partition")
}

/// Does what the command says.
pub fn topics(command: TopicsCommand, file: Option<&str>) -> Result<i32, RunError> {
    match command {
        TopicsCommand::Create { partitions, simulated, settings } => {
            let config = load(&settings, file)?;
            for topic in topics::create(&kafka_settings(&config), partitions, simulated)? {
                let done = if topic.created { "created" } else { "was there" };
                say!("{:<24} {done}", topic.name);
            }
        }
        TopicsCommand::Status { json, settings } => {
            let config = load(&settings, file)?;
            let status = topics::status(&KafkaCatalog::connect(kafka_settings(&config))?)?;
            if json {
                say!("{}", serde_json::Value::from_iter(status.iter().map(as_json)));
            } else {
                table(&status);
            }
        }
    }
    Ok(0)
}

fn as_json(line: &PartitionStatus) -> serde_json::Value {
    json!({
        "topic": line.name, "id": line.topic_id, "partition": line.partition.map(|p| p.0),
        "low": line.partition.map(|p| p.1.0), "end": line.partition.map(|p| p.2.0),
        "group": line.group.map(|g| g.0), "lag": line.lag,
        "timestamps": line.timestamps.as_ref().map(|t| t.kind.as_str()),
    })
}

fn table(status: &[PartitionStatus]) {
    say!("{:<20} {:>9} {:>12} {:>12} {:>12} {:>10}  timestamps", "topic", "partition", "first", "end", "group", "lag");
    for line in status {
        let Some((partition, low, end)) = line.partition else {
            say!("{:<20} missing: `citystream topics create` makes it", line.name);
            continue;
        };
        let or_dash = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |v| v.to_string());
        say!(
            "{:<20} {partition:>9} {:>12} {:>12} {:>12} {:>10}  {}",
            line.name,
            low.0,
            end.0,
            or_dash(line.group.map(|g| g.0)),
            or_dash(line.lag),
            line.timestamps.as_ref().map_or("-", |t| t.kind.as_str())
        );
    }
}
