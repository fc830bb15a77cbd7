//! Decoded rows to the records that the derived tables are made of, and what became of each: columns in, flat values
//! out. The rows may come from the decoder or from a raw table's Parquet file with at least the [`columns`] named.

mod columns;
mod recipe;

#[cfg(test)]
mod tests;

use arrow::array::{Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use citystream_dataflows::held::Amount;
use citystream_dataflows::records::hash::IdMap;
use citystream_dataflows::records::{
    Delivery, IncidentKind, Level, Measure, Outcome, Phase, Ping, Point, Reading, Severity, Sky, Source, Status,
    TextId, Traffic, VehicleRecord, Weather,
};
use citystream_dataflows::time::Micros;
use citystream_dataflows::time::disposition::Disposition;
use citystream_wire::Topic;

use crate::columns::names::{TOLD_AGAIN, Told};
use crate::columns::row::column;
use crate::columns::tables::{Batch, EVENT_TIME, LOG_TIME, QUALITY_WINDOW, Reason, Table};
use crate::columns::text_hash::TextHasher;
use columns::{Columns, Place, double, flag};
pub use recipe::columns;

/// What rows become.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records {
    /// On-time rows of `raw_gps`.
    pub pings: Vec<Ping>,
    /// On-time rows of `raw_traffic`.
    pub traffic: Vec<Traffic>,
    /// On-time rows of `raw_weather`.
    pub weather: Vec<Weather>,
    /// On-time rows of `raw_vehicle`.
    pub vehicles: Vec<VehicleRecord>,
    /// On-time rows of `raw_emergency` with `has_incident`.
    pub statuses: Vec<Status>,
    /// All rows and dead letters.
    pub deliveries: Vec<Delivery>,
    /// Texts that this extractor has not told within the last hour of event time: for `Names::intern`, before anything is rendered.
    pub names: Vec<Told>,
}

/// Rows that are not what they should be: a fault of this program, or a file that another one wrote.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// A column that is missing, or of another type.
    #[error("P2: rows of {table} lack the column {1}", table = .0.name())]
    Column(Table, &'static str),
    /// A word that stands for nothing.
    #[error("P2: a row of {table} has {2:?} for its {1}", table = .0.name())]
    Word(Table, &'static str, String),
    /// Another number of dispositions than of rows.
    #[error("P4: {rows} rows of {name} with {dispositions} dispositions or windows", name = table.name())]
    Dispositions {
        /// The table.
        table: Table,
        /// Its rows.
        rows: usize,
        /// Their dispositions.
        dispositions: usize,
    },
}

/// Makes records of rows. One per worker: it knows which texts it has told.
#[derive(Debug)]
pub struct Extractor {
    hasher: TextHasher,
    /// The event time at which a text was last told.
    told: IdMap<TextId, Micros>,
    freed: Option<Micros>,
}

/// Rows that were read back from a table of records, with the columns `disposition` and `quality_window`.
///
/// # Errors
/// Where they lack one, or have a disposition that is none.
pub fn stored(table: Table, rows: RecordBatch) -> Result<Batch, ExtractError> {
    let dispositions = if table.topic().is_some() { dispositions(table, &rows)? } else { Vec::new() };
    let windows: &TimestampMicrosecondArray =
        column(&rows, QUALITY_WINDOW).ok_or(ExtractError::Column(table, QUALITY_WINDOW))?;
    let quality_windows = windows.iter().collect();
    Ok(Batch { table, columns: rows, dispositions, quality_windows, dead: Vec::new() })
}

fn dispositions(table: Table, rows: &RecordBatch) -> Result<Vec<Disposition>, ExtractError> {
    let rows = Columns { table, rows };
    let names = rows.texts("disposition")?.iter();
    names.map(|name| rows.word("disposition", name.unwrap_or_default(), Disposition::from_name)).collect()
}

impl Extractor {
    /// An extractor that has told nothing.
    pub fn new(hasher: TextHasher) -> Extractor {
        Extractor { hasher, told: IdMap::default(), freed: None }
    }

    /// Appends what rows of a table of records become.
    ///
    /// # Errors
    /// Where rows are not those of the table. What was appended by then stays.
    pub fn extract(&mut self, batch: &Batch, into: &mut Records) -> Result<(), ExtractError> {
        let Batch { table, columns, dispositions, quality_windows, .. } = batch;
        let (table, rows) = (*table, Columns { table: *table, rows: columns });
        rows.check(dispositions, quality_windows)?;
        match table.topic() {
            Some(topic) => {
                (recipe::of(topic.declaration().becomes).make)(self, &rows, dispositions, into)?;
                delivered(&rows, topic, batch, into)
            }
            None if table == Table::DeadLetters => dead(&rows, quality_windows, into),
            None => Ok(()),
        }
    }

    fn vehicles(&mut self, rows: &Columns<'_>, on: &[Disposition], into: &mut Records) -> Result<(), ExtractError> {
        let (stamps, devices) = (rows.stamps()?, rows.texts("device_id")?);
        let (fuel, odometer) = (rows.doubles("fuel_level_pct")?, rows.doubles("odometer_km")?);
        for row in on_time(on) {
            into.vehicles.push(VehicleRecord {
                stamp: stamps.at(row),
                vehicle: self.name(devices.value(row), stamps.at(row).time, &mut into.names),
                fuel: double(fuel, row),
                odometer: double(odometer, row),
            });
        }
        Ok(())
    }

    fn pings(&mut self, rows: &Columns<'_>, on: &[Disposition], into: &mut Records) -> Result<(), ExtractError> {
        let (stamps, devices, places) = (rows.stamps()?, rows.texts("device_id")?, rows.places()?);
        let speeds = rows.doubles("speed_kmh")?;
        let (c8, c5) = (rows.longs("h3_8")?, rows.longs("h3_5")?);
        for row in on_time(on) {
            into.pings.push(Ping {
                stamp: stamps.at(row),
                vehicle: self.name(devices.value(row), stamps.at(row).time, &mut into.names),
                at: places.at(row),
                speed: double(speeds, row),
                c8: c8[row] as u64,
                c5: c5[row] as u64,
            });
        }
        Ok(())
    }

    fn weather(&mut self, rows: &Columns<'_>, on: &[Disposition], into: &mut Records) -> Result<(), ExtractError> {
        let (stamps, places, c5) = (rows.stamps()?, rows.places()?, rows.longs("h3_5")?);
        let (conditions, sources) = (rows.texts("weather_condition")?, rows.texts("source")?);
        let mut measures = Vec::with_capacity(Measure::COUNT);
        for measure in Measure::ALL {
            measures.push(rows.numbers(measure.column())?);
        }
        for row in on_time(on) {
            let condition = text(conditions, row);
            let mut of_row = [Reading::NONE; Measure::COUNT];
            of_row.iter_mut().zip(&measures).for_each(|(reading, column)| *reading = column.at(row));
            into.weather.push(Weather {
                stamp: stamps.at(row),
                at: places.at(row),
                c5: c5[row] as u64,
                condition: condition.map_or(TextId::NONE, |word| self.name(word, stamps.at(row).time, &mut into.names)),
                sky: Sky::of(condition.unwrap_or_default()),
                measures: of_row,
                source: text(sources, row).and_then(Source::from_word),
            });
        }
        Ok(())
    }

    fn statuses(&mut self, rows: &Columns<'_>, on: &[Disposition], into: &mut Records) -> Result<(), ExtractError> {
        let (stamps, places, flags) = (rows.stamps()?, rows.places()?, rows.flags("has_incident")?);
        let (ids, incidents) = (rows.texts("id")?, rows.texts("incident_id")?);
        let (kinds, phases) = (rows.texts("type")?, rows.texts("status")?);
        let (severities, sources) = (rows.texts("severity")?, rows.texts("source")?);
        for row in on_time(on).filter(|row| flag(flags, *row) == Some(true)) {
            let incident = text(incidents, row).filter(|id| !id.is_empty()).unwrap_or_else(|| ids.value(row));
            into.statuses.push(Status {
                stamp: stamps.at(row),
                incident: self.name(incident, stamps.at(row).time, &mut into.names),
                at: places.at(row),
                phase: text(phases, row).and_then(Phase::from_word),
                kind: text(kinds, row).and_then(IncidentKind::from_word),
                severity: text(severities, row).and_then(Severity::from_word),
                source: text(sources, row).and_then(Source::from_word),
            });
        }
        Ok(())
    }

    /// The memory of which texts were told, in bytes.
    pub fn bytes(&self) -> usize {
        Amount::in_map::<(TextId, Micros)>(self.told.len()).bytes
    }

    /// Forgets what is no longer known to anyone: told before a time.
    pub fn forget_before(&mut self, time: Option<Micros>) {
        if let Some(time) = time.filter(|_| time > self.freed) {
            self.freed = Some(time);
            self.told.retain(|_, told| *told >= time);
            self.told.shrink_to_fit();
        }
    }

    /// The id of a text in a record of a time, which is told if that is new or long ago.
    fn name(&mut self, name: &str, time: Micros, names: &mut Vec<Told>) -> TextId {
        let id = self.hasher.id(name.as_bytes());
        let told = self.told.entry(id).or_insert(Micros::MIN);
        if time > told.saturating_add(TOLD_AGAIN) {
            *told = time;
            names.push(Told { id, text: name.to_owned(), time });
        }
        id
    }
}

fn traffic(rows: &Columns<'_>, on: &[Disposition], into: &mut Records) -> Result<(), ExtractError> {
    let (stamps, places, c8) = (rows.stamps()?, rows.places()?, rows.longs("h3_8")?);
    let (current, free_flow) = (rows.doubles("current_speed_kmh")?, rows.doubles("free_flow_speed_kmh")?);
    let (levels, closures) = (rows.texts("traffic_level")?, rows.flags("road_closure")?);
    let sources = rows.texts("source")?;
    for row in on_time(on) {
        into.traffic.push(Traffic {
            stamp: stamps.at(row),
            at: places.at(row),
            c8: c8[row] as u64,
            current: double(current, row),
            free_flow: double(free_flow, row),
            level: text(levels, row).and_then(Level::from_word),
            closure: flag(closures, row),
            source: text(sources, row).and_then(Source::from_word),
        });
    }
    Ok(())
}

fn dead(rows: &Columns<'_>, windows: &[Option<Micros>], into: &mut Records) -> Result<(), ExtractError> {
    let (topics, reasons) = (rows.texts("topic")?, rows.texts("reason")?);
    for (row, window) in windows.iter().enumerate().filter_map(|(row, window)| Some((row, (*window)?))) {
        let topic = rows.word("topic", topics.value(row), Topic::named)?;
        let reason = rows.word("reason", reasons.value(row), Reason::from_name)?;
        let outcome = Outcome(Disposition::ALL.len() as u8 + reason as u8);
        into.deliveries.push(Delivery { topic, window, outcome, delay_s: 0 });
    }
    Ok(())
}

fn delivered(rows: &Columns<'_>, topic: Topic, batch: &Batch, into: &mut Records) -> Result<(), ExtractError> {
    let (log_times, event_times) = (rows.times(LOG_TIME)?, rows.times(EVENT_TIME)?);
    let counted = batch.quality_windows.iter().enumerate().filter_map(|(row, window)| Some((row, (*window)?)));
    into.deliveries.extend(counted.map(|(row, window)| Delivery {
        topic,
        window,
        outcome: Outcome(batch.dispositions[row] as u8),
        delay_s: delay_s(log_times[row], event_times[row]),
    }));
    Ok(())
}

/// The nearest whole seconds, halves up, within a day either way.
fn delay_s(log_time: Micros, event_time: Micros) -> i32 {
    const DAY_S: i64 = 86_400;
    let delay = log_time.saturating_sub(event_time).saturating_add(500_000);
    delay.div_euclid(1_000_000).clamp(-DAY_S, DAY_S) as i32
}

fn on_time(dispositions: &[Disposition]) -> impl Iterator<Item = usize> {
    dispositions.iter().enumerate().filter(|(_, d)| **d == Disposition::OnTime).map(|(row, _)| row)
}

fn text(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}

impl Place<'_> {
    fn at(&self, row: usize) -> Point {
        Point { lat: self.lats[row], lon: self.lons[row] }
    }
}
