//! What a user sets for Kafka, and the client configurations made of it.

use std::time::Duration;

use citystream_dataflows::time::bindings::{Partition, Topic};
use citystream_wire::PerTopic;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

use super::super::SourceError;
use super::counts::Counts;
use super::rarely::Rarely;

/// How long one question to the cluster may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// What correctness needs of a consumer; a user cannot change it.
const FIXED: &[(&str, &str)] = &[
    // Offsets are committed by the lake; the group only reports them.
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // Nothing of an aborted or open transaction is read.
    ("isolation.level", "read_committed"),
    // The end of a partition stands in its queue behind its last record: what `drained` rests on.
    ("enable.partition.eof", "true"),
    // A lost offset is an error, never a silent jump.
    ("auto.offset.reset", "error"),
    // A missing topic is said, never made.
    ("allow.auto.create.topics", "false"),
];

/// Settings that belong to the bindings of librdkafka or to a flag of their own.
const RESERVED: &[&str] =
    &["bootstrap.servers", "metadata.broker.list", "enabled_events", "log.queue", "group.instance.id", "opaque"];

/// The memory of a partition's full queue that is as large as is of use.
pub const FULL_QUEUE: u64 = 16 << 20;

/// Defaults of a reader; a user may change them.
const READER: &[(&str, &str)] = &[
    ("queued.min.messages", "20000"),
    ("fetch.max.bytes", "16777216"),
    // A full queue is looked at again after this long. The library's 1 s would cap a partition at 4 MiB/s.
    ("fetch.queue.backoff.ms", "5"),
    // A fetch that waits at the end of idle partitions holds up those whose queue has just been emptied.
    ("fetch.wait.max.ms", "50"),
    ("fetch.error.backoff.ms", "100"),
    // A torn record is an error, not data; hardware CRC32C costs under 1 %.
    ("check.crcs", "true"),
];

/// Defaults of every client; a user may change them.
const COMMON: &[(&str, &str)] = &[
    ("client.id", "citystream"),
    ("socket.keepalive.enable", "true"),
    ("socket.nagle.disable", "true"),
    // A broker that comes back is found within a second; the library's default is 10 s.
    ("reconnect.backoff.max.ms", "1000"),
    // A topic added or a leader moved is seen within this.
    ("topic.metadata.refresh.interval.ms", "30000"),
];

/// How to reach Kafka. Holds secrets: it has no `Debug`.
#[derive(Clone)]
pub struct KafkaSettings {
    /// `host:port[,host:port...]`.
    pub bootstrap_servers: String,
    /// What the user calls the setting that says so.
    pub bootstrap_servers_name: String,
    /// The names of the topics.
    pub topics: PerTopic<String>,
    /// The consumer group that offsets are reported to.
    pub group: String,
    /// librdkafka settings (`--kafka key=value`), applied over the defaults, in order.
    pub extra: Vec<(String, String)>,
    /// Where all clients say that a broker is away.
    pub log: Rarely,
    /// Where all clients count what goes wrong.
    pub counts: Counts,
}

impl KafkaSettings {
    /// Settings for one address with everything else by default.
    pub fn new(bootstrap_servers: impl Into<String>, topics: PerTopic<String>) -> Self {
        let bootstrap_servers = bootstrap_servers.into();
        KafkaSettings {
            bootstrap_servers,
            bootstrap_servers_name: "--bootstrap-servers".into(),
            topics,
            group: "citystream".into(),
            extra: Vec::new(),
            log: Rarely::default(),
            counts: Counts::default(),
        }
    }

    /// The broker's name of a topic.
    pub fn name(&self, topic: Topic) -> &str {
        &self.topics[topic]
    }

    /// `name/index`, as a partition is shown to people.
    pub fn show(&self, partition: Partition) -> String {
        format!("{}/{}", self.name(partition.topic), partition.index)
    }

    /// Refuses what cannot work before any client is made: one line for the first fault.
    pub fn check(&self) -> Result<(), SourceError> {
        let names = self.topics.values();
        for (i, name) in names.iter().enumerate() {
            if names[..i].contains(name) {
                return Err(SourceError::Mistaken(format!("kafka: two topics are called `{name}`: give each its own")));
            }
        }
        for (key, _) in &self.extra {
            if let Some((_, value)) = FIXED.iter().find(|(fixed, _)| fixed == key) {
                return Err(SourceError::Mistaken(format!(
                    "--kafka {key}: must stay `{value}`, exactly-once needs it; remove the setting"
                )));
            }
            if RESERVED.contains(&key.as_str()) {
                return Err(SourceError::Mistaken(format!("--kafka {key}: is set by citystream; remove the setting")));
            }
        }
        Ok(())
    }

    /// The group: the setting, unless `--kafka group.id=` names another.
    pub fn group(&self) -> &str {
        self.extra.iter().rev().find(|(k, _)| k == "group.id").map_or(&self.group, |(_, v)| v)
    }

    /// The configuration of a reading client: each of its partitions has a queue of its own, of at most `queue` bytes.
    ///
    /// A queue is filled while its records' bytes are below a bound, by at most one (compressed) fetch more, and each record
    /// takes some 350 B beside its own. Measured with records of 250 B in 80 partitions: four times the bound. A batch comes
    /// whole, so a queue holds one of the log's batches in any case (at most a topic's `max.message.bytes`).
    pub(super) fn reader_config(&self, queue: u64) -> ClientConfig {
        let bound = (queue / 4).clamp(16 << 10, 4 << 20);
        let fetch = (bound / 4).max(16 << 10).to_string();
        let bound = (bound >> 10).to_string();
        let sizes = [("queued.max.messages.kbytes", &*bound), ("max.partition.fetch.bytes", &*fetch)];
        self.config(&[&sizes, READER, FIXED])
    }

    /// The configuration of the client that asks for metadata and offsets.
    pub(super) fn control_config(&self) -> ClientConfig {
        self.config(&[FIXED])
    }

    /// The configuration of the client that asks for the ends of partitions. It has no partition itself, so what it tells of itself
    /// is little.
    pub(super) fn prober_config(&self) -> ClientConfig {
        self.config(&[FIXED, &[("statistics.interval.ms", "5000")]])
    }

    /// The configuration of the client that creates topics: a producer to librdkafka.
    pub(super) fn admin_config(&self) -> ClientConfig {
        let mut config = self.config(&[]);
        config.remove("group.id");
        config
    }

    fn config(&self, parts: &[&[(&str, &str)]]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Warning);
        for (key, value) in COMMON.iter().chain(parts.iter().copied().flatten()) {
            config.set(*key, *value);
        }
        config.set("bootstrap.servers", &self.bootstrap_servers).set("group.id", &self.group);
        for (key, value) in &self.extra {
            config.set(key, value);
        }
        config
    }
}

/// Whether a setting's value must not be shown.
pub(super) fn is_secret(key: &str) -> bool {
    ["password", "secret", "pem", "jaas", "token", "oauthbearer.config", "key.location"].iter().any(|s| key.contains(s))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(extra: &[(&str, &str)]) -> KafkaSettings {
        let topics = PerTopic::new(|t| t.name().to_string());
        let mut settings = KafkaSettings::new("127.0.0.1:9092", topics);
        settings.extra = extra.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        settings
    }

    #[test]
    fn what_correctness_needs_cannot_be_overridden() {
        for (key, _) in FIXED {
            let error = settings(&[(key, "x")]).check().expect_err("refused").to_string();
            assert!(error.contains(key) && !error.contains('\n'), "{error}");
        }
        assert!(settings(&[("fetch.wait.max.ms", "5"), ("group.id", "mine")]).check().is_ok());
    }

    #[test]
    fn a_users_setting_wins_over_a_default() {
        let settings = settings(&[("fetch.wait.max.ms", "7"), ("group.id", "mine")]);
        let config = settings.reader_config(FULL_QUEUE);
        assert_eq!(config.get("fetch.wait.max.ms"), Some("7"));
        assert_eq!(config.get("isolation.level"), Some("read_committed"));
        assert_eq!(settings.group(), "mine");
    }

    #[test]
    fn queues_are_as_large_as_their_share() {
        let sizes = |queue| {
            let config = settings(&[]).reader_config(queue);
            ["queued.max.messages.kbytes", "max.partition.fetch.bytes"]
                .map(|key| config.get(key).unwrap_or_default().to_owned())
        };
        assert_eq!(sizes(FULL_QUEUE), ["4096", "1048576"]);
        assert_eq!(sizes(u64::from(u32::MAX)), ["4096", "1048576"]);
        assert_eq!(sizes(1 << 20), ["256", "65536"]);
        assert_eq!(sizes(0), ["16", "16384"]);
    }

    #[test]
    fn two_topics_of_one_name_are_refused() {
        let mut settings = settings(&[]);
        settings.topics[Topic::WEATHER] = settings.topics[Topic::GPS].clone();
        assert!(settings.check().is_err());
    }

    #[test]
    fn the_library_knows_every_default() {
        use rdkafka::consumer::{BaseConsumer, Consumer};
        let consumer: BaseConsumer = settings(&[]).reader_config(FULL_QUEUE).create().expect("a valid configuration");
        assert!(consumer.assignment().is_ok());
    }
}
