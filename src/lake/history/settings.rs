//! `lake.json`: what a lake was made for. All that decides a row is in it, so that it cannot change unnoticed (P3).

use std::ops::RangeInclusive;
use std::time::Duration;

use citystream_dataflows::tables::Derived;
use citystream_dataflows::time::{Micros, TimePolicy};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lake::history::layout;
use crate::lake::random_id;
use crate::lake::store::error::{StoreError, unusable};
use crate::lake::store::{Lake, Stored};
use crate::units::{show_size, show_time};

/// The version of a lake's layout.
pub const FORMAT: u32 = 3;
/// The layout from which on data files are packed: those that a commit names may have become others.
pub const PACKED_SINCE: u32 = 3;
/// The version of the definitions of columns and tables.
pub const DEFINITIONS: u32 = 4;

/// The layouts that a lake may have that is a source.
pub const READABLE_FORMATS: RangeInclusive<u64> = 1..=FORMAT as u64;
/// The definitions whose raw tables have the columns that records are rebuilt from.
pub const READABLE_DEFINITIONS: RangeInclusive<u64> = 4..=DEFINITIONS as u64;

/// All that decides a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowSemantics {
    /// Lateness, slack and how far ahead, in microseconds.
    pub time: TimePolicy,
    /// The tables: `all`, or `raw` for the records alone.
    pub tables: String,
    /// The time zone of naive timestamps.
    pub timezone: String,
    /// What the log clock is: `kafka` (the log's timestamps) or `event` (archives of bare records).
    pub log_clock: String,
    /// The longest record in bytes that is read.
    pub max_record: u64,
    /// The H3 resolutions of cells.
    pub resolutions: Vec<u8>,
    /// The version of the definitions of columns and tables.
    pub definitions: u32,
}

/// What `lake.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The version of the lake's layout.
    pub format: u32,
    /// The lake's identity: 128 random bits in hex.
    pub lake: String,
    /// All that decides a row.
    #[serde(rename = "decides")]
    pub semantics: RowSemantics,
    /// The derived tables that the lake has. One that this program knows and the lake was made before is not made.
    #[serde(default = "original")]
    pub derived: Vec<String>,
}

/// The tables of lakes that were made before they named them.
fn original() -> Vec<String> {
    Derived::original().map(|table| table.name().to_owned()).collect()
}

impl Settings {
    /// The derived tables of the lake.
    ///
    /// # Errors
    /// A table that this program does not know.
    pub fn derived(&self) -> Result<Vec<Derived>, StoreError> {
        let known = |name: &String| {
            Derived::from_name(name).ok_or_else(|| {
                unusable(format!(
                    "the lake has a table {name}, which this program does not make: use the one that made the lake"
                ))
            })
        };
        self.derived.iter().map(known).collect()
    }
}

/// The settings of a lake; `None` if it has none yet.
pub async fn read(lake: &Lake) -> Result<Option<Settings>, StoreError> {
    let Some(bytes) = lake.get(layout::SETTINGS).await? else { return Ok(None) };
    decode(&lake.address(layout::SETTINGS), &bytes).map(Some)
}

/// The settings in the bytes of `place`.
pub fn decode(place: &str, bytes: &[u8]) -> Result<Settings, StoreError> {
    let value: Value = serde_json::from_slice(bytes).map_err(|e| unusable(format!("{place} cannot be read: {e}")))?;
    let (format, definitions) = (&value["format"], &value["decides"]["definitions"]);
    if *format != FORMAT || *definitions != DEFINITIONS {
        return Err(unusable(format!(
            "{place} has format {format} and definitions of version {definitions}; this program reads {FORMAT} and {DEFINITIONS}: {}",
            instead(place, &value)
        )));
    }
    serde_json::from_value(value).map_err(|e| unusable(format!("{place} cannot be read: {e}")))
}

/// What to do with a lake of another version: an older one fills a new one.
fn instead(place: &str, value: &Value) -> String {
    let lake = place.strip_suffix(layout::SETTINGS).unwrap_or(place).trim_end_matches('/');
    let is =
        |version: &Value, known: RangeInclusive<u64>| version.as_u64().is_some_and(|version| known.contains(&version));
    if is(&value["format"], READABLE_FORMATS) && is(&value["decides"]["definitions"], READABLE_DEFINITIONS) {
        format!(
            "fill a new lake from it with `citystream run --source lake:{lake} --lake NEW`, or use the program that wrote it"
        )
    } else {
        "use the program that wrote it, or a new --lake, which is filled from the start of the log".to_owned()
    }
}

/// The bytes of settings.
pub fn encode(settings: &Settings) -> Result<Vec<u8>, StoreError> {
    let mut bytes = serde_json::to_vec_pretty(settings).map_err(|e| unusable(e.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The settings of a lake, which must be for `wanted`; `None` if it has none yet.
pub async fn confirmed(lake: &Lake, wanted: &RowSemantics) -> Result<Option<Settings>, StoreError> {
    read(lake).await?.map(|settings| confirm(lake, settings, wanted)).transpose()
}

/// Writes `wanted` into a new lake, or confirms that the lake has the same. Where they differ the error names each. A new
/// lake is made at an address that every reader can open, or at `any_path`.
pub async fn agree(lake: &Lake, wanted: RowSemantics, any_path: bool) -> Result<Settings, StoreError> {
    if let Some(settings) = confirmed(lake, &wanted).await? {
        return Ok(settings);
    }
    if !any_path {
        lake.refuse_unreadable()?;
    }
    let derived = Derived::all().map(|table| table.name().to_owned()).collect();
    let settings = Settings { format: FORMAT, lake: random_id()?, semantics: wanted, derived };
    match lake.put_same(layout::SETTINGS, encode(&settings)?.into()).await? {
        Stored::Same => Ok(settings),
        // Another process of the same start was faster.
        Stored::Other(_) => match read(lake).await? {
            Some(other) => confirm(lake, other, &settings.semantics),
            None => Err(StoreError::Transient(format!("{} vanished", lake.address(layout::SETTINGS)))),
        },
    }
}

fn confirm(lake: &Lake, settings: Settings, wanted: &RowSemantics) -> Result<Settings, StoreError> {
    let place = lake.address(layout::SETTINGS);
    let differ = differences(&settings.semantics, wanted);
    if differ.is_empty() {
        return Ok(settings);
    }
    Err(unusable(format!("{place} was made with other settings: {}; use those, or another --lake", differ.join("; "))))
}

/// Each value that differs, by the name of its setting: `lateness: 10m there, 20m here`.
pub fn differences(lake: &RowSemantics, wanted: &RowSemantics) -> Vec<String> {
    let (there, here) = (by_name(lake), by_name(wanted));
    let differ = there.into_iter().zip(here).filter(|(there, here)| there != here);
    differ.map(|((name, there), (_, here))| format!("{name}: {there} there, {here} here")).collect()
}

/// All that decides a row, as the user would set it.
fn by_name(semantics: &RowSemantics) -> [(&'static str, String); 10] {
    let RowSemantics { time, tables, timezone, log_clock, max_record, resolutions, definitions } = semantics;
    let TimePolicy { lateness, slack, max_ahead, max_hold } = time;
    // A time that is none is shown as what it is.
    let shown = |micros: &Micros| {
        u64::try_from(*micros).map_or_else(|_| format!("{micros}us"), |micros| show_time(Duration::from_micros(micros)))
    };
    [
        ("lateness", shown(lateness)),
        ("slack", shown(slack)),
        ("max-ahead", shown(max_ahead)),
        ("max-hold", shown(max_hold)),
        ("tables", tables.clone()),
        ("timezone", timezone.clone()),
        ("log-clock", log_clock.clone()),
        ("max-record", show_size(*max_record)),
        ("H3 resolutions", format!("{resolutions:?}")),
        ("definitions", definitions.to_string()),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::lake::StoreOptions;

    fn semantics() -> RowSemantics {
        RowSemantics {
            time: TimePolicy { lateness: 600_000_000, slack: 120, max_ahead: 86400, max_hold: 3_600_000_000 },
            tables: "all".into(),
            timezone: "UTC".into(),
            log_clock: "kafka".into(),
            max_record: 262_144,
            resolutions: vec![8, 5],
            definitions: DEFINITIONS,
        }
    }

    #[tokio::test]
    async fn p3_a_lake_keeps_its_values_and_names_each_that_differs() {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
        let (one, two) = tokio::join!(agree(&lake, semantics(), false), agree(&lake, semantics(), false));
        assert_eq!(one.unwrap(), two.unwrap());
        let mut other = semantics();
        (other.time.lateness, other.max_record) = (1_200_000_000, 1 << 20);
        other.timezone = "Europe/London".into();
        let error = agree(&lake, other, false).await.unwrap_err().to_string();
        assert!(error.contains("lateness: 10m there, 20m here"), "{error}");
        assert!(error.contains("max-record: 256KiB there, 1MiB here"), "{error}");
        assert!(error.contains("timezone") && !error.contains("slack"), "{error}");
        assert_eq!(error.lines().count(), 1);
    }

    #[tokio::test]
    async fn an_older_lake_goes_on_without_newer_tables_and_a_newer_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
        let new = agree(&lake, semantics(), false).await.unwrap();
        assert_eq!(new.derived().unwrap(), Derived::all().collect::<Vec<_>>());
        let mut json = serde_json::to_value(&new).unwrap();
        json.as_object_mut().unwrap().remove("derived");
        lake.put(layout::SETTINGS, json.to_string().into()).await.unwrap();
        let older = agree(&lake, semantics(), false).await.unwrap();
        assert_eq!(older.derived().unwrap(), Derived::original().collect::<Vec<_>>());
        json["derived"] = serde_json::json!(["enriched_pings", "parking_15m"]);
        lake.put(layout::SETTINGS, json.to_string().into()).await.unwrap();
        let newer = agree(&lake, semantics(), false).await.unwrap().derived().unwrap_err().to_string();
        assert!(newer.contains("parking_15m") && newer.lines().count() == 1, "{newer}");
    }
}
