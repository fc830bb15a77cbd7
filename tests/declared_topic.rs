//! A sixth topic, declared in this file and nowhere else, from JSON lines to its raw table: settings, decoder, schema,
//! Parquet, Delta, counts and a restart follow from the declaration. A program without it says so in one line.
//!
//! One test a process: the list of topics is the process's.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use citystream::parts::{
    Cli, Config, DeltaTable, JsonlWriter, Lake, Metrics, Run, effective, read_settings, state, store_options, verify,
};
use citystream_dataflows::time::bindings::Partition;
use citystream_wire::{Becomes, Cell, Declaration, DeclareError, Field, Kind, Topic};
use clap::Parser;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;

/// 2026-11-23T10:15:30Z.
const NOW_MS: i64 = 1_795_428_930_000;

/// The declaration, from text that is owned, as from a file.
fn parking() -> Declaration {
    let owned = |text: &str| -> &'static str { text.to_owned().leak() };
    let fields = vec![
        Field::id(owned("lotId"), owned("lot_id")).required(),
        Field::time(owned("at")),
        Field::place(owned("where"), &[]),
        Field::integer(owned("capacity"), owned("capacity"), "", 1, 100_000).required(),
        Field::integer(owned("freeSpaces"), owned("free_spaces"), "", 0, 100_000),
        Field::new(owned("state"), owned("state"), Kind::Words(&["open", "closed"])),
    ];
    Declaration {
        name: owned("parking"),
        records: owned("parking lots"),
        default_topic: owned("parking_data"),
        id: owned("lotId"),
        device: None,
        time: owned("at"),
        position: Some(owned("where")),
        fields: fields.leak(),
        cells: vec![Cell { column: "h3_8", resolution: 8 }].leak(),
        becomes: Becomes::Nothing,
    }
}

struct Place {
    dir: TempDir,
    config: Config,
}

impl Place {
    fn new(topic: &str) -> Place {
        let dir = TempDir::new().unwrap();
        let (lake, log) = (dir.path().join("lake"), format!("dir:{}", dir.path().join("log").display()));
        let flags = ["citystream", "run", "--lake", lake.to_str().unwrap(), "--source", &log, "--until-drained"];
        let more = ["--listen", "none", "--epoch", "20ms", "--parking-topic", topic];
        let cli = Cli::try_parse_from(flags.into_iter().chain(more)).unwrap();
        let citystream::parts::Command::Run { settings } = cli.command else { panic!("{cli:?}") };
        let config = Config::check(&effective(&settings, None).unwrap()).unwrap();
        Place { dir, config }
    }

    fn lake(&self) -> PathBuf {
        self.dir.path().join("lake")
    }

    /// Appends to the topic's one partition, a record a second.
    fn append(&self, topic: Topic, records: &[&str]) {
        let mut writer = JsonlWriter::open(&self.dir.path().join("log"), &self.config.topics, 1).unwrap();
        for (second, record) in (1..).zip(records) {
            let at_ms = NOW_MS + 1000 * second;
            writer.append(Partition { topic, index: 0 }, at_ms, None, Some(record.as_bytes())).unwrap();
        }
        writer.sync().unwrap();
    }

    fn run(&self) {
        let run =
            Run::start(&self.config, Arc::new(Metrics::new(self.config.policy, self.config.epoch).unwrap())).unwrap();
        let outcome = run.wait(Duration::from_secs(60)).expect("it is drained within a minute");
        run.finish(outcome).unwrap();
    }

    /// All rows of a table: by row the columns asked for, as text, sorted.
    fn rows(&self, table: &str, columns: &[&str]) -> Vec<String> {
        let batches = self.files(table).into_iter().flat_map(|path| read(&path));
        let cell = |batch: &RecordBatch, column: &str, row| {
            array_value_to_string(batch.column_by_name(column).unwrap(), row).unwrap()
        };
        let rows = batches.flat_map(|batch| {
            let row = |row| columns.iter().map(|column| cell(&batch, column, row)).collect::<Vec<_>>().join(" ");
            (0..batch.num_rows()).map(row).collect::<Vec<_>>()
        });
        let mut rows: Vec<String> = rows.collect();
        rows.sort_unstable();
        rows
    }

    fn files(&self, table: &str) -> Vec<PathBuf> {
        let under = |dir: &Path| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        let days = under(&self.lake().join("tables").join(table)).into_iter();
        let days = days.filter(|day| day.file_name().unwrap().to_str().unwrap().contains('='));
        days.flat_map(|day| under(&day)).collect()
    }
}

fn read(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
    reader.map(Result::unwrap).collect()
}

/// Name, type, and whether it may be null.
fn columns(batch: &RecordBatch) -> Vec<(String, DataType, bool)> {
    let fields = batch.schema();
    fields.fields().iter().map(|field| (field.name().clone(), field.data_type().clone(), field.is_nullable())).collect()
}

fn expected_columns() -> Vec<(String, DataType, bool)> {
    let time = || DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
    let expected = [
        ("lot_id", DataType::Utf8, false),
        ("lat", DataType::Float64, false),
        ("lon", DataType::Float64, false),
        ("h3_8", DataType::Int64, false),
        ("capacity", DataType::Int32, false),
        ("free_spaces", DataType::Int32, true),
        ("state", DataType::Utf8, true),
        ("extra", DataType::Utf8, true),
        ("topic", DataType::Utf8, false),
        ("partition", DataType::Int32, false),
        ("offset", DataType::Int64, false),
        ("key", DataType::Utf8, true),
        ("log_time", time(), false),
        ("event_time", time(), false),
        ("epoch", DataType::Int64, false),
        ("seq", DataType::Int64, false),
        ("disposition", DataType::Utf8, false),
        ("quality_window", time(), true),
    ];
    expected.map(|(name, data_type, nullable)| (name.to_owned(), data_type, nullable)).to_vec()
}

#[test]
fn a_declared_topic_is_read_into_its_raw_table() {
    let topic = Topic::declare(parking()).unwrap();
    assert_eq!((topic.index(), topic.raw_table(), topic.setting()), (5, "raw_parking", "parking-topic"));
    let place = Place::new("lots");
    assert_eq!(place.config.topics[topic], "lots");
    assert_eq!(Topic::declare(Declaration { name: "trams", ..parking() }), Err(DeclareError::TooLate("trams")));

    place.append(
        topic,
        &[
            r#"{"lotId": "P1", "at": "2026-11-23T10:15:00Z", "where": "(51.75, -1.25)", "freeSpaces": 12, "capacity": 100, "state": "open"}"#,
            r#"{"lotId": "P2", "at": "2026-11-23T10:15:00Z", "where": "51.5,-0.5", "freeSpaces": -3, "capacity": 80, "heated": true}"#,
            r#"{"lotId": "P3", "at": "2026-11-23T10:15:00Z", "where": "51.5,-0.5", "freeSpaces": 3}"#,
            r#"{"lotId": "P4", "at": "2026-11-23T10:15:00Z", "where": "51.5,-0.5", "capacity": 0}"#,
            r#"{"lotId": "P5", "at": "2026-11-23T10:15:00Z", "where": "51.5,-0.5", "capacity": "many"}"#,
        ],
    );
    place.run();
    assert_eq!(columns(&read(&place.files("raw_parking")[0])[0]), expected_columns());
    let seen = ["lot_id", "lat", "lon", "h3_8", "capacity", "free_spaces", "state", "extra", "topic", "disposition"];
    let cell = |lat, lon| {
        let at = h3o::LatLng::new(lat, lon).unwrap();
        u64::from(at.to_cell(h3o::Resolution::Eight))
    };
    let first = format!("P1 51.75 -1.25 {} 100 12 open  parking on_time", cell(51.75, -1.25));
    let second = format!(r#"P2 51.5 -0.5 {} 80   {{"heated":true,"freeSpaces":-3}} parking on_time"#, cell(51.5, -0.5));
    assert_eq!(place.rows("raw_parking", &seen), [first, second]);
    let dead = [
        "parking missing_field capacity",
        "parking missing_field capacity: 0 does not fit, and is required",
        "parking wrong_type capacity: \"many\" is not a number",
    ];
    assert_eq!(place.rows("dead_letters", &["topic", "reason", "detail"]), dead);

    // Another run knows what came before: the same lot and time is a repetition.
    place.append(
        topic,
        &[
            r#"{"lotId": "P1", "at": "2026-11-23T10:15:00Z", "where": "(51.75, -1.25)", "capacity": 100}"#,
            r#"{"lotId": "P1", "at": "2026-11-23T10:15:20Z", "where": "(51.75, -1.25)", "capacity": 100}"#,
        ],
    );
    place.run();
    let dispositions = ["P1 duplicate", "P1 on_time", "P1 on_time", "P2 on_time"];
    assert_eq!(place.rows("raw_parking", &["lot_id", "disposition"]), dispositions);
    assert!(place.lake().join("tables/raw_parking/_delta_log/00000000000000000000.json").exists());
    check_lake(&place, topic);
    check_that_others_refuse(&place.lake());
}

/// The lake is sound by its own verification, its ledger has the topic, and its records count in `data_quality_15m`.
fn check_lake(place: &Place, topic: Topic) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let lake = Lake::open(&place.config.lake, &store_options(&place.config)).await.unwrap();
        let state = state(&lake).await.unwrap().unwrap();
        let counts: BTreeMap<_, _> = state.totals.iter().map(|(topic, ledger)| (topic.name(), ledger.read)).collect();
        assert_eq!((counts.get("parking"), state.totals[&topic].dead), (Some(&7), 3));
        verify_sound(&lake).await;
    });
    let counted = place.rows("data_quality_15m_changes", &["topic", "diff"]);
    assert!(counted.iter().any(|row| row == "parking 1"), "{counted:?}");
}

async fn verify_sound(lake: &Lake) {
    let settings = read_settings(lake).await.unwrap().unwrap();
    let tables = DeltaTable::all(citystream::parts::with_schemas(&settings.derived().unwrap())).unwrap();
    let report = verify(lake, &settings.lake, &tables).await.unwrap();
    assert!(report.sound(), "{report:?}");
}

/// A program that does not know the topic: one line that names it, and no panic.
fn check_that_others_refuse(lake: &Path) {
    let log = format!("dir:{}", lake.with_file_name("log").display());
    let run = ["run", "--source", &log, "--listen", "none", "--until-drained"];
    for command in [&["lake", "status"][..], &run] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_citystream"));
        let program = program.args(command).arg("--lake").arg(lake).current_dir(lake).output().unwrap();
        let said = String::from_utf8(program.stderr).unwrap();
        assert_eq!(program.status.code(), Some(5), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("topic \"parking\" is not declared here"), "{said}");
    }
}
