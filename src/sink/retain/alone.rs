//! Retention without a run: claims the lake and commits, where something is due.

use std::collections::BTreeMap;

use citystream_dataflows::time::Micros;
use serde::Serialize;

use super::{Cutoffs, Due, as_of, due, from};
use crate::config::Keep;
use crate::error::RunError;
use crate::lake::delta;
use crate::lake::delta::publish::Publisher;
use crate::lake::history::commit::{Commit, Kind, saturating_sum};
use crate::lake::history::read::ReadError;
use crate::lake::history::roots;
use crate::lake::{Committer, Lake};

/// What of a table was dropped, or would be.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// Of dates before this one, `YYYY-MM-DD`.
    pub before: String,
    /// So many files.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// By table.
type Outcomes = BTreeMap<String, Outcome>;

/// From which date on tables are kept, with ages counted from a time in microseconds, or by what the lake says itself.
///
/// # Errors
/// The store's; a history that is not sound.
pub async fn cutoffs(lake: &Lake, keep: &Keep, wanted: Option<Micros>) -> Result<Cutoffs, ReadError> {
    let state = roots::state(lake).await?;
    let as_of = wanted.or(state.as_ref().and_then(as_of));
    Ok(as_of.map(|as_of| from(keep, as_of)).unwrap_or_default())
}

/// What would go if this were kept; nothing is claimed.
///
/// # Errors
/// The store's; a history that is not sound.
pub async fn would_go(lake: &Lake, cutoffs: &Cutoffs) -> Result<Outcomes, ReadError> {
    let Some(state) = roots::state(lake).await? else { return Ok(Outcomes::new()) };
    let (drops, _) = due(lake, &state, cutoffs, usize::MAX).await?;
    Ok(drops.iter().map(|drop| (drop.table.name().to_owned(), Outcome::default().plus(drop))).collect())
}

/// Drops, as `run`, what is not to be kept, if there is something.
///
/// # Errors
/// Another run has claimed the lake meanwhile; the store's; a history that is not sound.
pub async fn retain(
    (lake, run): (&Lake, &str),
    (lake_id, tables): (&str, Vec<delta::Table>),
    cutoffs: &Cutoffs,
) -> Result<Outcomes, RunError> {
    let mut outcomes = Outcomes::new();
    if would_go(lake, cutoffs).await?.is_empty() {
        return Ok(outcomes);
    }
    let (mut committer, _) = Committer::claim(lake, run).await?;
    while let Some(state) = committer.state() {
        let (drops, _) = due(lake, state, cutoffs, super::MOST_FILES).await?;
        if drops.is_empty() {
            break;
        }
        let mut commit = Commit { kind: Kind::Data, ..committer.carry_on() };
        for drop in drops {
            let outcome = outcomes.remove(drop.table.name()).unwrap_or_default().plus(&drop);
            outcomes.insert(drop.table.name().to_owned(), outcome);
            drop.record(state, &mut commit, None);
        }
        committer.propose(commit).await?;
        committer.tend().await;
    }
    let head = committer.next_seq().saturating_sub(1);
    Publisher::open(lake, lake_id, tables, head).await?;
    Ok(outcomes)
}

impl Outcome {
    fn plus(self, Due { before, files, .. }: &Due) -> Outcome {
        Outcome {
            before: before.clone(),
            files: self.files + files.len() as u64,
            rows: self.rows.saturating_add(saturating_sum(files.iter().map(|file| file.rows))),
            bytes: self.bytes.saturating_add(saturating_sum(files.iter().map(|file| file.bytes))),
        }
    }
}
