//! What a run tells the outside: counters and gauges for Prometheus and for the terminal, health and readiness.

mod api;
mod families;
mod health;
pub(super) mod machine;
mod page;
mod past;
mod scrape;
mod serve;

pub use api::api;
pub use health::{Health, Parts, Stage};
pub use serve::{Server, cannot_listen, serve};

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use families::Families;
use page::Page;
use past::Past;
use scrape::Identity;

use citystream_dataflows::held::{Amount, Held, Kind};
use citystream_dataflows::tables::Derived;
use citystream_dataflows::time::bindings::{Partition, Position, Topic};
use citystream_dataflows::time::holding::Holding;
use citystream_dataflows::time::{Micros, TimePolicy};
use prometheus::core::Collector;
use prometheus::{Counter, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder};

use crate::columns::tables::Reason;
use crate::error::RunError;
use crate::lake::history::Live;
use crate::lake::history::commit::{Commit, Ledger, Tidy, TidyKind};

/// The metrics of one process. Rows and dead letters are counted when they are committed, on process 0.
pub struct Metrics {
    policy: TimePolicy,
    registry: Registry,
    records: IntCounterVec,
    missed: IntCounterVec,
    /// Records read by this process, committed or not.
    pub read: IntCounter,
    /// Offsets that this process has passed: of Kafka about its records, of a directory its bytes.
    passed: AtomicU64,
    horizon: IntGauge,
    commit_seq: IntGauge,
    commit_time: IntGauge,
    /// Seconds that it takes to make a commit durable once its files are.
    pub commit_seconds: Histogram,
    /// Bytes read and not yet committed.
    pub uncommitted: IntGauge,
    log_clock: IntGaugeVec,
    next_offset: IntGaugeVec,
    drained: IntGaugeVec,
    horizon_lag: IntGauge,
    holder: IntGaugeVec,
    lag: IntGaugeVec,
    held: Arc<Held>,
    state: (IntGaugeVec, IntGaugeVec),
    dead_letters: IntCounterVec,
    live_files: IntGaugeVec,
    sealed: IntGaugeVec,
    /// Files that have become others, bytes of those, and seconds that it took.
    packed: (IntCounter, IntCounter, Counter),
    dropped: IntCounterVec,
    /// Commits that the Delta logs do not have yet.
    pub delta_lag: IntGauge,
    /// Rows of derived tables that this process has taken back.
    pub corrections: IntCounter,
    past: Past,
    /// What the process is.
    pub identity: Identity,
    /// Whether it is alive, and ready.
    pub health: Health,
}

/// The outcomes of a record, as labels.
const OUTCOMES: [&str; 5] = ["on_time", "late", "expired", "duplicate", "dead_letter"];

impl Metrics {
    /// All at zero, in a run with this policy whose epochs are about so long.
    ///
    /// # Errors
    /// Never with these names; the library checks them.
    pub fn new(policy: TimePolicy, epoch: Duration) -> Result<Self, RunError> {
        Self::make(policy, epoch).map_err(|e| RunError::Failed(format!("metrics: {e}")))
    }

    fn make(policy: TimePolicy, epoch: Duration) -> Result<Self, prometheus::Error> {
        let make = Families::default();
        let partition = ["topic", "partition"];
        let metrics = Metrics {
            horizon: make.gauge("citystream_horizon_seconds", "The horizon in event time, seconds since 1970")?,
            commit_seq: make.gauge("citystream_commit_seq", "The last commit")?,
            commit_time: make.gauge("citystream_commit_time_seconds", "When the last commit was made, seconds since 1970")?,
            commit_seconds: make.histogram(
                "citystream_commit_seconds",
                "From the proposal of a commit to its being durable",
                &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0],
            )?,
            uncommitted: make.gauge("citystream_uncommitted_bytes", "Bytes read and not yet committed")?,
            log_clock: make.gauges("citystream_log_clock_seconds", "The log clock, seconds since 1970", &partition)?,
            next_offset: make.gauges("citystream_next_offset", "The next offset to read, as committed", &partition)?,
            drained: make.gauges("citystream_drained", "1 where nothing is left to read", &partition)?,
            lag: make.gauges(
                "citystream_lag_offsets",
                "Offsets that this process has still to read, up to the end as last told: records of Kafka, bytes of a directory",
                &partition,
            )?,
            horizon_lag: make.gauge(
                "citystream_horizon_lag_seconds",
                "How far the horizon is behind the lower median log clock of the partitions that are not quiet",
            )?,
            holder: make.gauges("citystream_horizon_holder", "1 where a partition holds the horizon back", &partition)?,
            state: (
                make.gauges("citystream_state_bytes", "Bytes of state in this process", &["kind"])?,
                make.gauges("citystream_state_values", "Values in state in this process", &["kind"])?,
            ),
            records: make.counters(
                "citystream_records_total",
                "Records committed, by topic and what became of them",
                &["topic", "outcome"],
            )?,
            missed: make.counters(
                "citystream_missed_total",
                "Records that came for a sealed window of data quality, by topic",
                &["topic"],
            )?,
            read: make.counter("citystream_read_total", "Records read by this process, committed or not")?,
            dead_letters: make.counters(
                "citystream_dead_letters_total",
                "Records read by this process that became dead letters, committed or not, by reason",
                &["reason"],
            )?,
            live_files: make.gauges("citystream_live_files", "Files that a table consists of", &["table"])?,
            sealed: make.gauges("citystream_sealed_seconds", "All rows before this event time are sealed", &["table"])?,
            packed: (
                make.counter("citystream_packed_files_total", "Small files that were packed")?,
                make.counter("citystream_packed_bytes_total", "Bytes of the files that were made of them")?,
                make.seconds("citystream_packing_seconds_total", "Time that it took to pack files, rests included")?,
            ),
            dropped: make.counters("citystream_dropped_rows_total", "Rows taken out of a table", &["table", "reason"])?,
            delta_lag: make.gauge("citystream_delta_lag_commits", "Commits that not all Delta logs have yet")?,
            corrections: make.counter(
                "citystream_corrections_total",
                "Rows of derived tables taken back by this process, most to write them anew",
            )?,
            past: Past::default(),
            held: Arc::default(),
            passed: AtomicU64::new(0),
            identity: Identity::now(),
            health: Health::new(epoch, policy),
            policy,
            registry: make.0,
        };
        // What is there from the start is seen to grow by who looks now and then.
        Reason::ALL.iter().for_each(|reason| drop(metrics.dead_letters.with_label_values(&[reason.name()])));
        Ok(metrics)
    }

    /// Process 0 has claimed the lake with commit `seq`.
    pub fn claimed(&self, seq: u64) {
        self.commit_seq.set(seq as i64);
        self.health.reach(Stage::Claimed);
    }

    /// The lag of a partition, for who reads it.
    pub fn lag(&self, partition: Partition) -> IntGauge {
        self.lag.with_label_values(&[partition.topic.name(), &partition.index.to_string()])
    }

    /// More offsets have been passed.
    pub fn pass(&self, offsets: u64) {
        self.passed.fetch_add(offsets, Ordering::Relaxed);
    }

    /// Offsets passed so far.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }

    /// Offsets that this process has still to read, as far as leaders have told; 0 where nobody tells.
    pub fn left(&self) -> u64 {
        let all = self.lag.collect();
        all.iter().flat_map(|family| family.get_metric()).map(|metric| metric.get_gauge().get_value() as u64).sum()
    }

    /// The last commit's horizon; before there is one, that of what the lake holds.
    pub fn stands_at(&self, horizon: Option<Micros>) {
        self.horizon.set(horizon.map_or(0, |horizon| horizon / 1_000_000));
    }

    /// A commit has landed.
    pub fn committed(&self, commit: &Commit) {
        self.commit_seq.set(commit.seq as i64);
        self.commit_time.set(commit.time_ms / 1000);
        self.stands_at(commit.horizon);
        for (topic, Ledger { on_time, late, expired, duplicate, dead, missed, .. }) in &commit.ledger {
            self.missed.with_label_values(&[topic.name()]).inc_by(missed.total());
            for (outcome, count) in OUTCOMES.iter().zip([on_time, late, expired, duplicate, dead]) {
                self.records.with_label_values(&[topic.name(), outcome]).inc_by(*count);
            }
        }
        for Tidy { what, table, rows_removed, rows_added, .. } in &commit.tidy {
            let reason = match what {
                TidyKind::Pack => continue,
                TidyKind::Keep => "retention",
                TidyKind::Erase => "erasure",
            };
            self.dropped.with_label_values(&[table, reason]).inc_by(rows_removed.saturating_sub(*rows_added));
        }
        commit.positions.iter().for_each(|p| self.position(p));
        let holding = Holding::of(self.policy, &commit.positions);
        let lag = holding.median.zip(commit.horizon).map_or(0, |(clock, horizon)| clock - horizon);
        self.horizon_lag.set(lag.max(0) / 1_000_000);
        self.holder.reset();
        for Partition { topic, index } in holding.holders {
            self.holder.with_label_values(&[topic.name(), &index.to_string()]).set(1);
        }
    }

    fn position(&self, position: &Position) {
        let index = position.partition.index.to_string();
        let labels = [position.partition.topic.name(), index.as_str()];
        self.log_clock.with_label_values(&labels).set(position.log_clock.map_or(0, |c| c / 1_000_000));
        self.next_offset.with_label_values(&labels).set(position.next.0);
        self.drained.with_label_values(&labels).set(i64::from(position.standing.is_drained()));
    }

    /// Records committed by this run with an outcome: one of `on_time, late, expired, duplicate, dead_letter`.
    pub fn outcome(&self, outcome: &str) -> u64 {
        Topic::all().map(|topic| self.records.with_label_values(&[topic.name(), outcome]).get()).sum()
    }

    /// All records committed by this run.
    pub fn committed_records(&self) -> u64 {
        OUTCOMES.iter().map(|outcome| self.outcome(outcome)).sum()
    }

    /// The last commit's number.
    pub fn seq(&self) -> u64 {
        self.commit_seq.get() as u64
    }

    /// The last commit's horizon.
    pub fn horizon(&self) -> Option<Micros> {
        Some(self.horizon.get()).filter(|h| *h > 0).map(|h| h * 1_000_000)
    }

    /// Also shows what somebody else counts.
    pub fn register(&self, counts: Box<dyn Collector>) {
        // What is there already is the same.
        let _ = self.registry.register(counts);
    }

    /// Dead letters were read, by reason, as in [`Reason::ALL`].
    pub fn rejected(&self, counts: [u64; Reason::ALL.len()]) {
        for (reason, count) in Reason::ALL.iter().zip(counts).filter(|(_, count)| *count > 0) {
            self.dead_letters.with_label_values(&[reason.name()]).inc_by(count);
        }
    }

    /// So many files have become one.
    pub fn packed(&self, files: usize, bytes: u64, time: Duration) {
        self.packed.0.inc_by(files as u64);
        self.packed.1.inc_by(bytes);
        self.packed.2.inc_by(time.as_secs_f64());
    }

    /// The lake has these files.
    pub fn files(&self, live: &Live) {
        for (table, size) in live.sizes() {
            self.live_files.with_label_values(&[table]).set(size.files as i64);
            if let Some((derived, horizon)) = Derived::from_name(table).zip(self.horizon()) {
                self.sealed.with_label_values(&[table]).set(derived.sealing.all_before(horizon) / 1_000_000);
            }
        }
    }

    /// Where operators tell what they hold.
    pub fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held)
    }

    fn text(&self) -> String {
        for kind in Kind::ALL {
            let Amount { count, bytes } = self.held.of(kind);
            self.state.0.with_label_values(&[kind.word()]).set(bytes as i64);
            self.state.1.with_label_values(&[kind.word()]).set(count as i64);
        }
        let mut page = Page::default();
        scrape::write(&mut page, &self.identity, &self.health);
        let families = [self.registry.gather(), page.families()].concat();
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
