//! The records behind a row of a derived table: all that its definition looks at.

use std::collections::{BTreeMap, HashSet};

use arrow::array::RecordBatch;
use citystream_dataflows::bindings::Topic;
use citystream_dataflows::enrich::{STATUS_REACH, TRAFFIC_REACH, WEATHER_REACH, is_near};
use citystream_dataflows::incidents::{BEFORE, EXPOSURE, LIFE};
use citystream_dataflows::records::Point;
use citystream_dataflows::time::{MINUTE, Micros};
use citystream_dataflows::windows::quality::LENGTH;
use citystream_dataflows::windows::vehicle::STEP;
use futures::TryStreamExt;

use super::scan::{Row, overlaps, rows, scan};
use crate::error::RunError;
use crate::lake::commit::File;
use crate::lake::history::open_window;
use crate::lake::{Lake, State, recover};
use crate::tables::{LOG_TIME, Table};

/// The rows of raw tables behind a row.
pub type Sources = Vec<(Table, Vec<RecordBatch>)>;

/// A lake as a commit left it.
pub struct Source<'a> {
    /// The lake.
    pub lake: &'a Lake,
    /// After the commit.
    pub state: &'a State,
}

impl Source<'_> {
    /// The on-time rows of a raw table with event times in `from..until` that are wanted.
    async fn on_time(
        &self,
        table: Table,
        (from, until): (Micros, Micros),
        wanted: impl Fn(Row<'_>) -> bool,
    ) -> Result<(Table, Vec<RecordBatch>), RunError> {
        let counts =
            |row: Row<'_>| row.text("disposition") == Some("on_time") && row.within(from, until) && wanted(row);
        Ok((table, scan(self.lake, self.state, table, |file| overlaps(file, from, until), counts).await?))
    }

    /// The records behind the row of a table with a key; `None` if the key is none of that table.
    ///
    /// # Errors
    /// A file that is missing or cannot be read.
    pub async fn behind(&self, table: Table, key: &str) -> Result<Option<Sources>, RunError> {
        let Some((name, last)) = key.rsplit_once('/') else { return Ok(None) };
        let Ok(last) = last.parse::<i64>() else { return Ok(None) };
        let found = match (table, name.parse::<i64>()) {
            (Table::EnrichedPings, Ok(partition)) => self.ping(partition, last).await?,
            (Table::Traffic5m, Ok(c8)) => self.traffic(c8, last).await?,
            (Table::Environment15m, Ok(c5)) => self.environment(c5, last).await?,
            (Table::Vehicle15m, _) => self.vehicle(name, last).await?,
            (Table::Incidents, _) => self.incident(name, last).await?,
            (Table::DataQuality15m, _) => self.quality(name, last).await?,
            _ => return Ok(None),
        };
        Ok(Some(found))
    }

    async fn ping(&self, partition: i64, offset: i64) -> Result<Sources, RunError> {
        let is_it =
            |row: Row<'_>| row.int("partition").map(i64::from) == Some(partition) && row.long("offset") == Some(offset);
        let pings = self.on_time(Table::Raw(Topic::GPS), (Micros::MIN, Micros::MAX), is_it).await?;
        let Some(row) = rows(&pings.1).next() else { return Ok(Vec::new()) };
        let time = row.stamp().map_or(0, |stamp| stamp.time);
        let (c8, c5) = (row.long("h3_8"), row.long("h3_5"));
        let span = |reach| (time - reach, time + 1);
        let traffic =
            self.on_time(Table::Raw(Topic::TRAFFIC), span(TRAFFIC_REACH), |row| row.long("h3_8") == c8).await?;
        let weather =
            self.on_time(Table::Raw(Topic::WEATHER), span(WEATHER_REACH), |row| row.long("h3_5") == c5).await?;
        let statuses = self.around(span(STATUS_REACH), row.place()).await?;
        Ok(vec![pings, traffic, weather, statuses])
    }

    /// The statuses of the incidents that were once near a place: one that has moved away is near no more.
    async fn around(
        &self,
        span: (Micros, Micros),
        place: Option<Point>,
    ) -> Result<(Table, Vec<RecordBatch>), RunError> {
        let near = |row: Row<'_>| row.place().zip(place).is_some_and(|(at, place)| is_near(at, place));
        let found =
            self.on_time(Table::Raw(Topic::EMERGENCY), span, |row| near(row) && incident(row).is_some()).await?.1;
        let near: HashSet<&str> = rows(&found).filter_map(incident).collect();
        self.on_time(Table::Raw(Topic::EMERGENCY), span, |row| incident(row).is_some_and(|name| near.contains(name)))
            .await
    }

    async fn traffic(&self, c8: i64, start: Micros) -> Result<Sources, RunError> {
        let until = start + 5 * MINUTE;
        let here = |row: Row<'_>| row.long("h3_8") == Some(c8);
        Ok(vec![
            self.on_time(Table::Raw(Topic::GPS), (start, until), here).await?,
            self.on_time(Table::Raw(Topic::TRAFFIC), (start - TRAFFIC_REACH, until), here).await?,
        ])
    }

    async fn environment(&self, c5: i64, start: Micros) -> Result<Sources, RunError> {
        let until = start + 15 * MINUTE;
        let here = |row: Row<'_>| row.long("h3_5") == Some(c5);
        Ok(vec![
            self.on_time(Table::Raw(Topic::WEATHER), (start - WEATHER_REACH, until), here).await?,
            self.on_time(Table::Raw(Topic::GPS), (start, until), here).await?,
        ])
    }

    async fn vehicle(&self, vehicle: &str, start: Micros) -> Result<Sources, RunError> {
        let span = (start - STEP, start + 15 * MINUTE);
        let its = |row: Row<'_>| row.text("device_id") == Some(vehicle);
        Ok(vec![
            self.on_time(Table::Raw(Topic::GPS), span, its).await?,
            self.on_time(Table::Raw(Topic::VEHICLE), span, its).await?,
        ])
    }

    /// Where a life begins depends on all statuses before it: all of the incident's are read.
    async fn incident(&self, name: &str, first: i64) -> Result<Sources, RunError> {
        let Some((incident, partition)) = name.rsplit_once('/') else { return Ok(Vec::new()) };
        let its = |row: Row<'_>| self::incident(row) == Some(incident);
        let statuses = self.on_time(Table::Raw(Topic::EMERGENCY), (Micros::MIN, Micros::MAX), its).await?;
        let is_first = |row: &Row<'_>| {
            row.long("offset") == Some(first)
                && row.int("partition").map(|p| p.to_string()).as_deref() == Some(partition)
        };
        let place = rows(&statuses.1).find(is_first).and_then(|row| Some((row.place()?, row.stamp()?.time)));
        let Some((place, time)) = place else { return Ok(vec![statuses]) };
        let span = (time - BEFORE, time + LIFE + EXPOSURE);
        let near = |row: Row<'_>| row.place().is_some_and(|at: Point| is_near(at, place));
        let pings = self.on_time(Table::Raw(Topic::GPS), span, near).await?;
        Ok(vec![statuses, pings])
    }

    /// What came too late for its own window counts in the first one that was open then.
    async fn quality(&self, topic: &str, start: Micros) -> Result<Sources, RunError> {
        let Some(topic) = Topic::all().find(|known| known.name() == topic) else { return Ok(Vec::new()) };
        let open = self.horizons().await?;
        let window = |row: &Row<'_>| {
            let open = row.long("seq").and_then(|seq| open.get(&(seq as u64)).copied());
            Some(open_window(row.long(LOG_TIME)?.max(open.unwrap_or(Micros::MIN))))
        };
        let may = |file: &File| file.log_time.is_none_or(|(first, _)| first < start + LENGTH);
        let name = self.state.topics.get(&topic).map(|topic| topic.name.as_str());
        let dead = |row: Row<'_>| window(&row) == Some(start) && row.text("topic") == name;
        let table = Table::of(topic);
        Ok(vec![
            (table, scan(self.lake, self.state, table, may, |row| window(&row) == Some(start)).await?),
            (Table::DeadLetters, scan(self.lake, self.state, Table::DeadLetters, may, dead).await?),
        ])
    }

    /// The horizon that each commit was made at: that of the commit before.
    async fn horizons(&self) -> Result<BTreeMap<u64, Micros>, RunError> {
        let mut commits = std::pin::pin!(recover::read(self.lake, 0..=self.state.seq));
        let mut horizons = BTreeMap::new();
        while let Some((_, commit)) = commits.try_next().await? {
            horizons.extend(commit.horizon.map(|horizon| (commit.seq + 1, horizon)));
        }
        Ok(horizons)
    }
}

/// The incident that a row is a status of.
fn incident<'a>(row: Row<'a>) -> Option<&'a str> {
    row.flag("has_incident").filter(|has| *has)?;
    row.text("incident_id").or(row.text("id"))
}
