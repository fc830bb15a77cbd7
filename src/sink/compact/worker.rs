//! What the thread knows, and in which order it does things: by the lake's clock, as a simulation has its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use citystream_dataflows::time::Micros;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use super::context::Context;
use super::forgetting::Erasures;
use super::pack::pack;
use super::plan::{Lengths, Place, Tally};
use super::{Landed, Word};
use crate::columns::tables::Table;
use crate::lake::Lake;
use crate::lake::history::commit::File;
use crate::lake::history::requests::{self, Request, Wanted};
use crate::lake::history::{Live, State, layout, roots};
use crate::process::metrics::Metrics;
use crate::sink::retain;
use crate::sink::tidy::{Now, Pace, TidyError};

/// How often to look for requests.
const LOOK: Duration = Duration::from_secs(30);
/// How long to wait where there is nothing to do, and after an error.
const IDLE: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(10);

/// See the module.
pub struct Worker {
    context: Context,
    lengths: Lengths,
    inbox: mpsc::UnboundedReceiver<Landed>,
    metrics: Arc<Metrics>,
    /// The last commit that is in a version, and the horizon after it.
    seq: u64,
    horizon: Option<Micros>,
    tally: Tally,
    /// Places where nothing is done until something comes to them.
    aside: BTreeSet<Place>,
    /// Files that are left out.
    damaged: BTreeSet<String>,
    asked: Option<Asked>,
    /// Vehicles that are being forgotten.
    erasures: Erasures,
    /// A request to drop files that the commit task has, and one that is done.
    retaining: Option<String>,
    retained: Option<String>,
    /// When requests were looked for.
    looked: Option<Duration>,
}

/// A request that is being done.
struct Asked {
    id: String,
    /// What comes later is not meant.
    until: u64,
    /// Still to be looked at.
    places: Vec<Place>,
}

impl Worker {
    pub(super) fn new(
        lake: &Lake,
        state: &State,
        (words, inbox): (mpsc::UnboundedSender<Word>, mpsc::UnboundedReceiver<Landed>),
        metrics: Arc<Metrics>,
    ) -> Worker {
        let lengths = Lengths::default();
        Worker {
            context: Context::new(lake, &state.run, words),
            lengths,
            inbox,
            metrics,
            seq: state.seq,
            horizon: state.horizon,
            tally: Tally::new(lengths),
            aside: BTreeSet::new(),
            damaged: BTreeSet::new(),
            asked: None,
            erasures: Erasures::default(),
            retaining: None,
            retained: None,
            looked: None,
        }
    }

    /// Works until the run ends, on the files that were live where it began.
    pub async fn work(mut self, files: Live, now: &dyn Fn() -> Now) {
        self.tally = loop {
            match Tally::of(&self.context.lake, &files, self.lengths).await {
                Ok(tally) => break tally,
                Err(error) => tracing::warn!("small files are not counted: {error}"),
            }
            // What lands meanwhile is taken up after the count, as it is not in it.
            tokio::select! {
                biased;
                () = self.context.words.closed() => return,
                () = self.context.lake.sleep(LATER) => {}
            }
        };
        drop(files);
        while now() != Now::End && self.take_landed() {
            let done = if now() == Now::Wait { Ok(false) } else { self.go_on(now).await };
            let pause = match done {
                Ok(true) => continue,
                Ok(false) => IDLE,
                Err(TidyError::Ended) => return,
                Err(error) => {
                    tracing::warn!("small files are not packed: {error}");
                    LATER
                }
            };
            if !self.wait(pause).await {
                return;
            }
        }
    }

    /// Takes up what has landed; `false`: the run is over.
    fn take_landed(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(landed) => self.take(&landed),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Waits, and takes up what lands meanwhile; `false`: the run is over.
    async fn wait(&mut self, pause: Duration) -> bool {
        let lake = self.context.lake.clone();
        let mut is_over = std::pin::pin!(lake.sleep(pause));
        loop {
            tokio::select! {
                biased;
                landed = self.inbox.recv() => match landed {
                    Some(landed) => self.take(&landed),
                    None => return false,
                },
                () = &mut is_over => return true,
            }
        }
    }

    fn take(&mut self, landed: &Landed) {
        (self.seq, self.horizon) = (landed.seq, landed.horizon);
        self.retained = landed.retained.clone().or(self.retained.take());
        landed.discarded.iter().for_each(|place| drop(self.context.waiting.remove(place)));
        for (name, files) in &landed.removed {
            let Some(table) = Table::from_name(name) else { continue };
            for file in files {
                self.tally.remove(table, file);
                self.context.waiting.remove(&(table, file.date.clone()));
            }
        }
        for (name, files) in &landed.added {
            let Some(table) = Table::from_name(name) else { continue };
            for file in files {
                // What was packed is nothing new.
                let came = landed.horizon.filter(|_| file.level == 0);
                self.tally.add(table, file, came);
                self.aside.remove(&(table, file.date.clone()));
            }
        }
    }

    /// Does the next thing; `false`: there is none.
    async fn go_on(&mut self, now: &dyn Fn() -> Now) -> Result<bool, TidyError> {
        self.look(now).await?;
        if let Some(place) = self.next_asked().await? {
            let asked = self.asked.as_ref().map(|asked| (asked.id.clone(), asked.until));
            let found = self.pack_at(&place, (true, asked), now).await;
            if let Some(asked) = self.asked.as_mut().filter(|_| !matches!(found, Ok(false))) {
                // There may be more to do, once this has landed; or all of it, where the store fails.
                asked.places.push(place);
            }
            return found.map(|_| true);
        }
        if self.erasures.go_on(&mut self.context, now).await? {
            return Ok(true);
        }
        let may = |place: &Place| !self.context.waiting.contains_key(place) && !self.aside.contains(place);
        let due = self.tally.due(self.horizon, may).filter(|_| !self.erasures.wants_quiet());
        let Some((place, is_closed)) = due else { return Ok(false) };
        if !self.pack_at(&place, (is_closed, None), now).await? {
            self.aside.insert(place);
        }
        Ok(true)
    }

    /// Packs files of a place, if some are to be; `false`: none are.
    async fn pack_at(
        &mut self,
        place: &Place,
        (is_closed, asked): (bool, Option<(String, u64)>),
        now: &dyn Fn() -> Now,
    ) -> Result<bool, TidyError> {
        let (table, date) = (place.0, place.1.as_str());
        let live = self.context.state().await?.files;
        let dates = [date].into();
        let mut files = roots::files_of(&self.context.lake, &live, table.name(), &dates).await?;
        let until = asked.as_ref().map_or(self.seq, |(_, until)| *until);
        let is_meant = |file: &File| file.seqs.1 <= until;
        files.retain(|file| is_meant(file) && !self.damaged.contains(&file.path));
        let Some(chosen) = self.lengths.choose(files, is_closed) else { return Ok(false) };
        let (count, began) = (chosen.len(), Instant::now());
        self.context.made += 1;
        let path = layout::packed_file(table.name(), date, &self.context.run, self.context.made);
        match pack(&self.context.lake, (table, chosen), path, &mut Pace::beside(now)).await {
            Ok(pack) => {
                self.metrics.packed(count, pack.added.bytes, began.elapsed());
                let request = asked.map(|(id, _)| id);
                self.context.waiting.insert(place.clone(), request.clone());
                // A task that has ended has no use for it.
                let _ = self.context.words.send(Word::Finished(Box::new(pack), request));
            }
            Err(TidyError::Damaged { path, why }) => {
                tracing::warn!("{}: {why}; it is not packed", self.context.lake.address(&path));
                self.damaged.insert(path);
            }
            Err(error @ (TidyError::Refused(_) | TidyError::Encode(_))) => {
                tracing::error!("{} of {date} is not packed: {error}", table.name());
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Takes up requests, now and then: one after the other, but for erasures, which may take a day.
    async fn look(&mut self, now: &dyn Fn() -> Now) -> Result<(), TidyError> {
        if let Some(done) = self.retained.clone() {
            self.context.finish(&done).await?;
            (self.retained, self.retaining, self.looked) = (None, None, None);
        }
        let now_is = self.context.lake.elapsed();
        if self.looked.is_some_and(|looked| now_is < looked + LOOK) {
            return Ok(());
        }
        self.looked = Some(now_is);
        for request in requests::all(&self.context.lake).await? {
            let is_known = self.erasures.has(&request.id);
            match request {
                Request { id, wanted: Wanted::Erase(wanted), .. } if !is_known => {
                    self.erasures.begin(&self.context, &id, wanted, now).await?
                }
                Request { wanted: Wanted::Erase(_), .. } => {}
                _ if self.asked.is_some() || self.retaining.is_some() => {}
                other => self.begin(other).await?,
            }
        }
        Ok(())
    }

    /// Takes up a request that is done at once.
    async fn begin(&mut self, request: Request) -> Result<(), TidyError> {
        self.context.check_claim().await?;
        let taken = Request { taken_by: Some(self.context.run.clone()), ..request };
        requests::put(&self.context.lake, &taken).await?;
        let Request { id, wanted, .. } = taken;
        match wanted {
            Wanted::Compact { table, date } => self.begin_packing(id, table, date),
            Wanted::Retain { before } => {
                let known = |(table, before): (String, String)| Some((Table::from_name(&table)?, before));
                let asked = retain::Asked { id: id.clone(), cutoffs: before.into_iter().filter_map(known).collect() };
                tracing::info!("request {id} to drop what is kept no longer");
                self.retaining = Some(id);
                self.context.words.send(Word::Retain(asked)).map_err(|_| TidyError::Ended)?;
            }
            Wanted::Erase(_) => {}
        }
        Ok(())
    }

    fn begin_packing(&mut self, id: String, table: Option<String>, date: Option<String>) {
        tracing::info!(
            "request {id} to pack {} of {}",
            table.as_deref().unwrap_or("all tables"),
            date.as_deref().unwrap_or("all dates")
        );
        let wanted = |place: &&Place| {
            table.as_ref().is_none_or(|table| table == place.0.name())
                && date.as_ref().is_none_or(|date| *date == place.1)
        };
        // It is meant as the lake was when it was asked for: that is known by now.
        self.take_landed();
        self.asked = Some(Asked { id, until: self.seq, places: self.tally.places().filter(wanted).cloned().collect() });
    }

    /// The next place of the request at hand that has no pack on its way. A request is deleted once all of it has landed.
    async fn next_asked(&mut self) -> Result<Option<Place>, TidyError> {
        let Some(asked) = &mut self.asked else { return Ok(None) };
        let next = asked.places.iter().position(|place| !self.context.waiting.contains_key(place));
        if let Some(next) = next {
            return Ok(Some(asked.places.swap_remove(next)));
        }
        if asked.places.is_empty() && !self.context.is_waiting_for(&asked.id) {
            let id = asked.id.clone();
            self.context.finish(&id).await?;
            (self.asked, self.looked) = (None, None);
        }
        Ok(None)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use citystream_dataflows::time::TimePolicy;
    use tokio::runtime::Runtime;

    use super::*;
    use crate::lake::{Committer, StoreOptions};

    #[test]
    fn a_run_that_has_been_replaced_takes_up_no_request_and_ends_none() {
        let runtime = Runtime::new().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions::default();
        let lake = runtime.block_on(Lake::open(dir.path().to_str().unwrap(), &options)).unwrap();
        let (_, state) = runtime.block_on(Committer::claim(&lake, "a")).unwrap();
        let policy = TimePolicy { lateness: 600, slack: 120, max_ahead: 86_400, max_hold: 3600 };
        let metrics = Arc::new(Metrics::new(policy, LOOK).unwrap());
        let ((say, _words), (_landed, inbox)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let mut worker = Worker::new(&lake, &state, (say, inbox), metrics);
        let request = |id: &str| Request {
            id: id.to_owned(),
            wanted: Wanted::Compact { table: None, date: None },
            taken_by: None,
        };
        for id in ["x", "y"] {
            runtime.block_on(requests::put(&lake, &request(id))).unwrap();
        }
        runtime.block_on(worker.begin(request("x"))).unwrap();
        runtime.block_on(worker.context.finish("x")).unwrap();
        runtime.block_on(Committer::claim(&lake, "b")).unwrap();
        assert!(matches!(runtime.block_on(worker.begin(request("y"))), Err(TidyError::Ended)));
        assert!(matches!(runtime.block_on(worker.context.finish("y")), Err(TidyError::Ended)));
        assert_eq!(runtime.block_on(requests::all(&lake)).unwrap(), [request("y")]);
    }
}
