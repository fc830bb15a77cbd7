//! One partition's queue, read in batches. The only place where records cross from librdkafka.
//!
//! Unsafe on purpose: `rdkafka` takes one event a record from a queue (a lock, an event and an `Arc` each), and does
//! not tell the offset at which a partition ended, which `drained` rests on. Measured (`tests/kafka_speed.rs`:
//! 2,000,000 records of 300 B in 10 partitions, 2 loaded cores with the broker beside it, three alternating runs):
//! here 1.94 to 2.23 M records/s and 270 to 305 ns of CPU a record in all threads; split queues of `rdkafka` 1.26 to
//! 1.36 M/s and 410 to 450 ns; its one queue 1.17 to 1.34 M/s. Ten full, unread queues: 103 MB.
//!
//! Audit: pointers come from librdkafka and are used only while their owner lives: the queue and its messages are
//! destroyed in `Drop`, before the `Arc` of the client that they belong to; each message is destroyed exactly once,
//! when it leaves `batch[at..]`.
#![allow(unsafe_code)] // Reason: see above; nothing outside this file sees a raw pointer.

use std::ffi::{CStr, CString};
use std::ops::ControlFlow;
use std::ptr;
use std::sync::Arc;

use citystream_dataflows::time::bindings::NextOffset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as sys;

use super::super::Record;
use super::context::Context;

/// Messages taken at once: enough to amortise the call, few enough to stay in the cache.
const BATCH: usize = 512;

/// What stands in a partition's queue.
pub(super) enum Item<'a> {
    /// A record.
    Record(Record<'a>),
    /// Everything before this offset has been in the queue, and the leader has nothing after it.
    End(i64),
    /// An error of this partition.
    Failed(RDKafkaErrorCode, String),
}

/// The queue of one partition, split from the consumer's.
pub(super) struct PartitionQueue {
    queue: ptr::NonNull<sys::rd_kafka_queue_t>,
    batch: Vec<*mut sys::rd_kafka_message_t>,
    at: usize,
    /// Keeps the client alive until the queue and the messages are gone.
    _consumer: Arc<BaseConsumer<Context>>,
}

impl PartitionQueue {
    /// Splits a partition's queue off. To be called before the partition is assigned, so that none of its records
    /// can reach the consumer's own queue. `None` if the name is not one that Kafka knows.
    pub(super) fn split(consumer: &Arc<BaseConsumer<Context>>, topic: &str, index: i32) -> Option<Self> {
        let name = CString::new(topic).ok()?;
        // SAFETY: the client is alive (we hold its Arc) and the name is a C string that outlives the call.
        let queue = unsafe { sys::rd_kafka_queue_get_partition(consumer.client().native_ptr(), name.as_ptr(), index) };
        let queue = ptr::NonNull::new(queue)?;
        // SAFETY: the queue is ours; forwarding to null is how a partition's queue is cut off from the consumer's.
        unsafe { sys::rd_kafka_queue_forward(queue.as_ptr(), ptr::null_mut()) };
        Some(PartitionQueue { queue, batch: Vec::with_capacity(BATCH), at: 0, _consumer: consumer.clone() })
    }

    /// Whether nothing is at hand: neither in the batch taken nor in the library's queue.
    pub(super) fn is_empty(&self) -> bool {
        // SAFETY: the queue lives as long as self.
        self.at == self.batch.len() && unsafe { sys::rd_kafka_queue_length(self.queue.as_ptr()) } == 0
    }

    /// Hands out what is at hand, in order, until `take` breaks. Never blocks.
    pub(super) fn drain(&mut self, mut take: impl FnMut(Item<'_>) -> ControlFlow<()>) {
        loop {
            if self.at == self.batch.len() && !self.refill() {
                return;
            }
            while let Some(&message) = self.batch.get(self.at) {
                // Past it first: were `take` to panic, the message would leak rather than be destroyed twice.
                self.at += 1;
                // SAFETY: librdkafka gave the message to us, it has not been destroyed, and the item borrows it
                // no longer than this call.
                let flow = take(unsafe { item(&*message) });
                // SAFETY: as above, and `at` has passed it: it is not touched again.
                unsafe { sys::rd_kafka_message_destroy(message) };
                if flow.is_break() {
                    return;
                }
            }
        }
    }

    /// Takes the next batch without waiting; whether it got any.
    fn refill(&mut self) -> bool {
        self.batch.clear();
        self.at = 0;
        // SAFETY: room for BATCH pointers is reserved; the library writes `n <= BATCH` of them, which we then own.
        let n = unsafe {
            let n = sys::rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, self.batch.as_mut_ptr(), BATCH);
            self.batch.set_len(usize::try_from(n).unwrap_or(0));
            n
        };
        n > 0
    }
}

impl Drop for PartitionQueue {
    fn drop(&mut self) {
        for &message in &self.batch[self.at..] {
            // SAFETY: owned and not yet destroyed: `at` has not passed it.
            unsafe { sys::rd_kafka_message_destroy(message) };
        }
        // SAFETY: ours, and not used again; the client is dropped after this.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// What a message says.
///
/// # Safety
/// `message` is a live message of librdkafka; the item does not outlive it.
unsafe fn item(message: &sys::rd_kafka_message_t) -> Item<'_> {
    use sys::rd_kafka_resp_err_t as Error;
    match message.err {
        Error::RD_KAFKA_RESP_ERR_NO_ERROR => {
            // SAFETY: the message is live; the type of timestamp may be left out.
            let millis = unsafe { sys::rd_kafka_message_timestamp(message, ptr::null_mut()) };
            Item::Record(Record {
                offset: message.offset,
                next: NextOffset(message.offset + 1),
                // -1 is "none" (formats before 0.10): the start of time, which moves no log clock.
                log_time: millis.max(0).saturating_mul(1000),
                // SAFETY: pointer and length are the message's own.
                key: unsafe { bytes(message.key.cast(), message.key_len) },
                // SAFETY: as above.
                payload: unsafe { bytes(message.payload.cast(), message.len) },
                length: None,
            })
        }
        Error::RD_KAFKA_RESP_ERR__PARTITION_EOF => Item::End(message.offset),
        error => {
            // SAFETY: the message is live; the text is static or the message's own, and copied here.
            let text = unsafe {
                let text = sys::rd_kafka_message_errstr(message);
                if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
            };
            Item::Failed(error.into(), text)
        }
    }
}

/// A field of a message; null is none, and not the same as empty.
///
/// # Safety
/// `at` is null or points to `len` bytes that live for `'a`.
unsafe fn bytes<'a>(at: *const u8, len: usize) -> Option<&'a [u8]> {
    // SAFETY: by the contract.
    (!at.is_null()).then(|| unsafe { std::slice::from_raw_parts(at, len) })
}
