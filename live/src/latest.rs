//! The latest record of each key in reach, by stamp: never by arrival.
//!
//! When an epoch closes, at most one -1 and one +1 leave for a key that was touched. The two latest records of a key are held,
//! as a row may need the one before. A key is looked at again once the minute of its oldest record is behind the horizon's.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;

use citystream_dataflows::held::{Amount, Balance, Kind};
use citystream_dataflows::operators::stage::{Closes, Inbox, Input, Open, Outputs, Stage, conduct};
use citystream_dataflows::records::hash::{IdMap, spread};
use citystream_dataflows::records::{Ping, Stamp, TextId, Traffic};
use citystream_dataflows::time::closes::EpochClose;
use citystream_dataflows::time::{Epoch, MINUTE, Micros, window};
use timely::ExchangeData;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::rows::{Flow, Vehicle};
use crate::updates::Update;

/// A record of which the latest counts.
pub trait Record: ExchangeData + Copy {
    /// What it is about.
    type Key: Copy + Debug + Eq + Hash + 'static;
    /// What is shown of it.
    type Row: Copy + Debug + Eq + 'static;

    /// What it is about.
    fn key(&self) -> Self::Key;
    /// Spreads keys over workers.
    fn spread(&self) -> u64;
    /// When it happened.
    fn stamp(&self) -> Stamp;
    /// Its row, given the record before it and the row that it replaces.
    fn row(&self, before: Option<&Self>, replaced: Option<&Self::Row>) -> Self::Row;
}

impl Record for Ping {
    type Key = TextId;
    type Row = Vehicle;

    fn key(&self) -> TextId {
        self.vehicle
    }

    fn spread(&self) -> u64 {
        self.vehicle.spread()
    }

    fn stamp(&self) -> Stamp {
        self.stamp
    }

    fn row(&self, before: Option<&Ping>, _: Option<&Vehicle>) -> Vehicle {
        Vehicle::of(self, before)
    }
}

impl Record for Traffic {
    type Key = u64;
    type Row = Flow;

    fn key(&self) -> u64 {
        self.c8
    }

    fn spread(&self) -> u64 {
        spread(self.c8)
    }

    fn stamp(&self) -> Stamp {
        self.stamp
    }

    fn row(&self, _: Option<&Traffic>, replaced: Option<&Flow>) -> Flow {
        Flow::of(self, replaced)
    }
}

/// The rows of the latest records; see the module.
pub fn latest<'scope, R: Record>(
    name: &str,
    closes: Closes<'scope>,
    records: StreamVec<'scope, Epoch, R>,
) -> StreamVec<'scope, Epoch, Update<R::Row>> {
    let mut builder = OperatorBuilder::new(name.to_owned(), closes.scope());
    let records = Inbox::new(&mut builder, records, Exchange::new(R::spread));
    conduct(builder, closes, Latest { records, held: IdMap::default(), touched: Vec::new(), minutes: BTreeMap::new() })
        .rows
}

struct Latest<R: Record> {
    records: Inbox<R>,
    held: IdMap<R::Key, Held<R>>,
    /// Keys of which the row may change at the next close.
    touched: Vec<R::Key>,
    /// Keys by the minute of their oldest record, or an earlier one.
    minutes: BTreeMap<Micros, Vec<R::Key>>,
}

/// What is held of a key.
struct Held<R: Record> {
    latest: Option<R>,
    before: Option<R>,
    shown: Option<R::Row>,
    is_touched: bool,
    /// The earliest minute under which it is listed.
    minute: Micros,
}

impl<R: Record> Held<R> {
    /// Takes a record in; the two latest remain.
    fn add(&mut self, record: R) {
        let later = |than: &Option<R>| than.is_none_or(|held| held.stamp() < record.stamp());
        if later(&self.latest) {
            self.before = self.latest.replace(record);
        } else if later(&self.before) {
            self.before = Some(record);
        }
    }

    /// Lets go of what is before a time.
    fn free(&mut self, floor: Micros) {
        let is_behind = |record: &mut R| record.stamp().time < floor;
        self.before.take_if(is_behind);
        self.latest.take_if(is_behind);
    }

    fn oldest(&self) -> Option<Micros> {
        self.before.or(self.latest).map(|record| window(record.stamp().time, MINUTE))
    }

    /// The row that was shown and the one that is now, if they differ.
    fn change(&mut self) -> Option<[Option<R::Row>; 2]> {
        let now = self.latest.map(|latest| latest.row(self.before.as_ref(), self.shown.as_ref()));
        (now != self.shown).then(|| [std::mem::replace(&mut self.shown, now), now])
    }
}

impl<R: Record> Latest<R> {
    fn touch(&mut self, record: R) {
        let (key, minute) = (record.key(), window(record.stamp().time, MINUTE));
        let held = self.held.entry(key).or_insert_with(|| Held {
            latest: None,
            before: None,
            shown: None,
            is_touched: false,
            minute: Micros::MAX,
        });
        held.add(record);
        if minute < held.minute {
            held.minute = minute;
            self.minutes.entry(minute).or_default().push(key);
        }
        if !std::mem::replace(&mut held.is_touched, true) {
            self.touched.push(key);
        }
    }

    /// Touches all keys that have a record behind a minute.
    fn expire(&mut self, floor: Micros) {
        while let Some(entry) = self.minutes.first_entry().filter(|entry| *entry.key() < floor) {
            for key in entry.remove() {
                let Some(held) = self.held.get_mut(&key).filter(|held| held.minute < floor) else { continue };
                held.free(floor);
                held.minute = held.oldest().unwrap_or(Micros::MAX);
                if held.minute < Micros::MAX {
                    self.minutes.entry(held.minute).or_default().push(key);
                }
                if !std::mem::replace(&mut held.is_touched, true) {
                    self.touched.push(key);
                }
            }
        }
    }
}

impl<R: Record> Stage for Latest<R> {
    const NAME: &'static str = "latest";
    type Row = Update<R::Row>;
    type Side = ();
    type Sealed = ();

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![&mut self.records]
    }

    fn absorb(&mut self, Open { epoch, .. }: Open, fuel: &mut usize, _: &mut Outputs<Self::Row, ()>) {
        self.records.take(epoch, fuel).into_iter().for_each(|record| self.touch(record));
    }

    fn close(&mut self, close: &EpochClose, fuel: &mut usize, out: &mut Outputs<Self::Row, ()>) -> bool {
        if let Some(horizon) = close.horizon {
            self.expire(window(horizon, MINUTE));
        }
        while *fuel > 0 {
            let Some(key) = self.touched.pop() else { return true };
            let Some(held) = self.held.get_mut(&key) else { continue };
            held.is_touched = false;
            if let Some([was, is]) = held.change() {
                out.rows.extend(was.map(|row| (row, close.epoch, -1)));
                out.rows.extend(is.map(|row| (row, close.epoch, 1)));
                *fuel -= 1;
            }
            if held.latest.is_none() {
                self.held.remove(&key);
            }
        }
        self.touched.is_empty()
    }

    fn tell(&self, balance: &mut Balance) {
        let mut held = Amount::in_map::<(R::Key, Held<R>)>(self.held.len());
        held += Amount::bytes(self.held.len() * size_of::<R::Key>());
        balance.set(Kind::Live, held);
    }
}
