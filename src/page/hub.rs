//! What the frames of a run add up to, and the latest of them: each is encoded once, however many watch, and not at all while
//! nobody does.
//!
//! A subscriber holds nothing but its place. Who falls behind the frames that are held takes a snapshot instead.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use citystream_dataflows::time::{Epoch, Micros};
use citystream_live::frames::Frame;
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

/// `"key":row,..` of each view.
type Encodings = [Arc<str>; View::ALL.len()];

/// An encoded frame.
struct Encoded {
    epoch: Epoch,
    horizon: Option<Micros>,
    /// What there is now, and `null` for what has gone.
    changes: Encodings,
}

impl Encoded {
    fn bytes(&self) -> usize {
        self.changes.iter().map(|changes| changes.len()).sum::<usize>() + size_of::<Encoded>()
    }
}

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
    rows: [BTreeMap<Key, Row>; View::ALL.len()],
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
        Hub { state: Mutex::default(), changed: watch::Sender::new(0) }
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
            let changes = View::ALL.map(|view| {
                let of_view = frame.rows.iter().filter(|(key, _)| key.view() == view);
                encode(of_view.map(|(key, row)| (key, row.as_ref())), &names).into()
            });
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
        let view = |view: &View| {
            let rows = state.rows[*view as usize].len();
            serde_json::json!({ "name": view.name(), "about": view.about(), "rows": rows })
        };
        let views: Vec<Value> = View::ALL.iter().map(view).collect();
        let (epoch, horizon) = (state.epoch, state.horizon.map(time));
        serde_json::json!({ "claim": state.claim, "epoch": epoch, "horizon": horizon, "views": views })
    }

    /// All rows of views at one epoch.
    pub fn snapshot(&self, views: &[View], why: &str) -> (String, Place) {
        let state = self.state();
        let place = Place { claim: state.claim, epoch: state.epoch };
        let head = head(place.epoch, state.horizon, Some(why));
        // Copied, so that nobody waits for the text to be made.
        let rows: Vec<_> = views.iter().map(|view| state.rows[*view as usize].clone()).collect();
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
    pub fn next(&self, views: &[View], place: Option<Place>) -> Next {
        let why = match self.resume(views, place) {
            Ok(next) => return next,
            Err(why) => why,
        };
        let (text, place) = self.snapshot(views, why);
        Next::Event("snapshot", text, place)
    }

    /// The frame after a place, or why there is none.
    fn resume(&self, views: &[View], place: Option<Place>) -> Result<Next, &'static str> {
        let state = self.state();
        if state.is_over {
            return Ok(Next::Over);
        }
        let place = place.ok_or("first")?;
        if place.claim != state.claim || place.epoch > state.epoch {
            return Err("another run");
        }
        if place.epoch < state.held_after {
            return Err("too far behind");
        }
        let at = state.frames.partition_point(|frame| frame.epoch <= place.epoch);
        let Some(frame) = state.frames.get(at) else { return Ok(Next::Wait) };
        let rows = views.iter().map(|view| (view, &frame.changes[*view as usize]));
        let text = object(&head(frame.epoch, frame.horizon, None), rows);
        Ok(Next::Event("changes", text, Place { claim: place.claim, epoch: frame.epoch }))
    }
}

impl State {
    fn take(&mut self, frame: Frame, encoded: Option<Encoded>) {
        (self.epoch, self.horizon) = (frame.epoch, frame.horizon);
        for (key, row) in frame.rows {
            let held = &mut self.rows[key.view() as usize];
            match row {
                Some(row) => held.insert(key, row),
                None => held.remove(&key),
            };
        }
        match encoded {
            Some(encoded) => self.hold(encoded),
            None => {
                self.frames.clear();
                (self.bytes, self.held_after) = (0, frame.epoch);
            }
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

fn object<'a, T: AsRef<str>>(head: &str, views: impl Iterator<Item = (&'a View, T)>) -> String {
    let views: Vec<String> = views.map(|(view, rows)| format!("\"{}\":{{{}}}", view.name(), rows.as_ref())).collect();
    format!("{{{head},\"views\":{{{}}}}}", views.join(","))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "hub_tests.rs"]
mod tests;
