//! The partitions that one worker reads, out of portions that are loaded beside it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use citystream_dataflows::time::bindings::{NextOffset, Partition, Topic};
use citystream_dataflows::time::{LOG_TIMES, Micros};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::commits::Commits;
use super::load::{Chunk, Entry, Loaded, load};
use super::old::OldLake;
use super::portion::Portion;
use crate::columns::rebuild::Envelope;
use crate::source::ends::End;
use crate::source::{Reader, Record, SourceError};

/// What is read ahead of one partition alone, in bytes.
const ALONE: u64 = 1 << 20;
/// Polls in a row that found nothing, after which whoever has nothing left is read alone, whatever waits.
const FRUITLESS: u32 = 64;

/// Reads partitions of an old lake.
pub struct OriginReader {
    old: Arc<OldLake>,
    runtime: Handle,
    /// What one partition may hold that waits.
    share: u64,
    queues: BTreeMap<Partition, Queue>,
    /// Where portions of all partitions are read; with whoever loads one.
    commits: Option<Commits>,
    has_begun: bool,
    loading: Option<oneshot::Receiver<Result<Turn, SourceError>>>,
    /// Polls since a record was handed out.
    fruitless: u32,
    /// The JSON of the record that is handed out.
    json: Vec<u8>,
}

/// One partition.
struct Queue {
    /// All before it was loaded.
    loaded: NextOffset,
    /// Up to where portions of all partitions have passed it, as it was not loaded up to there.
    passed: NextOffset,
    /// The greatest log time that was handed out.
    clock: Option<Micros>,
    parts: VecDeque<Part>,
}

/// What one portion holds of a partition.
struct Part {
    chunk: Arc<Chunk>,
    entries: Vec<Entry>,
    at: usize,
    until: NextOffset,
    cost: u64,
}

/// What a task has loaded, and where it has left the commits.
struct Turn {
    loaded: Loaded,
    passed: BTreeMap<Partition, NextOffset>,
    cost: u64,
    commits: Option<Commits>,
}

impl OriginReader {
    /// A reader without partitions, each of which may hold so many bytes that wait.
    pub fn new(old: Arc<OldLake>, runtime: Handle, share: u64) -> OriginReader {
        OriginReader {
            old,
            runtime,
            share,
            queues: BTreeMap::new(),
            commits: None,
            has_begun: false,
            loading: None,
            fruitless: 0,
            json: Vec::new(),
        }
    }

    /// Takes what was loaded, and has more loaded where that is due.
    fn turn(&mut self) -> Result<(), SourceError> {
        self.old.failed()?;
        match self.loading.as_mut().map(oneshot::Receiver::try_recv) {
            Some(Err(oneshot::error::TryRecvError::Empty)) => return Ok(()),
            Some(Ok(turn)) => self.take(turn?),
            // Who loads has gone with the process.
            Some(Err(oneshot::error::TryRecvError::Closed)) | None => {}
        }
        self.loading = None;
        if let Some(partition) = self.alone() {
            let from = self.queues.get(&partition).map_or(NextOffset(0), |queue| queue.loaded);
            self.start(load_alone(Arc::clone(&self.old), partition, from));
        } else if self.has_room() && self.is_more() {
            let wanted = self.queues.iter().map(|(partition, queue)| (*partition, queue.loaded)).collect();
            let (commits, bytes) = (self.commits.take(), self.budget());
            self.has_begun = true;
            self.start(load_all(Arc::clone(&self.old), commits, wanted, bytes));
        }
        Ok(())
    }

    fn start(&mut self, load: impl Future<Output = Result<Turn, SourceError>> + Send + 'static) {
        let (sender, receiver) = oneshot::channel();
        self.loading = Some(receiver);
        self.runtime.spawn(async move { sender.send(load.await) });
    }

    fn take(&mut self, turn: Turn) {
        let Turn { loaded: Loaded { chunk, parts }, passed, cost, commits } = turn;
        self.commits = commits.or(self.commits.take());
        for (partition, (span, entries)) in parts {
            let Some(queue) = self.queues.get_mut(&partition) else { continue };
            queue.loaded = span.until;
            if entries.is_empty() {
                continue;
            }
            queue.parts.push_back(Part { chunk: Arc::clone(&chunk), entries, at: 0, until: span.until, cost });
        }
        for (partition, next) in passed {
            if let Some(queue) = self.queues.get_mut(&partition) {
                queue.passed = queue.passed.max(next);
            }
        }
    }

    /// Bytes that a portion may have: as much may wait besides.
    fn budget(&self) -> u64 {
        self.share.saturating_mul(self.queues.len() as u64) / 2
    }

    fn has_room(&self) -> bool {
        self.queues.values().map(Queue::bytes).sum::<u64>() < self.budget() / 2
    }

    /// Whether there are commits that were not read.
    fn is_more(&self) -> bool {
        let Some(head) = self.old.readable(|stand| stand.seq) else { return false };
        match &self.commits {
            Some(commits) => !commits.is_over(head),
            None => !self.has_begun && !self.queues.is_empty(),
        }
    }

    /// A partition that is to be read by itself: it has nothing left, and either portions have passed it, or there is no room for
    /// a portion, and it is behind all that waits. (Whether it is, is not known of what has not been handed out since the start;
    /// then polls that find nothing tell.)
    fn alone(&self) -> Option<Partition> {
        let has_room = self.has_room() && self.is_more();
        let waits = self.queues.values().filter(|queue| !queue.parts.is_empty());
        let least = waits.map(|queue| queue.clock).min();
        let is_behind = |queue: &Queue| self.fruitless >= FRUITLESS || least.is_none_or(|least| queue.clock <= least);
        let is_due = |queue: &Queue| queue.passed > queue.loaded || (!has_room && is_behind(queue));
        let unread = self.queues.iter().filter(|(partition, queue)| {
            self.has_begun && queue.parts.is_empty() && is_due(queue) && self.old.end(**partition) > Some(queue.loaded)
        });
        unread.min_by_key(|(_, queue)| queue.clock).map(|(partition, _)| *partition)
    }
}

/// The next epochs of all partitions, from each where it was loaded up to.
async fn load_all(
    old: Arc<OldLake>,
    commits: Option<Commits>,
    wanted: BTreeMap<Partition, NextOffset>,
    bytes: u64,
) -> Result<Turn, SourceError> {
    let mut commits = match commits {
        Some(commits) => commits,
        None => begin(&old, &wanted).await?,
    };
    let mut portion = Portion::next(&old, &mut commits, &wanted, bytes).await?;
    let (passed, cost) = (std::mem::take(&mut portion.passed), portion.cost);
    Ok(Turn { loaded: load(&old, portion).await?, passed, cost, commits: Some(commits) })
}

/// Some epochs of one partition.
async fn load_alone(old: Arc<OldLake>, partition: Partition, from: NextOffset) -> Result<Turn, SourceError> {
    let wanted = BTreeMap::from([(partition, from)]);
    let mut commits = begin(&old, &wanted).await?;
    let portion = Portion::next(&old, &mut commits, &wanted, ALONE).await?;
    if portion.spans.is_empty() {
        let (topic, index) = (partition.topic.name(), partition.index);
        return Err(old.broken(&format!("no binding goes on at offset {} of {topic}/{index}", from.0)));
    }
    let cost = portion.cost;
    Ok(Turn { loaded: load(&old, portion).await?, passed: BTreeMap::new(), cost, commits: None })
}

/// From the first commit on that has something of the partitions.
async fn begin(old: &OldLake, wanted: &BTreeMap<Partition, NextOffset>) -> Result<Commits, SourceError> {
    let head = old.readable(|stand| stand.seq).unwrap_or(0);
    let first = old.first(0, |commit| {
        commit.positions.iter().any(|p| wanted.get(&p.partition).is_some_and(|from| p.next > *from))
    });
    Ok(first.await?.map_or_else(|| Commits::from(head + 1), Commits::after))
}

impl Queue {
    /// What waits, about.
    fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| (part.entries.len() - part.at) as u64 * part.cost).sum()
    }

    /// The offset of what is handed out next.
    fn at(&self) -> NextOffset {
        let next = self.parts.front().and_then(|part| part.entries.get(part.at));
        next.map_or(self.loaded, |entry| NextOffset(entry.offset))
    }
}

impl Part {
    /// The record that is next, and the next offset after it. `None` at the end.
    fn record<'a>(&'a self, topic: Topic, json: &'a mut Vec<u8>) -> Option<Record<'a>> {
        let entry = self.entries.get(self.at)?;
        let next = self.entries.get(self.at + 1).map_or(self.until, |entry| NextOffset(entry.offset));
        let row = entry.row as usize;
        let (envelope, payload) = if entry.is_dead {
            self.chunk.dead.as_ref()?.record(row)
        } else {
            json.clear();
            let envelope = self.chunk.raw.get(&topic)?.write(row, json);
            (envelope, Some(json.as_slice()))
        };
        let Envelope { key, log_time, length } = envelope;
        Some(Record { offset: entry.offset, next, log_time, key, payload, length: Some(length) })
    }
}

impl Reader for OriginReader {
    fn add(&mut self, partition: Partition, next: NextOffset) -> Result<(), SourceError> {
        let queue = Queue { loaded: next, passed: next, clock: None, parts: VecDeque::new() };
        self.queues.insert(partition, queue);
        Ok(())
    }

    fn poll(
        &mut self,
        partition: Partition,
        take: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), SourceError> {
        self.turn()?;
        self.fruitless = self.fruitless.saturating_add(1);
        let OriginReader { queues, json, fruitless, .. } = self;
        let Some(queue) = queues.get_mut(&partition) else { return Ok(()) };
        while let Some(part) = queue.parts.front_mut() {
            let Some(record) = part.record(partition.topic, json) else {
                queue.parts.pop_front();
                continue;
            };
            let log_time = Some(record.log_time).filter(|time| LOG_TIMES.contains(time));
            queue.clock = queue.clock.max(log_time);
            *fruitless = 0;
            let flow = take(record);
            part.at += 1;
            if part.at == part.entries.len() {
                queue.parts.pop_front();
            }
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn drained(&mut self, partition: Partition) -> bool {
        let Some(queue) = self.queues.get(&partition) else { return false };
        let end = self.old.head(|head| head.end(partition)).flatten();
        let is_at_end = |end: End| end.is_fresh(Instant::now()) && queue.loaded.0 >= end.at;
        // An end that was taken once and for all is no older later; and what came after it, another process may know of.
        let is_fixed = !self.old.follows() && end.is_none_or(|end| queue.loaded.0 >= end.at);
        queue.parts.is_empty() && (is_fixed || end.is_some_and(is_at_end))
    }

    fn caught_up(&mut self, partition: Partition) -> bool {
        let Some(queue) = self.queues.get(&partition) else { return false };
        self.old.head(|head| head.has_reached(partition, queue.at())).unwrap_or(false)
    }

    fn passed(&self, partition: Partition) -> Option<NextOffset> {
        self.queues.get(&partition).filter(|queue| queue.parts.is_empty()).map(|queue| queue.loaded)
    }

    fn end(&self, partition: Partition) -> Option<NextOffset> {
        self.old.head(|head| head.end(partition)).flatten().map(|end| NextOffset(end.at))
    }
}
