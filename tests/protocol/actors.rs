//! Those who use a lake, each with the program's own code: runs, whoever packs alone or collects garbage, whoever wants to
//! know where the lake stands.

use citystream::parts::{
    Collection, CommitError, Committer, DeltaTable, Erase, File, Lake, Name, Publisher, Request, Wanted,
    collect_garbage, compact_alone, erase_alone, live_files, pack_at_once, record, requests, retain_alone, state,
    with_schemas,
};

use crate::WEEK_MS;
use crate::rows::{self, TABLE};
use crate::world::World;

const HOUR_MS: u64 = 3_600_000;
/// The identity of the lake.
pub(crate) const LAKE: &str = "a lake";

/// The tables that have Delta logs here.
pub(crate) fn tables() -> Vec<DeltaTable> {
    let ours = |name: &str| name == TABLE.name() || name == "raw_gps";
    DeltaTable::all(with_schemas(&[]).filter(|(name, _)| ours(name))).expect("tables")
}

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

/// Somebody's lake.
#[derive(Clone)]
pub(crate) struct Actor {
    pub(crate) world: World,
    pub(crate) lake: Lake,
    pub(crate) name: String,
}

impl Actor {
    fn now_ms(&self) -> i64 {
        self.world.look().now_ms
    }

    /// What a run may end with.
    fn ended(&self, error: &CommitError) {
        match error {
            CommitError::Replaced { .. } => {}
            other => panic!("{} ends: {other}", self.name),
        }
    }

    /// A run: claims, then makes so many commits.
    pub(crate) async fn run(self, commits: u64, pauses: Pauses) {
        let claimed = Committer::claim(&self.lake, &self.name).await;
        let (mut committer, state) = match claimed {
            Ok(claimed) => claimed,
            Err(error) => return self.ended(&error),
        };
        committer.set_grace(self.world.look().history.grace_ms());
        committer.set_age(self.world.chance(0.7).then_some(WEEK_MS));
        let mut publisher = match Publisher::open(&self.lake, LAKE, tables(), state.seq).await {
            Ok(publisher) => publisher,
            Err(error) => return self.ended(&error),
        };
        for packs in 0..commits {
            self.world.wait_ms(self.pause_ms(pauses)).await;
            if let Err(error) = self.commit(&mut committer, &mut publisher, packs).await {
                return self.ended(&error);
            }
        }
        // As long as it takes, as a run does.
        for _ in 0..15 {
            let head = committer.next_seq() - 1;
            if publisher.next() > head || publisher.catch_up(head).await.is_err() {
                break;
            }
            self.world.wait_ms(1000).await;
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

    async fn commit(
        &self,
        committer: &mut Committer,
        publisher: &mut Publisher,
        packs: u64,
    ) -> Result<(), CommitError> {
        let count = self.world.below(4) as usize;
        // In the end all is to be in one.
        let is_version = self.world.chance(0.5) || self.world.look().fails == 0.0;
        let (mut commit, file) = rows::commit(committer, (count, is_version), self.now_ms());
        if let Some((path, data)) = file {
            while self.lake.put(&path, data.clone()).await.is_err() {
                self.world.wait_ms(500).await;
            }
            // Much may come between a file and its commit.
            if self.world.chance(0.05) {
                self.world.wait_ms(self.world.below(4 * HOUR_MS)).await;
            }
        }
        if self.world.chance(0.2) {
            self.pack(committer, &mut commit, packs).await;
        }
        let commit = committer.propose(commit).await?;
        self.world.look().history.acknowledged(&commit);
        publisher.publish(&commit).await?;
        committer.tend().await;
        Ok(())
    }

    /// Packs some files of one date, if it can, for the next commit.
    async fn pack(&self, committer: &Committer, commit: &mut citystream::parts::Commit, packs: u64) {
        let state = committer.state().expect("a claim");
        let Ok(mut files) = live_files(&self.lake, &state.files, TABLE.name(), |_| true).await else { return };
        let Some(date) = files.first().map(|file| file.date.clone()) else { return };
        let published = state.published().seq;
        files.retain(|file| file.date == date && file.level < 4 && file.seqs.1 <= published);
        if files.len() < 2 {
            return;
        }
        let path = format!("tables/{}/log_date={date}/{}-packed-{packs}.parquet", TABLE.name(), self.name);
        // A store that fails for now: another time.
        if let Ok(pack) = pack_at_once(&self.lake, (TABLE, files), path).await {
            record(commit, TABLE.name(), pack.removed, pack.added, None);
        }
    }

    /// Packs without a run, as `lake compact --alone`.
    pub(crate) async fn compact(self) {
        let packed = compact_alone((&self.lake, &self.name), (LAKE, tables()), |_| true, |_| ()).await;
        if let Err(error) = packed {
            assert!([1, 3].contains(&error.exit_code()), "{} ends: {error}", self.name);
        }
    }

    /// Drops what is older than three days, as `lake retain --alone`.
    pub(crate) async fn retain(self) {
        let before = time(self.now_ms() - 72 * HOUR_MS as i64).strftime("%F").to_string();
        let kept = retain_alone((&self.lake, &self.name), (LAKE, tables()), &[(TABLE, before)].into()).await;
        if let Err(error) = kept {
            assert!([1, 3].contains(&error.exit_code()), "{} ends: {error}", self.name);
        }
    }

    /// Has a vehicle forgotten, as `lake erase --alone`.
    pub(crate) async fn erase(self) {
        let vehicle = rows::vehicle(self.world.below(3));
        self.world.look().history.erases(&vehicle);
        let wanted = Erase { vehicle: Name::new(&vehicle), salt: self.name.clone(), bound: None };
        self.go_on_erasing(&self.name, &wanted).await;
    }

    async fn go_on_erasing(&self, id: &str, wanted: &Erase) {
        let erased = erase_alone((&self.lake, &self.name), (LAKE, tables()), (id, wanted)).await;
        if let Err(error) = erased {
            assert!([1, 3].contains(&error.exit_code()), "{} ends: {error}", self.name);
        }
    }

    /// Goes on with whatever others were to forget; which vehicles, each up to which commit.
    pub(crate) async fn forget(&self) -> Vec<(String, u64)> {
        let mut forgotten = Vec::new();
        let all = requests(&self.lake).await.expect("requests");
        for (n, Request { id, wanted, .. }) in all.into_iter().enumerate() {
            let Wanted::Erase(wanted) = wanted else { continue };
            let bound = wanted.bound.expect("a request that was taken");
            // Each is a run of its own.
            Actor { name: format!("{n:0>31}e"), ..self.clone() }.go_on_erasing(&id, &wanted).await;
            forgotten.push((wanted.vehicle.as_str().to_owned(), bound.seq));
        }
        assert!(requests(&self.lake).await.expect("requests").is_empty(), "all is forgotten");
        forgotten
    }

    /// Collects garbage, as `lake gc`.
    pub(crate) async fn collect(self) {
        let (now_ms, grace_ms) = (self.now_ms(), self.world.look().history.grace_ms());
        let found = collect_garbage(&self.lake, Collection { now_ms, grace_ms, is_dry: false }).await;
        self.sound(found);
    }

    /// Wants to know where the lake stands, as any start does.
    pub(crate) async fn look(self) {
        let Some(state) = self.sound(state(&self.lake).await) else { return };
        let state = state.expect("a history");
        let found = live_files(&self.lake, &state.files, TABLE.name(), |_: &File| true).await;
        let Some(files) = self.sound(found) else { return };
        let history = &self.world.look().history;
        assert_eq!(state.digest, history.digest(state.seq), "{}: commit {}", self.name, state.seq);
        let mut files: Vec<_> = files.into_iter().map(|file| (TABLE.name().to_owned(), file.path)).collect();
        files.sort();
        let live = history.live(state.seq);
        assert!(
            files.iter().eq(live.iter()),
            "{}: live after commit {}: {files:?}, not {live:?}",
            self.name,
            state.seq
        );
    }

    /// What was found, unless the store failed.
    fn sound<T>(&self, found: Result<T, impl std::fmt::Display>) -> Option<T> {
        match found {
            Ok(found) => Some(found),
            Err(error) => {
                let text = error.to_string();
                let is_store = text.contains("500") || text.contains("timed out");
                assert!(is_store, "{}: {text}", self.name);
                None
            }
        }
    }
}

fn time(ms: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(ms).expect("a time")
}
