//! What all work beside a run needs: the lake, the way to the task that commits, and what is on its way to a commit.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, oneshot};

use super::Word;
use super::plan::Place;
use crate::lake::Lake;
use crate::lake::history::{State, requests, roots};
use crate::sink::tidy::TidyError;

/// See the module.
pub(super) struct Context {
    pub(super) lake: Lake,
    pub(super) run: String,
    pub(super) words: mpsc::UnboundedSender<Word>,
    /// Files made so far.
    pub(super) made: u64,
    /// Places of which files wait for their commit, and the request that they are for.
    pub(super) waiting: BTreeMap<Place, Option<String>>,
}

impl Context {
    pub(super) fn new(lake: &Lake, run: &str, words: mpsc::UnboundedSender<Word>) -> Context {
        Context { lake: lake.clone(), run: run.to_owned(), words, made: 0, waiting: BTreeMap::new() }
    }

    /// Where the lake stands, as the commit task knows it.
    pub(super) async fn state(&self) -> Result<State, TidyError> {
        let (answer, asked) = oneshot::channel();
        self.words.send(Word::State(answer)).map_err(|_| TidyError::Ended)?;
        asked.await.ok().flatten().ok_or(TidyError::Ended)
    }

    /// A run that has been replaced takes up no request, and ends none: what others have committed since it does not know.
    pub(super) async fn check_claim(&self) -> Result<(), TidyError> {
        let state = roots::state(&self.lake).await?;
        state.filter(|state| state.run == self.run).map(drop).ok_or(TidyError::Ended)
    }

    /// Deletes a request that is done.
    pub(super) async fn finish(&self, id: &str) -> Result<(), TidyError> {
        self.check_claim().await?;
        Ok(requests::delete(&self.lake, id).await?)
    }

    /// Whether files that were made for a request are in no version yet.
    pub(super) fn is_waiting_for(&self, id: &str) -> bool {
        self.waiting.values().any(|request| request.as_deref() == Some(id))
    }
}
