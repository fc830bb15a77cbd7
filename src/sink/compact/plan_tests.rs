//! What is packed when, by a model: random commits, and packing now and then.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use citystream_wire::Topic;

use super::*;
use crate::lake::testing::{Random, seed};

const TABLE: Table = Table::Raw(Topic::GPS);
const DAY: Micros = 86_400_000_000;
const LENGTHS: Lengths = Lengths { longest: 1000 };

/// A table whose rows are their bytes: each file is the rows it has, with how often each was written.
struct Model {
    tally: Tally,
    live: Vec<(File, Vec<u8>)>,
    seq: u64,
    made: u64,
    written: u64,
    came: u64,
}

impl Model {
    fn new() -> Model {
        Model { tally: Tally::new(LENGTHS), live: Vec::new(), seq: 0, made: 0, written: 0, came: 0 }
    }

    fn commit(&mut self, date: &str, bytes: u64, horizon: Micros) {
        self.seq += 1;
        let file = self.file(date, bytes, 0, (self.seq, self.seq));
        self.tally.add(TABLE, &file, Some(horizon));
        (self.written, self.came) = (self.written + bytes, self.came + bytes);
        self.live.push((file, vec![0; bytes as usize]));
    }

    fn file(&mut self, date: &str, bytes: u64, level: u8, seqs: (u64, u64)) -> File {
        self.made += 1;
        File { path: self.made.to_string(), date: date.to_owned(), bytes, level, seqs, ..File::default() }
    }

    /// Packs once, if something is due.
    fn pack(&mut self, horizon: Micros) -> bool {
        let Some(((table, date), is_closed)) = self.tally.due(Some(horizon), |_| true) else { return false };
        let files = self.live.iter().map(|(file, _)| file).filter(|file| file.date == date).cloned().collect();
        let chosen = LENGTHS.choose(files, is_closed).unwrap();
        let sum = File::sum(&chosen);
        assert!(chosen.len() > 1 && chosen.len() <= MOST_FILES && sum.bytes <= LENGTHS.longest);
        assert!(is_closed || chosen.len() >= FILES as usize || sum.bytes > LENGTHS.longest / 2, "{chosen:?}");
        let made = self.file(&date, sum.bytes, sum.level + 1, sum.seqs);
        let (gone, kept): (Vec<_>, Vec<_>) = self.live.drain(..).partition(|(file, _)| chosen.contains(file));
        let rows = gone.iter().flat_map(|(_, rows)| rows).map(|times| times + 1).collect();
        self.live = kept;
        gone.iter().for_each(|(file, _)| self.tally.remove(table, file));
        self.tally.add(table, &made, None);
        self.written += made.bytes;
        self.live.push((made, rows));
        true
    }

    /// Whatever happens: no row is lost, none is written too often; the counts are those of the files.
    fn check(&self) {
        let rows = self.live.iter().flat_map(|(_, rows)| rows);
        assert_eq!(rows.clone().count() as u64, self.came);
        assert!(rows.clone().all(|times| *times <= MOST_LEVELS));
        assert!(self.written <= self.came * (1 + u64::from(MOST_LEVELS)));
        let mut counts: BTreeMap<Place, [u32; MOST_LEVELS as usize]> = BTreeMap::new();
        for (file, _) in self.live.iter().filter(|(file, _)| !LENGTHS.is_done(file)) {
            counts.entry((TABLE, file.date.clone())).or_default()[usize::from(file.level)] += 1;
        }
        let held = self.tally.places.iter().map(|(place, held)| (place.clone(), held.files)).collect();
        assert_eq!(counts, held);
    }

    /// Nothing is due: of each open date less than so many files a level are left, of each closed one a single one that is not
    /// done.
    fn check_at_rest(&self, horizon: Micros) {
        for (place, held) in &self.tally.places {
            assert!(held.files.iter().all(|files| *files < FILES), "{place:?} {held:?}");
            let is_closed = held.is_closed(&place.1, Some(horizon));
            assert!(!is_closed || held.total() < 2 || self.too_long(&place.1), "{place:?} {held:?}");
        }
    }

    /// Whether no two files that are left fit into one.
    fn too_long(&self, date: &str) -> bool {
        let left = self.live.iter().map(|(file, _)| file).filter(|file| file.date == date).cloned();
        LENGTHS.choose(left.collect(), true).is_none()
    }
}

#[test]
fn files_are_packed_within_bounds_whatever_comes() {
    let seed = seed();
    for round in 0..40 {
        let mut random = Random(seed.wrapping_add(round) | 1);
        let mut model = Model::new();
        let (most, eager) = (1 + random.below(400), 1 + random.below(200));
        let mut horizon = 20_780 * DAY;
        for _ in 0..2000 {
            horizon += random.below(DAY as u64 / 400) as i64;
            let day = (horizon / DAY - random.below(2) as i64) as i32;
            let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(day)).unwrap();
            model.commit(&date.to_string(), 1 + random.below(most), horizon);
            for _ in 0..random.below(eager) / 50 {
                model.pack(horizon);
            }
        }
        model.check();
        while model.pack(horizon) {}
        model.check();
        model.check_at_rest(horizon);
        let end = horizon + 3 * DAY;
        while model.pack(end) {}
        model.check();
        model.check_at_rest(end);
    }
}

#[test]
fn a_day_of_small_commits_is_some_dozens_of_files() {
    let lengths = Lengths::default();
    let mut model = Model::new();
    model.tally = Tally::new(lengths);
    let (date, start) = ("2026-11-23", 20_780 * DAY);
    let mut most = 0;
    for _ in 0..43_200 {
        model.commit(date, 1, start);
        while let Some(((_, date), is_closed)) = model.tally.due(Some(start), |_| true) {
            let files: Vec<File> = model.live.iter().map(|(file, _)| file.clone()).collect();
            let chosen = lengths.choose(files, is_closed).unwrap();
            let sum = File::sum(&chosen);
            let made = model.file(&date, sum.bytes, sum.level + 1, sum.seqs);
            chosen.iter().for_each(|file| model.tally.remove(TABLE, file));
            model.live.retain(|(file, _)| !chosen.contains(file));
            model.tally.add(TABLE, &made, None);
            model.live.push((made, Vec::new()));
        }
        most = most.max(model.live.len());
    }
    // 31 of each of three levels.
    assert_eq!(most, 93);
}

#[test]
fn a_date_is_closed_once_the_horizon_has_passed_it_and_an_hour_has_brought_nothing() {
    let end = 20_781 * DAY;
    let mut model = Model::new();
    (0..2).for_each(|_| model.commit("2026-11-23", 1, end - 1));
    for (horizon, is_due) in [(end - 1, false), (end, false), (end - 2 + QUIET, false), (end - 1 + QUIET, true)] {
        assert_eq!(model.tally.due(Some(horizon), |_| true).is_some(), is_due, "{}", horizon - end);
    }
    assert_eq!(model.tally.due(None, |_| true), None);
    // What was there before the run needs no hour.
    let mut before = Tally::new(LENGTHS);
    model.live.iter().for_each(|(file, _)| before.add(TABLE, file, None));
    assert_eq!(before.due(Some(end), |_| true).unwrap(), ((TABLE, "2026-11-23".to_owned()), true));
    assert!(before.due(Some(end), |_| false).is_none());
    assert_eq!(before.places().count(), 1);
    let absurd = File { date: "294247-01-10".into(), ..File::default() };
    before.add(TABLE, &absurd, None);
    before.add(TABLE, &absurd, None);
    assert_eq!(before.due(Some(end - 1), |_| true), None, "a date that no calendar has stays open");
}
