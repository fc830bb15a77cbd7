//! Kafka as a source: one [`KafkaReader`] per worker, one [`KafkaCatalog`] per process.
//!
//! Partitions are assigned by id and never by a group's rebalance; the consumer group exists for lag tools only.
//! Transport errors are retried for ever and logged; what cannot heal is a [`SourceError`](super::SourceError).

mod admin;
mod catalog;
mod context;
mod counts;
mod errors;
mod identity;
mod leader;
mod offsets;
mod patience;
mod probe;
mod queue;
mod rarely;
mod reader;
mod settings;
mod timestamps;
mod topic_id;
pub mod topics;
mod watched;

pub use catalog::KafkaCatalog;
pub use counts::Counts;
pub use rarely::Rarely;
pub use reader::KafkaReader;
pub use settings::{FULL_QUEUE, KafkaSettings};
