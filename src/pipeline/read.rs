//! The source operator: polls the partitions its worker owns, decodes what comes, and binds it to epochs.
//!
//! ```text
//! ticks -- broadcast --> read -> rows     (stay on this worker)
//!                             -> reports  (broadcast: bindings, bytes, the wish to stop)
//!                             -> words    (to the clock: this epoch can take no more, or has a record)
//! ```
//!
//! Every worker holds a capability for the epoch that is open and moves it past a tick's epoch once that epoch's
//! rows and report are sent. A record belongs to the epoch that is open when it is taken. Partitions are polled in
//! small shares, so that the worker's other operators run, and the one that is furthest behind first; one beyond the tick's limit
//! is left alone, and all of them once the budget is spent or the epoch has its share. A source error is raised and keeps the
//! capability: the frontier never passes what could not be read.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use citystream_dataflows::time::ticks::{Report, Said, Tick, Word};
use citystream_dataflows::time::{DAY, Epoch, Micros};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::probe::Handle;
use timely::dataflow::operators::vec::Broadcast;

use super::alarm::Alarm;
use super::cursor::PartitionCursor;
use crate::columns::decode::{Decoder, Incoming, RawBatch, Rows};
use crate::columns::text_hash::TextHasher;
use crate::process::{Debt, Reading};
use crate::source::{Reader, SourceError};

/// Records taken each time the operator is scheduled.
const QUANTUM: usize = 2048;
/// Input bytes after which an open epoch's rows are sent on.
const BATCH: usize = 4 << 20;
/// Records taken of one partition at a time.
const SHARE: usize = QUANTUM / 4;
/// How long an operator that found nothing rests: twice as long each time, up to the longest.
const REST: Duration = Duration::from_millis(2);
const LONGEST_REST: Duration = Duration::from_millis(32);
/// How long no partition is looked at, at most, while no epoch closes.
const LOOK: Duration = Duration::from_millis(500);
/// Of so many log dates are a commit's records, at most: each date makes a file of each table.
const DATES: usize = 32;

/// What comes of reading; see the module.
pub struct Readings<'scope> {
    /// Rows, on the worker that read them.
    pub rows: StreamVec<'scope, Epoch, RawBatch>,
    /// Answers to ticks, on every worker.
    pub reports: StreamVec<'scope, Epoch, Report>,
    /// What is said of the open epoch.
    pub words: StreamVec<'scope, Epoch, Word>,
}

/// Rows and reports of this worker's partitions; see the module. `committed` tells what no longer counts against
/// the budget.
pub fn read<'scope>(
    reading: Arc<Reading>,
    committed: Handle<Epoch>,
    ticks: StreamVec<'scope, Epoch, Tick>,
) -> Readings<'scope> {
    let scope = ticks.scope();
    let (worker, peers) = (scope.index(), scope.peers());
    let mut builder = OperatorBuilder::new("read".to_owned(), scope);
    let mut ticks = builder.new_input_connection(ticks, Pipeline, []);
    let (rows, row_stream) = builder.new_output_connection::<Vec<RawBatch>, _>([]);
    let (reports, report_stream) = builder.new_output_connection::<Vec<Report>, _>([]);
    let (words, word_stream) = builder.new_output_connection::<Vec<Word>, _>([]);
    let (mut rows, mut reports, mut words) =
        (OutputBuilder::from(rows), OutputBuilder::from(reports), OutputBuilder::from(words));
    let mut alarm = Alarm::new(scope.activator_for(builder.operator_info().address));

    builder.build(move |capabilities| {
        let mut open = Some(Capabilities::new(capabilities));
        let mut source = OpenEpoch::new(reading, worker, peers);
        let mut rest = REST;
        move |_| {
            // Read.
            let mut closing = Vec::new();
            ticks.for_each(|_, batch| closing.append(batch));
            closing.sort_unstable_by_key(|tick| tick.epoch);
            let Some(held) = &mut open else { return };
            source.debt.refund(&committed, &source.reading.budget);
            let (mut rows, mut reports) = (rows.activate(), reports.activate());
            for tick in closing {
                // Act and emit: the rows and the report of the epoch that closes.
                rows.session(&held.rows.delayed(&tick.epoch)).give_iterator(source.take_rows().into_iter());
                reports.session(&held.reports.delayed(&tick.epoch)).give(source.report(tick.epoch));
                if tick.last {
                    // Drops the capabilities: nothing follows.
                    open = None;
                    return;
                }
                // Downgrade, and open the next one.
                held.downgrade(tick.epoch + 1);
                if let Err(error) = source.begin(tick) {
                    return source.reading.fatal.raise(error);
                }
            }
            let polled = match source.poll_some() {
                Ok(polled) => polled,
                Err(error) => return source.reading.fatal.raise(error),
            };
            words.activate().session(&held.words).give_iterator(source.word(&polled).into_iter());
            rest = if polled.records > 0 { REST } else { (rest * 2).min(LONGEST_REST) };
            if polled.is_more {
                alarm.now();
            } else {
                alarm.within(rest);
            }
            if source.rows.bytes() > BATCH {
                rows.session(&held.rows).give_iterator(source.take_rows().into_iter());
            }
        }
    });
    Readings { rows: row_stream, reports: report_stream.broadcast(), words: word_stream }
}

/// The capabilities of the open epoch.
struct Capabilities {
    rows: Capability<Epoch>,
    reports: Capability<Epoch>,
    words: Capability<Epoch>,
}

impl Capabilities {
    fn new(mut minted: Vec<Capability<Epoch>>) -> Self {
        let (words, reports) = (minted.remove(2), minted.remove(1));
        Capabilities { rows: minted.remove(0), reports, words }
    }

    fn downgrade(&mut self, epoch: Epoch) {
        self.rows.downgrade(&epoch);
        self.reports.downgrade(&epoch);
        self.words.downgrade(&epoch);
    }
}

/// What one turn found.
struct Polled {
    records: usize,
    /// Whether there may be more at hand.
    is_more: bool,
}

/// What this worker has read since the last tick.
struct OpenEpoch {
    reading: Arc<Reading>,
    worker: usize,
    peers: usize,
    reader: Option<Box<dyn Reader>>,
    /// From the first tick on.
    decoder: Option<Decoder>,
    rows: Rows,
    /// Who is furthest behind first.
    cursors: Vec<PartitionCursor>,
    /// When it was last looked whether cursors are idle.
    looked: Instant,
    limit: Option<Micros>,
    /// Whether the open epoch waits for a record.
    is_idle: bool,
    /// What this worker has said of the open epoch.
    said: Option<Said>,
    /// The log dates of what was taken since the last seal, as days.
    dates: BTreeSet<i64>,
    /// How many of them may be.
    most_dates: usize,
    /// Bytes taken in the open epoch, and in those closed but not committed.
    taken: u64,
    debt: Debt,
}

impl OpenEpoch {
    fn new(reading: Arc<Reading>, worker: usize, peers: usize) -> Self {
        let rows = Rows::default();
        OpenEpoch {
            reading,
            worker,
            peers,
            reader: None,
            decoder: None,
            rows,
            cursors: Vec::new(),
            looked: Instant::now(),
            limit: None,
            is_idle: false,
            said: None,
            dates: BTreeSet::new(),
            most_dates: (DATES / peers).max(4),
            taken: 0,
            debt: Debt::default(),
        }
    }

    fn take_rows(&mut self) -> Vec<RawBatch> {
        self.rows.finish()
    }

    /// Closes the epoch.
    fn report(&mut self, epoch: Epoch) -> Report {
        self.reading.metrics.health.closed(epoch);
        self.reading.metrics.rejected(self.rows.take_rejected());
        self.reading.metrics.uncommitted.set(self.reading.budget.used() as i64);
        self.debt.owe(epoch, std::mem::take(&mut self.taken));
        let mut bindings = Vec::with_capacity(self.cursors.len());
        let now = Instant::now();
        self.looked = now;
        for cursor in &mut self.cursors {
            let Some(reader) = self.reader.as_deref_mut() else { break };
            let binding = cursor.close(reader, self.reading.quiet_after, now);
            cursor.show_lag(reader.end(cursor.partition), binding.standing.is_drained(), &self.reading.metrics);
            bindings.push(binding);
        }
        Report {
            process: self.reading.process,
            uncommitted: self.reading.budget.used(),
            stop: self.reading.is_stopping(),
            many_dates: self.has_many_dates(),
            is_crowded: self.reading.state.is_reached(),
            bindings,
        }
    }

    /// Opens the epoch after a tick.
    fn begin(&mut self, tick: Tick) -> Result<(), SourceError> {
        if tick.seal.is_some() {
            self.dates.clear();
        }
        self.limit = tick.limit;
        self.is_idle = tick.is_idle;
        self.said = None;
        self.cursors.iter_mut().for_each(|cursor| cursor.open(tick.limit));
        if let Some(start) = &tick.start {
            self.decoder = Some(Decoder::new(self.reading.decode.clone(), TextHasher::new(start.key)));
        }
        let mut ours = tick.added;
        ours.retain(|added| added.position.partition.owner(self.peers) == self.worker);
        // Of partitions that come later each has as much again.
        let queue = self.reading.queues / ours.len().max(1) as u64;
        for added in ours {
            let partition = added.position.partition;
            let reader = match &mut self.reader {
                Some(reader) => reader,
                none => none.insert(self.reading.source.reader(queue)?),
            };
            reader.add(partition, added.from)?;
            self.cursors.push(PartitionCursor::new(&added));
        }
        Ok(())
    }

    /// Looks now and then which partitions are idle, also while no epoch closes.
    fn look(&mut self) {
        let (now, Some(reader)) = (Instant::now(), self.reader.as_deref_mut()) else { return };
        if now.duration_since(self.looked) >= LOOK {
            self.looked = now;
            for cursor in &mut self.cursors {
                cursor.look(reader, now);
            }
        }
    }

    /// Polls each partition at most once.
    fn poll_some(&mut self) -> Result<Polled, SourceError> {
        self.look();
        self.cursors.sort_by_key(|cursor| cursor.log_clock);
        let mut polled = Polled { records: 0, is_more: false };
        for index in 0..self.cursors.len() {
            let left = QUANTUM - polled.records;
            if left == 0 || self.is_full_of_rows() || self.reading.budget.is_spent() {
                break;
            }
            let quota = self.cursors[index].quota(self.limit, SHARE.min(left));
            if quota > 0 {
                let records = self.poll(index, quota)?;
                polled.records += records;
                polled.is_more |= records == quota;
            }
        }
        Ok(polled)
    }

    /// Whether the open epoch takes no more, however much there is.
    fn is_full_of_rows(&self) -> bool {
        self.taken >= self.reading.epoch_share || self.has_many_dates()
    }

    fn has_many_dates(&self) -> bool {
        self.dates.len() >= self.most_dates
    }

    /// What is to be said of the open epoch after a turn, if it has not been said.
    fn word(&mut self, polled: &Polled) -> Option<Word> {
        let has_to_wait = |cursor: &PartitionCursor| cursor.quota(self.limit, SHARE) == 0;
        let said = if self.reading.is_stopping() || (self.is_idle && polled.records > 0) {
            Said::Record
        } else if self.is_full_of_rows() {
            Said::Share
        } else if !polled.is_more && self.cursors.iter().any(has_to_wait) {
            self.limit.filter(|_| self.taken == 0).map_or(Said::Limit, Said::Beyond)
        } else {
            return None;
        };
        (self.said.replace(said) != Some(said)).then_some(Word { worker: self.worker, said })
    }

    /// Takes at most `quota` records of one partition; tells how many.
    fn poll(&mut self, index: usize, quota: usize) -> Result<usize, SourceError> {
        let most_dates = self.most_dates;
        let OpenEpoch { reader: Some(reader), decoder: Some(decoder), cursors, rows, limit, reading, dates, .. } = self
        else {
            return Ok(0);
        };
        let cursor = &mut cursors[index];
        let mut polled = 0;
        let before = rows.bytes();
        reader.poll(cursor.partition, &mut |record| {
            let incoming = Incoming::new(cursor.partition, cursor.log_clock, record);
            cursor.take(record.next, incoming.clock_after(cursor.log_clock));
            let day = incoming.record.log_time.div_euclid(DAY);
            decoder.decode(incoming, rows);
            if dates.last() != Some(&day) {
                dates.insert(day);
            }
            polled += 1;
            let is_enough = polled == quota || cursor.is_beyond(*limit) || dates.len() >= most_dates;
            if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        reading.metrics.read.inc_by(polled as u64);
        let bytes = (rows.bytes() - before) as u64;
        reading.budget.take(bytes);
        self.taken += bytes;
        Ok(polled)
    }
}
