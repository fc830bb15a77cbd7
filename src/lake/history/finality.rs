//! What a commit may seal (F1): rows whose times it makes final, and that no commit before it could seal.

use citystream_dataflows::tables::Derived;
use citystream_dataflows::time::Micros;

use crate::lake::history::commit::Commit;
use crate::lake::history::error::Violation;
use crate::lake::history::tidy;

/// Whether the sealed rows that a commit adds may be sealed by it, after a commit with the horizon `before`.
pub(super) fn check(before: Option<Micros>, commit: &Commit) -> Result<(), Violation> {
    for name in commit.added.keys() {
        let Some(table) = Derived::from_name(name) else { continue };
        let from = before.map_or(Micros::MIN, |horizon| table.sealing.all_before(horizon));
        let until = commit.horizon.map_or(Micros::MIN, |horizon| table.sealing.end(horizon));
        for file in tidy::new_files(commit, name) {
            if !file.event_time.is_some_and(|(first, last)| from <= first && last < until) {
                let (seq, path) = (commit.seq, &file.path);
                return Err(Violation(format!(
                    "F1: commit {seq} seals rows of {path}, whose times it does not make final"
                )));
            }
        }
    }
    Ok(())
}
