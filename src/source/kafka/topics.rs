//! The topics themselves: `topics create` and `topics status`.

use citystream_dataflows::time::bindings::{NextOffset, Partition, Topic};
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;

use super::super::{Catalog, SourceError};
use super::admin::{admin, block_on};
use super::catalog::KafkaCatalog;
use super::errors;
use super::settings::{KafkaSettings, TIMEOUT};
use super::timestamps::{Timestamps, timestamps};

/// What [`create`] did for one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The topic's name.
    pub name: String,
    /// Whether it was made now; otherwise it was there, and is as it was.
    pub created: bool,
}

/// One partition in `topics status`; for a missing topic one with no partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionStatus {
    /// The topic.
    pub topic: Topic,
    /// Its name.
    pub name: String,
    /// Its id; empty if it is missing.
    pub topic_id: String,
    /// Who sets its timestamps, if it is there.
    pub timestamps: Option<Timestamps>,
    /// The partition with its first and end offset; `None` if the topic is missing.
    pub partition: Option<(i32, NextOffset, NextOffset)>,
    /// The next offset reported to the consumer group.
    pub group: Option<NextOffset>,
    /// Offsets from there (or from the first) to the end.
    pub lag: Option<i64>,
}

/// Creates the topics that are missing, with `partitions` each, and waits until they can be used.
///
/// The broker sets their timestamps (`LogAppendTime`), which bounds wrong clocks. `simulated`: the producer does,
/// and nothing expires, for simulated time that starts in the past.
pub fn create(settings: &KafkaSettings, partitions: i32, simulated: bool) -> Result<Vec<Created>, SourceError> {
    settings.check()?;
    if partitions < 1 {
        return Err(SourceError::Mistaken(format!("topics create: {partitions} partitions: give at least 1")));
    }
    let config: &[(&str, &str)] = if simulated {
        &[("message.timestamp.type", "CreateTime"), ("retention.ms", "-1"), ("retention.bytes", "-1")]
    } else {
        &[("message.timestamp.type", "LogAppendTime")]
    };
    // Asked first: it says soon, and why, where no broker answers.
    let catalog = KafkaCatalog::connect(settings.clone())?;
    catalog.describe()?;
    let admin = admin(settings)?;
    let names = settings.topics.values();
    let new: Vec<_> = names
        .iter()
        .map(|name| {
            // -1: the broker's default.replication.factor.
            let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(-1));
            config.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
        })
        .collect();
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT));
    let results = block_on(admin.create_topics(&new, &options))
        .map_err(|e| errors::asking("the creation of topics", &e, settings, admin.inner().context()))?;
    let created = results.into_iter().map(|result| outcome(result, settings)).collect::<Result<_, _>>()?;
    // Brokers learn of new topics a little later; whoever starts next must find them.
    catalog.wait_for_topics()?;
    Ok(created)
}

fn outcome(
    result: Result<String, (String, RDKafkaErrorCode)>,
    settings: &KafkaSettings,
) -> Result<Created, SourceError> {
    match result {
        Ok(name) => Ok(Created { name, created: true }),
        Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(Created { name, created: false }),
        Err((name, code)) => Err(SourceError::Unusable(format!(
            "kafka at {}: topic `{name}` cannot be created: {code}",
            settings.bootstrap_servers
        ))),
    }
}

/// The state of every partition of all topics, in order; a missing topic is a line without a partition.
pub fn status(catalog: &KafkaCatalog) -> Result<Vec<PartitionStatus>, SourceError> {
    let described = catalog.describe()?;
    let settings = catalog.settings();
    let there: Vec<_> = described.iter().filter(|d| d.error.is_none()).map(|d| d.name.as_str()).collect();
    let timestamps = timestamps(settings, &there)?;
    let mut partitions = Vec::new();
    for (topic, described) in Topic::all().zip(&described) {
        partitions.extend(described.partitions.iter().map(|index| Partition { topic, index: *index }));
    }
    let ranges = catalog.ranges(&partitions)?;
    let group = catalog.group_offsets(&partitions)?;
    let mut lines = Vec::new();
    for (topic, described) in Topic::all().zip(&described) {
        let blank = PartitionStatus {
            topic,
            name: settings.name(topic).to_string(),
            topic_id: described.id.clone(),
            timestamps: there.iter().position(|n| *n == described.name).map(|i| timestamps[i].clone()),
            partition: None,
            group: None,
            lag: None,
        };
        if described.partitions.is_empty() {
            lines.push(blank.clone());
        }
        for (partition, (low, high)) in partitions.iter().zip(&ranges).filter(|(p, _)| p.topic == topic) {
            let group = group.iter().find(|(p, _)| p == partition).map(|(_, next)| *next);
            let lag = (high.0 - group.unwrap_or(*low).0.max(low.0)).max(0);
            let partition = Some((partition.index, *low, *high));
            lines.push(PartitionStatus { partition, group, lag: Some(lag), ..blank.clone() });
        }
    }
    Ok(lines)
}
