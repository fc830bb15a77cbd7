//! Those who use a lake beside runs, each with the program's own code: whoever packs, drops or erases alone or asks a run to, collects
//! garbage, or wants to know where the lake stands.

use citystream::parts::{
    Collection, DeltaTable, Erase, File, Lake, Name, Request, Wanted, collect_garbage, compact_alone, erase_alone,
    live_files, put_request, requests, retain_alone, state, with_schemas,
};

use crate::rows::{self, TABLE};
use crate::world::World;

const DAY_MS: i64 = 24 * 3_600_000;
/// The identity of the lake.
pub(crate) const LAKE: &str = "a lake";

/// The tables that have Delta logs here.
pub(crate) fn tables() -> Vec<DeltaTable> {
    let ours = |name: &str| name == TABLE.name() || name == "raw_gps";
    DeltaTable::all(with_schemas(&[]).filter(|(name, _)| ours(name))).expect("tables")
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

    fn days_ago(&self, days: i64) -> String {
        let then = jiff::Timestamp::from_millisecond(self.now_ms() - days * DAY_MS).expect("a time");
        then.strftime("%F").to_string()
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
        let before = [(TABLE, self.days_ago(3))].into();
        let kept = retain_alone((&self.lake, &self.name), (LAKE, tables()), &before).await;
        if let Err(error) = kept {
            assert!([1, 3].contains(&error.exit_code()), "{} ends: {error}", self.name);
        }
    }

    /// Has a vehicle forgotten, as `lake erase --alone`.
    pub(crate) async fn erase(self) {
        let wanted = self.erased();
        self.go_on_erasing(&self.name, &wanted).await;
    }

    fn erased(&self) -> Erase {
        let vehicle = rows::vehicle(self.world.below(3));
        Erase { vehicle: Name::new(&vehicle), salt: self.name.clone(), bound: None }
    }

    /// Asks the run that holds the lake, as `lake compact`, `retain` and `erase` do.
    pub(crate) async fn ask(self) {
        match self.world.below(3) {
            0 => self.ask_for(Wanted::Compact { table: None, date: None }).await,
            1 => self.ask_to_retain().await,
            _ => self.ask_to_erase().await,
        }
    }

    /// As `lake retain` does.
    pub(crate) async fn ask_to_retain(self) {
        let before = [(TABLE.name().to_owned(), self.days_ago(3))].into();
        self.ask_for(Wanted::Retain { before }).await;
    }

    /// As `lake erase` does.
    pub(crate) async fn ask_to_erase(self) {
        let wanted = Wanted::Erase(self.erased());
        self.ask_for(wanted).await;
    }

    async fn ask_for(self, wanted: Wanted) {
        let request = Request { id: self.name.clone(), wanted, taken_by: None };
        self.sound(put_request(&self.lake, &request).await);
    }

    async fn go_on_erasing(&self, id: &str, wanted: &Erase) {
        let erased = erase_alone((&self.lake, &self.name), (LAKE, tables()), (id, wanted)).await;
        if let Err(error) = erased {
            assert!([1, 3].contains(&error.exit_code()), "{} ends: {error}", self.name);
        }
    }

    /// Has whatever others were to forget forgotten; which vehicles, each up to which commit.
    pub(crate) async fn forget(&self) -> Vec<(String, u64)> {
        let mut forgotten = Vec::new();
        let all = requests(&self.lake).await.expect("requests");
        for (n, Request { id, wanted, .. }) in all.into_iter().enumerate() {
            let Wanted::Erase(wanted) = wanted else { continue };
            // What nobody has taken up yet is meant as the lake is when somebody does.
            let through = wanted.bound.map_or_else(|| self.world.look().history.head(), |bound| bound.seq);
            forgotten.push((wanted.vehicle.as_str().to_owned(), through));
            // Each that somebody goes on with alone is a run of its own; the others are left to the next.
            if self.world.chance(0.5) {
                Actor { name: format!("{n:0>31}e"), ..self.clone() }.go_on_erasing(&id, &wanted).await;
            }
        }
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
