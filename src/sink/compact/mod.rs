//! Packing: small files of a table and date become one, while a run goes on.
//!
//! ```text
//! commit task -- what has landed --> thread: plan -> read, merge, check -> durable file
//!      ^                                                                        |
//!      +------------------ a pack, which the next commit names -----------------+
//! ```
//!
//! It is the thread that erases, too (`src/sink/erase/`): who makes files of others is one, so that nobody takes a file that another
//! has taken.
//!
//! The thread writes files and commits nothing: its packs ride in the commits of the run (the one writer), and a finished one is
//! reason enough for a commit. What it dies with is an orphan. Files that have become others stay where they are: readers of
//! older versions need them.

mod alone;
mod context;
mod forgetting;
mod merge;
mod pack;
mod plan;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use citystream_dataflows::time::Micros;
use tokio::sync::{mpsc, oneshot};

pub use alone::{Outcome, alone};
pub use pack::Pack;
use plan::Place;
pub use worker::Worker;

use crate::columns::tables::Table;
use crate::error::RunError;
use crate::lake::Lake;
use crate::lake::history::commit::{Commit, File};
use crate::lake::history::{State, retention, tidy};
use crate::process::LakeAccess;
use crate::process::metrics::Metrics;
use crate::sink::erase::Step;
use crate::sink::retain::Asked;
use crate::sink::tidy::Now;
use crate::sink::write::EncodeError;

/// How long the end of a run waits for the thread.
const LAST_STEP: Duration = Duration::from_secs(5);

/// What the thread says to the commit task.
enum Word {
    /// It wants to know where the lake stands.
    State(oneshot::Sender<Option<State>>),
    /// Somebody wants files dropped.
    Retain(Asked),
    /// It has made a file; and the request that it is for.
    Finished(Box<Pack>, Option<String>),
    /// It has made files without rows that are erased.
    Erased(Box<Step>),
}

/// What the commit task says to the thread: what a commit that is in a version did to files.
struct Landed {
    seq: u64,
    horizon: Option<Micros>,
    added: BTreeMap<String, Vec<File>>,
    removed: BTreeMap<String, Vec<File>>,
    /// Places of which files came too late: theirs are kept no longer.
    discarded: Vec<Place>,
    /// The request to drop files that is done.
    retained: Option<String>,
}

/// The commit task's end.
pub struct Compactor {
    words: mpsc::UnboundedReceiver<Word>,
    landed: mpsc::UnboundedSender<Landed>,
    /// What commits did since the last version: only files that readers have seen are packed, so that a version holds no file
    /// that came and went within it.
    unpublished: Vec<Landed>,
    /// What the next commit is to name.
    finished: Vec<(Pack, Option<String>)>,
    erased: Vec<Step>,
    /// The tables and dates that this run has dropped: what was made of them is of no use.
    dropped: BTreeSet<Place>,
    discarded: Vec<Place>,
    /// What is to be dropped, and what has been.
    asked: Option<Asked>,
    retained: Option<String>,
    /// Whether there is something.
    ready: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Compactor {
    /// Starts the thread, in a run that has just claimed the lake. `now` says whether it may go on.
    pub fn start(
        access: &LakeAccess,
        state: &State,
        metrics: Arc<Metrics>,
        now: impl Fn() -> Now + Send + 'static,
    ) -> Result<Compactor, RunError> {
        let (mut compactor, worker) = Compactor::with_worker(&access.lake, state, metrics);
        let is_over = Arc::clone(&compactor.ended);
        let now = move || if is_over.load(Ordering::Acquire) { Now::End } else { now() };
        let (files, io) = (state.files.clone(), access.runtime.clone());
        let thread = thread::Builder::new().name("compact".to_owned());
        let thread = thread.spawn(move || io.block_on(worker.work(files, &now)));
        let thread = thread.map_err(|error| RunError::Failed(format!("cannot start a thread: {error}")))?;
        compactor.thread = Some(thread);
        Ok(compactor)
    }

    /// The same without a thread: whoever calls it polls the worker.
    pub fn with_worker(lake: &Lake, state: &State, metrics: Arc<Metrics>) -> (Compactor, Worker) {
        let ((say, words), (landed, inbox)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        (Compactor::new(words, landed), Worker::new(lake, state, (say, inbox), metrics))
    }

    fn new(words: mpsc::UnboundedReceiver<Word>, landed: mpsc::UnboundedSender<Landed>) -> Compactor {
        Compactor {
            words,
            landed,
            unpublished: Vec::new(),
            finished: Vec::new(),
            erased: Vec::new(),
            dropped: BTreeSet::new(),
            discarded: Vec::new(),
            asked: None,
            retained: None,
            ready: Arc::default(),
            ended: Arc::default(),
            thread: None,
        }
    }

    /// Set as long as there is something that a commit is to name.
    pub fn ready(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.ready)
    }

    /// Takes the next word of the thread.
    pub async fn hear(&mut self, state: Option<&State>) {
        match self.words.recv().await {
            Some(Word::State(answer)) => {
                // Nobody waits for it where the thread is at its end.
                let _ = answer.send(state.cloned());
            }
            Some(Word::Retain(asked)) => {
                self.asked = Some(asked);
                self.ready.store(true, Ordering::Release);
            }
            Some(Word::Finished(pack, request)) => {
                self.finished.push((*pack, request));
                self.ready.store(true, Ordering::Release);
            }
            Some(Word::Erased(step)) => {
                self.erased.push(*step);
                self.ready.store(true, Ordering::Release);
            }
            None => std::future::pending().await,
        }
    }

    /// What somebody wants dropped.
    pub fn asked(&self) -> Option<Asked> {
        self.asked.clone()
    }

    /// Puts what is finished into a commit that follows a state, after what it drops; and whether that is all, if it is known.
    pub fn record(&mut self, state: Option<&State>, commit: &mut Commit, is_all: Option<bool>) {
        if let Some(asked) = self.asked.take_if(|_| is_all == Some(true)) {
            self.retained = Some(asked.id);
        }
        self.ready.store(is_all == Some(false), Ordering::Release);
        for tidy in retention::dropped(commit) {
            let Some(table) = Table::from_name(&tidy.table) else { continue };
            self.dropped.extend(commit.removed_by(tidy).into_iter().map(|file| (table, file.date.clone())));
        }
        for (Pack { table, removed, added }, request) in self.finished.drain(..) {
            if self.dropped.contains(&(table, added.date.clone())) {
                self.discarded.push((table, added.date));
                continue;
            }
            tidy::record(commit, table.name(), removed, added, request);
        }
        for step in self.erased.drain(..) {
            self.discarded.extend(step.record(state, commit, |place| self.dropped.contains(place)));
        }
    }

    /// Tells of commits, once they are a version.
    pub fn landed(&mut self, commit: &Commit) {
        let (added, removed) = (commit.added.clone(), commit.removed.clone());
        let (seq, horizon) = (commit.seq, commit.horizon);
        let (discarded, retained) = (std::mem::take(&mut self.discarded), self.retained.take());
        self.unpublished.push(Landed { seq, horizon, added, removed, discarded, retained });
        if commit.version.is_some() {
            // A thread that has ended wants to know nothing.
            self.unpublished.drain(..).for_each(|landed| drop(self.landed.send(landed)));
        }
    }

    /// Ends the thread: after the step that it is at.
    pub async fn end(self) {
        self.ended.store(true, Ordering::Release);
        drop((self.words, self.landed));
        let Some(thread) = self.thread else { return };
        let joined = tokio::task::spawn_blocking(|| thread.join());
        // What it does not finish is an orphan.
        let _ = tokio::time::timeout(LAST_STEP, joined).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use citystream_wire::Topic;

    use super::*;
    use crate::lake::history::commit::Expired;
    use crate::lake::testing::claim;

    /// Files of a date may go while others are made of them.
    #[test]
    fn t1_what_was_packed_of_a_date_that_is_dropped_is_thrown_away() {
        let ((_, words), (landed, mut inbox)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let mut compactor = Compactor::new(words, landed);
        let table = Table::Raw(Topic::GPS);
        let file = |date: &str, path: &str| File { path: path.into(), date: date.into(), ..File::default() };
        let pack = |date: &str| {
            let removed = vec![file(date, "one"), file(date, "two")];
            (Pack { table, removed, added: file(date, "both") }, None)
        };
        let mut commit = claim("a");
        let expired = Expired { before: "2026-06-02".into(), last: None };
        tidy::record_expired(&mut commit, table.name(), vec![file("2026-06-01", "one")], expired, None);
        compactor.finished = vec![pack("2026-06-01"), pack("2026-06-02")];
        compactor.record(None, &mut commit, Some(true));
        assert_eq!(commit.tidy.len(), 2, "one is dropped, one is packed");
        assert_eq!(commit.added[table.name()], [file("2026-06-02", "both")]);
        // One that comes later is of no more use.
        let mut next = claim("a");
        compactor.finished = vec![pack("2026-06-01")];
        compactor.record(None, &mut next, Some(true));
        compactor.landed(&next);
        assert!(next.tidy.is_empty());
        let told = inbox.try_recv().unwrap().discarded;
        assert_eq!(told, vec![(table, "2026-06-01".to_owned()); 2]);
    }
}
