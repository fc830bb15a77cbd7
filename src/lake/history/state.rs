//! What a history of commits adds up to, and which commit may follow it (P2, P4). Pure.

use std::collections::{BTreeMap, BTreeSet};

use citystream_dataflows::time::bindings::{
    Binding, NextOffset, Partition, Position, Standing, Topic, is_another_topic,
};
use citystream_dataflows::time::{Epoch, Micros};
use serde::{Deserialize, Serialize};

use crate::lake::history::alerts::Alerts;
use crate::lake::history::commit::{Base, Commit, Kind, Ledger, Origin, Packed, TopicName, saturating_sum};
use crate::lake::history::erasure::{self, AllErased};
use crate::lake::history::error::Violation;
use crate::lake::history::live::Live;
use crate::lake::history::retention::{self, AllGone};
use crate::lake::history::versions::{self, Published};
use crate::lake::history::views::{self, Views};
use crate::lake::history::{base, finality, layout, tidy};

/// A history's sum after its commit `seq`. A root is one of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The last commit.
    pub seq: u64,
    /// SHA-256 of its bytes in hex.
    pub digest: String,
    /// The run that wrote it.
    pub run: String,
    /// When it was proposed, in milliseconds.
    pub time_ms: i64,
    /// The last epoch.
    pub epoch: Epoch,
    /// The horizon after it.
    pub horizon: Option<Micros>,
    /// Every partition known, with its position.
    pub positions: Vec<Position>,
    /// The topics known.
    pub topics: BTreeMap<Topic, TopicName>,
    /// The live files.
    pub files: Live,
    /// The counts of the whole history, by topic.
    pub totals: BTreeMap<Topic, Ledger>,
    /// Whether a data commit is in the history.
    pub has_data: bool,
    /// The standing views that are there.
    #[serde(default, skip_serializing_if = "Views::is_empty")]
    pub views: Views,
    /// What has become of alerts.
    #[serde(default, skip_serializing_if = "Alerts::is_empty")]
    pub alerts: Alerts,
    /// The last lake that was a source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The last version of the Delta tables; `None`: each commit so far is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
    /// Up to where commits are packed.
    pub packed: Option<Packed>,
    /// Up to which commit all files that commits removed are deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected: Option<u64>,
    /// Where the history begins; `None`: with commit 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// What is kept no longer.
    #[serde(default, skip_serializing_if = "AllGone::is_empty")]
    pub gone: AllGone,
    /// What is erased.
    #[serde(default, skip_serializing_if = "AllErased::is_empty")]
    pub erased: AllErased,
}

macro_rules! ensure {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err(Violation(format!($($text)+)));
        }
    };
}

/// The history after `commit`, whose bytes have `digest`.
pub fn apply(previous: Option<State>, commit: &Commit, digest: String) -> State {
    let said = |state: &State| {
        (state.origin.clone(), state.published, state.packed.clone(), state.collected, state.base.clone())
    };
    let (origin, published, packed, collected, base) = previous.as_ref().map(said).unwrap_or_default();
    let ended = commit.version.map(|version| Published { version, seq: commit.seq });
    let parts = |state: State| {
        let lost = (state.gone, state.erased);
        (state.files, state.totals, state.has_data, state.views, state.alerts, lost)
    };
    let (mut files, mut totals, had_data, mut standing, mut alerts, (mut gone, mut erased)) =
        previous.map(parts).unwrap_or_default();
    views::apply(&mut standing, &commit.views);
    alerts.apply(commit.seq, &commit.alerts, commit.told);
    files.take(commit);
    retention::take(&mut gone, commit);
    erasure::take(&mut erased, commit);
    for (topic, ledger) in &commit.ledger {
        let total: &mut Ledger = totals.entry(*topic).or_default();
        *total = total.plus(ledger);
    }
    State {
        seq: commit.seq,
        digest,
        run: commit.run.clone(),
        time_ms: commit.time_ms,
        epoch: commit.epoch,
        horizon: commit.horizon,
        positions: commit.positions.clone(),
        topics: commit.topics.clone(),
        files,
        totals,
        has_data: had_data || commit.kind == Kind::Data,
        views: standing,
        alerts,
        origin: commit.origin.clone().or(origin),
        published: ended.or(published),
        packed: commit.packed.clone().or(packed),
        collected: commit.collected.or(collected),
        base: commit.base.clone().or(base),
        gone,
        erased,
    }
}

/// Whether `commit` may follow `previous`: its place in the chain, adjacent bindings, and its ledger.
pub fn check(previous: Option<&State>, commit: &Commit) -> Result<(), Violation> {
    let seq = commit.seq;
    let expected = previous.map_or(0, |state| state.seq + 1);
    ensure!(seq == expected, "commit {seq} stands where {expected} should");
    let digest = previous.map_or("", |state| &state.digest);
    ensure!(commit.previous == digest, "P2: commit {seq} does not follow the bytes of the commit before");
    check_time(previous, commit)?;
    versions::check(previous, commit)?;
    finality::check(previous.and_then(|state| state.horizon), commit)?;
    let anew = topics_anew(previous, commit)?;
    let positions = check_bindings(previous, commit, &anew)?;
    check_positions(&positions, commit)?;
    tidy::check(previous, commit)?;
    base::check(previous, commit)?;
    match commit.kind {
        Kind::Claim => check_claim(commit),
        Kind::Data => check_ledger(commit),
    }
}

fn check_claim(commit: &Commit) -> Result<(), Violation> {
    let empty = commit.views.is_empty()
        && commit.alerts.is_empty()
        && commit.origin.is_none()
        && commit.epochs.is_empty()
        && commit.added.values().all(Vec::is_empty)
        && commit.tidy.is_empty()
        && commit.ledger.is_empty();
    ensure!(empty && commit.removed.values().all(Vec::is_empty), "commit {} is a claim with data", commit.seq);
    Ok(())
}

fn check_time(previous: Option<&State>, commit: &Commit) -> Result<(), Violation> {
    let seq = commit.seq;
    if let Some(previous) = previous {
        ensure!(commit.epoch >= previous.epoch, "P1: epochs go back in commit {seq}");
        ensure!(commit.horizon >= previous.horizon, "P1: the horizon goes back in commit {seq}");
    }
    let mut last = previous.filter(|p| p.has_data).map(|p| p.epoch);
    for epoch in commit.epochs.iter().map(|e| e.epoch) {
        ensure!(last.is_none_or(|last| epoch > last), "P1: epoch {epoch} repeats or goes back in commit {seq}");
        ensure!(epoch <= commit.epoch, "P1: epoch {epoch} is beyond the last epoch of commit {seq}");
        last = Some(epoch);
    }
    Ok(())
}

/// The topics that a commit says were deleted and made anew since `previous`: their offsets begin anew in it. Only a
/// run that reads the new one may say so.
fn topics_anew(previous: Option<&State>, commit: &Commit) -> Result<BTreeSet<Topic>, Violation> {
    let known = previous.into_iter().flat_map(|state| &state.topics);
    let another = |(topic, known): &(&Topic, &TopicName)| {
        commit.topics.get(topic).is_some_and(|found| is_another_topic(&known.id, &found.id))
    };
    let anew: BTreeSet<Topic> = known.filter(another).map(|(topic, _)| *topic).collect();
    ensure!(commit.kind == Kind::Data || anew.is_empty(), "P4: commit {} is a claim to another topic", commit.seq);
    Ok(anew)
}

/// Where partitions stand: the next offset, which those of a topic made anew do not have yet, and the log clock.
type Places = BTreeMap<Partition, (Option<NextOffset>, Option<Micros>)>;

/// Each binding begins where the one before it ended; the first one of a partition in a topic made anew, anywhere. The
/// positions after all of them.
fn check_bindings(previous: Option<&State>, commit: &Commit, anew: &BTreeSet<Topic>) -> Result<Places, Violation> {
    let known = previous.into_iter().flat_map(|state| &state.positions);
    let next = |p: &Position| (!anew.contains(&p.partition.topic)).then_some(p.next);
    let mut at: Places = known.map(|p| (p.partition, (next(p), p.log_clock))).collect();
    for (epoch, binding) in bindings(commit) {
        let Binding { partition, first, next, read, log_clock, .. } = *binding;
        let what = || format!("{} in epoch {epoch} of commit {}", name(partition), commit.seq);
        if let Some((position, clock)) = at.get(&partition) {
            let position = position.unwrap_or(first);
            ensure!(first == position, "P4: {} begins at {}, not at {}", what(), first.0, position.0);
            ensure!(log_clock >= *clock, "P1: the log clock of {} goes back", what());
        }
        ensure!(next >= first && read <= next.0.abs_diff(first.0), "P4: {} has more records than offsets", what());
        at.insert(partition, (Some(next), log_clock));
    }
    Ok(at)
}

/// A commit names every partition where it stands. A topic made anew may have fewer than the old one.
fn check_positions(expected: &Places, commit: &Commit) -> Result<(), Violation> {
    let given: BTreeMap<_, _> = commit.positions.iter().map(|p| (p.partition, (p.next, p.log_clock))).collect();
    ensure!(given.len() == commit.positions.len(), "commit {} names a partition twice", commit.seq);
    for (partition, (next, clock)) in expected {
        let (name, seq) = (name(*partition), commit.seq);
        match (given.get(partition), next) {
            (None, None) => {}
            (None, Some(_)) => return Err(Violation(format!("P4: commit {seq} forgets {name}"))),
            (Some((given, given_clock)), next) => {
                let next = next.unwrap_or(*given);
                ensure!(*given == next, "P4: commit {seq} puts {name} at {}, its bindings at {}", given.0, next.0);
                ensure!(given_clock >= clock, "P1: commit {seq} sets the log clock of {name} back");
            }
        }
    }
    Ok(())
}

/// Keeps in `commit` the partitions that its run does not read because they are gone: where they stood is what the lake
/// holds of them. Those of a topic made anew are of another log.
pub fn keep_positions(previous: &State, commit: &mut Commit) -> Result<(), Violation> {
    let anew = topics_anew(Some(previous), commit)?;
    let named: BTreeSet<Partition> = commit.positions.iter().map(|p| p.partition).collect();
    let kept =
        previous.positions.iter().filter(|p| !named.contains(&p.partition) && !anew.contains(&p.partition.topic));
    // Whom nobody reads holds nothing.
    commit.positions.extend(kept.map(|p| Position { standing: Standing::Quiet, ..*p }));
    commit.positions.sort_by_key(|p| p.partition);
    Ok(())
}

/// P4: read = rows + dead letters, as counted at the source, by disposition, and in the files.
fn check_ledger(commit: &Commit) -> Result<(), Violation> {
    let seq = commit.seq;
    let topics: BTreeSet<_> =
        commit.ledger.keys().copied().chain(bindings(commit).map(|(_, b)| b.partition.topic)).collect();
    for topic in topics {
        let ledger = commit.ledger.get(&topic).copied().unwrap_or_default();
        let read = saturating_sum(bindings(commit).filter(|(_, b)| b.partition.topic == topic).map(|(_, b)| b.read));
        let name = topic.name();
        ensure!(ledger.read == read, "P4: commit {seq}: {name}: {} in the ledger, {read} at the source", ledger.read);
        let (rows, dead) = (ledger.rows(), ledger.dead);
        ensure!(
            read == rows.saturating_add(dead),
            "P4: commit {seq}: {name}: {read} read, but {rows} rows and {dead} dead letters"
        );
    }
    let tables = commit.added.keys().map(String::as_str);
    let brought: BTreeMap<&str, u64> = tables.map(|table| (table, rows_brought(commit, table))).collect();
    for (table, rows) in &brought {
        let topic = Topic::all().find(|t| layout::raw_table(*t) == *table);
        let counted = match topic {
            Some(topic) => commit.ledger.get(&topic).map_or(0, Ledger::rows),
            None if *table == layout::DEAD_LETTERS => saturating_sum(commit.ledger.values().map(|l| l.dead)),
            None => continue,
        };
        ensure!(*rows == counted, "P4: commit {seq}: {rows} rows in the files of {table}, {counted} in the ledger");
    }
    let missing = commit.ledger.iter().find(|(t, l)| l.rows() > 0 && !brought.contains_key(layout::raw_table(**t)));
    ensure!(
        missing.is_none(),
        "P4: commit {seq}: rows in the ledger, but no file of {}",
        missing.map_or("", |m| m.0.name())
    );
    let dead = saturating_sum(commit.ledger.values().map(|l| l.dead));
    ensure!(dead == 0 || brought.contains_key(layout::DEAD_LETTERS), "P4: commit {seq}: dead letters in no file");
    Ok(())
}

/// The rows that a commit brought to a table.
fn rows_brought(commit: &Commit, table: &str) -> u64 {
    saturating_sum(tidy::new_files(commit, table).map(|file| file.rows))
}

/// A commit's bindings with their epochs, in order.
pub fn bindings(commit: &Commit) -> impl Iterator<Item = (Epoch, &Binding)> {
    commit.epochs.iter().flat_map(|e| e.bindings.iter().map(|b| (e.epoch, b)))
}

/// `gps/3`.
pub fn name(partition: Partition) -> String {
    format!("{}/{}", partition.topic.name(), partition.index)
}

impl Ledger {
    /// The rows of raw tables.
    pub fn rows(&self) -> u64 {
        saturating_sum([self.on_time, self.late, self.expired, self.duplicate])
    }

    /// Both together.
    pub fn plus(&self, other: &Ledger) -> Ledger {
        Ledger {
            read: self.read.saturating_add(other.read),
            on_time: self.on_time.saturating_add(other.on_time),
            late: self.late.saturating_add(other.late),
            expired: self.expired.saturating_add(other.expired),
            duplicate: self.duplicate.saturating_add(other.duplicate),
            dead: self.dead.saturating_add(other.dead),
            missed: self.missed.plus(&other.missed),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::lake::history::commit::File;
    use crate::lake::testing::{claim, data};

    #[test]
    fn what_may_follow_follows() {
        let first = claim("a");
        check(None, &first).unwrap();
        let state = apply(None, &first, "d0".into());
        let second = data(&state, "a", 5, 1);
        check(Some(&state), &second).unwrap();
        let state = apply(Some(state), &second, "d1".into());
        assert_eq!((state.seq, state.epoch, state.positions[0].next.0), (1, second.epoch, 6));
        assert_eq!(state.totals[&Topic::GPS].read, 6);
        assert_eq!(state.files.added("raw_gps").len(), 1);
        check(Some(&state), &data(&state, "a", 2, 0)).unwrap();
    }

    /// Adds a sealed file with these times.
    fn seal(commit: &mut Commit, table: &str, event_time: Option<(Micros, Micros)>) {
        commit.added.insert(table.into(), vec![File { rows: 1, net: 1, event_time, ..File::default() }]);
    }

    #[test]
    fn f1_a_commit_seals_what_it_makes_final() {
        let state = apply(None, &claim("a"), "d0".into());
        let mut good = data(&state, "a", 5, 1);
        good.horizon = Some(300_000_000);
        let times = |commit: &Commit, state: &State, table: &str, times| {
            let mut commit = commit.clone();
            seal(&mut commit, table, Some(times));
            check(Some(state), &commit).is_ok()
        };
        assert!(times(&good, &state, "traffic_5m", (0, 0)) && !times(&good, &state, "traffic_5m", (0, 300_000_000)));
        assert!(!times(&good, &state, "vehicle_15m", (0, 0)), "a quarter of an hour is not over");
        let state = apply(Some(state), &good, "d1".into());
        let mut next = data(&state, "a", 5, 1);
        next.horizon = Some(420_000_000);
        assert!(!times(&next, &state, "traffic_5m", (0, 0)), "the commit before did");
        assert!(times(&next, &state, "enriched_pings", (300_000_000, 419_999_999)));
        assert!(!times(&next, &state, "enriched_pings", (299_999_999, 300_000_000)));
    }

    #[test]
    fn p4_each_wrong_commit_is_named() {
        let state = apply(None, &claim("a"), "d0".into());
        let state = apply(Some(state.clone()), &data(&state, "a", 5, 1), "d1".into());
        let good = data(&state, "a", 3, 1);
        type Spoil = fn(&mut Commit);
        let wrong: [(&str, Spoil); 15] = [
            ("stands where", |c| c.seq += 1),
            ("does not follow", |c| c.previous = "other".into()),
            ("horizon goes back", |c| c.horizon = None),
            ("repeats", |c| c.epochs[0].epoch = 1),
            ("beyond", |c| c.epochs[0].epoch += 1),
            ("begins at", |c| c.epochs[0].bindings[0].first.0 -= 1),
            ("more records than offsets", |c| c.epochs[0].bindings[0].read = 9),
            ("its bindings at", |c| c.positions[0].next.0 += 1),
            ("forgets", |c| c.positions.clear()),
            ("at the source", |c| c.epochs[0].bindings[0].read -= 1),
            ("rows in the files", |c| c.added.get_mut("raw_gps").unwrap()[0].rows += 1),
            ("rows in the files", |c| {
                // As many as the ledger says, but for an overflow.
                let files = c.added.get_mut("raw_gps").unwrap();
                files.push(File { rows: u64::MAX, ..files[0].clone() });
                files[0].rows += 1;
            }),
            ("no file", |c| drop(c.added.remove("dead_letters"))),
            ("F1", |c| seal(c, "traffic_5m", None)),
            // The horizon is some microseconds after 1970: the minute that they are in is not over.
            ("F1", |c| seal(c, "enriched_pings", Some((0, 1)))),
        ];
        for (what, spoil) in wrong {
            let mut commit = good.clone();
            spoil(&mut commit);
            let found = check(Some(&state), &commit);
            match found {
                Err(Violation(text)) => assert!(text.contains(what) || what == "no file", "{what}: {text}"),
                Ok(()) => panic!("accepted a commit that should say: {what}"),
            }
        }
    }

    fn named(mut commit: Commit, id: &str) -> Commit {
        commit.topics.insert(Topic::GPS, TopicName { name: "gps_data".into(), id: id.into() });
        commit
    }

    /// A state of topic `a` at offset 6, and a commit that reads 4 records of topic `id` from offset 0.
    fn made_anew(id: &str) -> (State, Commit) {
        let state = apply(None, &claim("a"), "d0".into());
        let state = apply(Some(state.clone()), &named(data(&state, "a", 5, 1), "a"), "d1".into());
        let mut commit = named(data(&state, "a", 3, 1), id);
        (commit.epochs[0].bindings[0].first, commit.epochs[0].bindings[0].next) = (NextOffset(0), NextOffset(4));
        commit.positions[0].next = NextOffset(4);
        (state, commit)
    }

    #[test]
    fn p4_offsets_begin_anew_only_in_the_commit_that_names_another_topic() {
        let (state, commit) = made_anew("b");
        check(Some(&state), &commit).unwrap();
        for same in ["a", ""] {
            let (state, commit) = made_anew(same);
            assert!(check(Some(&state), &commit).unwrap_err().0.contains("begins at 0, not at 6"), "{same}");
        }
        let after = apply(Some(state.clone()), &commit, "d2".into());
        assert_eq!((after.positions[0].next.0, after.totals[&Topic::GPS].read), (4, 10));
        check(Some(&after), &named(data(&after, "a", 2, 0), "b")).unwrap();
        let mut again = named(data(&after, "a", 2, 0), "b");
        (again.epochs[0].bindings[0].first, again.epochs[0].bindings[0].next) = (NextOffset(0), NextOffset(2));
        again.positions[0].next = NextOffset(2);
        assert!(check(Some(&after), &again).unwrap_err().0.contains("begins at 0, not at 4"));
        let claimed = Commit { seq: state.seq + 1, previous: state.digest.clone(), epoch: state.epoch, ..claim("b") };
        let version = Some(versions::next(Some(&state)));
        let claimed = Commit { version, horizon: state.horizon, positions: state.positions.clone(), ..claimed };
        assert!(check(Some(&state), &named(claimed, "b")).unwrap_err().0.contains("another topic"));
    }

    #[test]
    fn p1_the_log_clock_outlives_its_topic() {
        let (state, mut commit) = made_anew("b");
        commit.epochs[0].bindings[0].log_clock = Some(1);
        assert!(check(Some(&state), &commit).unwrap_err().0.contains("P1"));
        let (state, mut commit) = made_anew("b");
        commit.positions[0].log_clock = None;
        assert!(check(Some(&state), &commit).unwrap_err().0.contains("P1"));
    }

    #[test]
    fn a_partition_that_is_gone_is_kept_unless_its_topic_was_made_anew() {
        for (id, kept) in [("a", 2), ("b", 1)] {
            let (mut state, mut commit) = made_anew(id);
            let other = Partition { topic: Topic::GPS, index: 7 };
            state.positions.push(Position { partition: other, ..state.positions[0] });
            if id == "a" {
                commit = named(data(&state, "a", 3, 1), id);
                assert!(check(Some(&state), &commit).unwrap_err().0.contains("forgets gps/7"));
            }
            keep_positions(&state, &mut commit).unwrap();
            assert_eq!(commit.positions.len(), kept, "{id}");
            check(Some(&state), &commit).unwrap();
        }
    }

    #[test]
    fn removed_files_are_gone_from_the_live_ones() {
        let state = apply(None, &claim("a"), "d0".into());
        let mut next = data(&state, "a", 5, 0);
        let state = apply(Some(state), &next, "d1".into());
        let gone = state.files.added("raw_gps").to_vec();
        next.seq += 1;
        next.added.clear();
        next.removed.insert("raw_gps".into(), gone);
        assert!(apply(Some(state), &next, "d2".into()).files.added("raw_gps").is_empty());
    }
}
