//! What follows a commit: each [`Sink`] is given each commit of the run once it has landed.
//!
//! Landed means durable: the operator has been told, and nothing that a sink does can take the commit back.

mod alerts;
mod delta;
mod group;

use futures::future::BoxFuture;

pub use alerts::{AlertSink, AlertTopic, LogFile, Target, Told, Webhook};
pub use group::ConsumerGroup;

use crate::error::RunError;
use crate::lake::history::commit::Commit;
use crate::lake::history::read::{self, ReadError};
use crate::lake::{Lake, StoreError};

/// Something outside the commits that follows them.
///
/// **Order.** A sink is given the run's commits one at a time, by `seq`, without a gap, from the first after the run's
/// claim. The next one comes only after [`Landing::Done`].
///
/// **At least once.** After [`Landing::Later`] the same commit comes again: with the next commit, or after a second
/// without one; at the end of a run for 15 s. A process may also die between what a sink did and its `Done`, so doing
/// it twice must be the same as doing it once.
///
/// **Restart.** A run gives nothing that an earlier run committed, nor its own claim. A sink that must not miss a commit
/// finds out for itself, before it is handed over, where it stands, and catches up from the lake to the claim.
///
/// **May.** Fail for now (`Later`): no other sink and no commit waits for it. End the run (an error): for what a user
/// must put right, or a broken invariant. Ignore what it cannot do (`Done`), if a later commit makes up for it.
///
/// **May not.** Commit, or change what a commit says. Take long: sinks are called in turn, and the next commit waits for
/// all of them, so what takes more than a store's request belongs in a task of the sink's own. Retry within a call.
pub trait Sink: Send {
    /// What to call it in a log.
    fn name(&self) -> &'static str;

    /// Takes a commit that is durable.
    fn landed<'a>(&'a mut self, commit: &'a Commit) -> BoxFuture<'a, Result<Landing, RunError>>;
}

/// What a sink says to a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// It has done what it does, or never will.
    Done,
    /// It could not for now, and wants the same commit again.
    Later,
}

/// The sinks of a run, and how far each is.
pub(super) struct Sinks {
    lake: Lake,
    /// Each sink with the commit it is to be given next.
    sinks: Vec<(Box<dyn Sink>, u64)>,
    /// The last commit that landed. What a sink lacks before it is read from the lake: nothing else is held.
    last: Option<Commit>,
}

impl Sinks {
    /// Sinks whose first commit is `first`, in the order in which they are called.
    pub(super) fn new(lake: Lake, sinks: Vec<Box<dyn Sink>>, first: u64) -> Self {
        Sinks { lake, sinks: sinks.into_iter().map(|sink| (sink, first)).collect(), last: None }
    }

    /// Gives a commit that has landed, after all that a sink lacks before it.
    pub(super) async fn landed(&mut self, commit: Commit) -> Result<(), RunError> {
        self.last = Some(commit);
        self.catch_up().await
    }

    /// Whether a sink lacks a commit.
    pub(super) fn are_behind(&self) -> bool {
        self.last.as_ref().is_some_and(|last| self.sinks.iter().any(|(_, next)| *next <= last.seq))
    }

    /// How many commits the sink that is furthest behind lacks.
    pub(super) fn lag(&self) -> u64 {
        let lacks = |next: u64| self.last.as_ref().map_or(0, |last| (last.seq + 1).saturating_sub(next));
        self.sinks.iter().map(|(_, next)| lacks(*next)).max().unwrap_or(0)
    }

    /// Gives each sink what it lacks, up to the first commit that it cannot take for now.
    pub(super) async fn catch_up(&mut self) -> Result<(), RunError> {
        let Some(last) = &self.last else { return Ok(()) };
        for (sink, next) in &mut self.sinks {
            while *next <= last.seq {
                match give(&self.lake, sink.as_mut(), *next, last).await? {
                    Landing::Done => *next += 1,
                    Landing::Later => {
                        tracing::debug!("{} is at commit {next} of {}", sink.name(), last.seq);
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

async fn give(lake: &Lake, sink: &mut dyn Sink, seq: u64, last: &Commit) -> Result<Landing, RunError> {
    if seq == last.seq {
        return sink.landed(last).await;
    }
    match read::commit(lake, seq).await {
        Ok((_, commit)) => sink.landed(&commit).await,
        Err(ReadError::Store(StoreError::Transient(_))) => Ok(Landing::Later),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures::FutureExt;

    use super::*;
    use crate::lake::testing::data;
    use crate::lake::{Committer, StoreOptions};

    type Given = Arc<Mutex<Vec<Commit>>>;

    /// Notes what it is given, and answers with what `answers` ends with, then `Done`.
    struct Notes {
        answers: Vec<Result<Landing, RunError>>,
        given: Given,
    }

    impl Sink for Notes {
        fn name(&self) -> &'static str {
            "notes"
        }

        fn landed<'a>(&'a mut self, commit: &'a Commit) -> BoxFuture<'a, Result<Landing, RunError>> {
            self.given.lock().unwrap().push(commit.clone());
            let answer = self.answers.pop().unwrap_or(Ok(Landing::Done));
            async { answer }.boxed()
        }
    }

    fn notes(answers: Vec<Result<Landing, RunError>>) -> (Box<dyn Sink>, Given) {
        let given = Given::default();
        (Box::new(Notes { answers, given: Arc::clone(&given) }), given)
    }

    fn seqs(given: &Given) -> Vec<u64> {
        given.lock().unwrap().iter().map(|commit| commit.seq).collect()
    }

    /// A lake with a claim and five commits.
    async fn lake(dir: &tempfile::TempDir) -> (Lake, Vec<Commit>) {
        let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
        let (mut committer, _) = Committer::claim(&lake, "a").await.unwrap();
        let mut commits = Vec::new();
        for _ in 0..5 {
            let commit = data(committer.state().unwrap(), "a", 3, 1);
            commits.push(committer.propose(commit).await.unwrap());
        }
        (lake, commits)
    }

    #[tokio::test]
    async fn a_sink_that_fails_for_now_gets_every_commit_in_order_and_holds_up_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let (lake, commits) = lake(&dir).await;
        let later = |n| (0..n).map(|_| Ok(Landing::Later)).collect();
        let ((failing, given), (steady, prompt)) = (notes(later(5)), notes(Vec::new()));
        let mut sinks = Sinks::new(lake, vec![failing, steady], 1);
        assert!(!sinks.are_behind());
        for (n, commit) in commits.iter().enumerate() {
            sinks.landed(commit.clone()).await.unwrap();
            assert_eq!(*prompt.lock().unwrap(), commits[..=n]);
        }
        assert_eq!(seqs(&given), [1; 5], "the same commit until it is done");
        assert!(sinks.are_behind() && sinks.lag() == 5);
        sinks.catch_up().await.unwrap();
        assert!(!sinks.are_behind() && sinks.lag() == 0);
        assert_eq!(given.lock().unwrap()[5..], commits);
        sinks.catch_up().await.unwrap();
        assert_eq!((given.lock().unwrap().len(), prompt.lock().unwrap().len()), (10, 5), "once where all are done");
    }

    #[tokio::test]
    async fn an_error_of_a_sink_is_an_error_of_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let (lake, commits) = lake(&dir).await;
        let (broken, given) = notes(vec![Err(RunError::Integrity("no".into())), Ok(Landing::Done)]);
        let mut sinks = Sinks::new(lake, vec![broken], 1);
        sinks.landed(commits[0].clone()).await.unwrap();
        assert!(matches!(sinks.landed(commits[1].clone()).await, Err(RunError::Integrity(_))));
        assert_eq!(seqs(&given), [1, 2]);
    }
}
