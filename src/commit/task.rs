//! The task behind the commit operator: one after the other, PUT, then publish, then report.
//!
//! The commit counts from the PUT on, and the operator is told at once; the Delta logs and the consumer group follow,
//! as projections that a later run completes if this one dies.

use std::sync::Arc;
use std::time::Instant;

use citystream_dataflows::bindings::{NextOffset, Partition};
use citystream_dataflows::time::Epoch;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::topics::Topics;
use crate::error::RunError;
use crate::lake::Committer;
use crate::lake::commit::Commit;
use crate::lake::delta::Publisher;
use crate::lake::history;
use crate::process::{Mailbox, Process};
use crate::source::Catalog;
use citystream_dataflows::ticks::Committed;

/// A commit to be made.
pub struct Proposal {
    /// The sealing epoch.
    pub epoch: Epoch,
    /// The number that the tick promised.
    pub seq: u64,
    /// The commit; `None` if there is nothing to say.
    pub commit: Option<Commit>,
    /// Where the answer goes.
    pub mailbox: Mailbox<Result<(Epoch, Committed), RunError>>,
}

/// Worker 0's seat: the way to the task.
pub struct Chair {
    proposals: mpsc::UnboundedSender<Proposal>,
    unrecorded: bool,
}

impl Chair {
    /// Starts the task. `unrecorded` if the lake does not hold the run's first positions yet. The task ends when the
    /// seat is dropped; join it before the process ends.
    pub fn start(
        committer: Committer,
        publisher: Publisher,
        topics: Topics,
        catalog: Arc<dyn Catalog>,
        process: Arc<Process>,
        unrecorded: bool,
    ) -> (Chair, JoinHandle<()>) {
        let (proposals, inbox) = mpsc::unbounded_channel();
        let secretary = Secretary { committer, publisher, topics, catalog, process: Arc::clone(&process) };
        (Chair { proposals, unrecorded }, process.runtime.spawn(secretary.serve(inbox)))
    }

    /// Hands over a proposal; the task outlives the seat.
    pub fn propose(&self, proposal: Proposal) {
        let _ = self.proposals.send(proposal);
    }

    /// Whether the next commit has to be made even if nothing moved.
    pub fn take_unrecorded(&mut self) -> bool {
        std::mem::take(&mut self.unrecorded)
    }
}

struct Secretary {
    committer: Committer,
    publisher: Publisher,
    topics: Topics,
    catalog: Arc<dyn Catalog>,
    process: Arc<Process>,
}

impl Secretary {
    async fn serve(mut self, mut inbox: mpsc::UnboundedReceiver<Proposal>) {
        while let Some(Proposal { epoch, seq, commit, mailbox }) = inbox.recv().await {
            let made = match commit {
                None => Ok(None),
                Some(commit) => self.put(commit, seq).await.map(Some),
            };
            match made {
                Err(error) => return mailbox.send(Err(error)),
                Ok(None) => mailbox.send(Ok((epoch, Committed { seq: seq - 1 }))),
                Ok(Some(commit)) => {
                    mailbox.send(Ok((epoch, Committed { seq })));
                    if let Err(error) = self.follow(&commit).await {
                        return self.process.fatal.raise(error);
                    }
                }
            }
        }
    }

    async fn put(&mut self, mut commit: Commit, seq: u64) -> Result<Commit, RunError> {
        commit.topics = self.topics.names();
        if let Some(state) = self.committer.state() {
            history::keep_positions(state, &mut commit)?;
        }
        let asked = Instant::now();
        let commit = self.committer.propose(commit).await?;
        self.process.metrics.commit_seconds.observe(asked.elapsed().as_secs_f64());
        self.process.metrics.committed(&commit);
        if commit.seq != seq {
            return Err(RunError::Integrity(format!("P2: commit {} was written as {seq}", commit.seq)));
        }
        Ok(commit)
    }

    /// What a commit entails and does not wait for.
    async fn follow(&mut self, commit: &Commit) -> Result<(), RunError> {
        self.publisher.publish(commit).await?;
        let offsets: Vec<(Partition, NextOffset)> = commit.positions.iter().map(|p| (p.partition, p.next)).collect();
        let catalog = Arc::clone(&self.catalog);
        let reported = tokio::task::spawn_blocking(move || catalog.report(&offsets)).await;
        if let Ok(Err(error)) = reported {
            tracing::debug!("the consumer group was not told: {error}");
        }
        Ok(())
    }
}
