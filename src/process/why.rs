//! What holds a process back: each cause that there is, the one that brings the others with it first, in words and as JSON.
//!
//! A function of one [`Look`]. Readiness goes by the same causes: a grave one makes a process not ready.

use std::time::Duration;

use citystream_dataflows::held::AtWork;

use super::cause::{Cause, Part};
use super::standings::Holder;
use crate::units::{about_size, about_time};

/// From so long on something is a cause: what is shorter passes by itself.
const SOON: Duration = Duration::from_secs(3);
/// A peer that has given no sign of life for so long is about to be lost.
const SILENT: Duration = Duration::from_secs(5);

/// What a process looks like.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// How long the frontier may stand before the process is not ready.
    pub patience: Duration,
    /// What it does before its first epoch is derived, in one word and in words, and for how long.
    pub starting: Option<(&'static str, &'static str, Duration)>,
    /// The frontier, the greatest at the end of the run, and for how long it has been there.
    pub frontier: (u64, Duration),
    /// The last epoch closed here.
    pub closed: u64,
    /// The stages here that have all records of an epoch, and have not closed it.
    pub at_work: Vec<AtWork>,
    /// For how long somebody has waited for the store, and what it said.
    pub store: Option<(Duration, String)>,
    /// The commit that is being made, for how long, and whether its files are there.
    pub committing: Option<(u64, Duration, bool)>,
    /// For how long nothing has been read, as the budget is spent.
    pub paused: Option<Duration>,
    /// Bytes read and not committed, and how many may be.
    pub uncommitted: (u64, u64),
    /// For how long state has been at its bound; its bytes, and the bound.
    pub crowded: (Option<Duration>, u64, u64),
    /// The peer that has given no sign of life for longest.
    pub silent: Option<(usize, Duration)>,
    /// The worker that has not turned for longest.
    pub still: Option<(usize, Duration)>,
    /// For how long there has been no partition to read.
    pub empty: Option<Duration>,
    /// The partitions that hold the horizon back, and none if nobody does.
    pub holders: Vec<Holder>,
}

impl Look {
    /// All causes, the one that brings the others with it first.
    pub fn causes(&self) -> Vec<Cause> {
        let found = [
            self.starting(),
            self.store(),
            self.peer(),
            self.worker(),
            self.commit(),
            self.memory(),
            self.frontier(),
            self.state(),
            self.empty(),
            self.holders.iter().max_by_key(|holder| holder.seconds).map(|holder| holder.cause(self.holders.len())),
        ];
        found.into_iter().flatten().collect()
    }

    fn starting(&self) -> Option<Cause> {
        let (name, says, seconds) = self.starting?;
        let part = if name == "meeting" { Part::Cluster } else { Part::Reading };
        Some(Cause { part, name, says: says.to_owned(), seconds, grave: true })
    }

    fn store(&self) -> Option<Cause> {
        let (seconds, why) = self.store.clone()?;
        let why = if why.is_empty() { why } else { format!(": {why}") };
        let says = format!("the lake's store does not take what is written{why}");
        Some(Cause { part: Part::Commit, name: "store", says, seconds, grave: true })
    }

    fn peer(&self) -> Option<Cause> {
        let (process, seconds) = self.silent.filter(|(_, time)| *time >= SILENT)?;
        let says = format!("process {process} has given no sign of life for {}", about_time(seconds));
        Some(Cause { part: Part::Cluster, name: "peer_silent", says, seconds, grave: true })
    }

    fn worker(&self) -> Option<Cause> {
        let (worker, seconds) = self.still.filter(|(_, time)| *time >= SOON)?;
        let grave = seconds >= self.patience;
        Some(Cause { part: Part::Frontier, name: "worker", says: does_not_turn(worker, seconds), seconds, grave })
    }

    fn commit(&self) -> Option<Cause> {
        let (seq, seconds, is_put) = self.committing.filter(|(_, time, _)| *time >= SOON)?;
        // Until all that it holds is derived, the frontier is what is waited for.
        let whose = if is_put { "itself" } else { "with its files" };
        let says = format!(
            "commit {seq} {whose} has been on its way to the store for {}, without an answer",
            about_time(seconds)
        );
        Some(Cause { part: Part::Commit, name: "commit", says, seconds, grave: false })
    }

    fn memory(&self) -> Option<Cause> {
        let seconds = self.paused.filter(|time| *time >= SOON)?;
        let says = format!(
            "reading is paused for {}: {} wait to be committed, all that --memory allows",
            about_time(seconds),
            about_size(self.uncommitted.0)
        );
        Some(Cause { part: Part::Reading, name: "memory", says, seconds, grave: seconds >= self.patience })
    }

    fn frontier(&self) -> Option<Cause> {
        let (frontier, seconds) = self.frontier;
        if seconds < SOON || frontier == u64::MAX || self.starting.is_some() {
            return None;
        }
        let (stands, grave) = (about_time(seconds), seconds >= self.patience);
        if self.closed < frontier {
            // Where nothing comes an epoch takes some seconds.
            let says = format!("no epoch has ended for {stands}: process 0 ends none");
            return grave.then_some(Cause { part: Part::Frontier, name: "clock", says, seconds, grave });
        }
        let at_work = self.at_work.iter().min_by_key(|at_work| at_work.epoch).map_or_else(
            || ", and no operator of this process is at it".to_owned(),
            |AtWork { stage, worker, .. }| format!(": `{stage}` of worker {worker} is at it"),
        );
        let says = format!(
            "what was read in epoch {frontier} is not derived after {stands}; {} was closed last{at_work}",
            self.closed
        );
        Some(Cause { part: Part::Frontier, name: "operator", says, seconds, grave })
    }

    fn empty(&self) -> Option<Cause> {
        let seconds = self.empty.filter(|time| *time >= SOON)?;
        let says = "no topic has a partition yet: there is nothing to read".to_owned();
        Some(Cause { part: Part::Reading, name: "empty", says, seconds, grave: false })
    }

    fn state(&self) -> Option<Cause> {
        let (Some(seconds), bytes, limit) = self.crowded else { return None };
        let says = format!(
            "state holds {}, and --state-memory is {}: only the partitions furthest behind are read",
            about_size(bytes),
            about_size(limit)
        );
        Some(Cause { part: Part::Reading, name: "state", says, seconds, grave: false })
    }
}

/// What is said of a worker that does not turn.
pub fn does_not_turn(worker: usize, time: Duration) -> String {
    format!("worker {worker} has not turned for {}", about_time(time))
}

#[cfg(test)]
mod tests {
    use citystream_dataflows::time::bindings::{Partition, Topic};

    use super::super::standings::Reason;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn look() -> Look {
        Look {
            patience: 10 * SECOND,
            frontier: (8, SECOND),
            closed: 7,
            uncommitted: (5, 5),
            silent: Some((1, SECOND)),
            still: Some((0, SECOND)),
            ..Look::default()
        }
    }

    fn first(look: &Look) -> Cause {
        look.causes().into_iter().next().unwrap_or_else(|| panic!("nothing holds it back: {look:?}"))
    }

    /// What makes it not ready.
    fn not_ready(look: &Look) -> String {
        look.causes().into_iter().find(|cause| cause.grave).map(|cause| cause.says).unwrap_or_default()
    }

    #[test]
    fn each_cause_is_named_after_its_time_and_before_what_it_brings_with_it() {
        assert_eq!(look().causes(), []);
        let stands = Look { frontier: (8, 12 * SECOND), ..look() };
        assert_eq!(not_ready(&stands), "no epoch has ended for 12 s: process 0 ends none");
        let behind = Look { closed: 9, ..stands };
        assert!(
            not_ready(&behind).starts_with("what was read in epoch 8 is not derived after 12 s; 9 was closed last")
        );
        assert!(not_ready(&Look { paused: Some(9 * SECOND), ..look() }).is_empty(), "that passes");
        assert_eq!(Look { frontier: (u64::MAX, 12 * SECOND), ..behind.clone() }.causes(), [], "all is done");
        let paused = Look { paused: Some(11 * SECOND), ..behind };
        assert!(not_ready(&paused).starts_with("reading is paused for 11 s: 5 B wait"));
        let commit = Look { committing: Some((4, 11 * SECOND, true)), ..paused };
        assert!(first(&commit).says.starts_with("commit 4 itself has been on its way to the store for 11 s"));
        assert!(not_ready(&commit).starts_with("reading is paused"), "a slow store alone does not make it unready");
        let still = Look { still: Some((3, 10 * SECOND)), ..commit };
        assert_eq!(not_ready(&still), "worker 3 has not turned for 10 s");
        let silent = Look { silent: Some((1, 5 * SECOND)), ..still };
        assert_eq!(not_ready(&silent), "process 1 has given no sign of life for 5 s");
        let store = Look { store: Some((SECOND, "it is full".to_owned())), ..silent };
        assert_eq!(first(&store).says, "the lake's store does not take what is written: it is full");
        let starting = Look { starting: Some(("claiming", "the lake is not claimed yet", SECOND)), ..store };
        assert_eq!((first(&starting).name, first(&starting).grave), ("claiming", true));
        let empty = Look { empty: Some(4 * SECOND), ..look() };
        assert_eq!((first(&empty).part, first(&empty).name), (Part::Reading, "empty"));
        assert_eq!(Look { empty: Some(2 * SECOND), ..look() }.causes(), [], "topics are looked for now and then");
    }

    #[test]
    fn an_operator_is_named_with_its_worker_and_the_one_at_the_oldest_epoch() {
        let work = |stage, worker, epoch| AtWork { stage, worker, epoch };
        let at_work = vec![work("traffic_5m", 0, 9), work("enriched_pings", 1, 8)];
        let busy = Look { frontier: (8, 4 * SECOND), closed: 9, at_work, ..look() };
        let cause = first(&busy);
        assert_eq!((cause.part, cause.name, cause.grave), (Part::Frontier, "operator", false));
        assert!(cause.says.ends_with(": `enriched_pings` of worker 1 is at it"), "{}", cause.says);
    }

    #[test]
    fn a_full_state_comes_before_who_holds_the_horizon() {
        let partition = Partition { topic: Topic::GPS, index: 3 };
        let holder = Holder { partition, reason: Reason::Silent, seconds: 7 * SECOND, log_clock: Some(0), behind: 0 };
        let held = Look { holders: vec![holder], ..look() };
        assert_eq!((first(&held).part, first(&held).name), (Part::Horizon, "silent"));
        assert!(first(&held).says.starts_with("gps/3 "), "{}", first(&held).says);
        let crowded = Look { crowded: (Some(SECOND), 3 << 20, 2 << 20), ..held };
        assert_eq!(first(&crowded).name, "state");
        assert_eq!(crowded.causes().len(), 2);
    }
}
