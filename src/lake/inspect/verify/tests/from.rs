//! Lakes that are looked at from a commit on.

use super::*;
use crate::lake::history::roots;

/// What is there is sound, from whichever commit on it is looked at.
pub(super) async fn is_the_same_from_each_commit_on(lake: &Lake, tables: &[Table], report: &Report) {
    for seq in 0..3 {
        let state = roots::after(lake, seq).await.unwrap().unwrap();
        let (files, _) = roots::write(lake, &state).await.unwrap();
        let found = history_from(lake, Some(State { files, ..state })).await.unwrap();
        lake.delete(vec![layout::root(seq)]).await.unwrap();
        let from = whole(lake, "id", tables, found).await.unwrap();
        assert_eq!((from.first, from.commits, from.rows), (seq + 1, report.commits - seq - 1, report.rows));
        if seq == 0 || report.sound() {
            assert_eq!(from.violations, report.violations, "from {}", from.first);
        }
    }
}
