//! What the frames of a run add up to, and the latest of them: each is encoded once, however many watch, and not at all while
//! nobody does.
//!
//! A subscriber holds nothing but its place. Who falls behind the frames that are held takes a snapshot instead.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use citystream_dataflows::time::{Epoch, Micros};
use citystream_live::frames::{Changes, Frame, ViewId};
use citystream_live::rows::{Key, Row, View};
use serde_json::Value;
use tokio::sync::watch;

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
    /// Of each view that has changed `"key":row,..`: what there is now, and `null` for what has gone.
    changes: BTreeMap<ViewId, Arc<str>>,
}

impl Encoded {
    fn bytes(&self) -> usize {
        let each = size_of::<(ViewId, Arc<str>)>();
        self.changes.values().map(|changes| changes.len() + each).sum::<usize>() + size_of::<Encoded>()
    }
}

/// What there is of a view.
#[derive(Default)]
struct Rows {
    name: Arc<str>,
    /// The epoch that it has begun with.
    since: Epoch,
    rows: BTreeMap<Key, Row>,
}

/// A view by its name.
pub type Named = (ViewId, Arc<str>);

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
    views: BTreeMap<ViewId, Rows>,
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
        let built_in =
            |view: View| (ViewId::BuiltIn(view), Rows { name: view.name().into(), since: 0, rows: BTreeMap::new() });
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
            let encoded = |changes: &Changes| encode(changes.iter().map(|(key, row)| (key, row.as_ref())), &names);
            let changes = frame.views.iter().map(|(view, changes)| (*view, encoded(changes).into())).collect();
            Encoded { epoch, horizon: frame.horizon, changes }
        });
        self.state().take(frame, encoded);
        self.changed.send_replace(epoch);
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
        let view = |(id, view): (&ViewId, &Rows)| {
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
    pub fn snapshot(&self, views: &[Named], why: &str) -> (String, Place) {
        let state = self.state();
        let place = Place { claim: state.claim, epoch: state.epoch };
        let head = head(place.epoch, state.horizon, Some(why));
        // Copied, so that nobody waits for the text to be made.
        let rows = |(id, _): &Named| state.views.get(id).map(|view| view.rows.clone()).unwrap_or_default();
        let rows: Vec<_> = views.iter().map(rows).collect();
        let names = state.names.clone();
        drop(state);
        let all = |rows: &BTreeMap<Key, Row>| {
            names
                .as_ref()
                .map_or_else(String::new, |names| encode(rows.iter().map(|(key, row)| (key, Some(row))), names))
        };
        (object(&head, views.iter().zip(rows.iter().map(all))), place)
    }

    /// What follows for who is at a place, or comes anew.
    pub fn next(&self, views: &[Named], place: Option<Place>) -> Next {
        let why = match self.resume(views, place) {
            Ok(next) => return next,
            Err(why) => why,
        };
        let (text, place) = self.snapshot(views, why);
        Next::Event("snapshot", text, place)
    }

    /// The frame after a place, or why there is none.
    fn resume(&self, views: &[Named], place: Option<Place>) -> Result<Next, &'static str> {
        let state = self.state();
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
        let rows = views.iter().map(|view| (view, frame.changes.get(&view.0).map_or("", |changes| &**changes)));
        let text = object(&head(frame.epoch, frame.horizon, None), rows);
        Ok(Next::Event("changes", text, Place { claim: place.claim, epoch: frame.epoch }))
    }
}

impl State {
    fn take(&mut self, frame: Frame, encoded: Option<Encoded>) {
        (self.epoch, self.horizon) = (frame.epoch, frame.horizon);
        self.install(&frame.installed, frame.epoch);
        for (view, changes) in frame.views {
            // One that has gone with this frame has none any more.
            let Some(Rows { rows, .. }) = self.views.get_mut(&view) else { continue };
            for (key, row) in changes {
                match row {
                    Some(row) => rows.insert(key, row),
                    None => rows.remove(&key),
                };
            }
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
                Some(name) => self.views.insert(id, Rows { name: Arc::clone(name), since, rows: BTreeMap::new() }),
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

/// `"key":row,..`, with `null` for what has gone.
fn encode<'a>(rows: impl Iterator<Item = (&'a Key, Option<&'a Row>)>, names: &Names) -> String {
    let texts = names.read();
    let mut text = String::new();
    for (id, change) in rows {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&Value::from(key(id, &texts)).to_string());
        text.push(':');
        text.push_str(&change.map_or_else(|| "null".to_owned(), |change| row(change, &texts)));
    }
    text
}

fn head(epoch: Epoch, horizon: Option<Micros>, why: Option<&str>) -> String {
    let horizon = Value::from(horizon.map(time));
    let why = why.map(|why| format!(",\"why\":\"{why}\"")).unwrap_or_default();
    format!("\"epoch\":{epoch},\"horizon\":{horizon}{why}")
}

fn object<'a, T: AsRef<str>>(head: &str, views: impl Iterator<Item = (&'a Named, T)>) -> String {
    let views: Vec<String> = views.map(|((_, name), rows)| format!("\"{name}\":{{{}}}", rows.as_ref())).collect();
    format!("{{{head},\"views\":{{{}}}}}", views.join(","))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "hub_tests.rs"]
mod tests;
