//! All vehicles together: whose turn it is, what is held back, what is sent twice.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use citystream_dataflows::bindings::Topic;

use super::format::uuid;
use super::malformed::{WAYS, spoil};
use super::options::{Key, OptionsError, SimOptions};
use super::random::Random;
use super::records::{self, Moment};
use super::vehicle::Vehicle;

const MINUTE: i64 = 60_000;

/// A record to send. Valid until the next one is asked for.
#[derive(Clone, Copy, Debug)]
pub struct SimRecord<'a> {
    /// Its topic.
    pub topic: Topic,
    /// A hash of its vehicle: the partition is this modulo their number.
    pub partition_hash: u64,
    /// Its key.
    pub key: &'a str,
    /// Its log timestamp: the simulated time, which never goes back.
    pub log_time_ms: i64,
    /// Its value.
    pub value: &'a [u8],
}

/// What has been sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All records.
    pub records: u64,
    /// Those of each topic, by discriminant.
    pub by_topic: [u64; 5],
    /// Those sent after later ones, but in time.
    pub out_of_order: u64,
    /// Those sent later than the lateness.
    pub late: u64,
    /// Those sent a second time.
    pub duplicates: u64,
    /// Those that cannot be read.
    pub malformed: u64,
}

/// The fault of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    None,
    OutOfOrder,
    Late,
    Duplicate,
    Malformed,
}

/// A record on the way, with buffers that are used again.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Letter {
    topic: usize,
    partition_hash: u64,
    key: String,
    value: Vec<u8>,
}

/// A record that is sent later: at a time, in the order of being held.
type Held = Reverse<(i64, u64, Fault, Letter)>;

/// Produces records, without end.
pub struct Simulator {
    options: SimOptions,
    random: Random,
    vehicles: Vec<Vehicle>,
    /// When each vehicle reports next.
    turns: BinaryHeap<Reverse<(i64, u32)>>,
    held: BinaryHeap<Held>,
    letter: Letter,
    /// Whether `letter` is to be sent again.
    again: bool,
    now_ms: i64,
    current: usize,
    moment: Moment,
    /// The topics of the current step that have been reported.
    reported: usize,
    counts: Counts,
}

impl Simulator {
    /// A simulation from its start.
    pub fn new(options: SimOptions) -> Result<Self, OptionsError> {
        options.check()?;
        // Another start is another stretch of the same world: its records have other ids.
        let seed = options.seed ^ (options.start_ms as u64).rotate_left(32);
        let mut random = Random::new(seed, u64::MAX);
        let start = options.start_ms;
        let vehicles: Vec<_> = (0..options.vehicles).map(|number| Vehicle::new(seed, number, start)).collect();
        let first = |random: &mut Random| start + random.between(0, options.step_ms.1);
        let turns = (0..options.vehicles).map(|number| Reverse((first(&mut random), number))).collect();
        let moment = Moment::new(&vehicles[0], start * 1000);
        Ok(Simulator {
            random,
            vehicles,
            turns,
            held: BinaryHeap::new(),
            letter: Letter::default(),
            again: false,
            now_ms: start,
            current: 0,
            moment,
            reported: Topic::ALL.len(),
            counts: Counts::default(),
            options,
        })
    }

    /// The simulated time, in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// The simulated time of the next record, unless that is held back.
    pub fn next_ms(&self) -> i64 {
        let step_is_over = self.reported == Topic::ALL.len() && !self.again;
        let turn = self.turns.peek().filter(|_| step_is_over);
        turn.map_or(self.now_ms, |Reverse((at, _))| *at)
    }

    /// What has been sent so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The next record.
    pub fn next_record(&mut self) -> SimRecord<'_> {
        let fault = self.compose();
        let counts = &mut self.counts;
        counts.records += 1;
        counts.by_topic[self.letter.topic] += 1;
        match fault {
            Fault::None => {}
            Fault::OutOfOrder => counts.out_of_order += 1,
            Fault::Late => counts.late += 1,
            Fault::Duplicate => counts.duplicates += 1,
            Fault::Malformed => counts.malformed += 1,
        }
        SimRecord {
            topic: Topic::ALL[self.letter.topic],
            partition_hash: self.letter.partition_hash,
            key: &self.letter.key,
            log_time_ms: self.now_ms,
            value: &self.letter.value,
        }
    }

    /// Puts the next record into `letter`, and says what is wrong with it.
    fn compose(&mut self) -> Fault {
        if std::mem::take(&mut self.again) {
            return Fault::Duplicate;
        }
        loop {
            if let Some(fault) = self.release() {
                return fault;
            }
            if self.reported == Topic::ALL.len() {
                self.advance();
                continue;
            }
            self.report();
            match self.fault() {
                fault @ (Fault::OutOfOrder | Fault::Late) => self.hold(fault),
                Fault::Duplicate => {
                    self.again = true;
                    return Fault::None;
                }
                Fault::Malformed => {
                    let way = self.random.next() % WAYS;
                    spoil(&mut self.letter.value, way);
                    return Fault::Malformed;
                }
                Fault::None => return Fault::None,
            }
        }
    }

    /// What was held back until now, if anything.
    fn release(&mut self) -> Option<Fault> {
        if self.held.peek().is_none_or(|Reverse((at, ..))| *at > self.now_ms) {
            return None;
        }
        let Reverse((_, _, fault, letter)) = self.held.pop()?;
        self.letter = letter;
        Some(fault)
    }

    /// The next vehicle's turn.
    fn advance(&mut self) {
        let Some(Reverse((at, number))) = self.turns.pop() else { return };
        self.now_ms = at;
        self.current = number as usize;
        self.reported = 0;
        let vehicle = &mut self.vehicles[self.current];
        vehicle.step(at);
        let micros = at * 1000 + vehicle.random.between(0, 999);
        self.moment.set(vehicle, micros);
        let (least, greatest) = self.options.step_ms;
        let next = at + vehicle.random.between(least, greatest).max(1);
        self.turns.push(Reverse((next, number)));
    }

    /// Writes the current vehicle's next record of this step.
    fn report(&mut self) {
        let topic = Topic::ALL[self.reported];
        self.reported += 1;
        let vehicle = &mut self.vehicles[self.current];
        let id = uuid(&mut vehicle.random);
        self.letter.topic = topic as usize;
        self.letter.partition_hash = Random::new(self.current as u64, 0).next();
        self.letter.key.clear();
        match self.options.key {
            Key::Id => self.letter.key.extend(id.iter().map(|byte| char::from(*byte))),
            Key::Device => self.letter.key.push_str(&vehicle.device),
        }
        self.letter.value.clear();
        records::write(&mut self.letter.value, topic, &id, vehicle, &self.moment);
    }

    fn fault(&mut self) -> Fault {
        let faults = &self.options.faults;
        let mut left = self.random.unit();
        for (share, fault) in [
            (faults.out_of_order, Fault::OutOfOrder),
            (faults.late, Fault::Late),
            (faults.duplicates, Fault::Duplicate),
            (faults.malformed, Fault::Malformed),
        ] {
            left -= share;
            if left < 0.0 {
                return fault;
            }
        }
        Fault::None
    }

    /// Holds the letter back: for less than half the lateness, or for more than all of it.
    fn hold(&mut self, fault: Fault) {
        let lateness = self.options.lateness_ms;
        let pause = match fault {
            Fault::Late => lateness + self.random.between(MINUTE, 20 * MINUTE),
            _ => self.random.between(1, (lateness / 2).clamp(1, 5 * MINUTE)),
        };
        let order = self.random.next();
        self.held.push(Reverse((self.now_ms + pause, order, fault, std::mem::take(&mut self.letter))));
    }
}
