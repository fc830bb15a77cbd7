//! The source that a configuration names.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::config::{Config, SourceConfig};
use crate::lake::StoreOptions;
use crate::lake::history::commit::Origin;
use crate::lake::history::settings::{RowSemantics, differences};
use crate::lake::origin::{OldLake, Options, OriginCatalog, OriginReader, SETTLED};
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
    /// Another lake, and where it is read.
    Lake(Arc<OldLake>, Handle),
}

impl Source {
    /// The source of a configuration. A lake is opened, where I/O runs; what else there is, is opened with what reads it.
    ///
    /// # Errors
    /// Settings that the source does not take; a lake that cannot be a source.
    pub fn new(config: &Config, runtime: &Handle) -> Result<Source, SourceError> {
        match &config.source {
            SourceConfig::Kafka => {
                let catalog = KafkaCatalog::connect(kafka_settings(config))?;
                Ok(Source::Kafka(Arc::new(catalog)))
            }
            SourceConfig::Dir { path, event_clock } => {
                let options = JsonlOptions::new(path.clone(), config.topics.clone(), *event_clock);
                Ok(Source::Dir(options.timezone(config.zone.clone())))
            }
            SourceConfig::Lake { location, .. } => {
                let options = Options {
                    location: location.clone(),
                    store: store_options(config),
                    into: config.lake.clone(),
                    log_clock: config.source.log_clock(),
                    accept_loss: config.accept_loss,
                    follows: !config.until_drained,
                    settled: SETTLED,
                };
                Ok(Source::Lake(runtime.block_on(OldLake::open(&options))?, runtime.clone()))
            }
        }
    }

    /// Bytes of a budget that the source's own queues may take in this process.
    pub fn queues(&self, budget: u64) -> u64 {
        match self {
            Source::Kafka(_) | Source::Lake(..) => budget / 4,
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
            Source::Lake(old, runtime) => Box::new(OriginReader::new(Arc::clone(old), runtime.clone(), queue)),
        })
    }

    /// What there is to read.
    pub fn catalog(&self) -> Arc<dyn Catalog> {
        match self {
            Source::Kafka(catalog) => Arc::<KafkaCatalog>::clone(catalog),
            Source::Dir(options) => Arc::new(JsonlCatalog::new(options.clone())),
            Source::Lake(old, runtime) => Arc::new(OriginCatalog::new(Arc::clone(old), runtime.clone())),
        }
    }

    /// The run is over.
    pub fn close(&self) {
        if let Source::Lake(old, _) = self {
            old.close();
        }
    }

    /// What goes wrong with brokers; `None` where there are none.
    pub fn counts(&self) -> Option<Counts> {
        match self {
            Source::Kafka(catalog) => Some(catalog.settings().counts.clone()),
            Source::Dir(_) | Source::Lake(..) => None,
        }
    }

    /// The lake that is read, as it stands, for the first commit to name.
    pub fn origin(&self) -> Option<Origin> {
        match self {
            Source::Lake(old, _) => old.origin(),
            Source::Kafka(_) | Source::Dir(_) => None,
        }
    }

    /// What the user should know about the log before it is read into a lake that is made for this, one line each.
    pub fn warnings(&self, semantics: &RowSemantics) -> Vec<String> {
        match self {
            Source::Kafka(catalog) => {
                catalog.timestamp_warnings(semantics.time.lateness / 1000).unwrap_or_else(|error| {
                    vec![format!("whether producers' timestamps are bounded could not be asked: {error}")]
                })
            }
            Source::Dir(options) if options.has_event_clock() => vec![
                "the log clock is the records' own event time: one wrong time in the archive makes what follows it late"
                    .to_owned(),
            ],
            Source::Dir(_) => Vec::new(),
            Source::Lake(old, _) => {
                let differ = old.semantics().map(|old| differences(old, semantics)).unwrap_or_default();
                let text = || format!("the lake that is read was made with other settings: {}", differ.join("; "));
                (!differ.is_empty()).then(text).into_iter().collect()
            }
        }
    }
}

/// How a configuration reaches the stores of lakes.
pub fn store_options(config: &Config) -> StoreOptions {
    StoreOptions {
        endpoint: config.s3_endpoint.clone(),
        region: config.s3_region.clone(),
        keys: config.s3_credentials.clone(),
        virtual_hosted: false,
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
