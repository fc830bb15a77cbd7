//! The task behind the commit operator: one after the other, PUT, then publish, then report.
//!
//! The commit counts from the PUT on, and the operator is told at once; the Delta logs and the consumer group follow,
//! as projections that a later run completes if this one dies.

use std::sync::Arc;
use std::time::{Duration, Instant};

use citystream_dataflows::bindings::{NextOffset, Partition};
use citystream_dataflows::time::Epoch;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::topics::Topics;
use crate::error::RunError;
use crate::lake::Committer;
use crate::lake::commit::Commit;
use crate::lake::history;
use crate::lake::publish::Publisher;
use crate::process::{Mailbox, Process};
use crate::source::Catalog;
use citystream_dataflows::ticks::Committed;

/// How long publishing waits before it tries again, and how often it does once the run is over.
const PUBLISH_AGAIN: Duration = Duration::from_secs(1);
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
        let runtime = process.runtime.clone();
        let secretary = Secretary { committer, publisher, unpublished: None, topics, catalog, process };
        (Chair { proposals, unrecorded }, runtime.spawn(secretary.serve(inbox)))
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
    /// The last commit, while a Delta table lacks it.
    unpublished: Option<Commit>,
    topics: Topics,
    catalog: Arc<dyn Catalog>,
    process: Arc<Process>,
}

impl Secretary {
    async fn serve(mut self, mut inbox: mpsc::UnboundedReceiver<Proposal>) {
        loop {
            let served = tokio::select! {
                biased;
                proposal = inbox.recv() => match proposal {
                    Some(proposal) => self.commit(proposal).await,
                    None => break,
                },
                // Nothing may come for long, and readers would miss the last commit all the while.
                () = tokio::time::sleep(PUBLISH_AGAIN), if self.unpublished.is_some() => self.publish().await,
            };
            if let Err(error) = served {
                return self.process.fatal.raise(error);
            }
        }
        for _ in 0..LAST_TRIES {
            if self.unpublished.is_none() {
                return;
            }
            tokio::time::sleep(PUBLISH_AGAIN).await;
            if let Err(error) = self.publish().await {
                return self.process.fatal.raise(error);
            }
        }
    }

    /// Makes a commit, tells its operator, and does what follows from it.
    async fn commit(&mut self, proposal: Proposal) -> Result<(), RunError> {
        let Proposal { epoch, seq, commit, mailbox } = proposal;
        let Some(commit) = commit else {
            mailbox.send((epoch, Committed { seq: seq - 1 }));
            return Ok(());
        };
        let commit = self.put(commit, seq).await?;
        mailbox.send((epoch, Committed { seq }));
        let offsets = commit.positions.iter().map(|p| (p.partition, p.next)).collect();
        self.unpublished = Some(commit);
        self.publish().await?;
        self.report(offsets).await;
        Ok(())
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

    /// Brings the Delta logs up to the last commit; a store that fails for now leaves it to the next call.
    async fn publish(&mut self) -> Result<(), RunError> {
        let Some(commit) = &self.unpublished else { return Ok(()) };
        if self.publisher.publish(commit).await? {
            self.unpublished = None;
        }
        Ok(())
    }

    /// Tells the consumer group, for those who look at Kafka alone.
    async fn report(&self, offsets: Vec<(Partition, NextOffset)>) {
        let catalog = Arc::clone(&self.catalog);
        let reported = tokio::task::spawn_blocking(move || catalog.report(&offsets)).await;
        if let Ok(Err(error)) = reported {
            tracing::debug!("the consumer group was not told: {error}");
        }
    }
}
