//! Verifies a lake from itself alone: the chain of commits, from the first that is kept on, adjacent bindings, P4 against the files, the files, the roots, and
//! the Delta logs with their checkpoints; and the derived tables against themselves and the ledgers. Reads every live
//! file once, and no other; memory is bounded by all commits, a bit an offset, for a derived table by the changes of one
//! date, for checkpoints by the live files of one table, for roots by those of all.

mod chain;
mod changes;
mod files;
mod logs;
mod records;
mod report;
mod roots;

use futures::StreamExt;

use self::chain::Chain;
pub use self::report::Report;
use self::roots::{LiveFiles, Roots};
use crate::lake::delta::Table;
use crate::lake::digest;
use crate::lake::history::read::{self, ReadError};
use crate::lake::history::{self, Live, State, Violation};
use crate::lake::store::Lake;

/// Reads all of a lake. `tables` are those with Delta logs. An error is a store that cannot be read.
pub async fn verify(lake: &Lake, lake_id: &str, tables: &[Table]) -> Result<Report, ReadError> {
    whole(lake, lake_id, tables, history(lake).await?).await
}

async fn whole(
    lake: &Lake,
    lake_id: &str,
    tables: &[Table],
    (chain, live, mut report): History,
) -> Result<Report, ReadError> {
    records::check(lake, &chain, &live, &mut report).await?;
    changes::check(lake, &chain, &live, &mut report).await?;
    logs::check(lake, lake_id, tables, &chain, &mut report).await?;
    Ok(report)
}

/// The same without the data files: the chain, bindings, ledgers, roots, packs and Delta logs.
pub async fn quick(lake: &Lake, lake_id: &str, tables: &[Table]) -> Result<Report, ReadError> {
    let (chain, _, mut report) = history(lake).await?;
    logs::check(lake, lake_id, tables, &chain, &mut report).await?;
    Ok(report)
}

/// Commits, the files that are live after them, and what was found.
type History = (Chain, LiveFiles, Report);

/// The commits up to the first that is broken, checked one after the other, and against the roots and packs; and the files
/// that are live after them. Commits that go while they are read are none that had to be there: it is begun again.
async fn history(lake: &Lake) -> Result<History, ReadError> {
    loop {
        let base = base(lake).await?;
        let found = history_from(lake, base.clone()).await?;
        if found.2.sound() || self::base(lake).await?.map(|base| base.seq) == base.map(|base| base.seq) {
            return Ok(found);
        }
    }
}

/// Where the history stood at its base. Where it stands now cannot always be told: then the roots say it.
async fn base(lake: &Lake) -> Result<Option<State>, ReadError> {
    match history::roots::state(lake).await {
        Ok(Some(state)) => history::base::state(lake, &state).await,
        Ok(None) | Err(ReadError::Integrity(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn history_from(lake: &Lake, base: Option<State>) -> Result<History, ReadError> {
    let (mut chain, mut report) = (Chain { base, ..Chain::default() }, Report::default());
    let Some(head) = read::head(lake, None).await? else {
        return Ok((chain, LiveFiles::new(), report));
    };
    report.first = chain.first();
    let mut state = chain.base.clone();
    let mut roots = Roots::read(lake, state.as_ref(), &mut report).await?;
    let mut read = std::pin::pin!(read::read(lake, chain.first()..=head).await?);
    while let Some(read) = read.next().await {
        let (bytes, commit) = match read {
            Ok(read) => read,
            Err(ReadError::Integrity(Violation(text))) => {
                // What follows cannot be judged without it.
                report.violations.push(text);
                chain.is_broken = true;
                break;
            }
            Err(error) => return Err(error),
        };
        report.note(history::check(state.as_ref(), &commit));
        // The sum of the files is the roots' to judge.
        let before = state.map(|state| State { files: Live::default(), ..state });
        let after = history::apply(before, &commit, digest(&bytes));
        roots.take(lake, &commit, &after, &mut report).await?;
        state = Some(after);
        chain.commits.push(commit);
        report.commits += 1;
    }
    let live = roots.into_live(state.as_ref(), &mut report);
    report.beyond = state.iter().flat_map(|state| state.gone.values()).map(|gone| gone.sum.rows).sum();
    report.erased = state.iter().flat_map(|state| state.erased.values()).map(|sum| sum.rows).sum();
    Ok((chain, live, report))
}

#[cfg(test)]
pub(in crate::lake) mod tests;
