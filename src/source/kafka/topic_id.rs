//! DescribeTopics: the identity and partitions of topics. `rdkafka` does not wrap this call of librdkafka.
//!
//! Audit: every object made here (options, collection, queue, event) is owned by a guard that destroys it once, in
//! reverse order of making; texts and numbers are copied before the event goes.
#![allow(unsafe_code)] // Reason: see above; nothing outside this file sees a raw pointer.

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka_sys as sys;

use super::context::Context;

/// A topic as the cluster describes it.
#[derive(Clone, Debug)]
pub(super) struct Described {
    /// Its name.
    pub(super) name: String,
    /// Its id (base64 of a UUID); empty if the broker is older than topic ids (2.8).
    pub(super) id: String,
    /// Its partitions, ascending.
    pub(super) partitions: Vec<i32>,
    /// Why there is no description.
    pub(super) error: Option<RDKafkaErrorCode>,
}

/// Destroys what librdkafka made, once.
struct Guard<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Guard<T> {
    fn new(pointer: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> KafkaResult<Self> {
        if pointer.is_null() {
            return Err(KafkaError::AdminOpCreation("librdkafka is out of memory".into()));
        }
        Ok(Guard(pointer, destroy))
    }
}

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer is not null, was made for us, and only this guard destroys it.
        unsafe { (self.1)(self.0) };
    }
}

/// Asks for `names`. Blocks at most `timeout`, in steps between which `go_on` is asked.
pub(super) fn describe(
    consumer: &BaseConsumer<Context>,
    names: &[&str],
    timeout: Duration,
    mut go_on: impl FnMut() -> bool,
) -> KafkaResult<Vec<Described>> {
    let client = consumer.client().native_ptr();
    let texts = names.iter().map(|n| CString::new(*n)).collect::<Result<Vec<_>, _>>()?;
    let mut pointers: Vec<*const c_char> = texts.iter().map(|t| t.as_ptr()).collect();
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client is alive; `pointers` are C strings that outlive the call, which copies them.
    let (queue, collection, options) = unsafe {
        (
            Guard::new(sys::rd_kafka_queue_new(client), sys::rd_kafka_queue_destroy)?,
            Guard::new(
                sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()),
                sys::rd_kafka_TopicCollection_destroy,
            )?,
            Guard::new(
                sys::rd_kafka_AdminOptions_new(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS),
                sys::rd_kafka_AdminOptions_destroy,
            )?,
        )
    };
    // SAFETY: all four are alive; no error text is wanted (null, 0).
    unsafe {
        sys::rd_kafka_AdminOptions_set_request_timeout(options.0, millis, ptr::null_mut(), 0);
        sys::rd_kafka_DescribeTopics(client, collection.0, options.0, queue.0);
    }
    let end = Instant::now() + timeout + Duration::from_millis(200);
    loop {
        // SAFETY: the queue is alive; the event, if any, is ours.
        let event = unsafe { sys::rd_kafka_queue_poll(queue.0, 100) };
        if !event.is_null() {
            let event = Guard::new(event, sys::rd_kafka_event_destroy)?;
            // SAFETY: the event is alive until after the answer has been copied.
            return unsafe { read(event.0) };
        }
        if Instant::now() >= end || !go_on() {
            return Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut));
        }
    }
}

/// Copies the answer out of an event.
///
/// # Safety
/// `event` is a live event of librdkafka.
unsafe fn read(event: *mut sys::rd_kafka_event_t) -> KafkaResult<Vec<Described>> {
    // SAFETY: by the contract.
    let error = unsafe { sys::rd_kafka_event_error(event) };
    if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Err(KafkaError::AdminOp(error.into()));
    }
    // SAFETY: by the contract; null if the event is another's, which is checked.
    let result = unsafe { sys::rd_kafka_event_DescribeTopics_result(event) };
    if result.is_null() {
        return Err(KafkaError::AdminOpCreation("an answer to another question".into()));
    }
    let mut count = 0;
    // SAFETY: the result lives as long as the event, and so do its `count` topics.
    unsafe {
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        Ok((0..count).map(|i| topic(*topics.add(i))).collect())
    }
}

/// Copies one topic.
///
/// # Safety
/// `topic` is a live description.
unsafe fn topic(topic: *const sys::rd_kafka_TopicDescription_t) -> Described {
    // SAFETY: by the contract; all that is reached from the description lives as long, and is copied.
    unsafe {
        let error = match sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(topic)) {
            sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => None,
            code => Some(code.into()),
        };
        let name = text(sys::rd_kafka_TopicDescription_name(topic));
        let mut described = Described { name, id: String::new(), partitions: Vec::new(), error };
        if described.error.is_some() {
            return described;
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        if !id.is_null() && sys::rd_kafka_Uuid_most_significant_bits(id) != 0 {
            // As Kafka's own tools show it.
            described.id = text(sys::rd_kafka_Uuid_base64str(id)).replace('+', "-").replace('/', "_");
        }
        let mut count = 0;
        let partitions = sys::rd_kafka_TopicDescription_partitions(topic, &mut count);
        described.partitions =
            (0..count).map(|i| sys::rd_kafka_TopicPartitionInfo_partition(*partitions.add(i))).collect();
        described.partitions.sort_unstable();
        described
    }
}

/// Copies a C string; null is empty.
///
/// # Safety
/// `at` is null or a live C string.
unsafe fn text(at: *const c_char) -> String {
    // SAFETY: by the contract.
    if at.is_null() { String::new() } else { unsafe { CStr::from_ptr(at) }.to_string_lossy().into_owned() }
}
