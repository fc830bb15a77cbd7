//! The records of a city of some 2,000 cells, made as they are needed.

use citystream_dataflows::records::{
    Delivery, IncidentKind, Level, Outcome, Phase, Ping, Point, Reading, Severity, Sky, Source, Stamp, Status, TextId,
    Traffic, VehicleRecord, Weather,
};
use citystream_dataflows::time::Micros;
use citystream_dataflows::time::bindings::Topic;
use h3o::{CellIndex, LatLng, Resolution};

pub const SECOND: Micros = 1_000_000;
pub const MINUTE: Micros = 60 * SECOND;
const START: Micros = 1_600_000_200 * SECOND;
const VEHICLES: u64 = 5000;

/// What a load is like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Event time from one ping to the next.
    pub gap: Micros,
    /// One record in five is up to ten minutes out of order.
    pub is_disordered: bool,
    /// Of so many pings in twelve, all are in one cell.
    pub hot: u64,
    /// Incidents that are active at any time.
    pub incidents: usize,
    /// Pings to a status of an incident.
    pub per_status: usize,
    /// Statuses that say the same of an incident, on average.
    pub reports: u64,
    /// Vehicle records and deliveries as well.
    pub is_whole: bool,
}

/// The records of an epoch.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub pings: Vec<Ping>,
    pub traffic: Vec<Traffic>,
    pub weather: Vec<Weather>,
    pub statuses: Vec<Status>,
    pub vehicles: Vec<VehicleRecord>,
    pub deliveries: Vec<Delivery>,
}

/// Makes records.
pub struct Load {
    shape: Shape,
    random: u64,
    sites: Vec<Site>,
    incidents: Vec<(TextId, Point, Phase)>,
    next_incident: u64,
    offset: i64,
    /// The greatest event time.
    pub clock: Micros,
}

#[derive(Clone, Copy)]
struct Site {
    at: Point,
    c8: u64,
    c5: u64,
}

impl Load {
    pub fn new(shape: Shape) -> Load {
        let centre = LatLng::new(51.52, -0.25).expect("a place").to_cell(Resolution::Eight);
        let disk: Vec<CellIndex> = centre.grid_disk(25);
        let site = |cell: CellIndex| {
            let (place, c5) = (LatLng::from(cell), cell.parent(Resolution::Five).expect("a parent"));
            Site { at: Point { lat: place.lat(), lon: place.lng() }, c8: cell.into(), c5: c5.into() }
        };
        let sites = disk.into_iter().map(site).collect();
        Load { shape, random: 1, sites, incidents: Vec::new(), next_incident: 1, offset: 0, clock: START }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % bound
    }

    fn stamp(&mut self) -> Stamp {
        let is_late = self.shape.is_disordered && self.below(5) == 0;
        let late = if is_late { self.below(600) as i64 * SECOND } else { 0 };
        self.offset += 1;
        Stamp { time: self.clock - late, partition: (self.offset % 4) as i32, offset: self.offset }
    }

    fn site(&mut self) -> Site {
        let index = self.below(self.sites.len() as u64) as usize;
        let Site { at, c8, c5 } = self.sites[index];
        let mut off = || self.below(2000) as f64 * 1e-6 - 1e-3;
        Site { at: Point { lat: at.lat + off(), lon: at.lon + off() }, c8, c5 }
    }

    fn reading(&mut self, most: u64) -> Reading {
        Reading::new(self.below(most * 10) as f64 / 10.0)
    }

    /// So many pings, and what comes with them.
    pub fn batch(&mut self, pings: usize) -> Batch {
        let mut batch = Batch::default();
        for index in 0..pings {
            self.clock += self.shape.gap;
            batch.pings.push(self.ping());
            if index % 5 == 0 {
                batch.traffic.push(self.traffic());
            }
            if index % 20 == 0 {
                batch.weather.push(self.weather());
            }
            if index % self.shape.per_status == 0 {
                batch.statuses.push(self.status());
            }
            if self.shape.is_whole && index % 10 == 0 {
                batch.vehicles.push(self.vehicle());
            }
            if self.shape.is_whole {
                let delay_s = self.below(600) as i32;
                let delivery = Delivery { topic: Topic::GPS, window: self.clock, outcome: Outcome(0), delay_s };
                batch.deliveries.push(delivery);
            }
        }
        batch
    }

    fn ping(&mut self) -> Ping {
        let stamp = self.stamp();
        let mut site = self.site();
        if self.below(12) < self.shape.hot {
            let hot = self.sites[7];
            site = Site { at: Point { lat: hot.at.lat + 1e-6 * self.below(1000) as f64, ..hot.at }, ..hot };
        }
        let (vehicle, speed) = (TextId((1 + self.below(VEHICLES)).into()), self.reading(90));
        Ping { stamp, vehicle, at: site.at, speed, c8: site.c8, c5: site.c5 }
    }

    fn traffic(&mut self) -> Traffic {
        let (stamp, site) = (self.stamp(), self.site());
        let (current, free_flow) = (self.reading(60), Reading::new(50.0));
        let (level, closure, source) = (Some(Level::Light), Some(false), Some(Source::Live));
        Traffic { stamp, at: site.at, c8: site.c8, current, free_flow, level, closure, source }
    }

    fn weather(&mut self) -> Weather {
        let (stamp, site) = (self.stamp(), self.site());
        let sky = if self.below(3) == 0 { Sky::Rain } else { Sky::Other };
        let measures = std::array::from_fn(|_| self.reading(30));
        Weather { stamp, at: site.at, c5: site.c5, condition: TextId(7), sky, measures, source: Some(Source::Live) }
    }

    /// Incidents are active, responded to, resolved.
    fn status(&mut self) -> Status {
        let stamp = self.stamp();
        let (incident, at, phase) = if self.incidents.len() < self.shape.incidents {
            self.next_incident += 1;
            let new = (TextId(self.next_incident.into()), self.site().at, Phase::Active);
            self.incidents.push(new);
            new
        } else {
            let index = self.below(self.shape.incidents as u64) as usize;
            let goes_on = self.below(self.shape.reports) == 0;
            let held = &mut self.incidents[index];
            if goes_on {
                held.2 = if held.2 == Phase::Active { Phase::Responding } else { Phase::Resolved };
            }
            let status = *held;
            if status.2 == Phase::Resolved {
                self.incidents.swap_remove(index);
            }
            status
        };
        let (kind, severity, source) = (Some(IncidentKind::Fire), Some(Severity::Low), Some(Source::Live));
        Status { stamp, incident, at, phase: Some(phase), kind, severity, source }
    }

    fn vehicle(&mut self) -> VehicleRecord {
        let (stamp, vehicle) = (self.stamp(), TextId((1 + self.below(VEHICLES)).into()));
        VehicleRecord { stamp, vehicle, fuel: self.reading(100), odometer: self.reading(100_000) }
    }
}

/// The memory of this process that is resident, in bytes.
pub fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

/// The machine's load of the last minute: other programs spoil figures.
pub fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Seconds of CPU that this thread has used.
pub fn thread_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    nanos.unwrap_or(f64::NAN) / 1e9
}
