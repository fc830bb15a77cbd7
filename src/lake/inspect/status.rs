//! Where a lake stands, for `lake status` and for programs that wait for it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use citystream_dataflows::tables::Derived;
use citystream_dataflows::time::bindings::{Position, Standing, Topic};
use citystream_dataflows::time::holding::Holding;
use citystream_dataflows::time::{Micros, TimePolicy};
use serde::Serialize;

use crate::lake::history::commit::{Ledger, Origin};
use crate::lake::history::erasure::Sum;
use crate::lake::history::live::Size;
use crate::lake::history::read::ReadError;
use crate::lake::history::requests::{self, Request, Wanted};
use crate::lake::history::retention::Gone;
use crate::lake::history::versions::Published;
use crate::lake::history::{self, State, base, roots, settings};
use crate::lake::store::Lake;

/// Where a lake stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The lake's address.
    pub location: String,
    /// The last commit.
    pub seq: u64,
    /// The last version of the Delta tables, and the commit that it ends with.
    pub published: Published,
    /// The first commit that is kept; those before go by `--keep commits=AGE`.
    pub first: u64,
    /// The run that wrote the last commit.
    pub run: String,
    /// Seconds since it was proposed.
    pub age_s: f64,
    /// The last epoch.
    pub epoch: u64,
    /// The horizon as ISO 8601: everything before it is complete.
    pub horizon: Option<String>,
    /// Of each derived table the time before which all of its rows are sealed, as ISO 8601.
    pub sealed_before: BTreeMap<String, String>,
    /// The partitions that hold the horizon back, each with how it stands to the end of its log.
    pub held_by: Vec<Holder>,
    /// Partitions further behind than one may hold the horizon: what they deliver there expires.
    pub left_behind: Vec<String>,
    /// The next offset of each partition, by `topic/partition`.
    pub positions: BTreeMap<String, i64>,
    /// The lake that it was filled from, as that stood when it was last begun to be read.
    pub origin: Option<Origin>,
    /// Live files of each table.
    pub tables: BTreeMap<String, Size>,
    /// What of each table is kept no longer.
    pub gone: BTreeMap<String, GoneBy>,
    /// What of each table is erased.
    pub erased: BTreeMap<String, ErasedBy>,
    /// Erasures that are asked for and not done.
    pub erasing: Vec<Erasing>,
    /// The counts of the whole history, by topic.
    pub totals: BTreeMap<Topic, Ledger>,
}

/// What of a table is erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErasedBy {
    /// Rows.
    pub rows: u64,
    /// The commit that last erased some.
    pub commit: u64,
}

/// An erasure that waits: for a run that takes it up, or until no start reads what is to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Erasing {
    /// The request.
    pub request: String,
    /// Up to which commit rows are meant, once a run has taken it up.
    pub through: Option<u64>,
}

/// What of a table is kept no longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GoneBy {
    /// Rows, files and bytes.
    #[serde(flatten)]
    pub size: Size,
    /// The last date of which some are gone, `YYYY-MM-DD`.
    pub through: String,
    /// The commit that last dropped some.
    pub commit: u64,
}

/// A partition that holds the horizon back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// `topic/partition`.
    pub partition: String,
    /// How it stands to the end of its log.
    pub standing: Standing,
    /// Its log clock as ISO 8601.
    pub log_clock: Option<String>,
}

/// Reads a lake's status; `None` if it has no commit yet.
#[allow(clippy::disallowed_methods)] // How old the last commit is.
pub async fn read(lake: &Lake) -> Result<Option<Status>, ReadError> {
    let Some(settings) = settings::read(lake).await? else { return Ok(None) };
    let made_for = (settings.semantics.time, settings.derived()?);
    let Some(state) = roots::state(lake).await? else { return Ok(None) };
    let status = of(&state, &made_for, lake.location(), SystemTime::now());
    Ok(Some(Status { erasing: erasing(lake).await?, ..status }))
}

/// The erasures that wait.
async fn erasing(lake: &Lake) -> Result<Vec<Erasing>, ReadError> {
    let erasing = |request: Request| match request.wanted {
        Wanted::Erase(wanted) => Some(Erasing { request: request.id, through: wanted.bound.map(|bound| bound.seq) }),
        _ => None,
    };
    Ok(requests::all(lake).await?.into_iter().filter_map(erasing).collect())
}

/// The status that a state means at a time, in a lake with this policy and these tables.
fn of(state: &State, (policy, derived): &(TimePolicy, Vec<Derived>), location: &str, now: SystemTime) -> Status {
    let proposed = SystemTime::UNIX_EPOCH + Duration::from_millis(state.time_ms.max(0) as u64);
    let holding = Holding::of(*policy, &state.positions);
    let holder = |position: &Position| Holder {
        partition: history::name(position.partition),
        standing: position.standing,
        log_clock: position.log_clock.and_then(iso),
    };
    let held_by = state.positions.iter().filter(|p| holding.holders.contains(&p.partition)).map(holder).collect();
    let sealed = |table: &Derived| Some((table.name().to_owned(), iso(table.sealing.all_before(state.horizon?))?));
    Status {
        location: location.into(),
        seq: state.seq,
        published: state.published(),
        first: base::first(state),
        run: state.run.clone(),
        age_s: now.duration_since(proposed).map_or(0.0, |d| d.as_secs_f64()),
        epoch: state.epoch,
        horizon: state.horizon.and_then(iso),
        sealed_before: derived.iter().filter_map(sealed).collect(),
        held_by,
        left_behind: holding.left_behind.into_iter().map(history::name).collect(),
        positions: state.positions.iter().map(|p| (history::name(p.partition), p.next.0)).collect(),
        origin: state.origin.clone(),
        tables: state.files.sizes().into_iter().map(|(table, size)| (table.to_owned(), size)).collect(),
        gone: state.gone.iter().map(|(table, gone)| (table.clone(), GoneBy::from(gone))).collect(),
        erased: state.erased.iter().map(|(table, sum)| (table.clone(), ErasedBy::from(sum))).collect(),
        erasing: Vec::new(),
        totals: state.totals.clone(),
    }
}

impl From<&Sum> for ErasedBy {
    fn from(sum: &Sum) -> ErasedBy {
        ErasedBy { rows: sum.rows, commit: sum.last }
    }
}

impl From<&Gone> for GoneBy {
    fn from(Gone { files, sum, last }: &Gone) -> GoneBy {
        let size = Size { rows: sum.rows, files: *files, bytes: sum.bytes };
        GoneBy { size, through: sum.date.clone(), commit: *last }
    }
}

fn iso(time: Micros) -> Option<String> {
    jiff::Timestamp::from_microsecond(time).ok().map(|time| time.to_string())
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let why = match self.standing {
            Standing::Behind => "has records to read, or its end is not confirmed",
            Standing::CaughtUp => "delivers",
            Standing::Drained => "is drained",
            Standing::Quiet => "is quiet",
        };
        let clock = self.log_clock.as_deref().unwrap_or("none yet");
        write!(f, "{} {why}, log clock {clock}", self.partition)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "lake      {}", self.location)?;
        writeln!(f, "commit    {} by run {}, {:.1} s ago", self.seq, self.run, self.age_s)?;
        if self.first > 0 {
            writeln!(f, "history   from commit {} on", self.first)?;
        }
        let Published { version, seq } = self.published;
        writeln!(f, "version   {version} of each table, up to commit {seq}")?;
        if let Some(Origin { location, seq, .. }) = &self.origin {
            writeln!(f, "filled    from {location}, which stood at its commit {seq}")?;
        }
        writeln!(f, "epoch     {}", self.epoch)?;
        writeln!(f, "horizon   {}", self.horizon.as_deref().unwrap_or("none yet"))?;
        for holder in &self.held_by {
            writeln!(f, "held by   {holder}")?;
        }
        if !self.left_behind.is_empty() {
            let named = self.left_behind.join(", ");
            writeln!(f, "left      {named}: more than --max-hold behind, what comes there expires")?;
        }
        writeln!(f, "{:<26} {:>12} {:>8} {:>14}  sealed before", "table", "rows", "files", "bytes")?;
        for (table, Size { rows, files, bytes }) in &self.tables {
            let sealed = self.sealed_before.get(table).map_or("", String::as_str);
            writeln!(f, "{}", format!("{table:<26} {rows:>12} {files:>8} {bytes:>14}  {sealed}").trim_end())?;
        }
        for (table, GoneBy { size: Size { rows, files, bytes }, through, commit }) in &self.gone {
            writeln!(f, "{table:<26} {rows:>12} {files:>8} {bytes:>14}  gone, through {through} (commit {commit})")?;
        }
        for (table, ErasedBy { rows, commit }) in &self.erased {
            writeln!(f, "{table:<26} {rows:>12} {:>8} {:>14}  erased (commit {commit})", "", "")?;
        }
        for Erasing { request, through } in &self.erasing {
            let meant = through.map_or("no run has taken it up".to_owned(), |seq| format!("rows up to commit {seq}"));
            writeln!(f, "erasing   request {request} waits, {meant}")?;
        }
        writeln!(
            f,
            "{:<16} {:>12} {:>12} {:>8} {:>8} {:>9} {:>8} {:>8}",
            "topic", "read", "on time", "late", "expired", "duplicate", "dead", "missed"
        )?;
        for (topic, l) in &self.totals {
            let Ledger { read, on_time, late, expired, duplicate, dead, missed } = l;
            writeln!(
                f,
                "{:<16} {read:>12} {on_time:>12} {late:>8} {expired:>8} {duplicate:>9} {dead:>8} {:>8}",
                topic.name(),
                missed.total()
            )?;
        }
        for (partition, next) in &self.positions {
            writeln!(f, "{partition:<16} next offset {next}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::lake::testing::{claim, data};

    #[test]
    fn a_status_names_what_a_state_holds() {
        let state = history::apply(None, &claim("a"), "d".into());
        let mut state = history::apply(Some(state.clone()), &data(&state, "a", 5, 2), "e".into());
        state.positions[0].standing = Standing::Behind;
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_001_500);
        let policy = TimePolicy { lateness: 1, slack: 1, max_ahead: 1, max_hold: 1 };
        let status = of(&state, &(policy, Derived::all().collect()), "/lake", now);
        assert_eq!((status.seq, status.age_s, status.held_by[0].partition.as_str()), (1, 1.5, "gps/0"));
        assert_eq!(status.sealed_before["enriched_pings"], "1970-01-01T00:00:00Z");
        assert_eq!(status.tables["raw_gps"], Size { rows: 5, files: 1, bytes: 10 });
        let text = status.to_string();
        assert!(text.contains("1970-01-01T00:00:00.000005Z") && text.contains("next offset 7"), "{text}");
    }
}
