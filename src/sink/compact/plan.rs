//! Which files become one: decisions from counts alone.
//!
//! 32 files of a table, date and level become one of the next level, so what is live of an open date is some dozens of files a
//! level, and a row is written anew once a level. A date that the horizon has passed, and to which nothing has come for an hour
//! of it, has what is left of all levels made one. From half of the longest on a file is done.

use std::collections::BTreeMap;

use citystream_dataflows::time::Micros;

use crate::columns::tables::Table;
use crate::lake::Lake;
use crate::lake::history::commit::File;
use crate::lake::history::read::ReadError;
use crate::lake::history::tidy::MOST_LEVELS;
use crate::lake::history::{Live, roots};

/// So many files of one level become one.
const FILES: u32 = 32;
/// More are not read at one time.
const MOST_FILES: usize = 128;
/// Files are packed up to so many bytes: both what is read and what is written is in memory (ADR 031).
const LONGEST: u64 = 64 << 20;
/// A date is left alone for so long after something has come to it.
const QUIET: Micros = 3_600_000_000;

/// A table and a date, `YYYY-MM-DD`.
pub type Place = (Table, String);

/// How long files become.
#[derive(Clone, Copy, Debug)]
pub struct Lengths {
    longest: u64,
}

impl Default for Lengths {
    fn default() -> Lengths {
        Lengths { longest: LONGEST }
    }
}

impl Lengths {
    /// Whether a file is never packed again.
    fn is_done(self, file: &File) -> bool {
        file.bytes >= self.longest / 2 || file.level >= MOST_LEVELS
    }

    /// Of the live files of a table and date, those that become one now, the oldest first.
    pub fn choose(self, mut files: Vec<File>, is_closed: bool) -> Option<Vec<File>> {
        files.retain(|file| !self.is_done(file));
        files.sort_by_key(|file| (file.level, file.seqs));
        let enough = |level: &&[File]| is_closed || level.len() >= FILES as usize;
        let chosen = match is_closed {
            true => files.as_slice(),
            false => files.chunk_by(|one, other| one.level == other.level).find(enough)?,
        };
        let mut bytes = 0;
        let fits = |file: &&File| {
            bytes += file.bytes;
            bytes <= self.longest
        };
        let chosen: Vec<File> = chosen.iter().take(MOST_FILES).take_while(fits).cloned().collect();
        (chosen.len() > 1).then_some(chosen)
    }
}

/// How many files that are not done there are, by table, date and level. Places without such files are not held, so it does
/// not grow with the age of a lake.
#[derive(Debug)]
pub struct Tally {
    lengths: Lengths,
    places: BTreeMap<Place, Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// By level.
    files: [u32; MOST_LEVELS as usize],
    /// The horizon when the last of them came; `None`: before this run.
    came: Option<Micros>,
}

impl Tally {
    /// Of no files.
    pub fn new(lengths: Lengths) -> Tally {
        Tally { lengths, places: BTreeMap::new() }
    }

    /// Of the files of all tables that are live.
    ///
    /// # Errors
    /// The store's; a history that is not sound.
    pub async fn of(lake: &Lake, live: &Live, lengths: Lengths) -> Result<Tally, ReadError> {
        let mut tally = Tally::new(lengths);
        for table in Table::all() {
            roots::each(lake, live, table.name(), |file| tally.add(table, file, None)).await?;
        }
        Ok(tally)
    }

    /// A file is there, and came when the horizon was there.
    pub fn add(&mut self, table: Table, file: &File, came: Option<Micros>) {
        if !self.lengths.is_done(file) {
            let held = self.places.entry((table, file.date.clone())).or_default();
            held.files[usize::from(file.level)] += 1;
            held.came = held.came.max(came);
        }
    }

    /// A file is there no longer.
    pub fn remove(&mut self, table: Table, file: &File) {
        if self.lengths.is_done(file) {
            return;
        }
        let place = (table, file.date.clone());
        let Some(held) = self.places.get_mut(&place) else { return };
        let level = &mut held.files[usize::from(file.level)];
        *level = level.saturating_sub(1);
        if held.total() == 0 {
            self.places.remove(&place);
        }
    }

    /// The place with the most files of those where some are to become one, and whether it is closed.
    pub fn due(&self, horizon: Option<Micros>, may: impl Fn(&Place) -> bool) -> Option<(Place, bool)> {
        let due = self.places.iter().filter_map(|(place, held)| {
            let is_closed = held.total() > 1 && held.is_closed(&place.1, horizon);
            let is_due = is_closed || held.files.iter().any(|files| *files >= FILES);
            (is_due && may(place)).then_some((held.total(), place, is_closed))
        });
        due.max_by_key(|(files, ..)| *files).map(|(_, place, is_closed)| (place.clone(), is_closed))
    }

    /// The places that have files which could become one.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|(_, held)| held.total() > 1).map(|(place, _)| place)
    }
}

impl Held {
    fn total(&self) -> u32 {
        self.files.iter().sum()
    }

    fn is_closed(&self, date: &str, horizon: Option<Micros>) -> bool {
        let end = date.parse::<jiff::civil::Date>().and_then(|date| date.tomorrow()?.to_zoned(jiff::tz::TimeZone::UTC));
        let quiet = self.came.map(|came| came.saturating_add(QUIET));
        end.is_ok_and(|end| horizon.is_some_and(|h| h >= end.timestamp().as_microsecond() && Some(h) >= quiet))
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
