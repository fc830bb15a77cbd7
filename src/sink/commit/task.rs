//! The task behind the commit operator: one after the other, PUT, tell the operator, then give the commit to the
//! [sinks](super::sinks).
//!
//! The commit counts from the PUT on, so the operator is told at once; what follows can be completed by a later run if
//! this one dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use citystream_dataflows::time::Epoch;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::sinks::{Sink, Sinks, Told};
use super::topics::Topics;
use crate::error::RunError;
use crate::lake::history::commit::{Commit, Origin};
use crate::lake::{Committer, State, history};
use crate::process::metrics::Metrics;
use crate::process::{Fatal, LakeAccess, Mailbox};
use crate::sink::compact::Compactor;
use crate::sink::retain::Retention;
use citystream_dataflows::time::ticks::Committed;

/// How long a sink that is behind waits before it is tried again, and how often that is done once the run is over.
const SINKS_AGAIN: Duration = Duration::from_secs(1);
const LAST_TRIES: u32 = 15;

/// A commit to be made.
pub struct Proposal {
    /// The sealing epoch.
    pub epoch: Epoch,
    /// The number that the tick promised.
    pub seq: u64,
    /// The commit; `None` if there is nothing to say.
    pub commit: Option<Commit>,
    /// Where the answer goes.
    pub mailbox: Mailbox<(Epoch, Committed)>,
}

/// Worker 0's way to the task.
pub struct CommitHandle {
    proposals: mpsc::UnboundedSender<Proposal>,
    unrecorded: bool,
    /// Whether files were packed that no commit names yet.
    packed: Option<Arc<AtomicBool>>,
}

impl CommitHandle {
    /// Starts the task. `unrecorded` if the lake does not hold the run's first positions yet. `sinks` have caught up to
    /// the committer's claim. The task ends when the handle is dropped; join it before the process ends.
    pub fn start(
        committer: Committer,
        (sinks, told): (Vec<Box<dyn Sink>>, Option<Told>),
        (topics, origin): (Topics, Option<Origin>),
        (access, metrics): (LakeAccess, Arc<Metrics>),
        (compactor, retention, unrecorded): (Option<Compactor>, Retention, bool),
    ) -> (CommitHandle, JoinHandle<()>) {
        let (proposals, inbox) = mpsc::unbounded_channel();
        let runtime = access.runtime.clone();
        let sinks = Sinks::new(access.lake.clone(), sinks, committer.next_seq());
        let packed = compactor.as_ref().map(Compactor::ready);
        let task =
            CommitTask { committer, compactor, retention, sinks, told, topics, origin, fatal: access.fatal, metrics };
        (CommitHandle { proposals, unrecorded, packed }, runtime.spawn(task.serve(inbox)))
    }

    /// Hands over a proposal; the task outlives the handle.
    pub fn propose(&self, proposal: Proposal) {
        let _ = self.proposals.send(proposal);
    }

    /// Whether the next commit has to be made even if nothing moved: positions are not recorded yet, or files were packed.
    pub fn take_unrecorded(&mut self) -> bool {
        let is_packed = self.packed.as_ref().is_some_and(|packed| packed.load(Ordering::Acquire));
        std::mem::take(&mut self.unrecorded) || is_packed
    }
}

struct CommitTask {
    committer: Committer,
    /// Where small files are packed.
    compactor: Option<Compactor>,
    /// What is kept no longer.
    retention: Retention,
    sinks: Sinks,
    /// How far alerts have been told, where somebody is told of them.
    told: Option<Told>,
    topics: Topics,
    /// The lake that is read, until a commit names it.
    origin: Option<Origin>,
    fatal: Fatal,
    metrics: Arc<Metrics>,
}

impl CommitTask {
    async fn serve(mut self, mut inbox: mpsc::UnboundedReceiver<Proposal>) {
        loop {
            let served = tokio::select! {
                biased;
                proposal = inbox.recv() => match proposal {
                    Some(proposal) => self.commit(proposal).await,
                    None => break,
                },
                () = hear(self.compactor.as_mut(), self.committer.state()) => Ok(()),
                // Nothing may come for long, and readers would miss the last commit all the while.
                () = tokio::time::sleep(SINKS_AGAIN), if self.sinks.are_behind() => self.sinks.catch_up().await,
            };
            self.metrics.delta_lag.set(self.sinks.lag() as i64);
            if let Err(error) = served {
                return self.fatal.raise(error);
            }
        }
        if let Some(compactor) = self.compactor.take() {
            compactor.end().await;
        }
        for _ in 0..LAST_TRIES {
            if !self.sinks.are_behind() {
                return;
            }
            tokio::time::sleep(SINKS_AGAIN).await;
            if let Err(error) = self.sinks.catch_up().await {
                return self.fatal.raise(error);
            }
        }
    }

    /// Makes a commit, tells its operator, then the sinks.
    async fn commit(&mut self, proposal: Proposal) -> Result<(), RunError> {
        let Proposal { epoch, seq, commit, mailbox } = proposal;
        let Some(commit) = commit else {
            mailbox.send((epoch, Committed { seq: seq - 1 }));
            return Ok(());
        };
        let commit = self.put(commit, seq).await?;
        mailbox.send((epoch, Committed { seq }));
        self.sinks.landed(commit).await?;
        self.committer.tend().await;
        Ok(())
    }

    async fn put(&mut self, mut commit: Commit, seq: u64) -> Result<Commit, RunError> {
        commit.topics = self.topics.names();
        commit.origin.clone_from(&self.origin);
        commit.told = self.told.as_ref().map(Told::get);
        if let Some(state) = self.committer.state() {
            history::keep_positions(state, &mut commit)?;
        }
        let is_all = self.drop_expired(&mut commit).await;
        if let Some(compactor) = &mut self.compactor {
            compactor.record(self.committer.state(), &mut commit, is_all);
        }
        self.metrics.health.putting();
        let asked = Instant::now();
        let commit = self.committer.propose(commit).await?;
        self.origin = None;
        let seconds = asked.elapsed().as_secs_f64();
        self.metrics.commit_seconds.observe(seconds);
        tracing::debug!("commit {} of {} files is durable after {seconds:.3} s", commit.seq, commit.added.len());
        self.metrics.committed(&commit);
        self.compactor.iter_mut().for_each(|compactor| compactor.landed(&commit));
        self.committer.state().iter().for_each(|state| self.metrics.files(&state.files));
        if commit.seq != seq {
            return Err(RunError::Integrity(format!("P2: commit {} was written as {seq}", commit.seq)));
        }
        Ok(commit)
    }
}

impl CommitTask {
    /// Puts into a commit what is kept no longer, and says whether that is all of it. A failure costs time only.
    async fn drop_expired(&mut self, commit: &mut Commit) -> Option<bool> {
        let state = self.committer.state()?;
        let asked = self.compactor.as_ref().and_then(Compactor::asked);
        let recorded = self.retention.record(state, commit, asked.as_ref()).await;
        let warn =
            |error| tracing::warn!("what is kept no longer is not dropped: {error}; the next commit tries again");
        recorded.map_err(warn).ok()
    }
}

/// The next word of whoever packs files, if somebody does.
async fn hear(compactor: Option<&mut Compactor>, state: Option<&State>) {
    match compactor {
        Some(compactor) => compactor.hear(state).await,
        None => std::future::pending().await,
    }
}
