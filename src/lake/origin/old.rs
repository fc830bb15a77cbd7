//! An old lake: its settings, its commits, and where it stands.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use citystream_dataflows::time::bindings::{NextOffset, Partition, Position, Topic, is_another_topic};
use serde::Deserialize;
use serde_json::Value;

use crate::lake::history::commit::{EpochBindings, File, Origin, TopicName};
use crate::lake::history::read::{self, ReadError};
use crate::lake::history::requests::{self, Wanted};
use crate::lake::history::retention::Gone;
use crate::lake::history::settings::{PACKED_SINCE, READABLE_DEFINITIONS, READABLE_FORMATS, RowSemantics};
use crate::lake::history::{State, erasure, layout, packs, roots};
use crate::lake::store::error::StoreError;
use crate::lake::{Lake, StoreOptions, digest};
use crate::source::SourceError;
use crate::source::assignment::ACCEPT_FLAG;
use crate::source::ends::{End, Ends};

/// How often it is looked whether the old lake's run goes on.
const LOOK: Duration = Duration::from_millis(500);
/// Whoever has not looked for so long looks from the beginning: what came next may have been packed.
const LONG: Duration = Duration::from_secs(3600);

/// How an old lake is opened and read.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it is.
    pub location: String,
    /// How its store is reached.
    pub store: StoreOptions,
    /// The lake that is filled, which must be another one.
    pub into: String,
    /// What the log clock is said to be: the old lake's must be the same, as log times are its own.
    pub log_clock: &'static str,
    /// Whether what is gone or damaged may be passed over.
    pub accept_loss: bool,
    /// Whether its run is followed; else it is read as it stands when it is opened.
    pub follows: bool,
    /// How old a commit that came since is before it is read: [`SETTLED`].
    pub settled: Duration,
}

/// Every process looks for itself where the old lake stands. A commit is read only once all of them know of it: else
/// partitions that it goes on with would count as drained on one while others are read past them.
pub const SETTLED: Duration = Duration::from_secs(10);

/// A commit of any format, as far as a source needs it.
#[derive(Debug, Deserialize)]
pub(super) struct OldCommit {
    pub(super) seq: u64,
    pub(super) positions: Vec<Position>,
    pub(super) topics: BTreeMap<Topic, TopicName>,
    pub(super) epochs: Vec<EpochBindings>,
    pub(super) added: BTreeMap<String, Vec<OldFile>>,
}

/// A file of any format.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct OldFile {
    pub(super) path: String,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// Of format 2 on.
    pub(super) sha256: Option<String>,
}

/// What `lake.json` says, in all formats.
#[derive(Deserialize)]
struct OldSettings {
    format: u64,
    lake: String,
    decides: Value,
}

/// Where an old lake stood when it was looked.
#[derive(Debug)]
pub(super) struct Stand {
    pub(super) seq: u64,
    sha256: String,
    pub(super) positions: BTreeMap<Partition, Position>,
    pub(super) topics: BTreeMap<Topic, TopicName>,
    seen: Instant,
}

/// Where an old lake stands.
#[derive(Debug)]
pub(super) struct Head {
    /// The last one that may be read, and those seen since.
    stands: VecDeque<Stand>,
    ends: BTreeMap<Partition, Ends>,
    /// When it was looked last.
    asked: Instant,
}

/// See the module.
#[derive(Debug)]
pub struct OldLake {
    pub(super) lake: Lake,
    id: String,
    format: u64,
    /// What is live in a lake whose files are packed, as of a commit.
    live: tokio::sync::Mutex<Option<State>>,
    semantics: Option<RowSemantics>,
    options: Options,
    head: Mutex<Option<Head>>,
    failed: OnceLock<SourceError>,
    /// Set when the run ends: whatever the store says then is of no account.
    is_closed: AtomicBool,
}

impl Head {
    /// The end of a partition, as it was seen last.
    pub(super) fn end(&self, partition: Partition) -> Option<End> {
        self.ends.get(&partition).and_then(Ends::latest)
    }

    /// Takes where it stands now, if that is another place.
    fn take(&mut self, stand: Option<Stand>, asked: Instant, settled: Duration) {
        self.stands.extend(stand);
        while self.stands.get(1).is_some_and(|next| next.seen.elapsed() >= settled) {
            self.stands.pop_front();
        }
        self.asked = asked;
        let positions = self.stands.back().map(|stand| &stand.positions);
        for (partition, position) in positions.into_iter().flatten() {
            let end = End { at: position.next.0, asked, answered: Instant::now() };
            self.ends.entry(*partition).or_default().tell(end);
        }
    }

    /// Whether a position has reached an end that was seen lately.
    pub(super) fn has_reached(&self, partition: Partition, at: NextOffset) -> bool {
        self.ends.get(&partition).is_some_and(|ends| ends.reached(at.0, Instant::now()))
    }
}

impl OldLake {
    /// Opens an old lake, and follows it from then on.
    ///
    /// # Errors
    /// No lake there, the very lake that is to be filled, or one that this program cannot read.
    pub async fn open(options: &Options) -> Result<Arc<OldLake>, SourceError> {
        let Options { location, store, into, log_clock, .. } = options;
        let lake = Lake::open(location, store).await.map_err(store_error)?;
        let mistaken = |why: String| SourceError::Mistaken(format!("--source lake:{}: {why}", lake.location()));
        if lake.is_at(into) {
            return Err(mistaken("is the lake that is to be filled; name another --lake".to_owned()));
        }
        let Some(bytes) = lake.get(layout::SETTINGS).await.map_err(store_error)? else {
            return Err(mistaken(format!("there is no lake: {} is missing", layout::SETTINGS)));
        };
        let OldSettings { format, lake: id, decides } =
            serde_json::from_slice(&bytes).map_err(|why| mistaken(format!("its lake.json cannot be read: {why}")))?;
        let definitions = &decides["definitions"];
        let is_readable = definitions.as_u64().is_some_and(|version| READABLE_DEFINITIONS.contains(&version));
        if !READABLE_FORMATS.contains(&format) || !is_readable {
            return Err(mistaken(format!(
                "has format {format} and definitions of version {definitions}; this program reads formats {READABLE_FORMATS:?} and \
                 definitions {READABLE_DEFINITIONS:?}"
            )));
        }
        if decides["log_clock"] != **log_clock {
            let clock = decides["log_clock"].as_str().unwrap_or_default();
            return Err(mistaken(format!(
                "was made with --log-clock {clock}, which its log times are of; say the same"
            )));
        }
        let options = options.clone();
        let (head, failed, is_closed) = (Mutex::default(), OnceLock::new(), AtomicBool::new(false));
        let semantics = serde_json::from_value(decides).ok();
        let old = Arc::new(OldLake {
            lake,
            id,
            format,
            live: Default::default(),
            semantics,
            options,
            head,
            failed,
            is_closed,
        });
        old.look().await?;
        old.warn_of_erasures().await?;
        if !old.options.follows && old.origin().is_none() {
            let location = old.lake.location();
            return Err(SourceError::Mistaken(format!(
                "--source lake:{location}: it has no commit yet: nothing to read"
            )));
        }
        if old.origin().is_some() && !old.begins().await? {
            let location = old.lake.location();
            return Err(SourceError::Mistaken(format!(
                "--source lake:{location}: its first commits are kept no longer, and with them where its rows came from: read the \
                 topics, or a backup"
            )));
        }
        if old.options.follows {
            tokio::spawn(follow(Arc::downgrade(&old)));
        }
        Ok(old)
    }

    /// What decided its rows, if it is what decides them today.
    pub fn semantics(&self) -> Option<&RowSemantics> {
        self.semantics.as_ref()
    }

    /// What a commit of a lake that is filled from it says of it; `None` while it has no commit.
    pub fn origin(&self) -> Option<Origin> {
        self.readable(|stand| Origin {
            location: self.lake.location().to_owned(),
            lake: self.id.clone(),
            seq: stand.seq,
            sha256: stand.sha256.clone(),
            positions: stand.positions.values().copied().collect(),
        })
    }

    /// What was seen of where it stands, if it has a commit.
    pub(super) fn head<T>(&self, of: impl FnOnce(&Head) -> T) -> Option<T> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(of)
    }

    /// Up to where it may be read.
    pub(super) fn readable<T>(&self, of: impl FnOnce(&Stand) -> T) -> Option<T> {
        self.head(|head| head.stands.front().map(of)).flatten()
    }

    /// The end of a partition, as far as it may be read.
    pub(super) fn end(&self, partition: Partition) -> Option<NextOffset> {
        self.readable(|stand| stand.positions.get(&partition).map(|position| position.next)).flatten()
    }

    /// Finds out where it stands now.
    pub(super) async fn look(&self) -> Result<(), SourceError> {
        let asked = Instant::now();
        let known = self.head(|head| (head.stands.back().map_or(0, |stand| stand.seq), head.asked));
        let Some(seq) = self.last(known).await? else { return Ok(()) };
        let stand = if known.is_none_or(|(known, _)| known < seq) { Some(self.stand(seq).await?) } else { None };
        let mut held = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let head = held.get_or_insert_with(|| Head { stands: VecDeque::new(), ends: BTreeMap::new(), asked });
        head.take(stand, asked, self.options.settled);
        Ok(())
    }

    /// The number of its last commit, given one that was seen, and when.
    async fn last(&self, known: Option<(u64, Instant)>) -> Result<Option<u64>, SourceError> {
        let Some((mut seq, _)) = known.filter(|(_, asked)| asked.elapsed() < LONG) else {
            let after = known.map(|(seq, _)| seq);
            let last = self.patiently(|| async move { Ok(read::head(&self.lake, after).await?) }).await?;
            return Ok(last.max(after));
        };
        while self.exists(seq + 1).await? {
            seq += 1;
        }
        Ok(Some(seq))
    }

    async fn stand(&self, seq: u64) -> Result<Stand, SourceError> {
        let (OldCommit { positions, topics, .. }, sha256) = self.read(seq).await?;
        let positions = positions.into_iter().map(|position| (position.partition, position)).collect();
        Ok(Stand { seq, sha256, positions, topics, seen: Instant::now() })
    }

    async fn exists(&self, seq: u64) -> Result<bool, SourceError> {
        self.patiently(|| async move { Ok(self.lake.exists(&layout::commit(seq)).await?) }).await
    }

    /// Whether its first commit is there, by itself or in a pack.
    async fn begins(&self) -> Result<bool, SourceError> {
        let there =
            || async { Ok(self.lake.exists(&layout::commit(0)).await? || self.lake.exists(&packs::path(0)).await?) };
        self.patiently(there).await
    }

    /// Reads a commit; its digest.
    async fn read(&self, seq: u64) -> Result<(OldCommit, String), SourceError> {
        let bytes = self.patiently(|| read::bytes(&self.lake, seq)).await?;
        Ok((self.decode(seq, &bytes)?, digest(&bytes)))
    }

    pub(super) fn decode(&self, seq: u64, bytes: &[u8]) -> Result<OldCommit, SourceError> {
        serde_json::from_slice(bytes).map_err(|why| self.broken(&format!("commit {seq} cannot be read: {why}")))
    }

    /// The first commit after `from` of which that holds: of it, and of all after it.
    pub(super) async fn first(
        &self,
        from: u64,
        holds: impl Fn(&OldCommit) -> bool,
    ) -> Result<Option<OldCommit>, SourceError> {
        let Some(head) = self.readable(|stand| stand.seq) else { return Ok(None) };
        let (mut before, mut step) = (from, 1);
        let mut found = loop {
            let at = (before + step - 1).min(head);
            let (commit, _) = self.read(at).await?;
            if holds(&commit) {
                break commit;
            }
            if at == head {
                return Ok(None);
            }
            (before, step) = (at + 1, step * 2);
        };
        while before < found.seq {
            let (commit, _) = self.read(before.midpoint(found.seq)).await?;
            if holds(&commit) {
                found = commit;
            } else {
                before = commit.seq + 1;
            }
        }
        Ok(Some(found))
    }

    /// Refuses a topic that was made anew under the old lake: its offsets name two records.
    pub(super) fn same_topics(&self, commit: &OldCommit) -> Result<(), SourceError> {
        let others = self.readable(|head| {
            let is_other = |topic: &Topic, name: &TopicName| {
                commit.topics.get(topic).is_some_and(|then| is_another_topic(&then.id, &name.id))
            };
            head.topics.iter().find(|(topic, name)| is_other(topic, name)).map(|(_, name)| name.name.clone())
        });
        others.flatten().map_or(Ok(()), |topic| {
            Err(SourceError::Mistaken(format!(
                "{}: topic {topic} was made anew after its commit {}, and two records of it may have one offset: it cannot be a \
                 source",
                self.lake.location(),
                commit.seq
            )))
        })
    }

    /// Whether its run packs data files: those that a commit names may have become others since.
    pub(super) fn is_packed(&self) -> bool {
        self.format >= u64::from(PACKED_SINCE)
    }

    /// The live files of a table that have rows of these commits.
    pub(super) async fn live(&self, table: &str, (first, last): (u64, u64)) -> Result<Vec<OldFile>, SourceError> {
        let mut live = self.live.lock().await;
        if live.as_ref().is_none_or(|state| state.seq < last) {
            *live = self.patiently(|| roots::state(&self.lake)).await?;
        }
        let Some(state) = live.as_ref() else { return Ok(Vec::new()) };
        let may = |file: &File| file.seqs.0 <= last && first <= file.seqs.1;
        let files = self.patiently(|| roots::files(&self.lake, &state.files, table, may)).await?;
        let old = |File { path, rows, bytes, sha256, .. }| OldFile { path, rows, bytes, sha256: Some(sha256) };
        Ok(files.into_iter().map(old).collect())
    }

    /// What of a topic's records it keeps no longer that may be of these commits, as of what is known of its live files.
    pub(super) async fn gone(&self, topic: Topic, seqs: Option<(u64, u64)>) -> Option<String> {
        let (live, (first, last)) = (self.live.lock().await, seqs?);
        let tables = [topic.raw_table(), layout::DEAD_LETTERS].into_iter();
        let mut gone = tables.filter_map(|table| Some((table, live.as_ref()?.gone.get(table)?)));
        let (table, Gone { sum, last, .. }) =
            gone.find(|(_, gone)| gone.sum.seqs.0 <= last && first <= gone.sum.seqs.1)?;
        let (date, rows) = (&sum.date, sum.rows);
        Some(format!(
            "{rows} rows of {table}, of dates through {date}, are kept no longer since its commit {last} (--keep)"
        ))
    }

    /// How many records of a partition are erased there, as of what is known of its live files.
    pub(super) async fn erased(&self, Partition { topic, index }: Partition) -> u64 {
        let live = self.live.lock().await;
        let tables = [topic.raw_table(), layout::DEAD_LETTERS].into_iter();
        live.iter().flat_map(|state| tables.clone().map(|table| erasure::count(state, table, topic, index))).sum()
    }

    /// Says what is to be erased there and is not yet: it would go on here.
    async fn warn_of_erasures(&self) -> Result<(), SourceError> {
        let all = self.patiently(|| async { Ok(requests::all(&self.lake).await?) }).await?;
        let erasures = all.iter().filter(|request| matches!(request.wanted, Wanted::Erase(_))).count();
        if erasures > 0 {
            tracing::warn!(
                "{}: {erasures} erasures wait there (`citystream lake status`): what they are about and is there still is copied; \
                 erase it here, too",
                self.lake.location()
            );
        }
        Ok(())
    }

    /// Takes a loss, if that is accepted.
    pub(super) fn lose(&self, what: &str) -> Result<(), SourceError> {
        let text = format!("{what}; {ACCEPT_FLAG} goes on without");
        if !self.options.accept_loss {
            return Err(SourceError::Lost(text));
        }
        tracing::warn!("{text}");
        Ok(())
    }

    /// It contradicts itself.
    pub(super) fn broken(&self, what: &str) -> SourceError {
        SourceError::Lost(format!("{}: {what} (`citystream lake verify` says more)", self.lake.location()))
    }

    /// Asks the store until it answers.
    pub(super) async fn patiently<T, F: Future<Output = Result<T, ReadError>> + Send>(
        &self,
        ask: impl Fn() -> F + Send,
    ) -> Result<T, SourceError> {
        let mut pause = self.lake.pause(Duration::from_millis(100));
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(_) if self.is_closed.load(Ordering::Relaxed) => std::future::pending().await,
                Err(ReadError::Store(StoreError::Transient(why))) => pause.wait(&why).await,
                Err(ReadError::Store(error)) => return Err(store_error(error)),
                Err(ReadError::Integrity(violation)) => return Err(self.broken(&violation.0)),
            }
        }
    }

    /// Whether its run is followed.
    pub(super) fn follows(&self) -> bool {
        self.options.follows
    }

    /// The run ends, and with it whatever is being read.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    /// Why it cannot be followed any more.
    pub(super) fn failed(&self) -> Result<(), SourceError> {
        self.failed.get().map_or(Ok(()), |why| Err(why.clone()))
    }
}

/// Looks where an old lake stands, for as long as somebody reads it.
async fn follow(old: Weak<OldLake>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(old) = old.upgrade() else { return };
        if let Err(why) = old.look().await {
            let _ = old.failed.set(why);
            return;
        }
    }
}

fn store_error(error: StoreError) -> SourceError {
    match error {
        StoreError::Unusable(why) => SourceError::Mistaken(why),
        StoreError::Transient(why) => SourceError::Unusable(why),
    }
}
