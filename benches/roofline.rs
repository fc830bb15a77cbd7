//! The most that this machine can do: one plain loop a worker, no dataflow, no commit.
//!
//! Consume (assigned partitions of all five topics, up to their ends), decode, build Arrow, encode zstd Parquet, write
//! to a local directory: with the decoder and the encoder of the pipeline, and librdkafka's fastest way of consuming.
//!
//! `cargo bench --bench fill -- BROKERS 3000000` first, then
//! `cargo bench --bench roofline -- BROKERS DIRECTORY [WORKERS] [PREFIX] [BROKER_PID]`
//! prints records/s from the first record to the last byte written, and the CPU of this process (and the broker's).
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]
#![allow(unsafe_code)] // Reason: messages taken in batches, as the pipeline does; confined to `Queue`.

#[path = "common/kafka.rs"]
mod kafka;

use std::path::{Path, PathBuf};
use std::time::Instant;

use citystream::parts::{
    DecodeOptions, Decoder, EncodedFile, Encoder, EncoderOptions, Incoming, Record, Rows, TextHasher, complete,
};
use citystream_dataflows::operators::classify::Classified;
use citystream_dataflows::time::bindings::{NextOffset, Partition, Topic};
use citystream_dataflows::time::disposition::Disposition;
use citystream_wire::PerTopic;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka_sys as sys;

/// Input bytes after which columns go to the encoder: about what a worker reads in an epoch of 250 ms.
const EPOCH_BYTES: usize = 24 << 20;

fn main() {
    let arguments = kafka::arguments();
    let [brokers, directory, rest @ ..] = arguments.as_slice() else {
        println!("usage: roofline BROKERS DIRECTORY [WORKERS] [PREFIX] [BROKER_PID]");
        return;
    };
    let workers: usize = rest.first().map_or(1, |n| n.parse().unwrap());
    let prefix = rest.get(1).map_or("", String::as_str);
    let broker = rest.get(2).map(String::as_str);
    std::fs::create_dir_all(directory).unwrap();
    let broker_before = broker.map_or(0.0, kafka::cpu_seconds);
    let (begin, cpu) = (Instant::now(), kafka::cpu_seconds("self"));
    let read: u64 = std::thread::scope(|scope| {
        let worker = |index| Worker::new(brokers, prefix, directory, index, workers);
        let threads: Vec<_> = (0..workers).map(|index| scope.spawn(move || worker(index).run())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let seconds = begin.elapsed().as_secs_f64();
    println!("workers {workers}  records {read}  seconds {seconds:.2}  records/s {:.0}", read as f64 / seconds);
    println!("cpu {:.2} s here", kafka::cpu_seconds("self") - cpu);
    if let Some(broker) = broker {
        println!("cpu {:.2} s broker", kafka::cpu_seconds(broker) - broker_before);
    }
}

struct Worker {
    consumer: BaseConsumer,
    partitions: Vec<Partition>,
    names: PerTopic<String>,
    directory: PathBuf,
    index: usize,
    files: usize,
}

impl Worker {
    fn new(brokers: &str, prefix: &str, directory: &str, index: usize, workers: usize) -> Worker {
        let all = Topic::all().flat_map(|topic| (0..kafka::PARTITIONS).map(move |index| Partition { topic, index }));
        let partitions: Vec<Partition> = all.filter(|partition| partition.owner(workers) == index).collect();
        let names = kafka::topic_names(prefix);
        let consumer = consumer(brokers);
        let mut list = TopicPartitionList::new();
        for partition in &partitions {
            let name = &names[partition.topic];
            list.add_partition_offset(name, partition.index, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        Worker { consumer, partitions, names, directory: PathBuf::from(directory), index, files: 0 }
    }

    fn run(mut self) -> u64 {
        let mut decoder = Decoder::new(
            DecodeOptions { timezone: jiff::tz::TimeZone::UTC, max_record: 256 << 10, max_ahead: 86_400_000_000 },
            TextHasher::new(1),
        );
        let mut rows = decoder.rows();
        let mut encoder = Encoder::new(EncoderOptions::default()).unwrap();
        let mut clocks = PerTopic::new(|_| [i64::MIN; kafka::PARTITIONS as usize]);
        let mut queue = Queue::new(&self.consumer, &self.names);
        let (mut read, mut ended) = (0, 0);
        while ended < self.partitions.len() {
            ended += queue.take(|partition, record| {
                let clock = &mut clocks[partition.topic][partition.index as usize];
                *clock = record.log_time.max(*clock);
                decoder.decode(Incoming::new(partition, Some(*clock), record), &mut rows);
                read += 1;
            });
            if rows.bytes() >= EPOCH_BYTES {
                encode(&mut rows, &mut encoder);
                self.files += write(&self.directory, self.index, self.files, encoder.take_files());
            }
        }
        encode(&mut rows, &mut encoder);
        write(&self.directory, self.index, self.files, encoder.seal_all().unwrap());
        read
    }
}

fn consumer(brokers: &str) -> BaseConsumer {
    let settings = [
        ("group.id", "roofline"),
        ("enable.auto.commit", "false"),
        ("enable.partition.eof", "true"),
        ("isolation.level", "read_committed"),
        ("queued.min.messages", "100000"),
        ("queued.max.messages.kbytes", "65536"),
        ("fetch.queue.backoff.ms", "5"),
        ("fetch.wait.max.ms", "50"),
        ("check.crcs", "true"),
    ];
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    for (key, value) in settings {
        config.set(key, value);
    }
    config.create().unwrap()
}

fn encode(rows: &mut Rows, encoder: &mut Encoder) {
    for raw in rows.finish() {
        let (table, dispositions) = (raw.table, vec![Disposition::OnTime; raw.metas.len()]);
        let quality_windows = vec![Some(0); raw.columns.num_rows()];
        let batch = Classified { batch: raw, dispositions, quality_windows }.into();
        encoder.append(table, complete(&batch, 1, 1).unwrap()).unwrap();
    }
}

fn write(directory: &Path, worker: usize, first: usize, files: Vec<EncodedFile>) -> usize {
    for (number, file) in files.iter().enumerate() {
        let name = format!("{}-{worker}-{}.parquet", file.table.name(), first + number);
        std::fs::write(directory.join(name), &file.data).unwrap();
    }
    files.len()
}

/// The consumer's queue, taken in batches.
struct Queue<'a> {
    queue: *mut sys::rd_kafka_queue_t,
    batch: Vec<*mut sys::rd_kafka_message_t>,
    names: &'a PerTopic<String>,
}

impl<'a> Queue<'a> {
    const BATCH: usize = 512;

    fn new(consumer: &'a BaseConsumer, names: &'a PerTopic<String>) -> Queue<'a> {
        // SAFETY: the consumer outlives the queue.
        let queue = unsafe { sys::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
        assert!(!queue.is_null());
        Queue { queue, batch: Vec::with_capacity(Queue::BATCH), names }
    }

    /// Hands out one batch; returns how many partitions ended in it.
    fn take(&mut self, mut each: impl FnMut(Partition, Record<'_>)) -> usize {
        let mut ended = 0;
        // SAFETY: room for BATCH pointers is reserved; each message is read while it lives and destroyed once.
        unsafe {
            let n = sys::rd_kafka_consume_batch_queue(self.queue, 100, self.batch.as_mut_ptr(), Queue::BATCH);
            self.batch.set_len(usize::try_from(n).unwrap());
            for &message in &self.batch {
                match (*message).err {
                    sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => {
                        let (topic, record) = read(&*message, self.names);
                        each(Partition { topic, index: (*message).partition }, record);
                    }
                    sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF => ended += 1,
                    error => panic!("{error:?}"),
                }
                sys::rd_kafka_message_destroy(message);
            }
        }
        ended
    }
}

impl Drop for Queue<'_> {
    fn drop(&mut self) {
        // SAFETY: ours, and not used again.
        unsafe { sys::rd_kafka_queue_destroy(self.queue) };
    }
}

/// # Safety
/// A live message without an error.
unsafe fn read<'a>(message: &'a sys::rd_kafka_message_t, names: &PerTopic<String>) -> (Topic, Record<'a>) {
    let bytes = |at: *const u8, len| (!at.is_null()).then(|| unsafe { std::slice::from_raw_parts(at, len) });
    // SAFETY: by the contract, all of it belongs to the message.
    let (name, millis) = unsafe {
        let name = std::ffi::CStr::from_ptr(sys::rd_kafka_topic_name(message.rkt));
        (name.to_bytes(), sys::rd_kafka_message_timestamp(message, std::ptr::null_mut()))
    };
    let topic = names.iter().find(|(_, known)| known.as_bytes() == name).unwrap().0;
    let record = Record {
        offset: message.offset,
        next: NextOffset(message.offset + 1),
        log_time: millis * 1000,
        key: bytes(message.key.cast(), message.key_len),
        payload: bytes(message.payload.cast(), message.len),
        length: None,
    };
    (topic, record)
}
