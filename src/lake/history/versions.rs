//! Which commit ends which version of the Delta tables.
//!
//! Versions are dense, and one number for all tables: a version is all that the commits since the one before have changed.
//! A claim ends one, and so does any other commit that says so. As long as no commit of a lake says it, each commit is a
//! version, of its own number; so it is wherever a version has the number of its commit.

use serde::{Deserialize, Serialize};

use crate::lake::history::commit::{Commit, Kind};
use crate::lake::history::error::ReadError;
use crate::lake::history::{State, Violation, read};
use crate::lake::store::Lake;

/// A version of the Delta tables, and the commit that ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Published {
    /// The version.
    pub version: u64,
    /// The commit.
    pub seq: u64,
}

impl State {
    /// The last version.
    pub fn published(&self) -> Published {
        self.published.unwrap_or(Published { version: self.seq, seq: self.seq })
    }
}

/// The number of the version after those of a history.
pub fn next(previous: Option<&State>) -> u64 {
    previous.map_or(0, |state| state.published().version.saturating_add(1))
}

/// Whether a commit ends the version that it says, and one at all where it has to.
pub(super) fn check(previous: Option<&State>, commit: &Commit) -> Result<(), Violation> {
    let (seq, expected) = (commit.seq, next(previous));
    if let Some(version) = commit.version.filter(|version| *version != expected) {
        return Err(Violation(format!("P2: commit {seq} ends version {version}, where {expected} is the next")));
    }
    let is_numbered = previous.is_some_and(|state| state.published.is_some());
    if commit.version.is_none() && is_numbered && commit.kind == Kind::Claim {
        return Err(Violation(format!("P2: commit {seq} is a claim, and ends no version")));
    }
    Ok(())
}

/// Goes over commits in their order, and tells which version each ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbering {
    /// Whether a commit so far says which version it ends.
    is_numbered: bool,
}

impl Numbering {
    /// After a history.
    pub fn after(state: Option<&State>) -> Numbering {
        Numbering { is_numbered: state.is_some_and(|state| state.published.is_some()) }
    }

    /// Before commit `seq`, where the commit before it ends a version.
    ///
    /// # Errors
    /// The store's; a commit that is missing.
    pub async fn before(lake: &Lake, seq: u64) -> Result<Numbering, ReadError> {
        let mut numbering = Numbering::default();
        if let Some(before) = seq.checked_sub(1) {
            numbering.take(&read::commit(lake, before).await?.1);
        }
        Ok(numbering)
    }

    /// The version that the next commit ends, if it ends one.
    pub fn take(&mut self, commit: &Commit) -> Option<u64> {
        self.is_numbered |= commit.version.is_some();
        self.ends(commit)
    }

    /// The same, without going on.
    pub fn ends(self, commit: &Commit) -> Option<u64> {
        commit.version.or((!self.is_numbered).then_some(commit.seq))
    }
}

/// The commits of version `version`, given the one that ends it; none if that ends another.
///
/// # Errors
/// The store's; a commit that is missing.
pub async fn commits(lake: &Lake, Published { version, seq }: Published) -> Result<Vec<Commit>, ReadError> {
    let (_, last) = read::commit(lake, seq).await?;
    if last.version.unwrap_or(seq) != version {
        return Ok(Vec::new());
    }
    let mut commits = vec![last];
    // Where the numbers are the same, all commits before are versions.
    for before in (0..seq).rev().take_while(|_| version != seq) {
        let (_, commit) = read::commit(lake, before).await?;
        if commit.version.is_some() {
            break;
        }
        commits.push(commit);
    }
    commits.reverse();
    Ok(commits)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::lake::history;
    use crate::lake::testing::{Random, claim, data, seed};
    use crate::lake::{Committer, StoreOptions};

    #[test]
    fn a_lake_whose_commits_have_no_versions_goes_on_with_dense_ones() {
        let old = |commit: Commit| Commit { version: None, ..commit };
        let mut state = history::apply(None, &old(claim("a")), "d".into());
        let (mut numbering, mut ended) = (Numbering::default(), Vec::new());
        ended.push(numbering.take(&old(claim("a"))));
        let commits: [fn(Commit) -> Commit; 5] = [old, old, |commit| commit, old, |commit| commit];
        for made in commits {
            let commit = made(data(&state, "a", 1, 0));
            history::check(Some(&state), &commit).unwrap();
            ended.push(numbering.take(&commit));
            state = history::apply(Some(state), &commit, "d".into());
        }
        assert_eq!(ended, [Some(0), Some(1), Some(2), Some(3), None, Some(4)]);
        assert_eq!(state.published(), Published { version: 4, seq: 5 });
        let unnumbered =
            Commit { seq: 6, previous: "d".into(), epoch: state.epoch, horizon: state.horizon, ..claim("b") };
        let unnumbered = Commit { positions: state.positions.clone(), ..old(unnumbered) };
        assert!(history::check(Some(&state), &unnumbered).unwrap_err().0.contains("ends no version"));
        let wrong = Commit { version: Some(6), ..data(&state, "a", 1, 0) };
        assert!(history::check(Some(&state), &wrong).unwrap_err().0.contains("where 5 is the next"));
    }

    #[tokio::test]
    async fn versions_are_dense_and_each_commit_is_in_one() {
        let mut random = Random(seed());
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
        let (mut ends, mut seq) = (Vec::new(), 0);
        for run in 0..6 {
            let (mut committer, state) = Committer::claim(&lake, &run.to_string()).await.unwrap();
            assert_eq!(state.published(), Published { version: ends.len() as u64, seq });
            ends.push(seq);
            for _ in 0..random.below(12) {
                seq += 1;
                let mut commit = data(committer.state().unwrap(), "a", 1, 0);
                commit.version = commit.version.filter(|_| random.below(3) == 0);
                let written = committer.propose(commit).await.unwrap();
                ends.extend(written.version.map(|_| seq));
            }
            seq += 1;
        }
        let mut next = 0;
        for (version, seq) in (0u64..).zip(ends) {
            let found = commits(&lake, Published { version, seq }).await.unwrap();
            assert_eq!(found.iter().map(|commit| commit.seq).collect::<Vec<_>>(), (next..=seq).collect::<Vec<_>>());
            assert!(commits(&lake, Published { version: version + 1, seq }).await.unwrap().is_empty());
            next = seq + 1;
        }
    }
}
