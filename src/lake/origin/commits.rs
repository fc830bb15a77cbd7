//! The commits of an old lake, one after the other.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::TryStreamExt;

use super::old::{OldCommit, OldLake};
use crate::lake::history::read;
use crate::source::SourceError;

/// Commits that are read at once.
const AHEAD: u64 = 256;

/// See the module.
#[derive(Debug)]
pub(super) struct Commits {
    next: u64,
    ahead: VecDeque<OldCommit>,
}

impl Commits {
    /// From that number on.
    pub(super) fn from(next: u64) -> Commits {
        Commits { next, ahead: VecDeque::new() }
    }

    /// From that one on.
    pub(super) fn after(commit: OldCommit) -> Commits {
        Commits { next: commit.seq + 1, ahead: VecDeque::from([commit]) }
    }

    /// The next one; `None` for now at the end.
    pub(super) async fn next(&mut self, old: &OldLake) -> Result<Option<OldCommit>, SourceError> {
        if self.ahead.is_empty() {
            let head = old.readable(|stand| stand.seq).unwrap_or(0);
            let range = self.next..=head.min(self.next + AHEAD - 1);
            if !range.is_empty() {
                let ask = || async { read::encoded(&old.lake, range.clone()).await?.try_collect().await };
                let read: Vec<(u64, Bytes)> = old.patiently(ask).await?;
                self.next = range.end() + 1;
                self.ahead = read.iter().map(|(seq, bytes)| old.decode(*seq, bytes)).collect::<Result<_, _>>()?;
            }
        }
        Ok(self.ahead.pop_front())
    }

    /// Puts back what is left of a commit.
    pub(super) fn put_back(&mut self, commit: OldCommit) {
        self.ahead.push_front(commit);
    }

    /// Whether there is nothing more for now.
    pub(super) fn is_over(&self, head: u64) -> bool {
        self.ahead.is_empty() && self.next > head
    }
}
