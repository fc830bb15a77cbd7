//! Erasure without a run: claims the lake and commits, as fast as it goes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Erasure, Progress};
use crate::columns::whose::Bound;
use crate::error::RunError;
use crate::lake::delta;
use crate::lake::delta::publish::Publisher;
use crate::lake::history::commit::{Commit, Kind, Tidy};
use crate::lake::history::requests::{self, Erase, Request, Wanted};
use crate::lake::history::{State, roots};
use crate::lake::{Committer, Lake, traces};
use crate::sink::tidy::Pace;

/// What was erased of a table, or would be.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// So many files had some.
    pub files: u64,
    /// Rows.
    pub rows: u64,
}

/// What was done without a run.
#[derive(Debug)]
pub struct Done {
    /// What was erased.
    pub outcomes: Outcomes,
    /// So many files wait.
    pub pending: usize,
    /// Files that are not what their commits say, and why.
    pub damaged: BTreeMap<String, String>,
    /// Which rows were meant.
    pub bound: Bound,
}

/// By table.
pub type Outcomes = BTreeMap<String, Outcome>;

/// Takes up what a commit did.
pub fn add(outcomes: &mut Outcomes, tidy: &Tidy) {
    let outcome = outcomes.entry(tidy.table.clone()).or_default();
    outcome.files += tidy.removed.len() as u64;
    outcome.rows += tidy.rows_removed.saturating_sub(tidy.rows_added);
}

/// What would go at once, and how many files would wait; nothing is claimed.
///
/// # Errors
/// The store's; a history that is not sound; a file that is damaged.
pub async fn would_go(lake: &Lake, wanted: &Erase) -> Result<(Outcomes, usize), RunError> {
    let Some(state) = roots::state(lake).await? else { return Ok((Outcomes::new(), 0)) };
    let mut erasure = Erasure::new("", wanted, Bound { seq: state.seq, time: None });
    let mut pace = Pace::alone();
    erasure.bind(lake, &state, &mut pace).await?;
    Ok(erasure.counted(lake, &state, &mut pace).await?)
}

/// Erases, as `run`, what no start reads; the request stays for the next run where something waits.
///
/// # Errors
/// Another run has claimed the lake meanwhile; the store's; a history that is not sound; a file that is damaged.
pub async fn alone(
    (lake, run): (&Lake, &str),
    (lake_id, tables): (&str, Vec<delta::Table>),
    (id, wanted): (&str, &Erase),
) -> Result<Done, RunError> {
    match claimed((lake, run), (lake_id, tables), (id, wanted)).await {
        // What is missing may be another run's doing.
        Err(error @ RunError::Integrity(_)) => match roots::state(lake).await?.filter(|state| state.run != run) {
            Some(State { run: by, .. }) => Err(RunError::Replaced(format!("this run has been replaced by run {by}"))),
            None => Err(error),
        },
        done => done,
    }
}

async fn claimed(
    (lake, run): (&Lake, &str),
    (lake_id, tables): (&str, Vec<delta::Table>),
    (id, wanted): (&str, &Erase),
) -> Result<Done, RunError> {
    let (mut committer, state) = Committer::claim(lake, run).await?;
    let mut pace = Pace::alone();
    let bound = Bound { seq: state.seq, time: None };
    let mut erasure = Erasure::new(id, wanted, wanted.bound.unwrap_or(bound));
    let bound = erasure.bind(lake, &state, &mut pace).await?;
    let request = |bound| Request {
        id: id.to_owned(),
        wanted: Wanted::Erase(Erase { bound: Some(bound), ..wanted.clone() }),
        taken_by: Some(run.to_owned()),
    };
    requests::put(lake, &request(bound)).await?;
    let (mut outcomes, mut made) = (Outcomes::new(), 0);
    let (pending, damaged) = loop {
        let Some(state) = committer.state() else { break Default::default() };
        let progress = erasure.step(lake, state, (run, &mut made), &|_| false, &mut pace).await?;
        let Progress { step: Some(step), .. } = progress else { break (progress.pending, progress.damaged) };
        let mut commit = Commit { kind: Kind::Data, ..committer.carry_on() };
        step.record(committer.state(), &mut commit, |_| false);
        commit.tidy.iter().for_each(|tidy| add(&mut outcomes, tidy));
        committer.propose(commit).await?;
        committer.tend().await;
    };
    let head = committer.next_seq().saturating_sub(1);
    Publisher::open(lake, lake_id, tables, head).await?;
    if traces::sweep(lake, id, erasure.meant(), || true).await? && pending == 0 && damaged.is_empty() {
        requests::delete(lake, id).await?;
    }
    Ok(Done { outcomes, pending, damaged, bound })
}
