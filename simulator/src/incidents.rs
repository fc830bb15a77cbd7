//! Incidents: where and when each happens and how it goes on, known for all time from the seed.

use citystream_wire::{Emergency, IncidentKind, Phase, Place, Services, Severity};

use crate::draw::Draw;
use crate::road::Road;

const MINUTE: i64 = 60_000;
/// Incidents are drawn by slots of time, so that any stretch of time can be had at once.
const SLOT_MS: i64 = 10 * MINUTE;
/// The longest that anything is left of an incident.
const LONGEST_MS: i64 = 100 * MINUTE;
/// How long a resolved incident is still reported, and how long it still slows the road.
const REPORTED_MS: i64 = 10 * MINUTE;
const CLEARING_MS: i64 = 2 * MINUTE;
/// Nothing happens this near to the ends of a way, where vehicles are parked, in metres.
const ENDS_M: f64 = 8_000.0;

/// How far an incident slows the road. More than the 1,500 m that the tables look at around whoever reports it first.
pub const REACH_M: f64 = 2_000.0;
/// From how far it is seen and reported.
pub const SEEN_M: f64 = 500.0;

const KINDS: [(IncidentKind, &str); 4] = [
    (IncidentKind::Accident, "Accident reported on the road"),
    (IncidentKind::Medical, "Medical emergency reported on the road"),
    (IncidentKind::Fire, "Vehicle fire reported on the road"),
    (IncidentKind::Police, "Police operation reported on the road"),
];
const SERVICES: [&str; 3] = ["hospital", "police", "fire_station"];

/// An incident, from its first to its last.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// Its number: incidents of one seed have different ones.
    pub number: u64,
    id: [u8; 36],
    /// Where it happens.
    pub place: Place,
    /// Metres a degree of longitude there.
    lon_m: f64,
    /// When it happens, in milliseconds since 1970.
    pub active_ms: i64,
    /// When help comes.
    pub responding_ms: i64,
    /// When it is over.
    pub resolved_ms: i64,
    kind: usize,
    severity: Severity,
    services: u32,
}

/// All incidents of a city.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incidents {
    pub(crate) draw: Draw,
    /// How many there are in an hour, on average.
    pub(crate) an_hour: f64,
}

impl Incidents {
    /// Those of which anything is left at any time in `from_ms..to_ms`, in the order of their numbers.
    pub(crate) fn between(&self, road: &Road, from_ms: i64, to_ms: i64) -> Vec<Incident> {
        let slots = (from_ms - LONGEST_MS).div_euclid(SLOT_MS)..=to_ms.div_euclid(SLOT_MS);
        let mean = self.an_hour * SLOT_MS as f64 / (60 * MINUTE) as f64;
        let all = slots.flat_map(|slot| {
            let count = (mean + self.draw.of(slot as u64).unit()) as u64;
            (0..count).map(move |i| ((slot as u64) << 16) + i)
        });
        let left = |incident: &Incident| {
            incident.active_ms < to_ms && incident.resolved_ms + REPORTED_MS.max(CLEARING_MS) > from_ms
        };
        all.map(|number| self.numbered(road, number)).filter(left).collect()
    }

    /// The incident of a number.
    pub(crate) fn numbered(&self, road: &Road, number: u64) -> Incident {
        let draw = self.draw.of(number >> 16).of(number & 0xffff);
        let way = &road.ways()[draw.of(0).between(0, road.ways().len() as i64 - 1) as usize];
        let place = way.at(draw.of(1).within(ENDS_M, way.length_m() - ENDS_M)).place;
        let active_ms = (number >> 16) as i64 * SLOT_MS + draw.of(2).between(0, SLOT_MS - 1);
        let level = draw.of(3).between(0, 2);
        let responding_ms = active_ms + draw.of(4).between(4 * MINUTE, 15 * MINUTE);
        let resolved_ms = responding_ms + draw.of(5).between(10 * MINUTE, (25 + 20 * level) * MINUTE);
        Incident {
            number,
            id: draw.of(6).uuid(),
            place,
            lon_m: LAT_M * place.lat.to_radians().cos(),
            active_ms,
            responding_ms,
            resolved_ms,
            kind: draw.of(7).between(0, KINDS.len() as i64 - 1) as usize,
            severity: Severity::ALL[level as usize],
            services: draw.of(8).between(0, 9) as u32,
        }
    }
}

/// Metres a degree of latitude.
const LAT_M: f64 = 111_195.0;

impl Incident {
    /// Its id.
    pub fn id(&self) -> &str {
        std::str::from_utf8(&self.id).unwrap_or_default()
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// How it stands, while there is anything to report.
    pub fn phase(&self, ms: i64) -> Option<Phase> {
        match ms {
            _ if ms < self.active_ms || ms >= self.resolved_ms + REPORTED_MS => None,
            _ if ms < self.responding_ms => Some(Phase::Active),
            _ if ms < self.resolved_ms => Some(Phase::Responding),
            _ => Some(Phase::Resolved),
        }
    }

    /// Whether vehicles in its reach are slowed.
    pub(crate) fn slows(&self, ms: i64) -> bool {
        (self.active_ms..self.resolved_ms + CLEARING_MS).contains(&ms)
    }

    /// The square of the distance, in square metres, flat as the Earth is on so short a way.
    pub(crate) fn distance2(&self, place: Place) -> f64 {
        let (north, east) = ((place.lat - self.place.lat) * LAT_M, (place.lon - self.place.lon) * self.lon_m);
        north * north + east * east
    }

    /// Whether the road is closed there: by a grave one, until help comes.
    pub(crate) fn closes(&self, phase: Phase) -> bool {
        self.severity == Severity::High && phase == Phase::Active
    }

    /// What a record says of it.
    pub(crate) fn body(&self, phase: Phase) -> Emergency<'_> {
        let (kind, description) = KINDS[self.kind];
        let minutes = (self.responding_ms - self.active_ms) as f64 / MINUTE as f64;
        Emergency {
            incident: Some(citystream_wire::Incident {
                id: self.id(),
                kind,
                phase,
                description,
                severity: self.severity,
                response_time_min: Some(minutes),
            }),
            services: Some(Services { count: self.services, kinds: &SERVICES[..(self.services as usize).min(3)] }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;

    #[test]
    fn any_stretch_of_time_has_the_same_incidents() {
        let (road, incidents) = (Road::bundled(), Incidents { draw: Draw::new(3), an_hour: 6.0 });
        let day = incidents.between(&road, 100 * DAY, 101 * DAY);
        assert!((120..180).contains(&day.len()), "{} a day", day.len());
        let mut parts = Vec::new();
        for hour in 0..24 {
            parts.extend(incidents.between(&road, 100 * DAY + hour * HOUR, 100 * DAY + (hour + 1) * HOUR));
        }
        parts.sort_by_key(|incident| incident.number);
        parts.dedup();
        assert_eq!(parts, day);
        assert!(day.iter().all(|incident| *incident == incidents.numbered(&road, incident.number)));
    }

    #[test]
    fn a_life_is_active_responding_resolved() {
        let (road, incidents) = (Road::bundled(), Incidents { draw: Draw::new(3), an_hour: 6.0 });
        for incident in incidents.between(&road, 100 * DAY, 101 * DAY) {
            let at = |ms| incident.phase(ms);
            assert_eq!([at(incident.active_ms - 1), at(incident.active_ms)], [None, Some(Phase::Active)]);
            assert_eq!(at(incident.responding_ms), Some(Phase::Responding));
            assert_eq!(at(incident.resolved_ms), Some(Phase::Resolved));
            assert_eq!(at(incident.active_ms + LONGEST_MS), None);
            assert!(incident.slows(incident.resolved_ms) && !incident.slows(incident.resolved_ms + CLEARING_MS));
            assert_eq!(incident.distance2(incident.place), 0.0);
        }
    }
}
