//! The latest row of each key in reach, by stamp: never by arrival.
//!
//! When an epoch closes, at most one -1 and one +1 leave for a key that was touched. What is held is the latest row and, as
//! bearings need it, a mark of the one before; what was shown is held of touched keys only, until the close. A key is looked at
//! again once the minute of its oldest row is behind the horizon's.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;

use citystream_dataflows::held::{Amount, Balance, Kind};
use citystream_dataflows::operators::stage::{Closes, Inbox, Input, Open, Outputs, Stage, conduct};
use citystream_dataflows::records::hash::{IdMap, spread};
use citystream_dataflows::records::{Stamp, TextId};
use citystream_dataflows::time::closes::EpochClose;
use citystream_dataflows::time::{Epoch, MINUTE, Micros, window};
use timely::ExchangeData;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::rows::{Flow, Place, Vehicle};
use crate::updates::Update;

/// A row of which, by key, the latest counts.
pub trait Stamped: ExchangeData + Copy + Eq {
    /// What it is about.
    type Key: Copy + Debug + Eq + Hash + 'static;
    /// What is held of a row that another has come after.
    type Mark: Copy + 'static;

    /// What it is about.
    fn key(&self) -> Self::Key;
    /// Spreads keys over workers.
    fn spread(&self) -> u64;
    /// When it happened.
    fn stamp(&self) -> Stamp;
    /// What the row after it needs of it.
    fn mark(&self) -> Self::Mark;
    /// What is shown, given the row before it and the one that it replaces.
    fn settled(self, before: Option<Self::Mark>, replaced: Option<Self>) -> Self;
}

impl Stamped for Vehicle {
    type Key = TextId;
    type Mark = Place;

    fn key(&self) -> TextId {
        self.vehicle
    }

    fn spread(&self) -> u64 {
        self.vehicle.spread()
    }

    fn stamp(&self) -> Stamp {
        self.stamp
    }

    fn mark(&self) -> Place {
        self.at
    }

    fn settled(self, before: Option<Place>, _: Option<Vehicle>) -> Vehicle {
        Vehicle { bearing: before.and_then(|before| before.bearing_to(self.at)), ..self }
    }
}

impl Stamped for Flow {
    type Key = u64;
    type Mark = ();

    fn key(&self) -> u64 {
        self.cell
    }

    fn spread(&self) -> u64 {
        spread(self.cell)
    }

    fn stamp(&self) -> Stamp {
        self.stamp
    }

    fn mark(&self) {}

    fn settled(self, _: Option<()>, replaced: Option<Flow>) -> Flow {
        self.rated(replaced.and_then(|replaced| replaced.level))
    }
}

/// The rows that are the latest; see the module.
pub fn latest<'scope, R: Stamped>(
    name: &str,
    closes: Closes<'scope>,
    rows: StreamVec<'scope, Epoch, R>,
) -> StreamVec<'scope, Epoch, Update<R>> {
    let mut builder = OperatorBuilder::new(name.to_owned(), closes.scope());
    let rows = Inbox::new(&mut builder, rows, Exchange::new(R::spread));
    conduct(builder, closes, Latest { rows, held: IdMap::default(), touched: Vec::new(), minutes: BTreeMap::new() })
        .rows
}

struct Latest<R: Stamped> {
    rows: Inbox<R>,
    held: IdMap<R::Key, Held<R>>,
    /// Keys of which the row may change at the next close, with what was shown of them.
    touched: Vec<(R::Key, Option<R>)>,
    /// Keys by the minute of their oldest row, or an earlier one.
    minutes: BTreeMap<Micros, Vec<R::Key>>,
}

/// What is held of a key.
struct Held<R: Stamped> {
    /// As it is shown, while the key is not touched.
    latest: Option<R>,
    before: Option<(Stamp, R::Mark)>,
    /// The earliest minute under which it is listed.
    minute: Micros,
    is_touched: bool,
}

impl<R: Stamped> Held<R> {
    const NONE: Held<R> = Held { latest: None, before: None, minute: Micros::MAX, is_touched: false };

    /// Takes a row in. The later of those that are not the latest is the one before.
    fn add(&mut self, row: R) {
        let older = match self.latest {
            Some(latest) if latest.stamp() >= row.stamp() => Some(row),
            _ => self.latest.replace(row),
        };
        if let Some(older) = older.filter(|older| self.before.is_none_or(|(stamp, _)| stamp < older.stamp())) {
            self.before = Some((older.stamp(), older.mark()));
        }
    }

    /// Lets go of what is before a time.
    fn free(&mut self, floor: Micros) {
        self.before.take_if(|(stamp, _)| stamp.time < floor);
        self.latest.take_if(|latest| latest.stamp().time < floor);
    }

    fn oldest(&self) -> Option<Micros> {
        let before = self.before.map(|(stamp, _)| stamp);
        before.or(self.latest.map(|latest| latest.stamp())).map(|stamp| window(stamp.time, MINUTE))
    }

    /// What is shown from now on, instead of what was.
    fn settle(&mut self, was: Option<R>) -> Option<R> {
        self.latest = self.latest.map(|latest| latest.settled(self.before.map(|(_, mark)| mark), was));
        self.latest
    }
}

impl<R: Stamped> Latest<R> {
    fn take(&mut self, row: R) {
        let (key, minute) = (row.key(), window(row.stamp().time, MINUTE));
        let held = self.held.entry(key).or_insert(Held::NONE);
        touch(&mut self.touched, key, held);
        held.add(row);
        if minute < held.minute {
            held.minute = minute;
            self.minutes.entry(minute).or_default().push(key);
        }
    }

    /// Touches all keys that have a row behind a minute.
    fn expire(&mut self, floor: Micros) {
        while let Some(entry) = self.minutes.first_entry().filter(|entry| *entry.key() < floor) {
            for key in entry.remove() {
                let Some(held) = self.held.get_mut(&key).filter(|held| held.minute < floor) else { continue };
                touch(&mut self.touched, key, held);
                held.free(floor);
                held.minute = held.oldest().unwrap_or(Micros::MAX);
                if held.minute < Micros::MAX {
                    self.minutes.entry(held.minute).or_default().push(key);
                }
            }
        }
    }
}

/// Notes that the row of a key may change, with what is shown of it so far.
fn touch<R: Stamped>(touched: &mut Vec<(R::Key, Option<R>)>, key: R::Key, held: &mut Held<R>) {
    if !std::mem::replace(&mut held.is_touched, true) {
        touched.push((key, held.latest));
    }
}

impl<R: Stamped> Stage for Latest<R> {
    const NAME: &'static str = "latest";
    type Row = Update<R>;
    type Side = ();
    type Sealed = ();

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![&mut self.rows]
    }

    fn absorb(&mut self, Open { epoch, .. }: Open, fuel: &mut usize, _: &mut Outputs<Self::Row, ()>) {
        self.rows.take(epoch, fuel).into_iter().for_each(|row| self.take(row));
    }

    fn close(&mut self, close: &EpochClose, fuel: &mut usize, out: &mut Outputs<Self::Row, ()>) -> bool {
        if let Some(horizon) = close.horizon {
            self.expire(window(horizon, MINUTE));
        }
        while *fuel > 0 {
            let Some((key, was)) = self.touched.pop() else {
                // Given back: the first epoch may touch all keys there are.
                self.touched = Vec::new();
                return true;
            };
            let Some(held) = self.held.get_mut(&key) else { continue };
            held.is_touched = false;
            let now = held.settle(was);
            if was != now {
                out.rows.extend(was.map(|row| (row, close.epoch, -1)));
                out.rows.extend(now.map(|row| (row, close.epoch, 1)));
                *fuel -= 1;
            }
            if now.is_none() {
                self.held.remove(&key);
            }
        }
        self.touched.is_empty()
    }

    fn tell(&self, balance: &mut Balance) {
        let mut held = Amount::in_map::<(R::Key, Held<R>)>(self.held.len());
        held += Amount::bytes(self.held.len() * size_of::<R::Key>());
        held += Amount::bytes(self.touched.capacity() * size_of::<(R::Key, Option<R>)>());
        balance.set(Kind::Live, held);
    }
}
