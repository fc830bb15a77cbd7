//! A run, without the operators: what its commit task does with each commit, and the thread beside it, which packs, takes up
//! requests and erases.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use citystream::parts::{
    Commit, CommitError, Committer, Compactor, Keep, Metrics, Now, Publisher, Retention, requests,
};
use citystream_dataflows::time::TimePolicy;

use crate::WEEK_MS;
use crate::actors::{Actor, LAKE, tables};
use crate::rows;

const HOUR_MS: u64 = 3_600_000;
/// For so long after a commit a run is awake: then its machine sleeps, and wakes up to the next.
const AWAKE_MS: u64 = 90_000;
/// Longer than a run waits between two looks for requests.
const LOOK_MS: u64 = 35_000;

static METRICS: LazyLock<Arc<Metrics>> = LazyLock::new(|| {
    let policy = TimePolicy { lateness: 600, slack: 120, max_ahead: 86_400, max_hold: 3600 };
    Arc::new(Metrics::new(policy, Duration::from_secs(1)).expect("metrics"))
});

/// How long a run waits between commits.
#[derive(Clone, Copy)]
pub(crate) enum Pauses {
    /// Seconds; now and then hours, or a day.
    Mixed,
    /// Some minutes.
    Short,
    /// Days.
    Long,
}

/// The thread.
type Beside<'a> = Pin<&'a mut dyn Future<Output = ()>>;

/// A run that has claimed the lake.
pub(crate) struct Run {
    actor: Actor,
    committer: Committer,
    publisher: Publisher,
    compactor: Compactor,
    retention: Retention,
    /// The part of its commits that end a version.
    versions: f64,
}

impl Actor {
    /// A run: claims, then makes so many commits, of which a part end a version.
    pub(crate) async fn run(self, commits: u64, pauses: Pauses, versions: f64) {
        let lives = |mut run: Run, mut beside: Pin<Box<dyn Future<Output = ()>>>| async move {
            run.versions = versions;
            for _ in 0..commits {
                run.wait(run.actor.pause_ms(pauses), beside.as_mut()).await;
                run.commit(beside.as_mut()).await?;
            }
            run.end().await;
            Ok(())
        };
        self.live(lives).await;
    }

    /// A run that goes on until nothing is asked of it any more.
    pub(crate) async fn serve(self) {
        let lives = |mut run: Run, mut beside: Pin<Box<dyn Future<Output = ()>>>| async move {
            for n in 0.. {
                run.wait(LOOK_MS, beside.as_mut()).await;
                run.commit(beside.as_mut()).await?;
                if requests(&run.actor.lake).await.expect("requests").is_empty() {
                    break;
                }
                assert!(n < 100, "{:?}", requests(&run.actor.lake).await);
            }
            run.end().await;
            Ok(())
        };
        self.live(lives).await;
    }

    async fn live<L: Future<Output = Result<(), CommitError>>>(
        self,
        lives: impl FnOnce(Run, Pin<Box<dyn Future<Output = ()>>>) -> L,
    ) {
        let ended = match Run::claim(self.clone()).await {
            Ok((run, beside)) => lives(run, beside).await,
            Err(error) => Err(error),
        };
        match ended {
            Ok(()) | Err(CommitError::Replaced { .. }) => {}
            Err(error) => panic!("{} ends: {error}", self.name),
        }
    }

    fn pause_ms(&self, pauses: Pauses) -> u64 {
        let (least, most) = match (pauses, self.world.below(100)) {
            (Pauses::Mixed, 0..80) => (0, 60_000),
            (Pauses::Mixed, 80..95) => (0, 3 * HOUR_MS),
            (Pauses::Mixed, _) => (0, 40 * HOUR_MS),
            (Pauses::Short, _) => (HOUR_MS / 5, HOUR_MS / 2),
            (Pauses::Long, _) => (100 * HOUR_MS, 160 * HOUR_MS),
        };
        least + self.world.below(most - least)
    }
}

impl Run {
    async fn claim(actor: Actor) -> Result<(Run, Pin<Box<dyn Future<Output = ()>>>), CommitError> {
        let (mut committer, state) = Committer::claim(&actor.lake, &actor.name).await?;
        actor.world.look().history.tells(state.seq);
        committer.set_grace(actor.world.look().history.grace_ms());
        committer.set_age(actor.world.chance(0.7).then_some(WEEK_MS));
        let publisher = Publisher::open(&actor.lake, LAKE, tables(), state.seq).await?;
        let keep = actor.world.chance(0.3).then_some("dead_letters=3d");
        let retention = Retention::new(actor.lake.clone(), Keep::parse(keep.into_iter()).expect("a rule"));
        let (compactor, worker) = Compactor::with_worker(&actor.lake, &state, Arc::clone(&METRICS));
        let beside = Box::pin(async move {
            worker.work(state.files, &|| Now::AtOnce).await;
            // A thread that has ended says nothing.
            std::future::pending::<()>().await;
        });
        Ok((Run { actor, committer, publisher, compactor, retention, versions: 1.0 }, beside))
    }

    /// Until the next commit.
    async fn wait(&mut self, time_ms: u64, mut beside: Beside<'_>) {
        let awake_ms = time_ms.min(AWAKE_MS);
        let mut over = std::pin::pin!(self.actor.world.wait_ms(awake_ms));
        loop {
            tokio::select! {
                biased;
                () = &mut over => break,
                () = self.compactor.hear(self.committer.state()) => {}
                () = &mut beside => {}
            }
        }
        self.actor.world.wait_ms(time_ms - awake_ms).await;
    }

    async fn commit(&mut self, beside: Beside<'_>) -> Result<(), CommitError> {
        tokio::select! {
            biased;
            done = self.make() => done,
            () = beside => Ok(()),
        }
    }

    async fn make(&mut self) -> Result<(), CommitError> {
        let world = &self.actor.world;
        let count = world.below(4) as usize;
        // In the end all is to be in one.
        let is_version = world.chance(self.versions) || world.look().fails == 0.0;
        let now_ms = world.look().now_ms;
        let (mut commit, file) = rows::commit(&self.committer, (count, is_version), now_ms);
        if let Some((path, data)) = file {
            while self.actor.lake.put(&path, data.clone()).await.is_err() {
                world.wait_ms(500).await;
            }
            // Much may come between a file and its commit.
            if world.chance(0.05) {
                world.wait_ms(world.below(4 * HOUR_MS)).await;
            }
        }
        self.tidy(&mut commit).await;
        let commit = self.committer.propose(commit).await?;
        self.actor.world.look().history.acknowledged(&commit);
        self.compactor.landed(&commit);
        self.publisher.publish(&commit).await?;
        self.committer.tend().await;
        Ok(())
    }

    /// What rides in a commit: dates that are kept no longer, and files that were made of others.
    async fn tidy(&mut self, commit: &mut Commit) {
        let Some(state) = self.committer.state() else { return };
        let asked = self.compactor.asked();
        // A store that fails costs time only.
        let is_all = self.retention.record(state, commit, asked.as_ref()).await.ok();
        self.compactor.record(Some(state), commit, is_all);
    }

    /// Readers get to see all of it: as long as it takes, as a run does.
    async fn end(&mut self) {
        for _ in 0..15 {
            let head = self.committer.next_seq() - 1;
            if self.publisher.next() > head || self.publisher.catch_up(head).await.is_err() {
                break;
            }
            self.actor.world.wait_ms(1000).await;
        }
    }
}
