//! Every bad input by name, and random records against a reading through `serde_json::Value`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use citystream_dataflows::time::Micros;
use citystream_dataflows::time::bindings::{NextOffset, Partition, Topic};
use citystream_wire::{Field, Kind};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::*;
use crate::columns::tables::Table;
use crate::columns::text_hash::testing::hasher;

/// A small generator with a printed seed; `SEED=n` repeats a run.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Random {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let seed = std::env::var("SEED").map_or(now.as_nanos() as u64, |seed| seed.parse().unwrap());
        println!("SEED={seed}");
        Random(seed)
    }

    /// A number in `0..bound` (splitmix64).
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// 2026-11-23T10:15:30Z.
const NOW: Micros = 1_795_428_930_000_000;
const HOUR: Micros = 3_600_000_000;
const MAX_RECORD: usize = 4096;

fn decoder() -> Decoder {
    Decoder::new(DecodeOptions { timezone: TimeZone::UTC, max_record: MAX_RECORD, max_ahead: 24 * HOUR }, hasher())
}

fn incoming(topic: Topic, offset: i64, payload: Option<&[u8]>) -> Incoming<'_> {
    let next = NextOffset(offset + 1);
    let record = Record { offset, next, log_time: NOW, key: Some(b"key"), payload, length: None };
    Incoming::new(Partition { topic, index: 3 }, None, record)
}

fn one(topic: Topic, payload: Option<&[u8]>) -> RawBatch {
    let mut decoder = decoder();
    let mut rows = decoder.rows();
    decoder.decode(incoming(topic, 7, payload), &mut rows);
    let mut batches = rows.finish();
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].columns.num_rows(), 1);
    assert!(rows.is_empty() && rows.finish().is_empty());
    batches.remove(0)
}

fn good(topic: Topic) -> Value {
    let mut record = json!({"id": "a", "deviceId": "d", "timestamp": "2026-11-23T10:15:30.123456"});
    let place = if topic == Topic::GPS { ("coordinates", "52.5,-0.25") } else { ("location", "(52.5, -0.25)") };
    record[place.0] = json!(place.1);
    record
}

/// The good record with some members replaced, as JSON text.
fn with(topic: Topic, members: &[(&str, Value)]) -> String {
    let mut record = good(topic);
    for (name, value) in members {
        record[*name] = value.clone();
    }
    record.to_string()
}

fn cell(batch: &RecordBatch, column: &str) -> Value {
    let array = batch.column_by_name(column).unwrap_or_else(|| panic!("no column {column}"));
    cell_at(array.as_ref(), 0)
}

fn cell_at(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Utf8 => json!(array.as_string::<i32>().value(row)),
        DataType::Float64 => json!(array.as_primitive::<Float64Type>().value(row)),
        DataType::Int32 => json!(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => json!(array.as_primitive::<Int64Type>().value(row)),
        DataType::Boolean => json!(array.as_boolean().value(row)),
        DataType::Timestamp(..) => json!(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        DataType::Binary => json!(array.as_binary::<i32>().value(row)),
        DataType::List(_) => {
            let members = array.as_list::<i32>().value(row);
            (0..members.len()).map(|member| cell_at(members.as_ref(), member)).collect()
        }
        other => panic!("{other}"),
    }
}

fn reason(topic: Topic, payload: Option<&[u8]>) -> String {
    let batch = one(topic, payload);
    assert_eq!(batch.table, Table::DeadLetters);
    assert!(batch.metas.is_empty());
    assert_eq!(batch.dead, [(topic, NOW)]);
    let kept = &payload.map(|bytes| &bytes[..bytes.len().min(MAX_RECORD)]);
    assert_eq!(cell(&batch.columns, "payload"), json!(kept));
    assert_eq!(cell(&batch.columns, "payload_bytes"), json!(payload.map(<[u8]>::len)));
    assert_eq!(cell(&batch.columns, "topic"), json!(topic.name()));
    assert_eq!(cell(&batch.columns, "offset"), json!(7));
    cell(&batch.columns, "reason").as_str().unwrap().to_owned()
}

#[test]
fn what_cannot_be_read_is_a_dead_letter_with_its_reason() {
    for topic in Topic::all() {
        let long = with(topic, &[("note", json!("x".repeat(MAX_RECORD)))]);
        let good = good(topic).to_string();
        let cases: [(Option<&[u8]>, Reason); 12] = [
            (None, Reason::NullPayload),
            (Some(long.as_bytes()), Reason::TooLong),
            (Some(b"\0\0\0\0\x01{}"), Reason::ConfluentFormat),
            (Some(b"{\"id\": \"\xff\"}"), Reason::InvalidUtf8),
            (Some(b""), Reason::NotJson),
            (Some(b"hello"), Reason::NotJson),
            (Some(&good.as_bytes()[..good.len() - 1]), Reason::NotJson),
            (Some(b"{\"id\": NaN}"), Reason::WrongType),
            (Some(b"{\"id\": \"\\ud800\"}"), Reason::NotJson),
            (Some(b"[1, 2]"), Reason::WrongType),
            (Some(b"null"), Reason::WrongType),
            (Some(b"{}"), Reason::MissingField),
        ];
        for (payload, expected) in cases {
            assert_eq!(reason(topic, payload), expected.name(), "{topic:?} {payload:?}");
        }
        assert_eq!(reason(topic, Some(format!("{good} {{}}").as_bytes())), "not_json");
    }
}

#[test]
fn a_record_needs_its_id_device_time_and_position() {
    for topic in Topic::all() {
        let place = if topic == Topic::GPS { "coordinates" } else { "location" };
        let cases = [
            ("id", json!(null), "missing_field"),
            ("id", json!(""), "missing_field"),
            ("id", json!(5), "wrong_type"),
            ("id", json!("x".repeat(257)), "too_long"),
            ("deviceId", json!("\n".repeat(257)), "too_long"),
            ("deviceId", json!(null), "missing_field"),
            ("deviceId", json!(["d"]), "wrong_type"),
            ("timestamp", json!(null), "missing_field"),
            ("timestamp", json!(1_795_428_930), "wrong_type"),
            ("timestamp", json!("soon"), "bad_time"),
            ("timestamp", json!("1969-12-31T23:59:59"), "bad_time"),
            ("timestamp", json!("0001-01-01T00:00:00"), "bad_time"),
            ("timestamp", json!("2026-11-24T10:15:30.000001"), "ahead"),
            ("timestamp", json!("9999-12-31T23:59:59"), "ahead"),
            (place, json!(null), "missing_field"),
            (place, json!([1.0, 2.0]), "wrong_type"),
            (place, json!("51.5"), "bad_position"),
            (place, json!("51.5, here"), "bad_position"),
            (place, json!("(51.5, 0.1"), "bad_position"),
            (place, json!("1,2,3"), "bad_position"),
            (place, json!("nan,0"), "bad_position"),
            (place, json!("0,inf"), "bad_position"),
            (place, json!("90.0001,0"), "bad_position"),
            (place, json!("0,-180.1"), "bad_position"),
        ];
        for (name, value, expected) in cases {
            let payload = with(topic, &[(name, value)]);
            assert_eq!(reason(topic, Some(payload.as_bytes())), expected, "{payload}");
        }
        let longest = json!("x".repeat(256));
        let members = [("timestamp", json!("2026-11-24T10:15:30")), ("id", longest.clone()), ("deviceId", longest)];
        let at_the_limit = with(topic, &members);
        assert_eq!(one(topic, Some(at_the_limit.as_bytes())).table, Table::Raw(topic));
    }
}

#[test]
fn what_is_no_number_is_null_and_its_text_is_kept() {
    let good = good(Topic::GPS).to_string();
    let flat = format!(r#"{{"speed": NaN, "other": -Infinity, {}"#, &good[1..]);
    let nested = format!(r#"{{"speed": NaN, "other": {{"a\n": [Infinity, "NaN"]}}, {}"#, &good[1..]);
    for (payload, other) in [(flat, json!("-Infinity")), (nested, json!({"a\n": ["Infinity", "NaN"]}))] {
        let batch = one(Topic::GPS, Some(payload.as_bytes()));
        assert_eq!(batch.table, Table::Raw(Topic::GPS), "{payload}");
        assert_eq!(cell(&batch.columns, "speed_kmh"), Value::Null);
        let extra: Value = serde_json::from_str(cell(&batch.columns, "extra").as_str().unwrap()).unwrap();
        assert_eq!(extra, json!({"speed": "NaN", "other": other}), "{payload}");
    }
    assert_eq!(reason(Topic::GPS, Some(good.replace("\"d\"", "NaN").as_bytes())), "wrong_type");
    assert_eq!(reason(Topic::GPS, Some(good.replace("\"d\"", "nan").as_bytes())), "not_json");
    for half in ["57.Infinity", "-0.NaN", "1.-Infinity", "-NaN"] {
        let payload = format!(r#"{{"speed": {half}, {}"#, &good[1..]);
        assert_eq!(reason(Topic::GPS, Some(payload.as_bytes())), "not_json", "{payload}");
    }
}

#[test]
fn a_field_of_another_type_is_a_dead_letter() {
    for topic in Topic::all() {
        for field in topic.declaration().fields {
            let wrong = match field.kind {
                Kind::Number { .. } | Kind::Integer { .. } => vec![json!("57.3"), json!(true), json!([1])],
                Kind::Flag => vec![json!("true"), json!(0), json!({})],
                Kind::Texts => vec![json!("Police"), json!([1]), json!({})],
                Kind::Time | Kind::Place | Kind::Text | Kind::Id | Kind::Words(_) | Kind::Bearing => {
                    vec![json!(1.5), json!(false), json!({"a": 1}), json!([])]
                }
            };
            for value in wrong {
                let payload = with(topic, &[(field.json, value)]);
                assert_eq!(reason(topic, Some(payload.as_bytes())), "wrong_type", "{payload}");
            }
        }
    }
    let overflow = good(Topic::GPS).to_string().replace("\"id\"", "\"speed\": 1e999, \"id\"");
    assert_eq!(reason(Topic::GPS, Some(overflow.as_bytes())), "bad_number");
}

#[test]
fn what_a_column_cannot_hold_is_null_there_and_kept() {
    let cases = [
        (Topic::GPS, "speed", json!(-1), "speed_kmh"),
        (Topic::GPS, "speed", json!(1e300), "speed_kmh"),
        (Topic::GPS, "direction", json!("Up"), "bearing_deg"),
        (Topic::GPS, "source", json!("guess"), "source"),
        (Topic::VEHICLE, "year", json!(1999.5), "year"),
        (Topic::VEHICLE, "year", json!(10_000_000_000_i64), "year"),
        (Topic::VEHICLE, "fuelLevel", json!(100.5), "fuel_level_pct"),
        (Topic::TRAFFIC, "freeFlowSpeed", json!(0), "free_flow_speed_kmh"),
        (Topic::TRAFFIC, "trafficLevel", json!("heavy \"ish\""), "traffic_level"),
        (Topic::WEATHER, "humidity", json!(-1), "humidity_pct"),
        (Topic::EMERGENCY, "status", json!("Unknown"), "status"),
        (Topic::EMERGENCY, "type", json!("\u{e9}"), "type"),
    ];
    for (topic, name, value, column) in cases {
        let batch = one(topic, Some(with(topic, &[(name, value.clone())]).as_bytes()));
        assert_eq!(batch.table, Table::Raw(topic));
        assert_eq!(cell(&batch.columns, column), Value::Null);
        let extra: Value = serde_json::from_str(cell(&batch.columns, "extra").as_str().unwrap()).unwrap();
        assert_eq!(extra, json!({name: value}));
    }
}

#[test]
fn numbers_are_read_exactly_and_both_ends_of_a_range_count() {
    for (text, expected) in [("57.310000000000002", 57.31), ("0.1e1", 1.0), ("1000", 1000.0), ("-0.0", -0.0)] {
        let payload = good(Topic::GPS).to_string().replace("\"id\"", &format!("\"speed\": {text}, \"id\""));
        let batch = one(Topic::GPS, Some(payload.as_bytes()));
        let speed = cell(&batch.columns, "speed_kmh").as_f64().unwrap();
        assert_eq!(speed.to_bits(), f64::to_bits(expected), "{text}");
    }
    let place = "50.123456789012345, -179.99999999999999";
    let batch = one(Topic::GPS, Some(with(Topic::GPS, &[("coordinates", json!(place))]).as_bytes()));
    assert_eq!(cell(&batch.columns, "lat"), json!(50.123456789012345_f64));
    assert_eq!(cell(&batch.columns, "lon"), json!(-179.99999999999999_f64));
}

#[test]
fn the_eight_winds() {
    let words = ["North", "North-East", "East", "South-East", "South", "South-West", "West", "North-West"];
    for (index, word) in words.into_iter().enumerate() {
        for form in [word.to_owned(), word.to_lowercase(), word.replace('-', ""), word.to_uppercase().replace('-', " ")]
        {
            let payload = with(Topic::GPS, &[("direction", json!(form))]);
            let batch = one(Topic::GPS, Some(payload.as_bytes()));
            assert_eq!(cell(&batch.columns, "bearing_deg"), json!(45.0 * index as f64), "{form}");
        }
    }
}

#[test]
fn a_key_need_not_be_text_and_either_name_of_a_place_will_do() {
    let mut decoder = decoder();
    let mut rows = decoder.rows();
    let payload = with(Topic::GPS, &[]).replace("coordinates", "location");
    for key in [None, Some(&b"\xff\x00"[..]), Some(b"k\xc3\xa9"), Some(b"")] {
        let mut incoming = incoming(Topic::GPS, 1, Some(payload.as_bytes()));
        incoming.record.key = key;
        decoder.decode(incoming, &mut rows);
    }
    let batch = &rows.finish()[0].columns;
    let keys: Vec<Value> = (0..4).map(|row| cell_at(batch.column_by_name("key").unwrap(), row)).collect();
    assert_eq!(keys, [json!(null), json!("0xff00"), json!("k\u{e9}"), json!("")]);
}

#[test]
fn an_identity_is_of_the_id_and_the_time() {
    let meta = |id: &str, time: &str| {
        let payload = with(Topic::GPS, &[("id", json!(id)), ("timestamp", json!(time))]);
        one(Topic::GPS, Some(payload.as_bytes())).metas[0]
    };
    let first = meta("a\n", "2026-11-23T10:15:30.123456");
    assert_eq!(first.identity, hasher().identity(b"a\n", NOW + 123_456));
    assert_eq!(first.identity, meta("a\n", "2026-11-23T10:15:30.123456Z").identity);
    assert_ne!(first.identity, meta("b", "2026-11-23T10:15:30.123456").identity);
    assert_ne!(first.identity, meta("a\n", "2026-11-23T10:15:30.123457").identity);
    assert_eq!((first.event_time, first.log_clock), (NOW + 123_456, NOW));
    assert_eq!(first.partition, Partition { topic: Topic::GPS, index: 3 });
}

/// A random value for a field, mostly one that fits.
fn random_value(random: &mut Random, field: &Field) -> Value {
    const ODD: [&str; 5] = ["", "a \"quoted\" word", "tab\there", "\u{1f6b2} caf\u{e9}", "null"];
    match field.kind {
        Kind::Id if field.required => json!(format!("{:x}{}", random.below(u64::MAX), ODD[random.below(5) as usize])),
        Kind::Time => json!(format!("2026-11-{:02}T10:15:30.{:06}", 1 + random.below(23), random.below(1_000_000))),
        Kind::Place => json!(format!("({}, {})", random.below(180) as f64 / 2.0, random.below(1000) as f64 / 7.0)),
        Kind::Text | Kind::Id => json!(ODD[random.below(5) as usize]),
        Kind::Words(words) => json!(words.get(random.below(8) as usize).unwrap_or(&"other\\")),
        Kind::Number { .. } => json!(random.below(u64::MAX) as f64 / 1.7e16 - 40.0),
        Kind::Integer { .. } => json!(random.below(4000) as f64 / 2.0),
        Kind::Flag => json!(random.one_in(2)),
        Kind::Texts => json!(ODD[..random.below(6) as usize]),
        Kind::Bearing => json!(["North", "South-West", "sideways"][random.below(3) as usize]),
    }
}

/// What a field's cells are, by the documented rules, through another reader.
fn expected_cells(topic: Topic, kind: Kind, value: &Value) -> (Vec<Value>, bool) {
    let unless = |unfit: bool| (vec![if unfit { Value::Null } else { value.clone() }], unfit);
    match (kind, value) {
        (Kind::Time, _) => (Vec::new(), false),
        (Kind::Place, Value::String(text)) => {
            let inner = text.trim_matches(['(', ')']);
            let place: Vec<f64> = inner.split(", ").map(|part| part.parse().unwrap()).collect();
            let at = h3o::LatLng::new(place[0], place[1]).unwrap();
            let h3 = |cell: &citystream_wire::Cell| json!(u64::from(at.to_cell(cell.resolution.try_into().unwrap())));
            (
                place.iter().map(|degrees| json!(degrees)).chain(topic.declaration().cells.iter().map(h3)).collect(),
                false,
            )
        }
        (_, Value::Null) => (vec![Value::Null], false),
        (Kind::Words(words), Value::String(word)) => unless(!words.contains(&word.as_str())),
        (Kind::Number { min, max }, number) => {
            let number = number.as_f64().unwrap();
            unless(number < min || number > max)
        }
        (Kind::Integer { min, max }, number) => {
            let number = number.as_f64().unwrap();
            let unfit = number < f64::from(min) || number > f64::from(max) || number != number.trunc();
            (vec![if unfit { Value::Null } else { json!(number as i64) }], unfit)
        }
        (Kind::Bearing, word) => match word.as_str() {
            Some("North") => (vec![json!(0.0)], false),
            Some("South-West") => (vec![json!(225.0)], false),
            _ => (vec![Value::Null], true),
        },
        _ => unless(false),
    }
}

#[test]
fn random_records_read_as_a_generic_reader_reads_them() {
    let mut random = Random::new();
    let mut decoder = decoder();
    let mut rows = decoder.rows();
    for round in 0..4000 {
        let topic = Topic::all().nth(random.below(5) as usize).unwrap();
        let (payload, expected, extra) = random_record(&mut random, topic);
        decoder.decode(incoming(topic, round, Some(payload.as_bytes())), &mut rows);
        let batch = rows.finish().remove(0);
        assert_eq!(batch.table, Table::Raw(topic), "{payload}");
        for (column, value) in expected.iter().enumerate() {
            let found = cell_at(batch.columns.column(column), 0);
            assert_eq!(&found, value, "{} of {payload}", batch.columns.schema().field(column).name());
        }
        let kept = cell(&batch.columns, "extra");
        let kept: Value = kept.as_str().map_or(json!({}), |text| serde_json::from_str(text).unwrap());
        // Through text, like what was kept: this reader's numbers are not exact.
        let extra: Value = serde_json::from_str(&extra.to_string()).unwrap();
        assert_eq!(kept, extra, "{payload}");
    }
}

/// A payload with its members in random order, its field columns, and its `extra`.
fn random_record(random: &mut Random, topic: Topic) -> (String, Vec<Value>, Value) {
    let (mut members, mut expected, mut extra) = (Vec::new(), Vec::new(), json!({}));
    for field in topic.declaration().fields {
        let needed = field.required;
        let absent = !needed && random.one_in(5);
        let value = if absent { Value::Null } else { random_value(random, field) };
        let (cells, unfit) = expected_cells(topic, field.kind, &value);
        expected.extend(cells);
        if unfit {
            extra[field.json] = value.clone();
        }
        if !absent || random.one_in(2) {
            members.push((field.json.to_owned(), value));
        }
    }
    for number in 0..random.below(3) {
        let name = format!("new \"{number}\"\n");
        let value = json!({"deep": [1, {"er": null}], "text": "\\"});
        extra[&name] = value.clone();
        members.push((name, value));
    }
    for last in (1..members.len()).rev() {
        members.swap(last, random.below(last as u64 + 1) as usize);
    }
    let parts: Vec<String> = members.iter().map(|(name, value)| format!("{} : {value}", json!(name))).collect();
    (format!(" {{{}}}\n", parts.join(" ,\t")), expected, extra)
}

/// Payloads, most of them broken by a few bytes.
pub(crate) fn mutated(random: &mut Random, topic: Topic) -> String {
    const BYTES: &[u8] = b"\"\\{}[]:,.-+eE0123456789 \n\t\x01tfnu\xc3\xa9azN";
    let plain = [("speed", json!(12.5)), ("note", json!("plain caf\u{e9}")), ("roadClosure", json!(true))];
    let text = if random.one_in(2) { with(topic, &plain) } else { random_record(random, topic).0 };
    let literal = ["12.5", "NaN", "-Infinity", "Infinity"][random.below(4) as usize];
    let text = text.replace("12.5", literal);
    let mut bytes = text.into_bytes();
    for _ in 0..random.below(4) {
        let (at, byte) = (random.below(bytes.len() as u64) as usize, BYTES[random.below(BYTES.len() as u64) as usize]);
        match random.below(3) {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            _ => _ = bytes.remove(at),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn the_fast_way_says_what_serde_json_says_or_nothing() {
    let mut random = Random::new();
    let (mut fast, mut slow, mut literals) = (0, 0, 0);
    for _ in 0..30_000 {
        let topic = Topic::all().nth(random.below(5) as usize).unwrap();
        let text = mutated(&mut random, topic);
        let (mut extra, mut reference) = (String::new(), String::new());
        match scan::object(&text, topic.declaration().fields, &mut extra) {
            Some(raw) => {
                let mut relaxed = Relaxed::default();
                let is_relaxed = relaxed.read(&text);
                let expected = json::any_object(relaxed.text(), topic.declaration().fields, &mut reference);
                let expected = expected.map(|raw| raw.map(|value| relaxed.original(value)));
                literals += usize::from(is_relaxed);
                assert_eq!(raw, expected.unwrap_or_else(|_| panic!("accepted {text}")), "{text}");
                assert_eq!(extra, reference, "{text}");
                fast += 1;
            }
            None => {
                assert_eq!(extra, "");
                slow += 1;
            }
        }
    }
    assert!(fast > 500 && slow > 500 && literals > 100, "all ways are taken: {fast} {slow} {literals}");
}

#[test]
fn ordinary_records_go_the_fast_way() {
    for topic in Topic::all() {
        for value in [json!(1.5), json!(-3), json!(true), json!(null), json!("caf\u{e9}")] {
            let text = with(topic, &[("other", value)]);
            assert!(scan::object(&text, topic.declaration().fields, &mut String::new()).is_some(), "{text}");
        }
    }
    let text = format!("{{\"a\": \"{}\"}}", "x".repeat(100));
    for at in 7..107 {
        for byte in ["\"", "\\", "\n", "\u{1}", "\u{1f}"] {
            let mut broken = text.clone();
            broken.replace_range(at..at + 1, byte);
            assert!(scan::object(&broken, Topic::GPS.declaration().fields, &mut String::new()).is_none(), "{broken}");
        }
        let mut accented = text.clone();
        accented.replace_range(at..at + 1, "\u{7f}\u{e9}\u{1f6b2} #![]");
        assert!(scan::object(&accented, Topic::GPS.declaration().fields, &mut String::new()).is_some(), "{accented}");
    }
}
