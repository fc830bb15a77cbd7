//! The partitions that one worker reads.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use citystream_dataflows::time::bindings::{NextOffset, Partition};
use citystream_wire::PerTopic;

use super::JsonlOptions;
use super::envelope::Format;
use super::tail::Tail;
use crate::source::{Reader, Record, SourceError};

/// Reads partitions of a directory of JSON lines.
pub struct JsonlReader {
    options: JsonlOptions,
    formats: PerTopic<Format>,
    tails: BTreeMap<Partition, Tail>,
}

impl JsonlReader {
    /// A reader without partitions.
    pub fn new(options: JsonlOptions) -> Self {
        JsonlReader { formats: PerTopic::new(|topic| Format::of(&options, topic)), options, tails: BTreeMap::new() }
    }
}

impl Reader for JsonlReader {
    fn add(&mut self, partition: Partition, next: NextOffset) -> Result<(), SourceError> {
        let tail = Tail::open(self.options.path(partition), next, &self.formats[partition.topic])?;
        self.tails.insert(partition, tail);
        Ok(())
    }

    fn poll(
        &mut self,
        partition: Partition,
        take: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), SourceError> {
        self.tails.get_mut(&partition).map_or(Ok(()), |tail| tail.poll(&self.formats[partition.topic], take))
    }

    fn drained(&mut self, partition: Partition) -> bool {
        self.tails.get_mut(&partition).is_some_and(Tail::drained)
    }

    fn caught_up(&mut self, partition: Partition) -> bool {
        self.tails.get_mut(&partition).is_some_and(Tail::caught_up)
    }

    fn end(&self, partition: Partition) -> Option<NextOffset> {
        self.tails.get(&partition).and_then(Tail::end)
    }
}
