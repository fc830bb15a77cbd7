//! Erasures beside a run: each goes on whenever the horizon lets it, and ends once nothing is left that waits.

use std::time::Duration;

use super::worker::Worker;
use super::{Now, Word};
use crate::columns::whose::Bound;
use crate::lake::history::requests::{self, Erase, Request, Wanted};
use crate::lake::traces;
use crate::sink::erase::{Erasure, Progress};
use crate::sink::tidy::{Pace, TidyError};

/// How often it is looked what has become possible.
const AGAIN: Duration = Duration::from_secs(5);
/// And after a file that is damaged.
const LATER: Duration = Duration::from_secs(60);

/// A vehicle that is being forgotten.
pub(super) struct Forgetting {
    pub(super) erasure: Erasure,
    /// When to go on.
    again: Duration,
    /// Whether its files that are nobody's are deleted.
    is_swept: bool,
    wants_quiet: bool,
}

impl Worker {
    /// Takes up a request to erase: from here on only rows of the commits so far are meant, whoever goes on with it.
    pub(super) async fn begin_erasing(
        &mut self,
        id: &str,
        wanted: Erase,
        now: &dyn Fn() -> Now,
    ) -> Result<(), TidyError> {
        self.check_claim().await?;
        tracing::info!("request {id} to erase a vehicle");
        let state = self.state().await?;
        let bound = wanted.bound.unwrap_or(Bound { seq: state.seq, time: None });
        self.say(id, &wanted, bound).await?;
        let mut erasure = Erasure::new(id, &wanted, bound);
        let bound = erasure.bind(&self.lake, &state, &mut Pace::beside(now)).await?;
        self.say(id, &wanted, bound).await?;
        self.erasures.push(Forgetting { erasure, again: Duration::ZERO, is_swept: false, wants_quiet: false });
        Ok(())
    }

    /// Says in the request that it is taken, and what is meant by it.
    async fn say(&self, id: &str, wanted: &Erase, bound: Bound) -> Result<(), TidyError> {
        let wanted = Wanted::Erase(Erase { bound: Some(bound), ..wanted.clone() });
        let taken = Request { id: id.to_owned(), wanted, taken_by: Some(self.run.clone()) };
        Ok(requests::put(&self.lake, &taken).await?)
    }

    /// Goes on with an erasure that can; `false`: none can.
    pub(super) async fn erase(&mut self, now: &dyn Fn() -> Now) -> Result<bool, TidyError> {
        let now_is = self.lake.elapsed();
        let is_due = |one: &Forgetting| one.again <= now_is && !self.is_waiting_for(&one.erasure.id);
        let Some(next) = self.erasures.iter().position(is_due) else { return Ok(false) };
        let mut forgetting = self.erasures.swap_remove(next);
        let done = self.go_on_with(&mut forgetting, now).await;
        if done.is_err() {
            forgetting.again = self.lake.elapsed() + LATER;
        }
        if !matches!(done, Ok(true)) {
            self.erasures.push(forgetting);
        }
        done.map(|_| true)
    }

    /// Whether files of nobody are to be looked for as soon as none is made for the next commit.
    pub(super) fn wants_quiet(&self) -> bool {
        self.erasures.iter().any(|forgetting| forgetting.wants_quiet)
    }

    /// Whether files that were made for a request are in no version yet.
    fn is_waiting_for(&self, id: &str) -> bool {
        self.waiting.values().any(|request| request.as_deref() == Some(id))
    }

    /// The next thing; `true`: it was the last.
    async fn go_on_with(&mut self, forgetting: &mut Forgetting, now: &dyn Fn() -> Now) -> Result<bool, TidyError> {
        let state = self.state().await?;
        let Forgetting { erasure, again, is_swept, wants_quiet } = forgetting;
        let (waiting, mut pace) = (&self.waiting, Pace::beside(now));
        let is_busy = |place: &_| waiting.contains_key(place);
        let made = (self.run.as_str(), &mut self.made);
        let progress = erasure.step(&self.lake, &state, made, &is_busy, &mut pace).await?;
        let Progress { step, pending, damaged } = progress;
        for (path, why) in &damaged {
            tracing::warn!("{}: {why}; what is to be erased of it is there still", self.lake.address(path));
        }
        if let Some(step) = step {
            let places: Vec<_> = step.places().collect();
            tracing::info!("request {}: {} files are made anew, {pending} wait", erasure.id, places.len());
            *is_swept = false;
            self.waiting.extend(places.into_iter().map(|place| (place, Some(erasure.id.clone()))));
            self.words.send(Word::Erased(Box::new(step))).map_err(|_| TidyError::Ended)?;
            return Ok(false);
        }
        *again = self.lake.elapsed() + if damaged.is_empty() { AGAIN } else { LATER };
        let is_last = pending == 0 && damaged.is_empty();
        // Files that are made for the next commit are no longer looked at then.
        *wants_quiet = (is_last || !*is_swept) && !self.waiting.is_empty();
        if (is_last || !*is_swept) && self.waiting.is_empty() {
            let rest = || pace.step().is_ok();
            *is_swept = traces::sweep(&self.lake, &erasure.id, erasure.meant(), rest).await?;
            if *is_swept && is_last {
                self.finish(&erasure.id).await?;
                tracing::info!("request {}: nothing is left that is to be erased", erasure.id);
                return Ok(true);
            }
        }
        Ok(false)
    }
}
