//! The source that a configuration names.

use std::sync::Arc;

use citystream_dataflows::time::Micros;

use crate::config::{Config, SourceConfig};
use crate::source::jsonl::{JsonlCatalog, JsonlOptions, JsonlReader};
use crate::source::kafka::{Counts, KafkaCatalog, KafkaSettings, Rarely};
use crate::source::{Catalog, Reader, SourceError};

/// A source that can be opened, any number of times, on any thread.
#[derive(Clone)]
pub enum Source {
    /// Kafka: one catalog a process, which also makes the readers.
    Kafka(Arc<KafkaCatalog>),
    /// A directory of JSON lines.
    Dir(JsonlOptions),
}

impl Source {
    /// The source of a configuration, not opened yet.
    ///
    /// # Errors
    /// Settings that the source does not take.
    pub fn new(config: &Config) -> Result<Source, SourceError> {
        match &config.source {
            SourceConfig::Kafka => {
                let catalog = KafkaCatalog::connect(kafka_settings(config))?;
                Ok(Source::Kafka(Arc::new(catalog)))
            }
            SourceConfig::Dir { path, event_clock } => {
                let options = JsonlOptions::new(path.clone(), config.topics.clone(), *event_clock);
                Ok(Source::Dir(options.timezone(config.zone.clone())))
            }
        }
    }

    /// Bytes of a budget that the source's own queues may take in this process.
    pub fn queues(&self, budget: u64) -> u64 {
        match self {
            Source::Kafka(_) => budget / 4,
            Source::Dir(_) => 0,
        }
    }

    /// One worker's reader, whose queues take at most `queue` bytes for each partition.
    ///
    /// # Errors
    /// The source's, in one line.
    pub fn reader(&self, queue: u64) -> Result<Box<dyn Reader>, SourceError> {
        Ok(match self {
            Source::Kafka(catalog) => Box::new(catalog.reader(queue)?),
            Source::Dir(options) => Box::new(JsonlReader::new(options.clone())),
        })
    }

    /// What there is to read.
    pub fn catalog(&self) -> Arc<dyn Catalog> {
        match self {
            Source::Kafka(catalog) => Arc::<KafkaCatalog>::clone(catalog),
            Source::Dir(options) => Arc::new(JsonlCatalog::new(options.clone())),
        }
    }

    /// What goes wrong with brokers; `None` where there are none.
    pub fn counts(&self) -> Option<Counts> {
        match self {
            Source::Kafka(catalog) => Some(catalog.settings().counts.clone()),
            Source::Dir(_) => None,
        }
    }

    /// What the user should know about the log before it is read, one line each.
    pub fn warnings(&self, lateness: Micros) -> Vec<String> {
        match self {
            Source::Kafka(catalog) => catalog.timestamp_warnings(lateness / 1000).unwrap_or_else(|error| {
                vec![format!("whether producers' timestamps are bounded could not be asked: {error}")]
            }),
            Source::Dir(options) if options.has_event_clock() => vec![
                "the log clock is the records' own event time: one wrong time in the archive makes what follows it late"
                    .to_owned(),
            ],
            Source::Dir(_) => Vec::new(),
        }
    }
}

/// How a configuration reaches Kafka.
pub fn kafka_settings(config: &Config) -> KafkaSettings {
    KafkaSettings {
        bootstrap_servers: config.bootstrap_servers.clone(),
        bootstrap_servers_name: config.bootstrap_servers_name.clone(),
        topics: config.topics.clone(),
        group: config.group.clone(),
        extra: config.kafka.clone(),
        log: Rarely::default(),
        counts: Counts::default(),
    }
}
