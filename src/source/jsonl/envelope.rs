//! One line: an envelope, a bare record, or neither.

use std::borrow::Cow;

use citystream_dataflows::time::Micros;
use citystream_wire::relaxed::Relaxed;
use citystream_wire::{Field, Topic};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{JsonlOptions, bare};
use crate::timestamps::Zone;

/// The line as it stands in the file; the values are borrowed from it.
#[derive(Deserialize)]
struct Envelope<'a> {
    ts: i64,
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
    #[serde(borrow)]
    value: &'a RawValue,
}

/// What a line holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parsed<'a> {
    /// `None` if it cannot be read: the last one holds.
    pub(super) log_time: Option<Micros>,
    /// The key; borrowed unless it has escapes.
    pub(super) key: Option<Cow<'a, [u8]>>,
    /// The record's bytes; `None` is a null payload.
    pub(super) payload: Option<&'a [u8]>,
}

/// How lines are read.
#[derive(Clone, Debug)]
pub(super) enum Format {
    Envelopes,
    /// Bare records: the zone of naive times, and the field that has the time.
    Bare(Zone, &'static Field),
}

impl Format {
    /// The format of a topic's files.
    pub(super) fn of(options: &JsonlOptions, topic: Topic) -> Format {
        let declared = topic.declaration();
        match (&options.event_clock, declared.field(declared.time)) {
            (Some(timezone), Some(time)) => Format::Bare(Zone::new(timezone.clone()), time),
            _ => Format::Envelopes,
        }
    }

    /// Reads a line, given without its newline. Never fails: what is not understood is a payload.
    pub(super) fn parse<'a>(&self, line: &'a [u8]) -> Parsed<'a> {
        let whole = Parsed { log_time: None, key: None, payload: Some(line) };
        match self {
            Format::Envelopes => envelope(line).or_else(|| relaxed_envelope(line)).unwrap_or(whole),
            Format::Bare(zone, time) => {
                let log_time = bare_time(line, zone, time);
                Parsed { log_time, ..whole }
            }
        }
    }
}

fn bare_time(line: &[u8], zone: &Zone, time: &Field) -> Option<Micros> {
    if let Some(text) = bare::text(line, time) {
        return zone.read(&text);
    }
    let mut relaxed = Relaxed::default();
    let is_relaxed = relaxed.read(std::str::from_utf8(line).ok()?);
    zone.read(&bare::text(relaxed.text().as_bytes(), time).filter(|_| is_relaxed)?)
}

/// An envelope with `NaN` or its like somewhere in its value.
fn relaxed_envelope(line: &[u8]) -> Option<Parsed<'_>> {
    let mut relaxed = Relaxed::default();
    relaxed.read(std::str::from_utf8(line).ok()?).then_some(())?;
    let Parsed { log_time, key, payload } = envelope(relaxed.text().as_bytes())?;
    let key = key.map(|key| Cow::Owned(key.into_owned()));
    let payload = payload.map(|payload| std::str::from_utf8(payload)).transpose().ok()?;
    Some(Parsed { log_time, key, payload: payload.and_then(|payload| line.get(relaxed.place(payload))) })
}

fn envelope(line: &[u8]) -> Option<Parsed<'_>> {
    let Envelope { ts, key, value } = serde_json::from_slice(line).ok()?;
    let log_time = Some(ts.checked_mul(1000)?);
    let key = match key {
        None => None,
        Some(raw) => Some(text(raw.get())?),
    };
    let payload = Some(value.get().as_bytes()).filter(|bytes| *bytes != b"null");
    Some(Parsed { log_time, key, payload })
}

/// The content of a JSON string; `None` if it is none.
fn text(raw: &str) -> Option<Cow<'_, [u8]>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner.as_bytes()));
    }
    serde_json::from_str::<String>(raw).ok().map(|key| Cow::Owned(key.into_bytes()))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn parse(line: &str) -> Parsed<'_> {
        Format::Envelopes.parse(line.as_bytes())
    }

    #[test]
    fn an_envelope_gives_its_parts_as_they_stand() {
        let line = r#"{"ts": 1700000000123, "key": "a-b", "value": {"n": 1.50,  "s": "é\n"}}"#;
        let parsed = parse(line);
        assert_eq!(parsed.log_time, Some(1_700_000_000_123_000));
        assert!(matches!(parsed.key, Some(Cow::Borrowed(b"a-b"))));
        assert_eq!(parsed.payload, Some(r#"{"n": 1.50,  "s": "é\n"}"#.as_bytes()));
        let turned = parse(r#"{"value":[],"other":{},"key":"q\"\u0041","ts":-1}"#);
        assert_eq!(turned.log_time, Some(-1000));
        assert_eq!(turned.key.as_deref(), Some(&b"q\"A"[..]));
        assert_eq!(turned.payload, Some(&b"[]"[..]));
    }

    #[test]
    fn key_and_value_may_be_null_and_the_key_absent() {
        let both = Parsed { log_time: Some(5000), key: None, payload: None };
        assert_eq!(parse(r#"{"ts":5,"key":null,"value":null}"#), both);
        assert_eq!(parse(r#"{"ts":5,"value":null}"#), both);
        assert_eq!(parse(r#"{"ts":5,"value":"null"}"#).payload, Some(&b"\"null\""[..]));
    }

    #[test]
    fn a_value_with_a_literal_that_is_no_number_stands_as_it_is() {
        let line = r#"{"ts": 1700000000123, "key": "NaN", "value": {"n": NaN, "l": [-Infinity], "s": "é"}}"#;
        let parsed = parse(line);
        assert_eq!((parsed.log_time, parsed.key.as_deref()), (Some(1_700_000_000_123_000), Some(&b"NaN"[..])));
        assert_eq!(parsed.payload, Some(r#"{"n": NaN, "l": [-Infinity], "s": "é"}"#.as_bytes()));
        assert_eq!(parse(r#"{"ts": NaN, "value": 1}"#).log_time, None);
    }

    #[test]
    fn what_is_no_envelope_is_a_payload() {
        for line in [
            "",
            "not json",
            "[1]",
            r#"{"ts":1}"#,
            r#"{"value":{}}"#,
            r#"{"ts":1.5,"value":{}}"#,
            r#"{"ts":"1","value":{}}"#,
            r#"{"ts":1,"key":7,"value":{}}"#,
            r#"{"ts":1,"value":{"#,
            r#"{"ts":1,"value":{}} x"#,
            r#"{"ts":9223372036854775807,"value":{}}"#,
        ] {
            assert_eq!(parse(line), Parsed { log_time: None, key: None, payload: Some(line.as_bytes()) }, "{line}");
        }
        let invalid = b"{\"ts\":1,\"value\":\"\xff\"}";
        assert_eq!(Format::Envelopes.parse(invalid).payload, Some(&invalid[..]));
    }

    #[test]
    fn a_bare_record_carries_its_log_time() {
        const TIME: &Field = &Field::time("timestamp");
        let format = Format::Bare(Zone::new(TimeZone::UTC), TIME);
        let line = br#"{"id": "x", "timestamp": "1970-01-01T00:00:01.5", "speed": 1}"#;
        assert_eq!(format.parse(line), Parsed { log_time: Some(1_500_000), key: None, payload: Some(line) });
        for no_time in [
            r#"{"timestamp": 5}"#,
            r#"{"time": "1970-01-01T00:00:01.5"}"#,
            r#"{"timestamp": "1970-01-01T00:00:01", "timestamp": "1970-01-01T00:00:02"}"#,
            r#"{"timestamp": "1970-01-01T00:00:01"} x"#,
            r#"{"timestamp": NaN}"#,
        ] {
            assert_eq!(format.parse(no_time.as_bytes()).log_time, None, "{no_time}");
        }
        let nan = br#"{"timestamp": "1970-01-01T00:00:01.5", "speed": NaN}"#;
        assert_eq!(format.parse(nan), Parsed { log_time: Some(1_500_000), key: None, payload: Some(nan) });
        const AT: &Field = &Field::time("at");
        let other = Format::Bare(Zone::new(TimeZone::UTC), AT);
        assert_eq!(other.parse(br#"{"at": "1970-01-01T00:00:01.5"}"#).log_time, Some(1_500_000));
        assert_eq!(format.parse(b"rubbish").payload, Some(&b"rubbish"[..]));
    }
}
