//! Erasures beside a run: each goes on whenever the horizon lets it, and ends once nothing is left that waits.

use std::time::Duration;

use super::context::Context;
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

/// The vehicles that are being forgotten.
#[derive(Default)]
pub(super) struct Erasures(Vec<Forgetting>);

/// One of them.
struct Forgetting {
    erasure: Erasure,
    /// When to go on.
    again: Duration,
    /// Whether its files that are nobody's are deleted.
    is_swept: bool,
    wants_quiet: bool,
}

impl Erasures {
    /// Whether a request is one of them.
    pub(super) fn has(&self, id: &str) -> bool {
        self.0.iter().any(|forgetting| forgetting.erasure.id == id)
    }

    /// Takes up a request to erase: from here on only rows of the commits so far are meant, whoever goes on with it.
    pub(super) async fn begin(
        &mut self,
        context: &Context,
        id: &str,
        wanted: Erase,
        now: &dyn Fn() -> Now,
    ) -> Result<(), TidyError> {
        context.check_claim().await?;
        tracing::info!("request {id} to erase a vehicle");
        let state = context.state().await?;
        let bound = wanted.bound.unwrap_or(Bound { seq: state.seq, time: None });
        say(context, id, &wanted, bound).await?;
        let mut erasure = Erasure::new(id, &wanted, bound);
        let bound = erasure.bind(&context.lake, &state, &mut Pace::beside(now)).await?;
        say(context, id, &wanted, bound).await?;
        self.0.push(Forgetting::new(erasure));
        Ok(())
    }

    /// Goes on with an erasure that can; `false`: none can.
    pub(super) async fn go_on(&mut self, context: &mut Context, now: &dyn Fn() -> Now) -> Result<bool, TidyError> {
        let now_is = context.lake.elapsed();
        let is_due = |one: &Forgetting| one.again <= now_is && !context.is_waiting_for(&one.erasure.id);
        let Some(next) = self.next(is_due) else { return Ok(false) };
        match next.step(context, now).await {
            Ok(true) => drop(self.0.pop()),
            Ok(false) => {}
            Err(error) => {
                next.again = context.lake.elapsed() + LATER;
                return Err(error);
            }
        }
        Ok(true)
    }

    /// The first that may go on, as the last: all others come before it the next time.
    fn next(&mut self, may: impl Fn(&Forgetting) -> bool) -> Option<&mut Forgetting> {
        let found = self.0.iter().position(may)?;
        self.0[found..].rotate_left(1);
        self.0.last_mut()
    }

    /// Whether files of nobody are to be looked for as soon as none is made for the next commit.
    pub(super) fn wants_quiet(&self) -> bool {
        self.0.iter().any(|forgetting| forgetting.wants_quiet)
    }
}

impl Forgetting {
    fn new(erasure: Erasure) -> Forgetting {
        Forgetting { erasure, again: Duration::ZERO, is_swept: false, wants_quiet: false }
    }

    /// The next thing; `true`: it was the last.
    async fn step(&mut self, context: &mut Context, now: &dyn Fn() -> Now) -> Result<bool, TidyError> {
        let state = context.state().await?;
        let Forgetting { erasure, again, is_swept, wants_quiet } = self;
        let (waiting, mut pace) = (&context.waiting, Pace::beside(now));
        let is_busy = |place: &_| waiting.contains_key(place);
        let made = (context.run.as_str(), &mut context.made);
        let progress = erasure.step(&context.lake, &state, made, &is_busy, &mut pace).await?;
        let Progress { step, pending, damaged } = progress;
        for (path, why) in &damaged {
            tracing::warn!("{}: {why}; what is to be erased of it is there still", context.lake.address(path));
        }
        if let Some(step) = step {
            let places: Vec<_> = step.places().collect();
            tracing::info!("request {}: {} files are made anew, {pending} wait", erasure.id, places.len());
            *is_swept = false;
            context.waiting.extend(places.into_iter().map(|place| (place, Some(erasure.id.clone()))));
            context.words.send(Word::Erased(Box::new(step))).map_err(|_| TidyError::Ended)?;
            return Ok(false);
        }
        *again = context.lake.elapsed() + if damaged.is_empty() { AGAIN } else { LATER };
        let is_last = pending == 0 && damaged.is_empty();
        // Files that are made for the next commit are no longer looked at then.
        *wants_quiet = (is_last || !*is_swept) && !context.waiting.is_empty();
        if (is_last || !*is_swept) && context.waiting.is_empty() {
            let rest = || pace.step().is_ok();
            *is_swept = traces::sweep(&context.lake, &erasure.id, erasure.meant(), rest).await?;
            if *is_swept && is_last {
                context.finish(&erasure.id).await?;
                tracing::info!("request {}: nothing is left that is to be erased", erasure.id);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Says in the request that it is taken, and what is meant by it.
async fn say(context: &Context, id: &str, wanted: &Erase, bound: Bound) -> Result<(), TidyError> {
    let wanted = Wanted::Erase(Erase { bound: Some(bound), ..wanted.clone() });
    let taken = Request { id: id.to_owned(), wanted, taken_by: Some(context.run.clone()) };
    Ok(requests::put(&context.lake, &taken).await?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::columns::whose::Name;

    #[test]
    fn each_has_its_turn() {
        let erasure = |id: &str| {
            let wanted = Erase { vehicle: Name::new(id), salt: String::new(), bound: None };
            Forgetting::new(Erasure::new(id, &wanted, Bound { seq: 0, time: None }))
        };
        let mut erasures = Erasures(["a", "b", "c"].map(erasure).into());
        let mut turn = |not: &str| erasures.next(|it| it.erasure.id != not).map(|it| it.erasure.id.clone()).unwrap();
        assert_eq!(["", "b", "", "", "", ""].map(&mut turn), ["a", "c", "b", "a", "c", "b"]);
        assert!(Erasures::default().next(|_| true).is_none());
    }
}
