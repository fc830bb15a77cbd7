//! One vehicle: where it is, how fast, and what it lives through.

use super::random::Random;

/// London and Birmingham in millionths of a degree.
const LONDON: (i64, i64) = (51_507_400, -127_800);
const BIRMINGHAM: (i64, i64) = (52_486_200, -1_890_400);
/// North of this it drives faster.
const TOWN: i64 = 51_800_000;
/// The way takes this long: 100 steps of 30 to 60 s, of which the mean is 45 s.
const JOURNEY_MS: i64 = 4_500_000;
/// Incidents last three steps, so that 5 % of the steps have one.
const INCIDENT_PER_MILLE: i64 = 17;

const MAKES: [(&str, &str); 6] = [
    ("Ford", "Transit"),
    ("BMW", "330e"),
    ("Toyota", "Corolla"),
    ("Volkswagen", "Golf"),
    ("Tesla", "Model 3"),
    ("Vauxhall", "Vivaro"),
];
const FUELS: [&str; 4] = ["Petrol", "Diesel", "Hybrid", "Electric"];
const KINDS: [&str; 4] = ["private", "taxi", "bus", "delivery"];
const INCIDENTS: [&str; 4] = ["Accident", "Medical", "Fire", "Police"];

/// A vehicle between two steps.
pub(super) struct Vehicle {
    pub(super) random: Random,
    /// `vehicle-00042`.
    pub(super) device: String,
    pub(super) make: (&'static str, &'static str),
    pub(super) year: i64,
    pub(super) fuel: &'static str,
    pub(super) kind: &'static str,
    /// Whether it is on its way back.
    back: bool,
    /// How long it has been on its way.
    driven_ms: i64,
    last_ms: i64,
    /// Hundredths of a percent.
    pub(super) fuel_level: i64,
    /// Metres.
    pub(super) odometer_m: i64,
    /// Hundredths of km/h.
    pub(super) speed: i64,
    pub(super) incident: Option<Incident>,
}

/// What has happened to a vehicle.
#[derive(Clone, Copy)]
pub(super) struct Incident {
    pub(super) id: [u8; 36],
    pub(super) kind: &'static str,
    pub(super) severity: &'static str,
    /// 0, 1, 2: Active, Responding, Resolved.
    pub(super) stage: usize,
}

impl Vehicle {
    /// A vehicle somewhere on its way.
    pub(super) fn new(seed: u64, number: u32, start_ms: i64) -> Self {
        let mut random = Random::new(seed, u64::from(number));
        Vehicle {
            device: format!("vehicle-{number:05}"),
            make: random.pick(&MAKES),
            year: random.between(2008, 2026),
            fuel: random.pick(&FUELS),
            kind: random.pick(&KINDS),
            back: random.happens(500),
            driven_ms: random.between(0, JOURNEY_MS - 1),
            last_ms: start_ms,
            fuel_level: random.between(2_000, 10_000),
            odometer_m: random.between(1_000_000, 200_000_000),
            speed: 0,
            incident: None,
            random,
        }
    }

    /// Drives until `now_ms`.
    pub(super) fn step(&mut self, now_ms: i64) {
        let passed = now_ms - self.last_ms;
        self.last_ms = now_ms;
        self.driven_ms += passed;
        if self.driven_ms >= JOURNEY_MS {
            self.driven_ms %= JOURNEY_MS;
            self.back = !self.back;
        }
        let (low, high) = if self.place().0 < TOWN { (500, 3_000) } else { (4_000, 7_000) };
        self.speed = self.random.between(low, high);
        // Hundredths of km/h times milliseconds, in metres.
        let metres = self.speed * passed / 360_000;
        self.odometer_m += metres;
        self.fuel_level -= metres / 70;
        if self.fuel_level < 500 {
            self.fuel_level = 10_000;
        }
        self.live_through();
    }

    fn live_through(&mut self) {
        self.incident = match self.incident {
            Some(incident) if incident.stage < 2 => Some(Incident { stage: incident.stage + 1, ..incident }),
            _ if self.random.happens(INCIDENT_PER_MILLE) => Some(Incident {
                id: super::format::uuid(&mut self.random),
                kind: self.random.pick(&INCIDENTS),
                severity: self.random.pick(&["Low", "Medium", "High"]),
                stage: 0,
            }),
            _ => None,
        };
    }

    /// Latitude and longitude in millionths of a degree.
    pub(super) fn place(&self) -> (i64, i64) {
        let way = if self.back { JOURNEY_MS - self.driven_ms } else { self.driven_ms };
        let between = |from: i64, to: i64| from + (to - from) * way / JOURNEY_MS;
        (between(LONDON.0, BIRMINGHAM.0), between(LONDON.1, BIRMINGHAM.1))
    }

    /// Where it is heading.
    pub(super) fn direction(&self) -> &'static str {
        if self.back { "South-East" } else { "North-West" }
    }
}
