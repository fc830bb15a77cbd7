//! Bytes to typed columnar rows, or to a dead letter with its reason. Never fails, never panics.
//!
//! `payload -> fields (json) -> values (value, time) -> columns (rows)`. A record is read completely before anything
//! of it is appended, so a row is never half there. What a bad value becomes is said in
//! [`citystream_wire::Declaration`].

mod cells;
mod faces;
mod json;
mod members;
mod reason;
mod rows;
mod scan;
mod value;

#[cfg(test)]
pub(crate) mod tests;

use citystream_dataflows::time::bindings::Partition;
use citystream_dataflows::time::{LOG_TIMES, Micros};
use citystream_wire::relaxed::{self, Relaxed};
use citystream_wire::{Declaration, Field, MAX_FIELDS, PerTopic, Topic};
use jiff::tz::TimeZone;

pub use rows::{RawBatch, Rows};

use crate::columns::tables::Reason;
use crate::columns::text_hash::TextHasher;
use crate::source::Record;
use crate::timestamps::Zone;
use reason::Rejection;
use value::Value;

/// What decides how a record is read.
#[derive(Clone, Debug)]
pub struct DecodeOptions {
    /// The zone of naive timestamps.
    pub timezone: TimeZone,
    /// The greatest payload, in bytes.
    pub max_record: usize,
    /// How far an event time may run ahead of the log clock.
    pub max_ahead: Micros,
}

/// A record with where and when it was read.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// Its partition.
    pub partition: Partition,
    /// The log clock of that partition, this record included.
    pub log_clock: Micros,
    /// The record. Where its own log time is none, it has the log clock's.
    pub record: Record<'a>,
    /// The record's own log time, where it is none.
    bad_log_time: Option<Micros>,
}

impl<'a> Incoming<'a> {
    /// A record of a partition whose log clock was this before. A log time outside [`LOG_TIMES`] moves no log clock.
    pub fn new(partition: Partition, log_clock: Option<Micros>, record: Record<'a>) -> Incoming<'a> {
        let log_time = record.log_time;
        if LOG_TIMES.contains(&log_time) {
            let log_clock = log_clock.map_or(log_time, |clock| clock.max(log_time));
            return Incoming { partition, log_clock, record, bad_log_time: None };
        }
        let log_clock = log_clock.unwrap_or(LOG_TIMES.start);
        let record = Record { log_time: log_clock, ..record };
        Incoming { partition, log_clock, record, bad_log_time: Some(log_time) }
    }

    /// The log clock of the partition after it, given that before.
    pub fn clock_after(&self, before: Option<Micros>) -> Option<Micros> {
        if self.bad_log_time.is_some() { before } else { Some(self.log_clock) }
    }
}

/// Reads records. One per worker: it holds scratch space.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    layouts: PerTopic<Layout>,
    extra: String,
    relaxed: Relaxed,
}

/// What is looked up of a topic's declaration, once.
#[derive(Debug)]
struct Layout {
    fields: &'static [Field],
    /// Where the record's own id stands among the fields.
    id: usize,
    /// Where its time stands.
    time: usize,
}

#[derive(Debug)]
struct Limits {
    zone: Zone,
    max_record: usize,
    max_ahead: Micros,
    hasher: TextHasher,
}

/// A record that has passed every check.
struct Parsed<'a> {
    values: [Value<'a>; MAX_FIELDS],
    event_time: Micros,
    identity: u128,
}

impl Decoder {
    /// A decoder with these options, in a run with this hasher.
    pub fn new(options: DecodeOptions, hasher: TextHasher) -> Decoder {
        let DecodeOptions { timezone, max_record, max_ahead } = options;
        let limits = Limits { zone: Zone::new(timezone), max_record, max_ahead, hasher };
        let layouts = PerTopic::new(|topic| Layout::of(topic.declaration()));
        Decoder { limits, layouts, extra: String::new(), relaxed: Relaxed::default() }
    }

    /// Empty rows for what this decoder reads.
    pub fn rows(&self) -> Rows {
        Rows::default()
    }

    /// Appends one row or one dead letter.
    pub fn decode(&mut self, incoming: Incoming<'_>, rows: &mut Rows) {
        self.extra.clear();
        let layout = &self.layouts[incoming.partition.topic];
        match self.limits.parse(layout, &incoming, &mut self.extra, &mut self.relaxed) {
            Ok(parsed) => rows.push(&incoming, &parsed, members::closed(&mut self.extra)),
            Err(rejection) => rows.reject(&incoming, self.limits.max_record, &rejection),
        }
    }
}

/// The raw text of each field of a record and its `extra`, by the whole way or by the fast way alone; `None` where that
/// does not read it. For tests: the two are held against each other.
pub fn raw_members(topic: Topic, text: &str, is_fast: bool) -> Option<(Vec<String>, Option<String>)> {
    let (mut extra, mut relaxed, fields) = (String::new(), Relaxed::default(), topic.declaration().fields);
    let raw = if is_fast {
        scan::object(text, fields, &mut extra)?
    } else {
        json::object(text, fields, &mut extra, &mut relaxed).ok()?
    };
    let values = raw[..fields.len()].iter().map(|value| (*value).to_owned()).collect();
    Some((values, members::closed(&mut extra).map(str::to_owned)))
}

impl Layout {
    fn of(declaration: &Declaration) -> Layout {
        let place = |json| declaration.fields.iter().position(|field| field.json == json).unwrap_or_default();
        Layout { fields: declaration.fields, id: place(declaration.id), time: place(declaration.time) }
    }
}

impl Limits {
    fn parse<'a>(
        &self,
        layout: &Layout,
        incoming: &Incoming<'a>,
        extra: &mut String,
        relaxed: &'a mut Relaxed,
    ) -> Result<Parsed<'a>, Rejection> {
        if let Some(micros) = incoming.bad_log_time {
            let detail = format!("log timestamp: {} ms since 1970 is not in 2000 to 2100", micros.div_euclid(1000));
            return Err(Rejection::new(Reason::BadLogTime, detail));
        }
        let fields = layout.fields;
        let raw = json::object(self.text(incoming.record)?, fields, extra, relaxed)?;
        let mut parsed = Parsed { values: [const { Value::Null }; MAX_FIELDS], event_time: 0, identity: 0 };
        for (index, field) in fields.iter().enumerate() {
            parsed.values[index] = self.value(field, raw[index], extra)?;
        }
        if let Value::Time(event_time) = parsed.values[layout.time] {
            parsed.event_time = event_time;
        }
        self.check_time(parsed.event_time, incoming.log_clock)?;
        parsed.identity = self.hasher.identity(parsed.values[layout.id].text().as_bytes(), parsed.event_time);
        Ok(parsed)
    }

    fn text<'a>(&self, record: Record<'a>) -> Result<&'a str, Rejection> {
        let payload = record.payload.ok_or_else(|| Rejection::bare(Reason::NullPayload))?;
        let length = record.length.unwrap_or(payload.len());
        if length > self.max_record {
            let detail = format!("{length} bytes, at most {} are read", self.max_record);
            return Err(Rejection::new(Reason::TooLong, detail));
        }
        if length > payload.len() {
            let detail = format!("{length} bytes, of which only the first {} were kept", payload.len());
            return Err(Rejection::new(Reason::TooLong, detail));
        }
        if payload.first() == Some(&0) {
            return Err(Rejection::new(Reason::ConfluentFormat, "a leading zero byte"));
        }
        std::str::from_utf8(payload).map_err(|error| Rejection::new(Reason::InvalidUtf8, error.to_string()))
    }

    fn value<'a>(&self, field: &Field, raw: &'a str, extra: &mut String) -> Result<Value<'a>, Rejection> {
        if raw.is_empty() || raw == "null" {
            let missing = || Rejection::new(Reason::MissingField, field.json);
            return if field.required { Err(missing()) } else { Ok(Value::Null) };
        }
        if let Some(text) = relaxed::as_text(raw) {
            if field.required {
                return Err(value::about(Reason::WrongType, field, raw, "is no value, and one is required"));
            }
            members::keep(extra, field.json, text);
            return Ok(Value::Null);
        }
        let value = value::read(field, raw, &self.zone)?;
        if matches!(value, Value::Unfit) {
            if field.required {
                return Err(value::about(Reason::MissingField, field, raw, "does not fit, and is required"));
            }
            members::keep(extra, field.json, raw);
        }
        Ok(value)
    }

    fn check_time(&self, event_time: Micros, log_clock: Micros) -> Result<(), Rejection> {
        if event_time < 0 {
            return Err(Rejection::new(Reason::BadTime, "timestamp: before 1970"));
        }
        if event_time > log_clock.saturating_add(self.max_ahead) {
            let seconds = event_time.saturating_sub(log_clock) / 1_000_000;
            return Err(Rejection::new(Reason::Ahead, format!("{seconds} s ahead of the log clock")));
        }
        Ok(())
    }
}
