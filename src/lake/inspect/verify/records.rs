//! The records in the files against the bindings and ledgers of the commits (P2, P4). Each row says of which commit it is, so
//! it does not matter which file has it, nor in which order files are read. Of commits of which some rows are kept no longer or erased the
//! ledgers are the most that may be there; what is erased makes it up to them in all.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::{Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use citystream_dataflows::tables::Counted;
use citystream_dataflows::time::Epoch;
use citystream_dataflows::time::bindings::{Partition, Topic};
use citystream_dataflows::time::disposition::Disposition;

use super::chain::Chain;
use super::files::read_files;
use super::report::Report;
use super::roots::LiveFiles;
use crate::columns::row::column;
use crate::columns::tables::{DEAD_LETTERS, LOG_TIME, QUALITY_WINDOW, Table};
use crate::lake::history::commit::{Commit, File, Ledger};
use crate::lake::history::read::ReadError;
use crate::lake::history::{Violation, bindings, erasure, name};
use crate::lake::store::Lake;

/// What is read of a record.
const COLUMNS: [&str; 8] =
    ["topic", "partition", "offset", "disposition", "event_time", LOG_TIME, QUALITY_WINDOW, "seq"];

/// Each binding's count is its distinct offsets in the files, nothing else is in them, and the ledger of a commit is what
/// its rows add up to; of commits whose rows are kept no longer, that is the most that may be there; and of those up to the base only the sum is known. As bindings are adjacent, no offset of one topic id can come twice in the whole history.
pub(super) async fn check(lake: &Lake, chain: &Chain, live: &LiveFiles, report: &mut Report) -> Result<(), ReadError> {
    let mut records = Records::of(chain);
    for table in Table::records() {
        let files: Vec<&File> = live.get(table.name()).into_iter().flat_map(BTreeMap::values).collect();
        let is_dead = table.name() == DEAD_LETTERS;
        read_files(lake, &files, Some(&COLUMNS), report, |batch| records.take(batch, is_dead)).await?;
    }
    if let Some(base) = &chain.base {
        report.note(records.check_ledgers(base.seq, &base.totals));
    }
    for commit in &chain.commits {
        report.bindings += bindings(commit).count() as u64;
        report.note(records.check(commit));
    }
    report.note(records.check_erased());
    Ok(())
}

/// What the files hold of each commit.
struct Records<'a> {
    chain: &'a Chain,
    bound: HashMap<(Partition, i64), Vec<Bound>>,
    ledgers: HashMap<(Topic, i64), Ledger>,
    /// Of each commit, an offset that is there twice.
    twice: HashMap<i64, (Partition, i64)>,
    /// Of each commit, how many rows are in none of its bindings.
    strays: HashMap<i64, u64>,
    /// The commits of which rows are gone or erased, by table.
    gone: HashMap<&'static str, HashSet<i64>>,
}

/// A binding, and the offsets that were found of it: 64 a word.
struct Bound {
    epoch: Epoch,
    offsets: std::ops::Range<i64>,
    read: u64,
    found: u64,
    seen: HashMap<i64, u64>,
}

impl Records<'_> {
    fn of(chain: &Chain) -> Records<'_> {
        let (bound, ledgers, twice, strays) = Default::default();
        let mut records = Records { chain, bound, ledgers, twice, strays, gone: HashMap::new() };
        for table in Table::records().map(Table::name) {
            let place = |seq: u64| chain.place(seq as i64);
            let dropped = chain.gone(table).flat_map(|file| place(file.seqs.0)..=place(file.seqs.1));
            let erased = erasure::of_table(&chain.commits, table).flat_map(|(files, erased)| {
                files.into_iter().flat_map(move |file| place(file.seqs.0)..=place(file.seqs.1.min(erased.through)))
            });
            let before = chain.base.iter().filter(|_| chain.was_erased(table)).map(|base| base.seq as i64);
            records.gone.insert(table, dropped.chain(erased).chain(before).collect());
        }
        for commit in &chain.commits {
            for (epoch, binding) in bindings(commit) {
                let (offsets, read) = (binding.first.0..binding.next.0, binding.read);
                let bound = Bound { epoch, offsets, read, found: 0, seen: HashMap::new() };
                records.bound.entry((binding.partition, commit.seq as i64)).or_default().push(bound);
            }
        }
        records
    }

    fn take(&mut self, batch: &RecordBatch, is_dead: bool) -> Result<(), String> {
        let lacks = |name: &str| format!("no column {name} of its type");
        let topics: &StringArray = column(batch, "topic").ok_or_else(|| lacks("topic"))?;
        let partitions: &Int32Array = column(batch, "partition").ok_or_else(|| lacks("partition"))?;
        let offsets: &Int64Array = column(batch, "offset").ok_or_else(|| lacks("offset"))?;
        let seqs: &Int64Array = column(batch, "seq").ok_or_else(|| lacks("seq"))?;
        let dispositions: Option<&StringArray> = column(batch, "disposition").filter(|_| !is_dead);
        if dispositions.is_none() && !is_dead {
            return Err(lacks("disposition"));
        }
        let windows: &TimestampMicrosecondArray = column(batch, QUALITY_WINDOW).ok_or_else(|| lacks(QUALITY_WINDOW))?;
        for row in 0..batch.num_rows() {
            let topic = topics.value(row);
            let topic = Topic::named(topic).ok_or_else(|| format!("a topic {topic:?}"))?;
            let disposition = |name| Disposition::from_name(name).ok_or_else(|| format!("a disposition {name}"));
            let disposition = dispositions.map(|names| disposition(names.value(row))).transpose()?;
            let ledger = self.ledgers.entry((topic, self.chain.place(seqs.value(row)))).or_default();
            ledger.read += 1;
            ledger.add(disposition, windows.is_null(row));
            self.find(Partition { topic, index: partitions.value(row) }, seqs.value(row), offsets.value(row));
        }
        Ok(())
    }

    /// Takes note of an offset in the binding that has it.
    fn find(&mut self, partition: Partition, seq: i64, offset: i64) {
        if (seq as u64) < self.chain.first() {
            return;
        }
        let bound = self.bound.get_mut(&(partition, seq)).into_iter().flatten();
        match bound.into_iter().find(|bound| bound.offsets.contains(&offset)) {
            None => *self.strays.entry(seq).or_default() += 1,
            Some(bound) => {
                let (word, bit) = (bound.seen.entry(offset.div_euclid(64)).or_default(), 1 << offset.rem_euclid(64));
                if *word & bit != 0 {
                    self.twice.insert(seq, (partition, offset));
                }
                *word |= bit;
                bound.found += 1;
            }
        }
    }

    /// Whether all that a commit read of a topic is there still.
    fn is_whole(&self, topic: Topic, seq: i64) -> bool {
        let tables = [topic.raw_table(), DEAD_LETTERS];
        !tables.into_iter().any(|table| self.gone.get(table).is_some_and(|seqs| seqs.contains(&seq)))
    }

    fn check(&self, commit: &Commit) -> Result<(), Violation> {
        let seq = commit.seq;
        let place = seq as i64;
        if let Some((partition, offset)) = self.twice.get(&place) {
            let name = name(*partition);
            return Err(Violation(format!("P2: commit {seq}: {name} offset {offset} is there twice")));
        }
        for partition in bindings(commit).map(|(_, binding)| binding.partition) {
            let bound = self.bound.get(&(partition, place)).into_iter().flatten();
            let is_whole = self.is_whole(partition.topic, place);
            let is_wrong = |bound: &&Bound| bound.found > bound.read || (is_whole && bound.found < bound.read);
            if let Some(Bound { epoch, read, found, .. }) = bound.into_iter().find(is_wrong) {
                let name = name(partition);
                let text = format!("P4: commit {seq}: {name} in epoch {epoch}: {read} read, {found} in the files");
                return Err(Violation(text));
            }
        }
        if let Some(strays) = self.strays.get(&place) {
            return Err(Violation(format!("P4: commit {seq}: {strays} rows in the files that no binding has")));
        }
        self.check_ledgers(seq, &commit.ledger)
    }

    /// The rows of a commit, or of all up to the base, against what was counted.
    fn check_ledgers(&self, seq: u64, ledgers: &BTreeMap<Topic, Ledger>) -> Result<(), Violation> {
        let place = seq as i64;
        for topic in Topic::all() {
            let files = self.ledgers.get(&(topic, place)).copied().unwrap_or_default();
            let ledger = ledgers.get(&topic).copied().unwrap_or_default();
            if files != ledger && (self.is_whole(topic, place) || !files.is_within(&ledger)) {
                let name = topic.name();
                let text = format!("P4: commit {seq}: {name}: {ledger:?} in the ledger, {files:?} in the files");
                return Err(Violation(text));
            }
        }
        Ok(())
    }

    /// What is missing in all is what was erased: of each topic by disposition, and of each partition where all bindings are known. What
    /// was erased before the base is known as a sum only.
    fn check_erased(&self) -> Result<(), Violation> {
        let Chain { base, commits, .. } = self.chain;
        for topic in Topic::all() {
            let tables = [topic.raw_table(), DEAD_LETTERS];
            if tables.into_iter().any(|table| self.chain.gone(table).next().is_some() || self.chain.was_erased(table)) {
                continue;
            }
            let (mut places, mut kinds) = (HashMap::new(), HashMap::new());
            let counts = tables.into_iter().flat_map(|table| erasure::of_table(commits, table));
            for count in counts.flat_map(|(_, erased)| &erased.counts) {
                let Some(place) = count.place.filter(|place| place.topic == topic) else { continue };
                *places.entry(place).or_insert(0) += count.rows;
                *kinds.entry(count.disposition).or_insert(0) += count.rows;
            }
            for (place, erased) in places.into_iter().filter(|_| base.is_none()) {
                let of =
                    self.bound.iter().filter(|((partition, _), _)| *partition == place).flat_map(|(_, bound)| bound);
                let missing: u64 = of.map(|bound| bound.read.saturating_sub(bound.found)).sum();
                ensure_erased(&name(place), missing, erased)?;
            }
            for (disposition, erased) in kinds {
                let counted = commits.iter().map(|commit| (commit.seq, &commit.ledger));
                let all = base.iter().map(|base| (base.seq, &base.totals)).chain(counted);
                let missing: u64 = all.map(|(seq, ledgers)| self.missing(topic, disposition, seq, ledgers)).sum();
                let kind = disposition.map_or("dead letters", Disposition::name);
                ensure_erased(&format!("{}, {kind}", topic.name()), missing, erased)?;
            }
        }
        Ok(())
    }

    /// How many records of a commit, or of all up to the base, became that, and are not in the files.
    fn missing(
        &self,
        topic: Topic,
        disposition: Option<Disposition>,
        seq: u64,
        ledgers: &BTreeMap<Topic, Ledger>,
    ) -> u64 {
        let counted = disposition.map_or(Counted::Dead, |disposition| match disposition {
            Disposition::OnTime => Counted::OnTime,
            Disposition::Late => Counted::Late,
            Disposition::Expired => Counted::Expired,
            Disposition::Duplicate => Counted::Duplicate,
        });
        let ledger = ledgers.get(&topic).map_or(0, |ledger| ledger.count(counted));
        let found = self.ledgers.get(&(topic, seq as i64)).map_or(0, |ledger| ledger.count(counted));
        ledger.saturating_sub(found)
    }
}

fn ensure_erased(what: &str, missing: u64, erased: u64) -> Result<(), Violation> {
    if missing == erased {
        return Ok(());
    }
    Err(Violation(format!("P4: {what}: {missing} records are not in the files, {erased} are erased")))
}
