//! What is within 1,500 m of a place, found by cell: incidents while they are active, and the circles around them in
//! which vehicles count as exposed.

use std::cmp::Reverse;

use super::correct::Episode;
use crate::operators::numbers::Slab;
use crate::operators::references::NONE;
use crate::records::measures::{Origin, distance_mm};
use crate::records::{Point, Status, TextId};
use crate::time::Micros;

/// More active incidents are not counted: two bits beside the count are a ping's flags.
pub const MOST_ACTIVE: u16 = (1 << 14) - 1;
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
pub struct Validity {
    /// The first time.
    pub from: Micros,
    /// The first time after.
    pub until: Micros,
    /// The number of the status, or of the circle.
    pub id: u32,
    /// Where it is.
    pub origin: Origin,
}

/// The incidents that are active around a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Active {
    /// How many.
    pub count: u16,
    /// The number of the nearest one's status.
    pub nearest: u32,
}

impl Active {
    /// None is.
    pub const NONE: Active = Active { count: 0, nearest: NONE };
}

/// What reaches one cell.
#[derive(Debug, Default)]
pub struct CellReferences {
    /// Of each incident in the order of time: no two at the same.
    episodes: Vec<(TextId, Vec<Validity>)>,
    circles: Vec<Validity>,
}

impl CellReferences {
    /// Adds an episode of an incident.
    pub fn add_episode(&mut self, incident: TextId, episode: Validity) {
        let at = self.episodes.iter().position(|(held, _)| *held == incident).unwrap_or(self.episodes.len());
        if at == self.episodes.len() {
            self.episodes.push((incident, Vec::new()));
        }
        let episodes = &mut self.episodes[at].1;
        let at = episodes.partition_point(|held| held.from < episode.from);
        episodes.insert(at, episode);
    }

    /// Ends the episode of a status at a time, if it lasts longer.
    pub fn end_episode(&mut self, incident: TextId, id: u32, until: Micros) {
        let Some((_, episodes)) = self.episodes.iter_mut().find(|(held, _)| *held == incident) else { return };
        let Some(at) = episodes.iter().rposition(|episode| episode.id == id) else { return };
        let episode = &mut episodes[at];
        episode.until = episode.until.min(until);
        if episode.from >= episode.until {
            episodes.remove(at);
        }
    }

    /// Puts a circle in the place of another, or of none.
    pub fn replace_circle(&mut self, old: Option<u32>, new: Option<Validity>) {
        if let Some(at) = self.circles.iter().position(|circle| Some(circle.id) == old) {
            self.circles.swap_remove(at);
        }
        self.circles.extend(new);
    }

    /// Frees what ends before a time.
    pub fn free_before(&mut self, time: Micros) {
        self.episodes.retain_mut(|(_, episodes)| {
            episodes.retain(|episode| episode.until > time);
            !episodes.is_empty()
        });
        self.circles.retain(|circle| circle.until > time);
    }

    /// The memory of what reaches it, in bytes.
    pub fn bytes(&self) -> usize {
        let episodes = self.episodes.iter().map(|(_, episodes)| episodes.capacity()).sum::<usize>();
        (episodes + self.circles.capacity()) * size_of::<Validity>()
            + self.episodes.capacity() * size_of::<(TextId, Vec<Validity>)>()
    }

    /// How many incidents and circles reach it.
    pub fn len(&self) -> usize {
        self.episodes.len() + self.circles.len()
    }

    /// Whether nothing reaches it.
    pub fn is_empty(&self) -> bool {
        self.episodes.is_empty() && self.circles.is_empty()
    }

    /// The incidents that are active near a place at a time.
    pub fn active(&self, time: Micros, at: Point, statuses: &Slab<Status>) -> Active {
        let mut active = Active::NONE;
        let mut nearest: Option<(f64, &Validity)> = None;
        for (_, episodes) in &self.episodes {
            let begun = episodes.partition_point(|episode| episode.from <= time);
            let Some(episode) = episodes[..begun].last().filter(|last| time < last.until) else { continue };
            let Some(metres) = near(&episode.origin, at) else { continue };
            active.count = active.count.saturating_add(1);
            let is_nearer = |held: (f64, &Validity)| {
                closer((metres, &episode.origin, episode.id), (held.0, &held.1.origin, held.1.id), at, statuses)
            };
            if nearest.is_none_or(is_nearer) {
                nearest = Some((metres, episode));
            }
        }
        active.nearest = nearest.map_or(NONE, |(_, episode)| episode.id);
        active
    }

    /// The same after an episode has begun or ended, given what was active before. Others that are here may have yet to begin
    /// or end for this ping: each does so once, in its turn.
    pub fn after(
        &self,
        old: Active,
        episode: &Episode,
        (time, at): (Micros, Point),
        statuses: &Slab<Status>,
    ) -> Active {
        let Some(metres) = near(&episode.origin, at) else { return old };
        if self.len() >= MOST_ACTIVE.into() {
            return self.active(time, at, statuses);
        }
        let Episode { id, origin, begins } = episode;
        if !begins {
            // The nearest is sought anew only if it was that.
            let nearest = if old.nearest == *id { self.active(time, at, statuses).nearest } else { old.nearest };
            return Active { count: old.count.saturating_sub(1), nearest };
        }
        let is_nearer = statuses.get(old.nearest).is_none_or(|held| {
            let held_origin = Origin::from(held.at);
            let held = (held_origin.metres(at), &held_origin, old.nearest);
            old.nearest == *id || closer((metres, origin, *id), held, at, statuses)
        });
        Active { count: old.count + 1, nearest: if is_nearer { *id } else { old.nearest } }
    }

    /// The numbers of the circles that a ping is in.
    pub fn circles(&self, time: Micros, at: Point) -> impl Iterator<Item = u32> {
        let holds = move |circle: &&Validity| circle.from <= time && time < circle.until;
        let holding = self.circles.iter().filter(holds);
        holding.filter(move |circle| near(&circle.origin, at).is_some()).map(|circle| circle.id)
    }
}

/// Whether one status is nearer than another, by its metres, place and number; ties go to the greater stamp.
fn closer(one: Seen<'_>, other: Seen<'_>, at: Point, statuses: &Slab<Status>) -> bool {
    if (one.0 - other.0).abs() > DOUBT_M {
        return one.0 < other.0;
    }
    let stamp = |id: u32| statuses.get(id).map(|status| status.stamp);
    let exactly = |(_, origin, id): Seen<'_>| (distance_mm(at, origin.at()), Reverse(stamp(id)));
    exactly(one) < exactly(other)
}

/// A status as seen from a ping: metres, place, number.
type Seen<'a> = (f64, &'a Origin, u32);

/// Whether a place is near another.
pub fn is_near(one: Point, other: Point) -> bool {
    near(&one.into(), other).is_some()
}
