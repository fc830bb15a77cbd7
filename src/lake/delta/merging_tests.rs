//! Files of the table of commits become one: the same ones whoever does it, and each commit stays one row.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::lake::delta::publish::Publisher;
use crate::lake::delta::{Table, log};
use crate::lake::inspect::verify;
use crate::lake::testing::{Fault, Faulty, Random, claim, data, seed};
use crate::lake::{Committer, StoreOptions, repair};

fn table() -> Vec<Table> {
    vec![Table::commits().unwrap()]
}

/// A lake of many versions, published by publishers that die at random puts.
async fn old_lake(dir: &tempfile::TempDir, versions: u64, random: &mut Random) -> (Lake, Committer) {
    let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
    let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
    while committer.state().unwrap().published().version < versions {
        let (broken, puts) = (random.below(120) as usize, AtomicUsize::new(0));
        let failing = lake.wrap(Faulty::wrap(lake.store(), move |path| {
            let is_table = path.as_ref().starts_with("tables");
            (is_table && puts.fetch_add(1, Ordering::Relaxed) >= broken).then_some(Fault::Failed)
        }));
        let head = committer.state().unwrap().seq;
        let mut publisher = Publisher::look(&failing, "id", table(), head).await.unwrap();
        for _ in 0..random.below(60) {
            let mut commit = data(committer.state().unwrap(), "a", 3, 1);
            commit.version = commit.version.filter(|_| random.below(3) != 0);
            publisher.publish(&committer.propose(commit).await.unwrap()).await.unwrap();
        }
        let commit = data(committer.state().unwrap(), "a", 3, 1);
        committer.propose(commit).await.unwrap();
    }
    let head = committer.state().unwrap().seq;
    Publisher::open(&lake, "id", table(), head).await.unwrap();
    (lake, committer)
}

#[test]
fn files_are_as_many_as_the_digits_of_the_version() {
    let (mut live, mut commit) = (Live::default(), claim("a"));
    for number in 0..20_000 {
        (commit.seq, commit.version) = (number, Some(number));
        live.take(number, std::slice::from_ref(&commit));
        let of = |versions| live.rows().iter().filter(|rows| rows.versions == versions).count() as u64;
        assert_eq!([of(1), of(FAN), of(MOST)], [number % FAN + 1, number / FAN % FAN, number / MOST], "{number}");
        let mut next = 0;
        for rows in live.rows() {
            assert_eq!((rows.first, rows.last), (next, next + rows.versions - 1), "{number}");
            next = rows.last + 1;
        }
        if number % 999 == 0 {
            let paths: Vec<String> = live.rows().iter().map(|rows| rows.path()).collect();
            assert_eq!(Live::of(&paths).rows(), live.rows());
        }
    }
}

#[test]
fn a_lake_of_old_has_each_file_for_ever() {
    let (mut live, mut commit) = (Live::default(), claim("a"));
    for number in 0..130 {
        (commit.seq, commit.version) = (number, None);
        assert_eq!(live.take(number, std::slice::from_ref(&commit)), None);
    }
    commit.seq = 130;
    commit.version = Some(130);
    assert_eq!(live.take(130, std::slice::from_ref(&commit)), None, "not its turn");
    assert_eq!(live.rows().len(), 131);
}

/// At any version a reader finds each commit once, whoever published it, and wherever he died.
#[tokio::test]
async fn p2_each_commit_is_one_row_at_every_version() {
    let mut random = Random(seed());
    let dir = tempfile::tempdir().unwrap();
    let (lake, committer) = old_lake(&dir, 210, &mut random).await;
    let last = committer.state().unwrap().published();
    let mut next = None;
    for number in (0..=last.version).rev().step_by(11) {
        let live = log::live(&lake, layout::COMMITS_TABLE, number).await.unwrap();
        assert_eq!(live.len() as u64, number % FAN + 1 + number / FAN, "{number}");
        let mut seqs = Vec::new();
        for path in live.keys() {
            let bytes = lake.get(&format!("{}/{path}", layout::table(layout::COMMITS_TABLE))).await.unwrap().unwrap();
            seqs.extend_from_slice(rebuilt::decode(bytes).unwrap().column(0).as_primitive::<Int64Type>().values());
        }
        let end = seqs.len() as i64;
        assert_eq!(seqs, (0..end).collect::<Vec<_>>(), "{number}");
        assert!(next.is_none_or(|next| end < next), "{number}");
        next = Some(end);
    }
    let report = verify::quick(&lake, "id", &table()).await.unwrap();
    assert!(report.sound() && report.behind.is_empty(), "{report:?}");
}

#[tokio::test]
async fn what_is_merged_is_a_function_of_the_commits() {
    let mut random = Random(seed());
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = old_lake(&dir, 140, &mut random).await;
    let wholes: Vec<String> = log::live(&lake, layout::COMMITS_TABLE, 140).await.unwrap().into_keys().take(2).collect();
    let live = Live::of(&wholes);
    for rows in live.rows() {
        let merged = lake.get(&rows.path()).await.unwrap().unwrap();
        lake.delete(vec![rows.path()]).await.unwrap();
        let batch = part(&lake, *rows).await.unwrap();
        assert_eq!(rebuilt::encode(&batch).unwrap(), merged, "as its commits have it");
        lake.put(&rows.path(), "else".into()).await.unwrap();
        assert_eq!(part(&lake, *rows).await.unwrap(), batch);
        lake.put(&rows.path(), merged).await.unwrap();
        assert_eq!(part(&lake, *rows).await.unwrap(), batch);
    }
}

#[tokio::test]
async fn damaged_rows_are_found_and_mended() {
    let mut random = Random(seed());
    let dir = tempfile::tempdir().unwrap();
    let (lake, committer) = old_lake(&dir, 140, &mut random).await;
    let mut sound = lake.list("tables", None).await.unwrap();
    sound.retain(|object| layout::commits_file_of(&object.path).is_some());
    for _ in 0..3 {
        let mut spoiled = Vec::new();
        for path in sound.iter().map(|object| object.path.clone()) {
            let is_merged = layout::commits_file_number(&path).is_none();
            if random.below(if is_merged { 2 } else { 20 }) > 0 {
                continue;
            }
            let bytes = lake.get(&path).await.unwrap().unwrap();
            match random.below(3) {
                0 => lake.delete(vec![path.clone()]).await.unwrap(),
                1 => lake.put(&path, bytes.slice(..bytes.len() / 2)).await.unwrap(),
                _ => lake.put(&path, "else".into()).await.unwrap(),
            }
            spoiled.push((path, bytes));
        }
        let report = verify::quick(&lake, "id", &table()).await.unwrap();
        assert!(spoiled.iter().all(|(path, _)| report.derived.contains(path)), "{spoiled:?} {report:?}");
        repair::repair(&lake, "id", &table()).await.unwrap();
        for (path, bytes) in spoiled {
            assert_eq!(lake.get(&path).await.unwrap().unwrap(), bytes, "{path}");
        }
    }
    let report = verify::quick(&lake, "id", &table()).await.unwrap();
    assert!(report.sound() && report.behind.is_empty(), "{report:?}");
    let head = committer.state().unwrap().seq;
    assert_eq!(Publisher::open(&lake, "id", table(), head).await.unwrap().next(), head + 1);
}
