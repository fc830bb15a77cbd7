//! One API, asked by tasks of its own: a lookup takes what is there and never waits for an answer.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Client;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

use crate::apis::Api;
use crate::cache::Found;
use crate::decisions::{Decisions, Permit};
use crate::fetch::{FetchError, fetch};
use crate::journal::{Journal, JournalError};
use crate::moment::Moment;
use crate::place::Place;
use crate::policy::Policy;
use crate::reason::Reason;
use crate::status::Status;

/// An API and what it has told. Clones share all of it; the tasks end when the last one is dropped.
#[derive(Debug)]
pub struct Feed<A: Api> {
    shared: Arc<Shared<A>>,
    wanted: mpsc::UnboundedSender<Place>,
}

impl<A: Api> Clone for Feed<A> {
    fn clone(&self) -> Self {
        Feed { shared: Arc::clone(&self.shared), wanted: self.wanted.clone() }
    }
}

#[derive(Debug)]
struct Shared<A: Api> {
    api: A,
    client: Client,
    /// Held for as long as a decision takes: never over a request, a wait or a write.
    decisions: Mutex<Decisions<A::Value>>,
    journal: Option<Mutex<Journal>>,
}

impl<A: Api> Feed<A> {
    /// Starts to answer lookups. The requests of the last day are counted in `state`; without it only those since now.
    ///
    /// # Errors
    /// A state directory that cannot be used.
    pub fn start(
        api: A,
        policy: Policy,
        client: Client,
        state: Option<&Path>,
        runtime: &Handle,
    ) -> Result<Self, JournalError> {
        let span = policy.limits.iter().map(|limit| limit.within).max().unwrap_or(Duration::ZERO);
        let opened = state.map(|dir| Journal::open(dir, A::NAME, Moment::now(), span)).transpose()?;
        let (journal, sent) = opened.map_or((None, Vec::new()), |(journal, sent)| (Some(Mutex::new(journal)), sent));
        let slots = Arc::new(Semaphore::new(policy.at_once.max(1)));
        let decisions = Mutex::new(Decisions::new(policy, api.is_ready(), sent));
        let shared = Arc::new(Shared { api, client, decisions, journal });
        // Bounded by the cells that may be under way: a cell is sent once until its request has ended.
        let (wanted, queue) = mpsc::unbounded_channel();
        runtime.spawn(work(Arc::clone(&shared), queue, slots));
        Ok(Feed { shared, wanted })
    }

    /// What there is for a place, or why there is nothing. What is not live is asked for.
    pub fn lookup(&self, place: Place) -> Result<Found<A::Value>, Reason> {
        let found = self.find(place);
        self.want(place);
        found
    }

    /// What there is for a place, or why there is nothing.
    ///
    /// # Errors
    /// The reason.
    pub fn find(&self, place: Place) -> Result<Found<A::Value>, Reason> {
        self.shared.decide().find(place.cell(A::RESOLUTION), Moment::now())
    }

    /// Asks for what is not live.
    pub fn want(&self, place: Place) {
        let wanted = self.shared.decide().want(place.cell(A::RESOLUTION), Moment::now());
        if wanted && self.wanted.send(place).is_err() {
            tracing::debug!("{}: its runtime has ended", A::NAME);
        }
    }

    /// Cells that are asked about, or will be.
    pub fn pending(&self) -> usize {
        self.shared.decide().pending()
    }

    /// The feed as it is.
    pub fn status(&self) -> Status {
        self.shared.decide().status(A::NAME, Moment::now())
    }
}

/// Makes the requests that are wanted, some at once.
async fn work<A: Api>(shared: Arc<Shared<A>>, mut queue: mpsc::UnboundedReceiver<Place>, slots: Arc<Semaphore>) {
    while let Some(place) = queue.recv().await {
        // The semaphore is never closed.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let outcome = shared.answer(place).await;
            shared.end(place, outcome);
            drop(slot);
        });
    }
}

impl<A: Api> Shared<A> {
    fn decide(&self) -> MutexGuard<'_, Decisions<A::Value>> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, and asks again where that may help.
    async fn answer(&self, place: Place) -> Result<A::Value, FetchError> {
        let (timeout, longest, backoff) = {
            let mut decisions = self.decide();
            decisions.begin(Moment::now()).map_err(FetchError::Withheld)?;
            let policy = decisions.policy();
            (policy.timeout, policy.longest, policy.backoff)
        };
        let mut attempt = 1;
        loop {
            self.permitted().await?;
            let outcome = fetch(&self.client, &self.api, place, timeout, longest).await;
            let wait = match &outcome {
                Err(error) if error.is_passing() => backoff.wait(attempt, fastrand::f64()),
                _ => None,
            };
            let Some(wait) = wait else { return outcome };
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// Waits until a request may be sent, and counts it.
    async fn permitted(&self) -> Result<(), FetchError> {
        loop {
            let now = Moment::now();
            let permit = self.decide().permit(now);
            match permit {
                Permit::Granted => return self.note(now),
                Permit::At(free) => tokio::time::sleep(free.since(now)).await,
                Permit::Withheld(why) => {
                    self.decide().withdraw(now);
                    return Err(FetchError::Withheld(why));
                }
            }
        }
    }

    /// What cannot be counted is not sent.
    fn note(&self, now: Moment) -> Result<(), FetchError> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let noted = journal.lock().unwrap_or_else(PoisonError::into_inner).note(now);
        noted.map_err(|error| {
            tracing::warn!("{}: not asked: {error}", A::NAME);
            self.decide().withdraw(now);
            FetchError::Withheld(Reason::OverQuota)
        })
    }

    fn end(&self, place: Place, outcome: Result<A::Value, FetchError>) {
        let now = Moment::now();
        let (before, after) = {
            let mut decisions = self.decide();
            let before = decisions.held(now);
            decisions.end(place.cell(A::RESOLUTION), outcome.as_ref().cloned(), now);
            (before, decisions.held(now))
        };
        match (outcome, before, after) {
            (Err(error), None, Some(_)) => tracing::warn!("{}: {error}; not asked for some time", A::NAME),
            (Err(error), ..) => tracing::debug!("{} at {place:?}: {error}", A::NAME),
            (Ok(_), Some(_), None) => tracing::info!("{}: answers again", A::NAME),
            (Ok(_), ..) => {}
        }
    }
}
