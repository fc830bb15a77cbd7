//! Packing without a run: claims the lake, packs, and commits, as fast as it goes.

use std::collections::BTreeSet;

use super::pack::{Pack, pack};
use super::plan::{Lengths, Place, Tally};
use crate::columns::tables::Table;
use crate::error::RunError;
use crate::lake::delta;
use crate::lake::delta::publish::Publisher;
use crate::lake::history::commit::{Commit, File, Kind};
use crate::lake::history::{layout, roots, tidy};
use crate::lake::{Committer, Lake};
use crate::sink::tidy::{Pace, TidyError};

/// What became of files.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Files that were made.
    pub packs: u64,
    /// Files that are not what their commits say, and why.
    pub damaged: Vec<String>,
}

/// Packs, as `run`, the small files of all places that are wanted, and tells of each pack once it is committed.
///
/// # Errors
/// Another run has claimed the lake meanwhile; the store's; a history that is not sound.
pub async fn alone(
    (lake, run): (&Lake, &str),
    (lake_id, tables): (&str, Vec<delta::Table>),
    wanted: impl Fn(&Place) -> bool,
    mut told: impl FnMut(&Pack),
) -> Result<Outcome, RunError> {
    let (mut committer, state) = Committer::claim(lake, run).await?;
    let lengths = Lengths::default();
    let tally = Tally::of(lake, &state.files, lengths).await?;
    let places: Vec<Place> = tally.places().filter(|place| wanted(place)).cloned().collect();
    let (mut outcome, mut left_out) = (Outcome::default(), BTreeSet::new());
    for (table, date) in places {
        while let Some(state) = committer.state() {
            let mut files = roots::files_of(lake, &state.files, table.name(), &[date.as_str()].into()).await?;
            files.retain(|file| !left_out.contains(&file.path));
            let Some(chosen) = lengths.choose(files, true) else { break };
            let path = layout::packed_file(table.name(), &date, committer.run(), outcome.packs);
            match pack_at_once(lake, (table, chosen), path).await {
                Ok(pack) => {
                    commit(&mut committer, &pack).await?;
                    outcome.packs += 1;
                    told(&pack);
                }
                Err(TidyError::Damaged { path, why }) => {
                    outcome.damaged.push(format!("{path}: {why}"));
                    left_out.insert(path);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    let head = committer.next_seq().saturating_sub(1);
    Publisher::open(lake, lake_id, tables, head).await?;
    Ok(outcome)
}

/// Makes files of one table and date one, at `path`, as fast as it goes.
///
/// # Errors
/// A damaged file is named; the store's.
async fn pack_at_once(lake: &Lake, files: (Table, Vec<File>), path: String) -> Result<Pack, TidyError> {
    pack(lake, files, path, &mut Pace::alone()).await
}

async fn commit(committer: &mut Committer, pack: &Pack) -> Result<(), RunError> {
    let mut commit = Commit { kind: Kind::Data, ..committer.carry_on() };
    tidy::record(&mut commit, pack.table.name(), pack.removed.clone(), pack.added.clone(), None);
    committer.propose(commit).await?;
    committer.tend().await;
    Ok(())
}
