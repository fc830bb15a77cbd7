//! All that is sent, in the order of its log times: what is reported now, and what was held back until now.

use std::ops::Range;
use std::sync::Arc;

use citystream_wire::Topic;

use crate::city::City;
use crate::draw::Draw;
use crate::held::Held;
use crate::malformed::Defect;
use crate::options::Options;
use crate::overlay::Overlay;
use crate::refusal::OptionsError;
use crate::slice::{Slice, Step};
use crate::topics;
use crate::trouble::{Fate, Mishap, Report};
use crate::truth::{Account, Happened, Letter, Outcome, Truth};
use crate::vehicle::Vehicle;

/// Where a record's id stands in it: after `{"id": "`.
const ID: Range<usize> = 8..44;

/// A record to send. Valid until the next one is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its topic.
    pub topic: Topic,
    /// A hash of its vehicle: the partition is this modulo their number.
    pub partition_hash: u64,
    /// Its key: the record's id, as with the original producer.
    pub key: &'a str,
    /// Its log timestamp in milliseconds since 1970: the simulated time, which never goes back.
    pub log_time_ms: i64,
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// Where the value of a message is.
#[derive(Clone, Debug)]
enum Value {
    /// As it was reported: a shard of the slice, and where in it.
    Reported(usize, Range<usize>),
    /// In the simulator's own buffer.
    Kept,
    Null,
}

/// Sends records, without end.
#[derive(Debug)]
pub struct Simulator {
    options: Options,
    city: City,
    vehicles: Vec<Vehicle>,
    slice: Slice,
    /// The number of the next record in the current step.
    number: usize,
    held: Held,
    kept: Vec<u8>,
    key: [u8; 36],
    now_ms: i64,
    account: Account,
}

impl Simulator {
    /// A simulation from its start, made by so many threads: the records do not depend on how many.
    pub fn new(options: Options, threads: usize) -> Result<Self, OptionsError> {
        options.check()?;
        let city = City::new(options.draw().of(0), options.effects, options.incidents_an_hour);
        let vehicles = (0..options.vehicles).map(|number| Vehicle::new(number, &options, &city)).collect();
        Ok(Simulator {
            slice: Slice::new(&options, threads),
            now_ms: options.start_ms,
            options,
            city,
            vehicles,
            number: 0,
            held: Held::default(),
            kept: Vec::new(),
            key: [0; 36],
            account: Account::default(),
        })
    }

    /// Lays known values over all records, before the first is asked for. They are then no function of the options.
    pub fn lay(&mut self, overlay: Arc<dyn Overlay>) {
        self.slice.lay(overlay);
    }

    /// The simulated time: the log time of the last message, in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// How many records have been sent.
    pub fn sent(&self) -> u64 {
        self.account.records
    }

    /// The next message with a log time until then, if there is one.
    pub fn next_until(&mut self, until_ms: i64) -> Option<Message<'_>> {
        let (letter, value) = loop {
            let (shard, step) = self.slice.peek(&self.city, &mut self.vehicles, self.options.step_ms);
            let held_ms = self.held.first_ms().unwrap_or(i64::MAX);
            if step.at_ms.min(held_ms) > until_ms {
                return None;
            }
            let message = if held_ms <= step.at_ms { self.release() } else { self.report(shard, &step) };
            if let Some(message) = message {
                break message;
            }
        };
        Some(Message {
            topic: letter.topic,
            partition_hash: Draw::new(letter.vehicle.into()).bits(),
            key: std::str::from_utf8(&self.key).unwrap_or_default(),
            log_time_ms: self.now_ms,
            value: match value {
                Value::Reported(shard, range) => Some(self.slice.record(shard, range)),
                Value::Kept => Some(&self.kept),
                Value::Null => None,
            },
        })
    }

    /// Sends what is held back and due first.
    fn release(&mut self) -> Option<(Letter, Value)> {
        let (at_ms, letter) = self.held.pop(&mut self.kept)?;
        self.now_ms = at_ms;
        self.key.copy_from_slice(&self.kept[ID]);
        self.account.sent(&letter, self.outcome(&letter));
        Some((letter, Value::Kept))
    }

    /// Sends the next record of the current step, unless that is held back or not sent at all.
    fn report(&mut self, shard: usize, step: &Step) -> Option<(Letter, Value)> {
        let (number, topic) = (self.number, topics::TOPICS[self.number]);
        self.number = (number + 1) % topics::TOPICS.len();
        if self.number == 0 {
            self.slice.pass();
        }
        let Step { at_ms, vehicle, event_us, clock, in_crowd, incident, .. } = *step;
        let report = Report { at_ms, event_us, topic, clock, draw: step.draw.of(number as u64) };
        let letter = |mishap| Letter { topic, vehicle, event_us, incident, in_crowd, mishap };
        let range = self.slice.range(shard, step, number);
        let value = self.slice.record(shard, range.clone());
        let (letter, defect) = match self.options.trouble.fate(&report, self.options.lateness_ms) {
            Fate::Silenced => {
                self.account.injected.silenced += 1;
                return None;
            }
            Fate::Held(mishap, at_ms) => {
                self.held.push(at_ms, letter(mishap), value);
                return None;
            }
            Fate::Twice(mishap, again_ms) => {
                self.held.push(again_ms, letter(Mishap::Again), value);
                (letter(mishap), None)
            }
            Fate::Sent(mishap) => (letter(mishap), None),
            Fate::Spoiled(defect) => (letter(Mishap::Malformed), Some(defect)),
        };
        self.now_ms = at_ms;
        self.key.copy_from_slice(&value[ID]);
        let outcome = defect.map_or_else(|| self.outcome(&letter), |defect| Outcome::Dead(defect.reason()));
        self.account.sent(&letter, outcome);
        let value = match defect {
            None => Value::Reported(shard, range),
            Some(defect) => self.spoil(defect, shard, range, topic),
        };
        Some((letter, value))
    }

    fn spoil(&mut self, defect: Defect, shard: usize, range: Range<usize>, topic: Topic) -> Value {
        if defect == Defect::Null {
            return Value::Null;
        }
        self.kept.clear();
        self.kept.extend_from_slice(self.slice.record(shard, range));
        defect.spoil(&mut self.kept, topic, self.options.max_record);
        Value::Kept
    }

    /// What a readable record that is sent now becomes, as the tables define it.
    fn outcome(&self, letter: &Letter) -> Outcome {
        let now_us = self.now_ms * 1000;
        if letter.event_us > now_us + self.options.max_ahead_ms * 1000 {
            Outcome::Dead("ahead")
        } else if letter.event_us < now_us - self.options.lateness_ms * 1000 {
            Outcome::Late
        } else if letter.mishap == Mishap::Again {
            Outcome::Duplicate
        } else {
            Outcome::OnTime
        }
    }

    /// The truth about what has been sent so far.
    pub fn truth(&self) -> Truth {
        let topics = self.account.expected();
        let happened = |(number, statuses): (&u64, &u64)| {
            Happened::new(&self.city.incidents.numbered(&self.city.road, *number), *statuses)
        };
        Truth {
            options: self.options.clone(),
            records: self.account.records,
            until_ms: self.now_ms,
            held_back: self.held.len() as u64,
            injected: self.account.injected,
            pings: topics[Topic::GPS.name()].on_time,
            topics,
            incidents: self.account.statuses.iter().map(happened).collect(),
        }
    }
}
