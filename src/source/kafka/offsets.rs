//! One question to the leaders for the first or end offsets of many partitions.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::context::Context;

/// Which offset of a partition is asked for.
#[derive(Clone, Copy)]
pub(super) enum Which {
    /// The first that can still be read.
    First,
    /// The end: under `read_committed` the last stable offset.
    End,
}

/// The offsets of `partitions` (topic name, index; no duplicates), in their order, from their leaders.
///
/// One request a leader; blocks at most `timeout`; all or nothing.
pub(super) fn list(
    consumer: &BaseConsumer<Context>,
    partitions: &[(&str, i32)],
    which: Which,
    timeout: Duration,
) -> KafkaResult<Vec<i64>> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    // ListOffsets takes -1 (latest) and -2 (earliest) where it takes a time; so does this call, one for one.
    let wanted = match which {
        Which::First => Offset::Beginning,
        Which::End => Offset::End,
    };
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for (topic, index) in partitions {
        asked.add_partition_offset(topic, *index, wanted)?;
    }
    let answer = consumer.offsets_for_times(asked, timeout)?;
    partitions.iter().map(|(topic, index)| one(&answer, topic, *index)).collect()
}

fn one(answer: &TopicPartitionList, topic: &str, index: i32) -> KafkaResult<i64> {
    let unknown = KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition);
    let element = answer.find_partition(topic, index).ok_or(unknown)?;
    element.error()?;
    match element.offset() {
        Offset::Offset(offset) => Ok(offset),
        // Still the question: no leader has answered it.
        _ => Err(KafkaError::OffsetFetch(RDKafkaErrorCode::OperationTimedOut)),
    }
}
