//! What the frames of a run add up to, and the latest of them: each is encoded once, however many watch, and not at all while
//! nobody does.
//!
//! A subscriber holds nothing but its place. Who falls behind the frames that are held takes a snapshot instead.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use citystream_dataflows::time::{Epoch, Micros};
use citystream_live::frames::{Changes, Frame, ViewId};
use citystream_live::rows::{Key, Row, View};
use serde_json::Value;
use tokio::sync::watch;

use super::area::{Area, Encoder, Encoding, place};
use super::rows::Rows;
use super::show::{key, row, time};
use crate::columns::names::Names;

/// Frames are held up to this many bytes and this many of them.
const HELD_BYTES: usize = 16 << 20;
const HELD_FRAMES: usize = 1024;
/// For so long after the last subscriber has gone, so that it can come back.
const KEPT: Duration = Duration::from_secs(60);

/// An encoded frame.
struct Encoded {
    epoch: Epoch,
    horizon: Option<Micros>,
    /// Of each view that has changed: what there is now, and `null` for what has gone.
    changes: BTreeMap<ViewId, Encoding>,
}

impl Encoded {
    fn bytes(&self) -> usize {
        let each = size_of::<(ViewId, Encoding)>();
        self.changes.values().map(|changes| changes.bytes() + each).sum::<usize>() + size_of::<Encoded>()
    }
}

/// What there is of a view.
#[derive(Default)]
struct Shown {
    name: Arc<str>,
    /// The epoch that it has begun with.
    since: Epoch,
    rows: Rows,
}

/// A view by its name.
pub type Named = (ViewId, Arc<str>);

/// Rows of one kind.
pub struct OfKind {
    /// Which.
    pub kind: View,
    /// The rows, by key.
    pub rows: Vec<Row>,
    /// Their texts.
    pub names: Arc<Names>,
    /// Their claim, epoch and horizon.
    pub known: HashMap<String, String>,
}

/// What a subscriber wants.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The views.
    pub views: Vec<Named>,
    area: Option<Area>,
    most: Option<usize>,
    /// How many vehicles are in the area, if they are more.
    crowd: Option<usize>,
    /// When they were counted.
    counted: Option<Instant>,
}

impl Wanted {
    /// These views, of what is on the map only what is in the area, and no vehicles if there are more in it.
    pub fn new(views: Vec<Named>, area: Option<Area>, most: Option<usize>) -> Wanted {
        Wanted { views, area, most, crowd: None, counted: None }
    }

    /// Whether a row is where it is wanted.
    pub fn shows(&self, row: &Row) -> bool {
        self.area.as_ref().zip(place(row)).is_none_or(|(area, place)| area.has(place))
    }

    /// What of a view is sent.
    fn of(&self, view: ViewId, encoding: &Encoding) -> String {
        match &self.area {
            _ if self.crowd.is_some() && view == VEHICLES => String::new(),
            Some(area) => encoding.within(area),
            None => encoding.all().to_owned(),
        }
    }
}

/// How often it is counted whether the vehicles in sight are a crowd.
const COUNTED_EVERY: Duration = Duration::from_secs(5);
const VEHICLES: ViewId = ViewId::BuiltIn(View::Vehicles);

/// See the module.
pub struct Hub {
    state: Mutex<State>,
    changed: watch::Sender<Epoch>,
}

#[derive(Default)]
struct State {
    /// The number of the run's claim.
    claim: u64,
    epoch: Epoch,
    horizon: Option<Micros>,
    views: BTreeMap<ViewId, Shown>,
    /// The texts of the rows, since the dataflow has begun.
    names: Option<Arc<Names>>,
    /// When somebody watched last.
    watched: Option<Instant>,
    frames: VecDeque<Encoded>,
    bytes: usize,
    /// The frames after this epoch are held.
    held_after: Epoch,
    is_over: bool,
}

/// Where a subscriber is: all of the frames of this claim up to this epoch have been sent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number of the run's claim.
    pub claim: u64,
    /// The epoch.
    pub epoch: Epoch,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.claim, self.epoch)
    }
}

impl std::str::FromStr for Place {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Place, Self::Err> {
        let (claim, epoch) = text.split_once('.').unwrap_or((text, ""));
        Ok(Place { claim: claim.parse()?, epoch: epoch.parse()? })
    }
}

/// What a subscriber is sent next.
pub enum Next {
    /// The changes of a frame, or all rows, as an object; and where the subscriber is then.
    Event(&'static str, String, Place),
    /// Nothing yet.
    Wait,
    /// Nothing any more.
    Over,
}

impl Default for Hub {
    fn default() -> Self {
        let built_in = |view: View| (ViewId::BuiltIn(view), Shown { name: view.name().into(), ..Shown::default() });
        let state = State { views: View::ALL.map(built_in).into(), ..State::default() };
        Hub { state: Mutex::new(state), changed: watch::Sender::new(0) }
    }
}

impl Hub {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run has claimed the lake with this number.
    pub fn begin(&self, claim: u64) {
        self.state().claim = claim;
    }

    /// Where the texts of rows are.
    pub fn name(&self, names: Arc<Names>) {
        self.state().names = Some(names);
    }

    /// No frame follows.
    pub fn end(&self) {
        self.state().is_over = true;
        self.changed.send_modify(|_| ());
    }

    /// Takes in a frame.
    pub fn publish(&self, frame: Frame) {
        let epoch = frame.epoch;
        let encoded = self.watching().map(|names| {
            let encoded = |(view, changes): (&ViewId, &Changes)| (*view, self.encode(*view, changes, &names));
            Encoded { epoch, horizon: frame.horizon, changes: frame.views.iter().map(encoded).collect() }
        });
        self.state().take(frame, encoded);
        self.changed.send_replace(epoch);
    }

    /// The changes of a view, which has not taken them in yet.
    fn encode(&self, view: ViewId, changes: &Changes, names: &Names) -> Encoding {
        let changes = changes.by_key();
        let before: Vec<_> = {
            let state = self.state();
            let rows = state.views.get(&view).map(|view| &view.rows);
            changes.keys().map(|key| place(rows?.get(key)?)).collect()
        };
        let mut encoder = Encoder::default();
        changes.iter().zip(before).for_each(|((key, row), was)| add(&mut encoder, (key, *row), was, names));
        encoder.finish()
    }

    /// The texts to encode a frame with, if somebody watches or may come back.
    fn watching(&self) -> Option<Arc<Names>> {
        let mut state = self.state();
        if self.changed.receiver_count() > 0 {
            state.watched = Some(Instant::now());
        }
        let is_kept = state.watched.is_some_and(|at| at.elapsed() < KEPT);
        state.names.clone().filter(|_| is_kept)
    }

    /// Tells when something has changed.
    pub fn watch(&self) -> watch::Receiver<Epoch> {
        self.changed.subscribe()
    }

    /// How many rows each view has, and the epoch.
    pub fn list(&self) -> Value {
        let state = self.state();
        let view = |(id, view): (&ViewId, &Shown)| {
            let about = match id {
                ViewId::BuiltIn(view) => view.about(),
                ViewId::Standing(_) => "a standing view",
            };
            serde_json::json!({ "name": *view.name, "about": about, "rows": view.rows.len() })
        };
        let views: Vec<Value> = state.views.iter().map(view).collect();
        let (epoch, horizon) = (state.epoch, state.horizon.map(time));
        serde_json::json!({ "claim": state.claim, "epoch": epoch, "horizon": horizon, "views": views })
    }

    /// The view of that name.
    pub fn named(&self, name: &str) -> Option<Named> {
        let state = self.state();
        let (id, view) = state.views.iter().find(|(_, view)| *view.name == *name)?;
        Some((*id, Arc::clone(&view.name)))
    }

    /// The names of all views.
    pub fn names(&self) -> String {
        self.state().views.values().map(|view| &*view.name).collect::<Vec<_>>().join(", ")
    }

    /// All rows of views at one epoch.
    pub fn snapshot(&self, wanted: &mut Wanted, why: &str) -> (String, Place) {
        let state = self.state();
        state.count(wanted);
        let at = Place { claim: state.claim, epoch: state.epoch };
        let head = state.head(at.epoch, state.horizon, wanted, Some(why));
        // Copied, so that nobody waits for the text to be made.
        let rows = |(id, _): &Named| state.views.get(id).map(|view| view.rows.iter().copied().collect());
        let rows: Vec<Vec<Row>> = wanted.views.iter().map(|view| rows(view).unwrap_or_default()).collect();
        let names = state.names.clone();
        drop(state);
        let all = |((view, _), mut rows): (&Named, Vec<Row>)| {
            let mut encoder = Encoder::default();
            rows.sort_unstable_by_key(Row::key);
            if let Some(names) = &names {
                rows.iter().for_each(|row| add(&mut encoder, (&row.key(), Some(row)), None, names));
            }
            wanted.of(*view, &encoder.finish())
        };
        let rows: Vec<String> = wanted.views.iter().zip(rows).map(all).collect();
        (object(&head, wanted.views.iter().zip(rows)), at)
    }

    /// The rows of a view at one epoch, of which kind they are, and what is known of them; `None` where nobody knows yet.
    pub fn rows(&self, view: ViewId) -> Option<OfKind> {
        let state = self.state();
        let mut rows: Vec<Row> = state.views.get(&view)?.rows.iter().copied().collect();
        let kind = match view {
            ViewId::BuiltIn(view) => view,
            ViewId::Standing(_) => rows.first()?.key().view(),
        };
        let known = [
            ("claim", state.claim.to_string()),
            ("epoch", state.epoch.to_string()),
            ("horizon", state.horizon.map(time).unwrap_or_default()),
        ];
        let known = known.map(|(name, value)| (name.to_owned(), value)).into();
        let names = state.names.clone()?;
        drop(state);
        rows.sort_unstable_by_key(Row::key);
        Some(OfKind { kind, rows, names, known })
    }

    /// What follows for who is at a place, or comes anew.
    pub fn next(&self, wanted: &mut Wanted, place: Option<Place>) -> Next {
        let follows = match place {
            Some(_) if self.is_other_crowd(wanted) => Err("a crowd may have come or gone"),
            _ => self.resume(wanted, place),
        };
        let why = match follows {
            Ok(next) => return next,
            Err(why) => why,
        };
        let (text, place) = self.snapshot(wanted, why);
        Next::Event("snapshot", text, place)
    }

    /// Whether vehicles are to be left out that a subscriber has, or it lacks some, as far as is known: who goes on from
    /// another subscription may have either. It is counted now and then.
    fn is_other_crowd(&self, wanted: &mut Wanted) -> bool {
        let (Some(_), Some(counted)) = (wanted.most, wanted.counted) else { return wanted.most.is_some() };
        if counted.elapsed() < COUNTED_EVERY {
            return false;
        }
        let was_crowd = wanted.crowd.is_some();
        self.state().count(wanted);
        wanted.crowd.is_some() != was_crowd
    }

    /// The frame after a place, or why there is none.
    fn resume(&self, wanted: &Wanted, place: Option<Place>) -> Result<Next, &'static str> {
        let (state, views) = (self.state(), &wanted.views);
        // A view that has gone ends what is said of it.
        if state.is_over || views.iter().any(|(id, _)| !state.views.contains_key(id)) {
            return Ok(Next::Over);
        }
        let place = place.ok_or("first")?;
        if place.claim != state.claim || place.epoch > state.epoch {
            return Err("another run");
        }
        if views.iter().any(|(id, _)| state.views.get(id).is_some_and(|view| place.epoch < view.since)) {
            return Err("a view that is newer");
        }
        if place.epoch < state.held_after {
            return Err("too far behind");
        }
        let at = state.frames.partition_point(|frame| frame.epoch <= place.epoch);
        let Some(frame) = state.frames.get(at) else { return Ok(Next::Wait) };
        let changes =
            |(id, _): &Named| frame.changes.get(id).map(|changes| wanted.of(*id, changes)).unwrap_or_default();
        let head = state.head(frame.epoch, frame.horizon, wanted, None);
        let text = object(&head, views.iter().map(|view| (view, changes(view))));
        Ok(Next::Event("changes", text, Place { claim: place.claim, epoch: frame.epoch }))
    }
}

impl State {
    /// How many vehicles there are where a subscriber looks, if they are more than it wants.
    fn crowd(&self, wanted: &Wanted) -> Option<usize> {
        let most = wanted.most.filter(|_| wanted.views.iter().any(|(id, _)| *id == VEHICLES))?;
        // It has to fall by a tenth, so that it does not come and go with a vehicle.
        let most = if wanted.crowd.is_some() { most - most / 10 } else { most };
        let shown = self.views.get(&VEHICLES)?.rows.iter().filter(|row| wanted.shows(row));
        Some(shown.count()).filter(|count| *count > most)
    }

    /// Counts, for now.
    fn count(&self, wanted: &mut Wanted) {
        (wanted.crowd, wanted.counted) = (self.crowd(wanted), Some(Instant::now()));
    }

    /// What is said of all views; who sees a part of them is told how many rows there are.
    fn head(&self, epoch: Epoch, horizon: Option<Micros>, wanted: &Wanted, why: Option<&str>) -> String {
        let horizon = Value::from(horizon.map(time));
        let mut head = format!("\"epoch\":{epoch},\"horizon\":{horizon}");
        why.iter().for_each(|why| head += &format!(",\"why\":\"{why}\""));
        if wanted.area.is_some() || wanted.most.is_some() {
            let count = |(id, name): &Named| Some((name.to_string(), self.views.get(id)?.rows.len().into()));
            let counts: serde_json::Map<String, Value> = wanted.views.iter().filter_map(count).collect();
            head += &format!(",\"rows\":{},\"crowded\":{}", Value::from(counts), Value::from(wanted.crowd));
        }
        head
    }

    fn take(&mut self, frame: Frame, encoded: Option<Encoded>) {
        (self.epoch, self.horizon) = (frame.epoch, frame.horizon);
        self.install(&frame.installed, frame.epoch);
        for (view, changes) in frame.views {
            // One that has gone with this frame has none any more.
            let Some(Shown { rows, .. }) = self.views.get_mut(&view) else { continue };
            changes.gone.iter().for_each(|key| rows.remove(key));
            changes.come.into_iter().for_each(|row| rows.insert(row));
        }
        match encoded {
            Some(encoded) => self.hold(encoded),
            None => {
                self.frames.clear();
                (self.bytes, self.held_after) = (0, frame.epoch);
            }
        }
    }

    fn install(&mut self, installed: &[(u32, Option<Arc<str>>)], since: Epoch) {
        for (number, name) in installed {
            let id = ViewId::Standing(*number);
            match name {
                Some(name) => self.views.insert(id, Shown { name: Arc::clone(name), since, ..Shown::default() }),
                None => self.views.remove(&id),
            };
        }
    }

    fn hold(&mut self, frame: Encoded) {
        self.bytes += frame.bytes();
        self.frames.push_back(frame);
        while self.bytes > HELD_BYTES || self.frames.len() > HELD_FRAMES {
            let Some(gone) = self.frames.pop_front() else { break };
            self.bytes -= gone.bytes();
            self.held_after = gone.epoch;
        }
    }
}

/// A row, or that it has gone. The texts are let go of after each, so that nobody who adds some waits for all rows.
fn add(
    encoder: &mut Encoder,
    (id, change): (&Key, Option<&Row>),
    was: Option<citystream_live::rows::Place>,
    names: &Names,
) {
    let texts = names.read();
    let text = change.map_or_else(|| "null".to_owned(), |change| row(change, &texts));
    encoder.add(&Value::from(key(id, &texts)).to_string(), &text, change.and_then(place), was);
}

fn object<'a, T: AsRef<str>>(head: &str, views: impl Iterator<Item = (&'a Named, T)>) -> String {
    let views: Vec<String> = views.map(|((_, name), rows)| format!("\"{name}\":{{{}}}", rows.as_ref())).collect();
    format!("{{{head},\"views\":{{{}}}}}", views.join(","))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "hub_tests.rs"]
mod tests;
