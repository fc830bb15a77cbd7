//! What a place is like at a time: the road, the weather, the incidents, and how fast one drives there.
//!
//! A function of the seed, the place and the time: nobody who drives changes it.

use citystream_wire::Phase;
use h3o::Resolution;

use crate::draw::Draw;
use crate::effects::{Effects, hour_of};
use crate::incidents::{Incident, Incidents, REACH_M, SEEN_M};
use crate::road::{Kind, Road, Spot, cell_of};
use crate::weather::{Sky, Weather};

/// All that is there before anybody drives.
#[derive(Debug)]
pub(crate) struct City {
    pub(crate) road: Road,
    pub(crate) incidents: Incidents,
    sky: Sky,
    effects: Effects,
    /// Where the crowd is: metres on the first way.
    pub(crate) crowd: (f64, f64),
}

/// The city during a stretch of time.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) city: &'a City,
    incidents: Vec<Incident>,
}

/// What a place is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions<'a> {
    pub(crate) spot: Spot<'a>,
    pub(crate) weather: Weather,
    /// How fast vehicles drive here now, in km/h, and how fast they would if nothing held them up.
    pub(crate) flow_kmh: f64,
    pub(crate) free_flow_kmh: f64,
    /// The incident that is seen from here, as it stands.
    pub(crate) seen: Option<(&'a Incident, Phase)>,
}

impl City {
    pub(crate) fn new(draw: Draw, effects: Effects, incidents_an_hour: f64) -> City {
        let road = Road::bundled();
        let crowd = road.ways()[0].one_cell();
        let incidents = Incidents { draw: draw.of(0), an_hour: incidents_an_hour };
        City { road, incidents, sky: Sky(draw.of(1)), effects, crowd }
    }

    /// The city during `from_ms..to_ms`.
    pub(crate) fn scene(&self, from_ms: i64, to_ms: i64) -> Scene<'_> {
        Scene { city: self, incidents: self.incidents.between(&self.road, from_ms, to_ms) }
    }
}

impl<'a> Scene<'a> {
    /// What it is like so many metres along a way, at a time within the scene.
    pub(crate) fn at(&'a self, way: usize, m: f64, ms: i64) -> Conditions<'a> {
        let City { road, sky, effects, .. } = self.city;
        let spot = road.ways()[way].at(m);
        let cell = cell_of(spot.place, Resolution::Five).expect("the bundled road is on Earth");
        let weather = sky.over(cell, ms);
        let (mut slowed, mut seen) = (false, None);
        for incident in &self.incidents {
            let distance2 = incident.distance2(spot.place);
            if distance2 <= REACH_M * REACH_M {
                slowed |= incident.slows(ms);
            }
            if distance2 <= SEEN_M * SEEN_M {
                seen = seen.or(incident.phase(ms).map(|phase| (incident, phase)));
            }
        }
        let held_up = weather.condition.factor(effects) * if slowed { effects.incident } else { 1.0 };
        let flow_kmh = spot.limit_kmh * effects.rush(spot.kind, hour_of(ms)) * held_up;
        Conditions { spot, weather, flow_kmh, free_flow_kmh: spot.limit_kmh, seen }
    }
}

impl Conditions<'_> {
    /// Whether one stops at lights and crossings here.
    pub(crate) fn has_lights(&self) -> bool {
        self.spot.kind == Kind::Town
    }
}
