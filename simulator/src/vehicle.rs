//! One vehicle: where it is, how fast, and how much is in its tank.
//!
//! Between two steps it goes on at the speed that it has reported, so its odometer gains just that.

use crate::city::{City, Conditions, Scene};
use crate::draw::Draw;
use crate::effects::{hour_of, rush};
use crate::options::Options;
use crate::trouble::Mishap;

const MINUTE: i64 = 60_000;
/// Trips begin and end within so many metres of the ends of a way.
const ENDS_M: f64 = 6_000.0;
/// At less than this it is filled up before it leaves, in percent.
const LOW_FUEL: f64 = 60.0;
/// How fast one moves about in the crowd, in km/h.
const CROWD_KMH: f64 = 8.0;
/// How often one stands at lights in a town, as a share of the steps.
const STANDING: f64 = 0.05;

const MAKES: [(&str, &str); 6] = [
    ("Ford", "Transit"),
    ("BMW", "330e"),
    ("Toyota", "Corolla"),
    ("Volkswagen", "Golf"),
    ("Tesla", "Model 3"),
    ("Vauxhall", "Vivaro"),
];
/// Fuels, and how many km a tank or a battery lasts.
const FUELS: [(&str, f64); 4] = [("Petrol", 700.0), ("Diesel", 900.0), ("Hybrid", 850.0), ("Electric", 420.0)];
const KINDS: [&str; 4] = ["private", "taxi", "bus", "delivery"];

/// What never changes about a vehicle.
#[derive(Debug)]
pub(crate) struct Model {
    /// `vehicle-00042`.
    pub(crate) device: String,
    pub(crate) make: (&'static str, &'static str),
    pub(crate) year: i32,
    pub(crate) fuel: (&'static str, f64),
    pub(crate) kind: &'static str,
    /// What is wrong with its clock, and by how many milliseconds it is ahead.
    pub(crate) clock: (Mishap, i64),
    pub(crate) in_crowd: bool,
    /// How fast its driver is, of how fast all are.
    driver: f64,
    way: usize,
    /// Where its trips begin and end, in metres from London.
    ends: (f64, f64),
}

/// A vehicle at its latest step.
#[derive(Debug)]
pub(crate) struct Vehicle {
    pub(crate) number: u32,
    pub(crate) model: Model,
    /// All its draws.
    draw: Draw,
    /// How many steps it has taken.
    steps: u64,
    last_ms: i64,
    pub(crate) next_ms: i64,
    /// Metres from London.
    at_m: f64,
    /// Whether it is on its way back to London.
    pub(crate) back: bool,
    /// When it leaves, if it is parked.
    leaves_ms: Option<i64>,
    pub(crate) speed_kmh: f64,
    pub(crate) fuel_pct: f64,
    pub(crate) odometer_m: f64,
}

impl Model {
    fn new(draw: Draw, number: u32, options: &Options, city: &City) -> Model {
        let in_crowd = draw.of(0).unit() < options.trouble.hot_cell;
        let way = if in_crowd { 0 } else { draw.of(1).between(0, city.road.ways().len() as i64 - 1) as usize };
        let length_m = city.road.ways()[way].length_m();
        let ends = (draw.of(2).within(0.0, ENDS_M), length_m - draw.of(3).within(0.0, ENDS_M));
        Model {
            device: format!("vehicle-{number:05}"),
            make: draw.of(4).pick(&MAKES),
            year: draw.of(5).between(2008, 2026) as i32,
            fuel: draw.of(6).pick(&FUELS),
            kind: draw.of(7).pick(&KINDS),
            clock: options.trouble.clock(draw.of(8), options.lateness_ms, options.max_ahead_ms),
            in_crowd,
            driver: draw.of(9).within(0.92, 1.08),
            way,
            ends: if in_crowd { city.crowd } else { ends },
        }
    }
}

impl Vehicle {
    /// A vehicle somewhere on its way.
    pub(crate) fn new(number: u32, options: &Options, city: &City) -> Vehicle {
        let draw = options.draw().of(2).of(number.into());
        let model = Model::new(draw.of(0), number, options, city);
        let first = draw.of(1);
        Vehicle {
            number,
            draw: draw.of(2),
            steps: 0,
            last_ms: options.start_ms,
            next_ms: options.start_ms + first.of(0).between(0, options.step_ms.1),
            at_m: first.of(1).within(model.ends.0, model.ends.1),
            back: first.of(2).unit() < 0.5,
            leaves_ms: None,
            speed_kmh: 0.0,
            fuel_pct: first.of(3).within(LOW_FUEL, 100.0),
            odometer_m: first.of(4).between(1_000, 200_000_000) as f64,
            model,
        }
    }

    /// The next step, at the time that is due: drives there and looks around. Gives the step's draws too.
    pub(crate) fn step<'a>(&mut self, scene: &'a Scene<'a>, (least, greatest): (i64, i64)) -> (Conditions<'a>, Draw) {
        let (now_ms, draw) = (self.next_ms, self.draw.of(self.steps));
        self.drive(now_ms, draw.of(0));
        let conditions = scene.at(self.model.way, self.at_m, now_ms);
        self.speed_kmh = (self.speed(&conditions, draw.of(1)) * 100.0).round() / 100.0;
        self.last_ms = now_ms;
        self.next_ms = now_ms + draw.of(2).between(least, greatest);
        self.steps += 1;
        (conditions, draw.of(3))
    }

    /// Goes on at its speed until now; parks where the trip ends, and leaves when it is time.
    fn drive(&mut self, now_ms: i64, draw: Draw) {
        let (low, high) = self.model.ends;
        let left_m = if self.back { self.at_m - low } else { high - self.at_m };
        let driven_m = (self.speed_kmh * (now_ms - self.last_ms) as f64 / 3600.0).min(left_m);
        self.at_m += if self.back { -driven_m } else { driven_m };
        self.odometer_m += driven_m;
        self.fuel_pct -= driven_m / 1000.0 / self.model.fuel.1 * 100.0;
        match self.leaves_ms {
            Some(leaves_ms) if now_ms >= leaves_ms => self.leave(),
            None if driven_m >= left_m => self.leaves_ms = Some(now_ms + self.stay_ms(now_ms, draw)),
            _ => {}
        }
    }

    fn leave(&mut self) {
        self.leaves_ms = None;
        self.back = !self.back;
        if self.fuel_pct < LOW_FUEL {
            self.fuel_pct = 100.0;
        }
    }

    /// How long it stays parked: not for long in the rush hour, and for hours at night.
    fn stay_ms(&self, now_ms: i64, draw: Draw) -> i64 {
        let (least, greatest) = match hour_of(now_ms) {
            _ if self.model.in_crowd => (0, 1),
            hour if rush(hour) > 0.5 => (5, 20),
            hour if (6.0..22.0).contains(&hour) => (10, 40),
            _ => (45, 180),
        };
        draw.between(least * MINUTE, greatest * MINUTE)
    }

    fn speed(&self, conditions: &Conditions<'_>, draw: Draw) -> f64 {
        if self.leaves_ms.is_some() || conditions.has_lights() && draw.of(0).unit() < STANDING {
            return 0.0;
        }
        let flow_kmh = if self.model.in_crowd { conditions.flow_kmh.min(CROWD_KMH) } else { conditions.flow_kmh };
        flow_kmh * self.model.driver * draw.of(1).within(0.95, 1.05)
    }

    /// `Off` where it is parked, `Idle` where it stands.
    pub(crate) fn engine_status(&self) -> &'static str {
        match self.leaves_ms {
            Some(_) => "Off",
            None if self.speed_kmh == 0.0 => "Idle",
            None => "Running",
        }
    }
}
