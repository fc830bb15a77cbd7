//! Erased records are what lacks in the files: of each partition, and by what they were.

use citystream_dataflows::time::DAY;
use citystream_dataflows::time::bindings::Partition;
use citystream_dataflows::time::disposition::Disposition;

use super::*;
use crate::lake::history::commit::{Count, Erased};

/// A lake whose second commit of data has lost its first ping, as a commit says that may be spoiled.
async fn lake_that_erases(spoil: impl Fn(&mut Count)) -> Report {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
    let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
    for _ in 0..3 {
        let mut commit = filled(&lake, committer.state().unwrap()).await;
        commit.horizon = Some(T + DAY);
        committer.propose(commit).await.unwrap();
    }
    let (_, commit) = read::commit(&lake, 2).await.unwrap();
    let had = commit.added["raw_gps"][0].clone();
    let rows = batch(7..12, 2, false).slice(1, 4);
    let bytes = parquet(&rows);
    let times = Some((T + 1, T + 4));
    let left = File {
        path: had.path.replace("-0-0", "-0-1"),
        rows: 4,
        net: 4,
        bytes: bytes.len() as u64,
        sha256: digest(&bytes),
        event_time: times,
        quality_window: times,
        ..had.clone()
    };
    lake.put(&left.path, bytes).await.unwrap();
    let (place, disposition) = (Some(Partition { topic: Topic::GPS, index: 0 }), Some(Disposition::OnTime));
    let mut count = Count { date: had.date.clone(), place, disposition, rows: 1, net: 1, ..Count::default() };
    spoil(&mut count);
    let erased = Erased { whose: "x".into(), through: 3, last: None, counts: vec![count] };
    let mut commit = Commit { kind: Kind::Data, ..committer.carry_on() };
    tidy::record_erased(&mut commit, "raw_gps", (vec![had], vec![left]), erased, None);
    committer.propose(commit).await.unwrap();
    verify(&lake, "id", &[]).await.unwrap()
}

#[tokio::test]
async fn p4_what_lacks_is_what_was_erased() {
    let report = lake_that_erases(|_| ()).await;
    assert_eq!((report.violations, report.erased), (Vec::<String>::new(), 1));
    type Spoil = fn(&mut Count);
    let wrong: [(&str, Spoil); 2] = [
        ("P4: gps/1: 0 records are not in the files, 1 are erased", |count| {
            count.place = Some(Partition { topic: Topic::GPS, index: 1 });
        }),
        ("P4: gps, late: 0 records are not in the files, 1 are erased", |count| {
            count.disposition = Some(Disposition::Late)
        }),
    ];
    for (expected, spoil) in wrong {
        let violations = lake_that_erases(spoil).await.violations;
        assert!(violations.len() == 1 && violations[0] == expected, "{expected}: {violations:?}");
    }
}
