//! What is within 1,500 m of a place, found by cell: incidents while they are active, and the circles around them in
//! which vehicles count as exposed.

use std::cmp::Reverse;

use super::references::Slab;
use crate::measures::{Origin, distance_mm};
use crate::records::{Point, Status};
use crate::time::Micros;

/// How far near is.
pub const NEAR_MM: i64 = 1_500_000;
/// Within a centimetre of it, only the haversine decides.
pub const NEAR_M: f64 = NEAR_MM as f64 / 1000.0;
const DOUBT_M: f64 = 0.01;
/// The distance in metres of a place that is near, to a centimetre.
pub fn near(origin: &Origin, to: Point) -> Option<f64> {
    let metres = origin.metres(to);
    if metres > NEAR_M + DOUBT_M {
        return None;
    }
    (metres < NEAR_M - DOUBT_M || distance_mm(to, origin.at()) <= NEAR_MM).then_some(metres)
}

/// What reaches a cell for a time: the episode in which an incident is active as one of its statuses says, or a circle.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// The first time.
    pub from: Micros,
    /// The first time after.
    pub until: Micros,
    /// The number of the status, or of the circle.
    pub id: u32,
    /// Where it is.
    pub origin: Origin,
}

/// What reaches one cell.
#[derive(Debug, Default)]
pub struct Here {
    episodes: Vec<Reach>,
    circles: Vec<Reach>,
}

impl Here {
    /// Adds an episode.
    pub fn add_episode(&mut self, episode: Reach) {
        self.episodes.push(episode);
    }

    /// Ends the episode of a status at a time, if it lasts longer.
    pub fn end_episode(&mut self, id: u32, until: Micros) {
        let Some(at) = self.episodes.iter().position(|episode| episode.id == id) else { return };
        let episode = &mut self.episodes[at];
        episode.until = episode.until.min(until);
        if episode.from >= episode.until {
            self.episodes.swap_remove(at);
        }
    }

    /// Puts a circle in the place of another, or of none.
    pub fn replace_circle(&mut self, old: Option<u32>, new: Option<Reach>) {
        if let Some(at) = self.circles.iter().position(|circle| Some(circle.id) == old) {
            self.circles.swap_remove(at);
        }
        self.circles.extend(new);
    }

    /// Frees what ends before a time.
    pub fn free_before(&mut self, time: Micros) {
        self.episodes.retain(|episode| episode.until > time);
        self.circles.retain(|circle| circle.until > time);
    }

    /// Whether nothing reaches it.
    pub fn is_empty(&self) -> bool {
        self.episodes.is_empty() && self.circles.is_empty()
    }

    /// How many incidents are active near a place at a time, and the status of the nearest one.
    pub fn active(&self, time: Micros, at: Point, statuses: &Slab<Status>) -> Option<(u16, u32)> {
        let mut count: u16 = 0;
        let mut nearest: Option<(f64, &Reach)> = None;
        for episode in holding(&self.episodes, time) {
            let Some(metres) = near(&episode.origin, at) else { continue };
            count = count.saturating_add(1);
            if nearest.is_none_or(|held| closer((metres, episode), held, at, statuses)) {
                nearest = Some((metres, episode));
            }
        }
        nearest.map(|(_, episode)| (count, episode.id))
    }

    /// The numbers of the circles that a ping is in.
    pub fn circles(&self, time: Micros, at: Point) -> impl Iterator<Item = u32> {
        holding(&self.circles, time).filter(move |circle| near(&circle.origin, at).is_some()).map(|circle| circle.id)
    }
}

fn holding(reaches: &[Reach], time: Micros) -> impl Iterator<Item = &Reach> {
    reaches.iter().filter(move |reach| reach.from <= time && time < reach.until)
}

/// Whether one episode is nearer than another; ties go to the greater stamp.
fn closer(one: (f64, &Reach), other: (f64, &Reach), at: Point, statuses: &Slab<Status>) -> bool {
    if (one.0 - other.0).abs() > DOUBT_M {
        return one.0 < other.0;
    }
    let stamp = |episode: &Reach| statuses.get(episode.id).map(|status| status.stamp);
    let exactly = |episode: &Reach| (distance_mm(at, episode.origin.at()), Reverse(stamp(episode)));
    exactly(one.1) < exactly(other.1)
}

/// Whether a place is near another.
pub fn is_near(one: Point, other: Point) -> bool {
    near(&one.into(), other).is_some()
}
