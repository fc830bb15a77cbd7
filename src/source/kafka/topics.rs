//! The topics themselves: `topics create`, `topics status`, and who sets their timestamps.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::Thread;

use citystream_dataflows::bindings::{NextOffset, Partition, Topic};
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;

use super::super::{Catalog, SourceError};
use super::catalog::{KafkaCatalog, TIMEOUT};
use super::context::Context;
use super::errors;
use super::settings::KafkaSettings;

/// What [`create`] did for one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The topic's name.
    pub name: String,
    /// Whether it was made now; otherwise it was there, and is as it was.
    pub created: bool,
}

/// Who sets the timestamps of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timestamps {
    /// `LogAppendTime` or `CreateTime`; empty if the broker does not say.
    pub kind: String,
    /// How far, in milliseconds, a producer's timestamp may run ahead; `None` if the broker does not say.
    pub after_max_ms: Option<i64>,
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
        return Err(SourceError::Unusable(format!("topics create: {partitions} partitions: give at least 1")));
    }
    let config: &[(&str, &str)] = if simulated {
        &[("message.timestamp.type", "CreateTime"), ("retention.ms", "-1"), ("retention.bytes", "-1")]
    } else {
        &[("message.timestamp.type", "LogAppendTime")]
    };
    let admin = admin(settings)?;
    let new: Vec<_> = settings
        .topics
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
    KafkaCatalog::connect(settings.clone())?.wait_for_topics()?;
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

/// The state of every partition of the five topics, in order; a missing topic is a line without a partition.
pub fn status(catalog: &KafkaCatalog) -> Result<Vec<PartitionStatus>, SourceError> {
    let described = catalog.describe()?;
    let settings = catalog.settings();
    let there: Vec<_> = described.iter().filter(|d| d.error.is_none()).map(|d| d.name.as_str()).collect();
    let timestamps = timestamps(settings, &there)?;
    let mut partitions = Vec::new();
    for (topic, described) in Topic::ALL.into_iter().zip(&described) {
        partitions.extend(described.partitions.iter().map(|index| Partition { topic, index: *index }));
    }
    let ranges = catalog.ranges(&partitions)?;
    let group = catalog.group_offsets(&partitions)?;
    let mut lines = Vec::new();
    for (topic, described) in Topic::ALL.into_iter().zip(&described) {
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

/// See [`KafkaCatalog::timestamp_warnings`].
pub(super) fn timestamp_warnings(settings: &KafkaSettings, lateness_ms: i64) -> Result<Vec<String>, SourceError> {
    let names: Vec<_> = settings.topics.iter().map(String::as_str).collect();
    let timestamps = timestamps(settings, &names)?;
    Ok(names.into_iter().zip(&timestamps).filter_map(|(name, t)| warning(name, t, lateness_ms)).collect())
}

fn warning(name: &str, timestamps: &Timestamps, lateness_ms: i64) -> Option<String> {
    if timestamps.kind != "CreateTime" || timestamps.after_max_ms.is_some_and(|ms| ms <= lateness_ms) {
        return None;
    }
    let bound = match timestamps.after_max_ms {
        Some(ms) if ms < i64::MAX => format!("may run {ms} ms ahead"),
        _ => "may run ahead without bound".into(),
    };
    Some(format!(
        "topic `{name}`: its producers set the timestamps (CreateTime), which {bound}: one wrong clock can make other \
         records late; set message.timestamp.type=LogAppendTime or message.timestamp.after.max.ms<={lateness_ms}"
    ))
}

/// Who sets the timestamps of `names`, in their order.
fn timestamps(settings: &KafkaSettings, names: &[&str]) -> Result<Vec<Timestamps>, SourceError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let admin = admin(settings)?;
    let specifiers: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let what = "the configuration of the topics";
    let failed = |e| errors::asking(what, &e, settings, admin.inner().context());
    let results = block_on(admin.describe_configs(&specifiers, &options)).map_err(failed)?;
    results
        .into_iter()
        .map(|result| {
            result.map(|resource| read_timestamps(&resource)).map_err(|code| {
                SourceError::Unusable(format!("kafka at {}: {what}: {code}", settings.bootstrap_servers))
            })
        })
        .collect()
}

fn read_timestamps(resource: &ConfigResource) -> Timestamps {
    let value = |name| resource.get(name).and_then(|entry| entry.value.as_deref());
    Timestamps {
        kind: value("message.timestamp.type").unwrap_or_default().to_string(),
        // Brokers before 3.6 have one bound for both directions.
        after_max_ms: value("message.timestamp.after.max.ms")
            .or_else(|| value("message.timestamp.difference.max.ms"))
            .and_then(|v| v.parse().ok()),
    }
}

fn admin(settings: &KafkaSettings) -> Result<AdminClient<Context>, SourceError> {
    settings.admin_config().create_with_context(Context::default()).map_err(errors::client)
}

/// Waits for a future on this thread: all that the few admin calls need, inside a runtime or not.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut TaskContext::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str, after_max_ms: Option<i64>) -> Timestamps {
        Timestamps { kind: kind.into(), after_max_ms }
    }

    #[test]
    fn only_producers_clocks_without_a_bound_are_warned_about() {
        assert!(warning("t", &of("LogAppendTime", Some(i64::MAX)), 600_000).is_none());
        assert!(warning("t", &of("CreateTime", Some(600_000)), 600_000).is_none());
        assert!(warning("t", &of("CreateTime", Some(600_001)), 600_000).is_some_and(|w| w.contains("600001 ms")));
        assert!(warning("t", &of("CreateTime", Some(i64::MAX)), 600_000).is_some_and(|w| w.contains("without bound")));
        assert!(warning("t", &of("CreateTime", None), 600_000).is_some());
    }

    #[test]
    fn waiting_for_a_future_sees_a_wake_from_another_thread() {
        let (sender, receiver) = futures::channel::oneshot::channel();
        let thread = std::thread::spawn(move || sender.send(7));
        assert_eq!(block_on(receiver), Ok(7));
        assert!(thread.join().is_ok());
    }
}
