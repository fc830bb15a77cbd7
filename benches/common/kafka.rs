//! What the Kafka benchmarks share: topics, arguments, CPU time.
#![allow(dead_code)] // Each program uses a part.

use citystream_wire::PerTopic;

/// The partitions of each topic.
pub(crate) const PARTITIONS: i32 = 4;

/// The topics' names.
pub(crate) fn topic_names(prefix: &str) -> PerTopic<String> {
    PerTopic::new(|topic| format!("{prefix}{}_data", topic.name()))
}

/// The arguments after `--`, without what `cargo bench` adds.
pub(crate) fn arguments() -> Vec<String> {
    std::env::args().skip(1).filter(|argument| argument != "--bench").collect()
}

/// User and system time of a process in seconds; `/proc` counts in hundredths.
pub(crate) fn cpu_seconds(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |field: usize| after_name.split_whitespace().nth(field).and_then(|t| t.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}
