//! citystream: five Kafka topics in; correct, explainable tables out, committed atomically.
//!
//! A record's way: `source -> columns -> pipeline -> sink -> lake`. `ARCHITECTURE.md` is the map.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod cli;
mod columns;
mod config;
mod error;
mod escape;
mod explain;
mod lake;
mod page;
mod pipeline;
mod process;
mod produce;
mod sink;
mod source;
mod spelling;
mod standing;
mod stopwatch;
mod supervise;
mod timestamps;
mod units;

pub use cli::main;

/// What tests, benches and fuzz targets take from the inside; no interface for anyone else.
#[doc(hidden)]
pub mod parts {
    pub use crate::cli::{Cli, Command};
    pub use crate::columns::decode::{DecodeOptions, Decoder, Incoming, RawBatch, Rows, raw_members};
    pub use crate::columns::extract::{Extractor, Records};
    pub use crate::columns::tables::{Batch, Table, with_schemas};
    pub use crate::columns::text_hash::TextHasher;
    pub use crate::columns::whose::Name;
    pub use crate::config::{
        Config, Effective, Keep, Settings, SettingsFile, Variables, effective, merged, parse as parse_settings,
    };
    pub use crate::lake::delta::Table as DeltaTable;
    pub use crate::lake::delta::publish::Publisher;
    pub use crate::lake::garbage::{Collection, collect as collect_garbage};
    pub use crate::lake::history::commit::{Commit, EpochBindings, File, Kind, Ledger, TidyKind};
    pub use crate::lake::history::read::{decode as decode_commit, encode as encode_commit};
    pub use crate::lake::history::requests::{Erase, Request, Wanted, all as requests, put as put_request};
    pub use crate::lake::history::roots::{files as live_files, state};
    pub use crate::lake::history::settings::{
        decode as decode_settings, differences, encode as encode_settings, read as read_settings,
    };
    pub use crate::lake::history::tidy::record;
    pub use crate::lake::history::{State, apply, check};
    pub use crate::lake::inspect::verify::verify;
    pub use crate::lake::{Clock, CommitError, Committer, Lake, StoreOptions, digest};
    pub use crate::pipeline::Run;
    pub use crate::process::metrics::Metrics;
    pub use crate::process::source::store_options;
    pub use crate::sink::compact::{Compactor, alone as compact_alone};
    pub use crate::sink::erase::alone as erase_alone;
    pub use crate::sink::retain::{Retention, retain as retain_alone};
    pub use crate::sink::tidy::Now;
    pub use crate::sink::write::{EncodedFile, Encoder, EncoderOptions, complete};
    pub use crate::source::jsonl::JsonlWriter;
    pub use crate::source::kafka::{
        FULL_QUEUE, KafkaCatalog, KafkaReader, KafkaSettings, topics::create as create_topics,
        topics::status as topic_status,
    };
    pub use crate::source::{Catalog, Reader, Record, SourceError};
}
