//! A sound lake verifies; each way of spoiling it is found.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use citystream_wire::Topic;
use parquet::arrow::ArrowWriter;

use bytes::Bytes;

use super::*;
use crate::lake::delta::publish::Publisher;
use crate::lake::history::commit::{Commit, Expired, File, Kind, TopicName};
use crate::lake::history::{layout, tidy};
use crate::lake::testing::data;
use crate::lake::{Committer, State, StoreOptions};

mod erased;
mod from;

const T: i64 = 1_700_000_000_000_000;

fn batch(offsets: std::ops::Range<i64>, seq: u64, dead: bool) -> RecordBatch {
    let n = offsets.clone().count();
    let time = TimestampMicrosecondArray::from_iter_values((0..n as i64).map(|i| T + i)).with_timezone("UTC");
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("topic", Arc::new(StringArray::from(vec!["gps"; n]))),
        ("partition", Arc::new(Int32Array::from(vec![0; n]))),
        ("offset", Arc::new(Int64Array::from_iter_values(offsets))),
    ];
    columns.push(("seq", Arc::new(Int64Array::from(vec![seq as i64; n]))));
    columns.push(("quality_window", Arc::new(time.clone())));
    if !dead {
        columns.push(("event_time", Arc::new(time)));
        columns.push(("disposition", Arc::new(StringArray::from(vec!["on_time"; n]))));
    }
    RecordBatch::try_from_iter(columns).unwrap()
}

fn parquet(batch: &RecordBatch) -> Bytes {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap().into()
}

pub(in crate::lake) fn tables() -> Vec<Table> {
    let schema = |name: &str| batch(0..1, 0, name == layout::DEAD_LETTERS).schema();
    Table::all(layout::record_tables().map(|name| (name, schema(name)))).unwrap()
}

/// The commit that follows, of 5 pings and 2 dead letters, whose files are there.
pub(in crate::lake) async fn filled(lake: &Lake, state: &State) -> Commit {
    filled_with(lake, state, |_, offsets| offsets).await
}

/// The same, with other offsets in the file of a table.
async fn filled_with(
    lake: &Lake,
    state: &State,
    spoil: impl Fn(&str, std::ops::Range<i64>) -> std::ops::Range<i64>,
) -> Commit {
    let mut commit = data(state, "a", 5, 2);
    commit.topics.insert(Topic::GPS, TopicName { name: "gps_data".into(), id: "x".into() });
    let first = commit.epochs[0].bindings[0].first.0;
    for (table, range) in [("raw_gps", first..first + 5), (layout::DEAD_LETTERS, first + 5..first + 7)] {
        let bytes = parquet(&batch(spoil(table, range), commit.seq, table == layout::DEAD_LETTERS));
        let file = &mut commit.added.get_mut(table).unwrap()[0];
        (file.bytes, file.sha256, file.net) = (bytes.len() as u64, digest(&bytes), file.rows as i64);
        file.event_time = file.event_time.map(|_| (T, T + 4));
        file.quality_window = Some((T, T + file.rows as i64 - 1));
        lake.put(&file.path, bytes).await.unwrap();
    }
    commit
}

/// A lake of a claim and three commits, each of 5 pings and 2 dead letters.
async fn sound(dir: &tempfile::TempDir) -> Lake {
    let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
    let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
    let mut publisher = Publisher::open(&lake, "id", tables(), 0).await.unwrap();
    publisher.catch_up(0).await.unwrap();
    for _ in 0..3 {
        let commit = filled(&lake, committer.state().unwrap()).await;
        publisher.publish(&committer.propose(commit).await.unwrap()).await.unwrap();
    }
    lake
}

#[tokio::test]
async fn p2_p4_a_sound_lake_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let lake = sound(&dir).await;
    let report = verify(&lake, "id", &tables()).await.unwrap();
    assert_eq!(report.violations, Vec::<String>::new());
    let counts = (report.commits, report.bindings, report.files, report.rows, report.versions);
    assert_eq!(counts, (4, 3, 6, 21, 28));
    assert!(report.behind.is_empty());
}

#[tokio::test]
async fn a_file_whose_times_are_not_what_its_commit_tells_readers_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
    let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
    let mut commit = filled(&lake, committer.state().unwrap()).await;
    commit.added.get_mut("raw_gps").unwrap()[0].quality_window = Some((T, T + 3));
    committer.propose(commit).await.unwrap();
    let violations = verify(&lake, "id", &[]).await.unwrap().violations;
    assert!(violations.len() == 1 && violations[0].contains("has quality_window from and to"), "{violations:?}");
}

#[tokio::test]
async fn p4_files_that_have_other_offsets_than_their_bindings_are_found() {
    for (spoiled, wrong, expected) in [
        ("raw_gps", -1, "in the files"),
        (layout::DEAD_LETTERS, -1, "is there twice"),
        ("raw_gps", 1, "is there twice"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
        let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
        let spoil = |table: &str, offsets: std::ops::Range<i64>| {
            let by = if table == spoiled { wrong } else { 0 };
            offsets.start + by..offsets.end + by
        };
        let commit = filled_with(&lake, committer.state().unwrap(), spoil).await;
        committer.propose(commit).await.unwrap();
        let violations = verify(&lake, "id", &[]).await.unwrap().violations;
        assert!(violations.len() == 1 && violations[0].contains(expected), "{spoiled}: {violations:?}");
    }
}

#[tokio::test]
async fn a_flipped_bit_of_a_file_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let lake = sound(&dir).await;
    let (_, commit) = read::commit(&lake, 2).await.unwrap();
    let path = &commit.added["raw_gps"][0].path;
    let bytes = lake.get(path).await.unwrap().unwrap();
    for at in (0..bytes.len()).step_by(11) {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << (at % 8);
        lake.put(path, flipped.into()).await.unwrap();
        let violations = verify(&lake, "id", &[]).await.unwrap().violations;
        assert!(violations[0].contains("its bytes were changed"), "{at}: {violations:?}");
    }
}

#[tokio::test]
async fn p2_p4_each_way_of_spoiling_a_lake_is_found() {
    for case in 0..7 {
        let dir = tempfile::tempdir().unwrap();
        let lake = sound(&dir).await;
        let (_, commit) = read::commit(&lake, 2).await.unwrap();
        let gps = commit.added["raw_gps"][0].path.clone();
        let delta = layout::delta_version("raw_gps", 2);
        let expected = match case {
            0 => (lake.delete(vec![layout::commit(2)]).await.unwrap(), "commit 2 is missing").1,
            1 => (lake.delete(vec![gps]).await.unwrap(), "is missing").1,
            2 => (lake.put(&gps, "else".into()).await.unwrap(), "4 bytes").1,
            3 => (lake.put(&delta, "{}\n".into()).await.unwrap(), "version 2 is not its commits'").1,
            4 => (lake.delete(vec![delta]).await.unwrap(), "version 2 is missing").1,
            5 => {
                let text = String::from_utf8(read::encode(&commit).unwrap().to_vec()).unwrap();
                lake.put(&layout::commit(2), text.replace("\"time_ms\":1", "\"time_ms\":2").into()).await.unwrap();
                "commit 3 does not follow"
            }
            _ => {
                lake.put(&layout::delta_version("raw_gps", 9), "{}\n".into()).await.unwrap();
                "version 9 is no commit's"
            }
        };
        let report = verify(&lake, "id", &tables()).await.unwrap();
        assert!(report.violations.iter().any(|v| v.contains(expected)), "{expected}: {report:?}");
    }
}

/// Change logs: what a commit of [`derived`] says, spoiled or not.
struct Changes {
    table: crate::columns::tables::Table,
    batch: RecordBatch,
}

fn changes<R: Clone>(
    table: &str,
    columns: &citystream_dataflows::tables::Columns<R>,
    changes: &[(R, i8)],
    (seq, epoch): (u64, u64),
) -> Changes {
    use citystream_dataflows::records::changes::Change;
    use citystream_dataflows::tables::{Block, Derived};
    let derived = Derived::from_name(table).unwrap();
    let changes: Vec<_> = changes.iter().map(|(row, diff)| Change { row: row.clone(), diff: *diff }).collect();
    let sealed: Vec<R> = changes.iter().filter(|change| change.diff == 0).map(|change| change.row.clone()).collect();
    let block = match sealed.is_empty() {
        true => Block::changes(derived, columns, &changes),
        false => Block::sealed(derived, columns, &sealed),
    };
    let names = crate::columns::names::Names::new(0, &Arc::default());
    let id = crate::columns::text_hash::testing::text(b"car");
    names.intern([crate::columns::names::Told { id, text: "car".to_owned(), time: 0 }]);
    let rendered = crate::columns::render::render(block, &names).unwrap();
    Changes { table: rendered.table, batch: crate::sink::write::complete(&rendered, epoch, seq).unwrap() }
}

mod derived {
    //! Lakes with derived tables.

    use citystream_dataflows::records::changes::{EnrichedPing, TrafficMatch};
    use citystream_dataflows::records::{Ping, Point, Reading, Stamp};
    use citystream_dataflows::tables::data_quality_15m::{self, QualityWindow};
    use citystream_dataflows::tables::traffic_5m::{self, TrafficWindow};
    use citystream_dataflows::tables::vehicle_15m::{self, VehicleWindow};
    use citystream_dataflows::tables::{Derived, enriched_pings};
    use citystream_dataflows::time::DAY;

    use super::*;
    use crate::columns::text_hash::testing::text;
    use crate::sink::write::{EncodedFile, Encoder, EncoderOptions};

    const CELL: u64 = 0x0881_95da_49bf_ffff;

    fn ping(offset: i64) -> EnrichedPing {
        let (stamp, at) = (Stamp { time: T, partition: 0, offset }, Point { lat: 51.5, lon: -0.1 });
        let ping = Ping { stamp, vehicle: text(b"car"), at, speed: Reading::NONE, c8: CELL, c5: CELL };
        EnrichedPing { ping, traffic: None, weather: None, incidents: None }
    }

    /// The same ping once a traffic record has come.
    fn met(offset: i64) -> EnrichedPing {
        let (current, free_flow) = (Reading::new(10.0), Reading::new(20.0));
        let stamp = Stamp { time: T - 1, partition: 0, offset: 0 };
        let traffic = TrafficMatch { stamp, distance_mm: 5, source: None, level: None, current, free_flow };
        EnrichedPing { traffic: Some(traffic), ..ping(offset) }
    }

    fn traffic(pings: u64) -> TrafficWindow {
        let none = Reading::NONE;
        TrafficWindow {
            c8: CELL,
            start: T,
            pings,
            vehicles: 1,
            with_traffic: 0,
            speed_mean: none,
            speed_harmonic: none,
            speed_percentiles: None,
            ratio_mean: none,
            ratio_min: none,
            congested: 0,
            records: 0,
            closures: 0,
            levels: [0; 3],
            sources: [0; 3],
        }
    }

    fn vehicle(pings: u64) -> VehicleWindow {
        VehicleWindow {
            vehicle: text(b"car"),
            start: T,
            pings,
            records: 0,
            steps: 0,
            distance_mm: 0,
            moving_us: 0,
            idle_us: 0,
            harsh: None,
            fuel_used: None,
            odometer_gain: None,
        }
    }

    fn quality(rows: u64, dead: u64) -> QualityWindow {
        QualityWindow { topic: Topic::GPS, start: T, outcomes: vec![rows, 0, 0, 0, dead], delays: None }
    }

    /// From one commit of 5 pings and 2 dead letters to the next.
    fn revised<R>(row: impl Fn(u64) -> R, commit: u64) -> Vec<(R, i8)> {
        let gone = (commit > 1).then(|| (row(commit - 1), -1));
        gone.into_iter().chain([(row(commit), 1)]).collect()
    }

    /// The enriched pings that the n-th commit changes.
    fn pings(n: u64) -> Vec<(EnrichedPing, i8)> {
        let first = 7 * (n as i64 - 1);
        let mut rows: Vec<_> = (first..first + 5).map(|offset| (ping(offset), 1)).collect();
        if n == 2 {
            rows.extend([(ping(0), -1), (met(0), 1)]);
        }
        rows
    }

    /// A lake of a claim and three commits, whose n-th has these pings.
    async fn lake(dir: &tempfile::TempDir, pings: impl Fn(u64) -> Vec<(EnrichedPing, i8)>) -> Report {
        lake_that_seals(dir, pings, Vec::new()).await
    }

    /// The same, whose last commit makes all final, and seals these pings, if there are any.
    async fn lake_that_seals(
        dir: &tempfile::TempDir,
        pings: impl Fn(u64) -> Vec<(EnrichedPing, i8)>,
        sealed: Vec<EnrichedPing>,
    ) -> Report {
        let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
        let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
        let tables = Table::all(crate::columns::tables::with_schemas(&Derived::all().collect::<Vec<_>>())).unwrap();
        let mut publisher = Publisher::open(&lake, "id", tables.clone(), 0).await.unwrap();
        for n in 1..4 {
            let mut commit = filled(&lake, committer.state().unwrap()).await;
            let at = (commit.seq, commit.epoch);
            let all = [
                changes(enriched_pings::TABLE.name, &enriched_pings::columns(), &pings(n), at),
                changes(traffic_5m::TABLE.name, &traffic_5m::columns(), &revised(|n| traffic(5 * n), n), at),
                changes(vehicle_15m::TABLE.name, &vehicle_15m::columns(), &revised(|n| vehicle(5 * n), n), at),
                changes(
                    data_quality_15m::TABLE.name,
                    &data_quality_15m::columns(),
                    &revised(|n| quality(5 * n, 2 * n), n),
                    at,
                ),
            ];
            for Changes { table, batch } in all {
                add(&lake, &mut commit, table, batch).await;
            }
            if n == 3 && !sealed.is_empty() {
                commit.horizon = Some(T + DAY);
                let pings: Vec<_> = sealed.iter().map(|row| (*row, 0)).collect();
                for Changes { table, batch } in [
                    changes(enriched_pings::TABLE.name, &enriched_pings::columns(), &pings, at),
                    changes(traffic_5m::TABLE.name, &traffic_5m::columns(), &[(traffic(15), 0)], at),
                    changes(vehicle_15m::TABLE.name, &vehicle_15m::columns(), &[(vehicle(15), 0)], at),
                    changes(data_quality_15m::TABLE.name, &data_quality_15m::columns(), &[(quality(15, 6), 0)], at),
                ] {
                    add(&lake, &mut commit, table, batch).await;
                }
            }
            publisher.publish(&committer.propose(commit).await.unwrap()).await.unwrap();
        }
        let report = verify(&lake, "id", &tables).await.unwrap();
        from::is_the_same_from_each_commit_on(&lake, &tables, &report).await;
        report
    }

    async fn add(lake: &Lake, commit: &mut Commit, table: crate::columns::tables::Table, batch: RecordBatch) {
        let mut encoder = Encoder::new(EncoderOptions::default()).unwrap();
        encoder.append(table, batch).unwrap();
        for (n, file) in encoder.seal_all().unwrap().into_iter().enumerate() {
            let path = layout::data_file(table.name(), &file.date, "a", commit.seq, 0, n as u64);
            let (bytes, sha256) = (file.data.len() as u64, digest(&file.data));
            lake.put(&path, file.data).await.unwrap();
            let EncodedFile { date, rows, net, event_time, log_time, quality_window, .. } = file;
            let (seqs, level) = ((commit.seq, commit.seq), 0);
            let ranges = File { event_time, log_time, quality_window, ..File::default() };
            let file = File { path, date, rows, bytes, sha256, seqs, level, net, ..ranges };
            commit.added.entry(table.name().to_owned()).or_default().push(file);
        }
    }

    #[tokio::test]
    async fn p2_p4_change_logs_that_add_up_verify() {
        let dir = tempfile::tempdir().unwrap();
        let report = lake(&dir, pings).await;
        assert_eq!(report.violations, Vec::<String>::new());
        // 21 raw rows, 17 changes of pings, 5 of each of three windows.
        assert_eq!((report.files, report.rows), (6 + 12, 21 + 17 + 15));
    }

    /// What the three commits leave.
    fn final_pings() -> Vec<EnrichedPing> {
        let offsets = (0..3).flat_map(|commit| 7 * commit..7 * commit + 5);
        offsets.map(|offset| if offset == 0 { met(0) } else { ping(offset) }).collect()
    }

    #[tokio::test]
    async fn f1_what_is_sealed_is_what_is_final() {
        let dir = tempfile::tempdir().unwrap();
        let report = lake_that_seals(&dir, pings, final_pings()).await;
        assert_eq!(report.violations, Vec::<String>::new());
        type Spoil = fn(&mut Vec<EnrichedPing>);
        let wrong: [(&str, Spoil); 4] = [
            ("0/3: is final, and not sealed", |rows| _ = rows.remove(3)),
            ("0/1: is sealed twice", |rows| rows.push(ping(1))),
            ("0/0: is sealed, but is another", |rows| rows[0] = ping(0)),
            ("0/100: is sealed, but is not there", |rows| rows.push(ping(100))),
        ];
        for (expected, spoil) in wrong {
            let dir = tempfile::tempdir().unwrap();
            let mut rows = final_pings();
            spoil(&mut rows);
            let violations = lake_that_seals(&dir, pings, rows).await.violations;
            let named = |v: &String| v.starts_with("F1: ") && v.contains(expected);
            assert!(violations.len() == 1 && violations.iter().all(named), "{expected}: {violations:?}");
        }
    }

    /// A lake whose change logs are kept no longer, once it has sealed these pings.
    async fn lake_that_drops(dir: &tempfile::TempDir, sealed: Vec<EnrichedPing>) -> Report {
        lake_that_seals(dir, pings, sealed).await;
        let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
        let (mut committer, state) = Committer::claim(&lake, "b").await.unwrap();
        let mut commit = Commit { kind: Kind::Data, ..committer.carry_on() };
        for table in Derived::all().map(Derived::changes) {
            let files = state.files.added(table).to_vec();
            if !files.is_empty() {
                let expired = Expired { before: "2100-01-01".into(), last: None };
                tidy::record_expired(&mut commit, table, files, expired, None);
            }
        }
        committer.propose(commit).await.unwrap();
        verify(&lake, "id", &[]).await.unwrap()
    }

    #[tokio::test]
    async fn p4_f1_sealed_rows_are_checked_where_their_log_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let report = lake_that_drops(&dir, final_pings()).await;
        assert_eq!((report.violations, report.beyond), (Vec::<String>::new(), 17 + 15));
        type Spoil = fn(&mut Vec<EnrichedPing>);
        let wrong: [(&str, Spoil); 2] = [
            ("F1: commit 3: enriched_pings_changes 0/1: is sealed twice", |rows| rows.push(ping(1))),
            ("enriched_pings_changes: rows: 14, 15 in the ledgers", |rows| _ = rows.remove(3)),
        ];
        for (expected, spoil) in wrong {
            let dir = tempfile::tempdir().unwrap();
            let mut rows = final_pings();
            spoil(&mut rows);
            let violations = lake_that_drops(&dir, rows).await.violations;
            assert!(violations.len() == 1 && violations[0].contains(expected), "{expected}: {violations:?}");
        }
    }

    #[tokio::test]
    async fn p2_p4_each_wrong_change_is_found() {
        type Spoil = fn(&mut Vec<(EnrichedPing, i8)>);
        let wrong: [(&str, Spoil); 8] = [
            ("rows: 11, 10 in the ledgers", |rows| rows.push((ping(100), 1))),
            ("rows: 9, 10 in the ledgers", |rows| _ = rows.remove(0)),
            ("0/0: comes, but is there", |rows| rows.retain(|(_, diff)| *diff == 1)),
            ("0/100: goes, but is not there", |rows| rows.push((ping(100), -1))),
            ("0/1: goes, but was another", |rows| rows.push((met(1), -1))),
            ("0/1: retracted and inserted again unchanged", |rows| rows.extend([(ping(1), -1), (ping(1), 1)])),
            ("0/8: more than one row", |rows| rows.push((met(8), 1))),
            ("0/1: more than one row", |rows| rows.push((ping(1), 2))),
        ];
        for (expected, spoil) in wrong {
            let dir = tempfile::tempdir().unwrap();
            let spoiled = |n| {
                let mut rows = pings(n);
                if n == 2 {
                    spoil(&mut rows);
                }
                rows
            };
            let violations = lake(&dir, spoiled).await.violations;
            let named = |v: &String| v.contains("commit 2: enriched_pings_changes") && v.contains(expected);
            assert!(violations.len() == 1 && violations.iter().all(named), "{expected}: {violations:?}");
        }
    }
}

#[tokio::test]
async fn p2_a_damaged_root_or_part_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
    let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
    for _ in 0..101 {
        let commit = filled(&lake, committer.state().unwrap()).await;
        committer.propose(commit).await.unwrap();
        committer.tend().await;
    }
    let report = verify(&lake, "id", &[]).await.unwrap();
    assert_eq!((report.roots, &report.violations), (1, &Vec::new()));
    let quickly = quick(&lake, "id", &[]).await.unwrap();
    assert_eq!(quickly, Report { commits: 102, roots: 1, ..Report::default() });
    let root = layout::root(100);
    let part = committer.state().unwrap().files.parts("raw_gps")[0].sum.path.clone();
    for (path, expected) in [(&root, "is not the one that commit 101 names"), (&part, "is missing or damaged")] {
        let sound = lake.get(path).await.unwrap().unwrap();
        for at in (0..sound.len()).step_by(97) {
            let mut flipped = sound.to_vec();
            flipped[at] ^= 1 << (at % 8);
            lake.put(path, flipped.into()).await.unwrap();
            let violations = quick(&lake, "id", &[]).await.unwrap().violations;
            assert!(violations.iter().any(|v| v.contains(expected)), "{at}: {violations:?}");
        }
        lake.put(path, sound).await.unwrap();
    }
}
