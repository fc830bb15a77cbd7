//! The one writer of the history: claims it for a run, then proposes that run's commits (P2).
//!
//! A store that stalls or fails does not end the run: transient errors are retried for ever, with a warning. What
//! ends it is being replaced, a broken invariant, or a store that cannot be used.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use crate::lake::digest;
use crate::lake::history::commit::{Base, Commit, File, Kind, Packed, Pin};
use crate::lake::history::patience::patiently;
use crate::lake::history::protocol::{Proposal, Verdict, judge};
use crate::lake::history::read::{self, ReadError};
use crate::lake::history::{self, State, Violation, base, graves, layout, packing, retention, roots, tidy, versions};
use crate::lake::store::error::StoreError;
use crate::lake::store::{Lake, Put};

/// So many commits after the last root another one is written.
pub const ROOT_EVERY: u64 = 100;
/// Old roots, and commits that are kept no longer, are looked for so often.
const CLEAN_EVERY_MS: i64 = 600_000;
/// Half of the age at which commits are packed.
const SLEEP_MS: i64 = 12 * 3_600_000;

/// Why a commit was not written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// Another run has taken over: exit code 3.
    #[error("this run has been replaced by run {by} (commit {seq}); nothing of it was written since")]
    Replaced {
        /// The run that has.
        by: String,
        /// Its claim.
        seq: u64,
    },
    /// An invariant is broken: exit code 5.
    #[error("{0}")]
    Integrity(String),
    /// The store cannot be used: exit code 1.
    #[error("{0}")]
    Store(String),
}

impl From<ReadError> for CommitError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Store(error) => error.into(),
            ReadError::Integrity(violation) => violation.into(),
        }
    }
}

impl From<Violation> for CommitError {
    fn from(Violation(text): Violation) -> Self {
        CommitError::Integrity(text)
    }
}

impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> Self {
        CommitError::Store(error.to_string())
    }
}

/// How long a removed file stays, in milliseconds, unless it is said otherwise.
const GRACE_MS: i64 = 7 * 24 * 3_600_000;

/// The holder of a claim.
#[derive(Debug)]
pub struct Committer {
    lake: Lake,
    run: String,
    state: Option<State>,
    /// The last root, until a commit names it.
    pin: Option<Pin>,
    /// The last pack, until a commit names it.
    packed: Option<Packed>,
    /// Up to which commit graves are deleted, until a commit says so.
    collected: Option<u64>,
    /// The next base, until a commit names it.
    base: Option<Base>,
    /// How old commits are to become, in milliseconds; `None`: they stay for ever.
    age_ms: Option<i64>,
    /// How long a removed file stays, in milliseconds.
    grace_ms: i64,
    /// From when on old roots are looked for again.
    clean_again_ms: i64,
    /// Up to which commit the objects of packed commits are known to be deleted.
    swept: Option<u64>,
    first_pause: Duration,
}

impl Committer {
    /// Claims the history for `run` (128 random bits in hex, new at every start) and returns where it stands:
    /// after the claim itself. Reads again and tries again until it wins.
    pub async fn claim(lake: &Lake, run: &str) -> Result<(Committer, State), CommitError> {
        Self::claim_with(lake, run, Duration::from_millis(100)).await
    }

    pub(crate) async fn claim_with(
        lake: &Lake,
        run: &str,
        first_pause: Duration,
    ) -> Result<(Committer, State), CommitError> {
        let mut committer = Committer {
            lake: lake.clone(),
            run: run.into(),
            state: None,
            pin: None,
            packed: None,
            collected: None,
            base: None,
            age_ms: None,
            grace_ms: GRACE_MS,
            clean_again_ms: 0,
            swept: None,
            first_pause,
        };
        loop {
            committer.state = patiently(lake, first_pause, || roots::state(lake)).await?;
            let claim = committer.carry_on();
            match committer.write(claim).await? {
                Some(_) => break,
                None => tracing::info!("another commit came first; claiming the next place"),
            }
        }
        let state = committer.state.clone().ok_or_else(|| CommitError::Integrity("a claim left no state".into()))?;
        Ok((committer, state))
    }

    /// Writes the next commit of this run. Fills in `seq`, `previous`, `run` and `time_ms`, the number of the version if it ends
    /// one, and when its files were added; checks P4 and that the commit may follow the history before anything is written.
    /// Returns it as written.
    pub async fn propose(&mut self, commit: Commit) -> Result<Commit, CommitError> {
        let seq = self.next_seq();
        let written = self.write(commit).await?;
        written.ok_or_else(|| CommitError::Integrity(format!("commit {seq} was lost to a claim of its own run")))
    }

    /// Removed files are to stay so long, in milliseconds.
    pub fn set_grace(&mut self, grace_ms: i64) {
        self.grace_ms = grace_ms;
    }

    /// Commits older than that are to go, in milliseconds; `None`: none is.
    pub fn set_age(&mut self, age_ms: Option<i64>) {
        self.age_ms = age_ms;
    }

    /// The number of the next commit.
    pub fn next_seq(&self) -> u64 {
        self.state.as_ref().map_or(0, |state| state.seq + 1)
    }

    /// The run that holds the claim.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Where the history stands; `None` only before the claim.
    pub fn state(&self) -> Option<&State> {
        self.state.as_ref()
    }

    #[cfg(test)]
    pub(super) fn set_state(&mut self, state: State) {
        self.state = Some(state);
    }

    /// An empty commit that changes nothing and ends a version: a claim, until it is said to be something else.
    pub fn carry_on(&self) -> Commit {
        let state = self.state.as_ref();
        Commit {
            seq: 0,
            kind: Kind::Claim,
            run: String::new(),
            previous: String::new(),
            time_ms: 0,
            epoch: state.map_or(0, |s| s.epoch),
            horizon: state.and_then(|s| s.horizon),
            positions: state.map_or_else(Vec::new, |s| s.positions.clone()),
            topics: state.map_or_else(Default::default, |s| s.topics.clone()),
            epochs: Vec::new(),
            added: Default::default(),
            removed: Default::default(),
            tidy: Vec::new(),
            ledger: Default::default(),
            views: Default::default(),
            alerts: Vec::new(),
            told: None,
            origin: None,
            version: Some(0),
            pin: None,
            packed: None,
            collected: None,
            base: None,
        }
    }

    /// Puts a commit at the next place. `None`: it is a claim, and another commit stands there.
    async fn write(&mut self, mut commit: Commit) -> Result<Option<Commit>, CommitError> {
        commit.seq = self.next_seq();
        commit.previous = self.state.as_ref().map_or_else(String::new, |state| state.digest.clone());
        commit.run.clone_from(&self.run);
        commit.time_ms = self.lake.now_ms();
        commit.version = commit.version.map(|_| versions::next(self.state.as_ref()));
        commit.added.values_mut().flatten().for_each(|file| file.added_ms = Some(commit.time_ms));
        commit.pin.clone_from(&self.pin);
        commit.packed.clone_from(&self.packed);
        commit.collected = self.collected;
        commit.base.clone_from(&self.base);
        history::check(self.state.as_ref(), &commit)?;
        self.check_live(&commit).await?;
        let bytes = read::encode(&commit)?;
        let files = commit.added.values().flatten().map(|file| file.path.as_str());
        let mut pause = self.lake.pause(self.first_pause);
        while let Err(error) = self.lake.fsync(files.clone()) {
            pause.wait(&error.to_string()).await;
        }
        let kind = commit.kind;
        let proposal = Proposal { seq: commit.seq, previous: &commit.previous, bytes: &bytes, run: &self.run, kind };
        match self.resolve_place(&proposal, &bytes).await? {
            Verdict::Won => self.is_still_there(&commit).await?,
            Verdict::ReadOn => return Ok(None),
            Verdict::Replaced { by } => return Err(CommitError::Replaced { by, seq: commit.seq }),
            Verdict::Integrity(text) => return Err(CommitError::Integrity(text)),
            Verdict::PutAgain => return Err(CommitError::Integrity("a place was left open".into())),
        }
        self.state = Some(history::apply(self.state.take(), &commit, digest(&bytes)));
        (self.pin, self.packed, self.collected, self.base) = (None, None, None, None);
        Ok(Some(commit))
    }

    /// T1, T3: what a commit removes is there, and all of a date where it is kept no longer.
    async fn check_live(&self, commit: &Commit) -> Result<(), CommitError> {
        let Some(state) = &self.state else { return Ok(()) };
        for (table, removed) in &commit.removed {
            let dates: BTreeSet<&str> = removed.iter().map(|file| file.date.as_str()).collect();
            let find = || roots::files_of(&self.lake, &state.files, table, &dates);
            let found: BTreeSet<File> = patiently(&self.lake, self.first_pause, find).await?.into_iter().collect();
            tidy::check_live(commit.seq, removed, |file| found.contains(file))?;
            retention::check_whole(commit, table, &found)?;
        }
        Ok(())
    }

    /// A place far behind the head may be free again, once its commits are packed: whoever slept so long looks back.
    async fn is_still_there(&self, commit: &Commit) -> Result<(), CommitError> {
        let Some(before) = self.state.as_ref().filter(|before| commit.time_ms - before.time_ms > SLEEP_MS) else {
            return Ok(());
        };
        let path = layout::commit(before.seq);
        if patiently(&self.lake, self.first_pause, || self.lake.exists(&path)).await? {
            return Ok(());
        }
        // What stands there is of no sound history now: whoever is at its head is named if that can be read.
        let state = patiently(&self.lake, self.first_pause, || roots::state(&self.lake)).await.ok().flatten();
        let by = state.map_or_else(|| "unknown".to_owned(), |state| state.run);
        Err(CommitError::Replaced { by, seq: commit.seq })
    }

    /// Puts until it is known who has the place.
    async fn resolve_place(&self, proposal: &Proposal<'_>, bytes: &Bytes) -> Result<Verdict, CommitError> {
        let path = layout::commit(proposal.seq);
        let mut pause = self.lake.pause(self.first_pause);
        loop {
            match self.lake.put_if_absent(&path, bytes.clone()).await? {
                Put::Created => return Ok(Verdict::Won),
                Put::Exists => {}
                Put::Unclear(why) => pause.wait(&why).await,
            }
            let found = patiently(&self.lake, self.first_pause, || self.lake.get(&path)).await?;
            match judge(proposal, found.as_deref()) {
                Verdict::PutAgain => pause.wait("the store reports a conflict, but nothing is there").await,
                Verdict::Won => {
                    while let Err(error) = self.lake.fsync([path.as_str()]) {
                        pause.wait(&error.to_string()).await;
                    }
                    return Ok(Verdict::Won);
                }
                verdict => return Ok(verdict),
            }
        }
    }

    /// Keeps the history short, every [`ROOT_EVERY`] commits: writes a root, which the next commit names, and deletes old
    /// ones; packs old commits; deletes what was removed long ago, and commits that are kept no longer. To be called between commits, when nobody waits. Without it a start reads more commits: not
    /// worth stopping for, and tried again after the next one.
    pub async fn tend(&mut self) {
        let Some(state) = &mut self.state else { return };
        if state.seq < state.files.root.unwrap_or(0) + ROOT_EVERY {
            return;
        }
        match roots::write(&self.lake, state).await {
            Ok((files, pin)) => {
                state.files = files;
                self.pin = Some(pin);
            }
            Err(error) => return tracing::warn!("no root after commit {}: {error}", state.seq),
        }
        let is_clean = state.time_ms < self.clean_again_ms;
        if !is_clean {
            self.clean_again_ms = state.time_ms + CLEAN_EVERY_MS;
            if let Err(error) = roots::clean(&self.lake).await {
                tracing::warn!("old roots are not deleted: {error}");
            }
        }
        if let Err(error) = self.pack().await {
            tracing::warn!("old commits are not packed: {error}");
        }
        if let Err(error) = self.collect().await {
            tracing::warn!("files that were removed are not deleted: {error}");
        }
        // It takes reading a pack.
        if !is_clean && let Err(error) = self.forget().await {
            tracing::warn!("commits that are kept no longer are not deleted: {error}");
        }
    }

    /// Deletes the commits before the base, then looks for the next one.
    async fn forget(&mut self) -> Result<(), ReadError> {
        let Some((state, age_ms)) = self.state.as_ref().zip(self.age_ms) else { return Ok(()) };
        base::sweep(&self.lake, state).await?;
        self.base = base::next(&self.lake, state, age_ms).await?;
        Ok(())
    }

    /// Deletes files that were removed longer ago than the grace, and are not in the last version any more.
    async fn collect(&mut self) -> Result<(), ReadError> {
        let Some(state) = &self.state else { return Ok(()) };
        let before = state.time_ms.saturating_sub(self.grace_ms);
        let through = graves::collect(&self.lake, state.collected, state.published().seq, before).await?;
        self.collected = through.filter(|_| through != state.collected);
        Ok(())
    }

    /// Packs a thousand commits, if they are old enough; deletes those that an earlier commit says are packed.
    async fn pack(&mut self) -> Result<(), ReadError> {
        let Some(state) = &self.state else { return Ok(()) };
        let through = state.packed.as_ref().map(|packed| packed.through);
        if let Some(through) = through.filter(|through| Some(*through) > self.swept) {
            packing::sweep(&self.lake, through).await?;
            self.swept = Some(through);
        }
        self.packed = packing::write(&self.lake, through, (state.seq, state.time_ms)).await?;
        Ok(())
    }
}

#[cfg(test)]
#[path = "committer_tests.rs"]
mod tests;
