//! The lives of incidents, and their circles.
//!
//! ```text
//! statuses -- by incident --> lives -- pipeline ------------------------------------> incidents (the table)
//!                                 \--- circles -- pipeline -------------> exposures --^
//!                                         \--- broadcast --> enrich -- near --^  (by incident)
//! ```

mod exposures;
mod lives;
mod passages;

pub use crate::records::changes::{LifeId, Seed};
pub use exposures::{Exposed, Passed, exposures};
pub use lives::{LifeEvent, lives};
pub use passages::{Passage, Passages};

use serde::{Deserialize, Serialize};

use crate::operators::windows::counts::Sum;
use crate::records::changes::Life;
use crate::records::{Phase, Point, TextId};
use crate::time::{MINUTE, Micros};

/// How long a life is at most.
pub const LIFE: Micros = 24 * 60 * MINUTE;
/// How long an incident exposes whoever passes.
pub const EXPOSURE: Micros = 60 * MINUTE;
/// The time before, to compare with.
pub const BEFORE: Micros = 15 * MINUTE;

/// Lives and who passed them become final in steps of this length.
pub const STEP: Micros = 15 * MINUTE;

/// Until when an incident exposes whoever passes, and from when on its exposure cannot change any more. One that was
/// resolved before it was active exposes nobody, but what was before still counts.
pub fn exposed_until(active: Micros, resolved: Option<Micros>) -> Micros {
    let last = active + EXPOSURE;
    resolved.map_or(last, |resolved| resolved.clamp(active, last))
}

/// Where and when vehicles are exposed to a life of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Circle {
    /// The life.
    pub life: LifeId,
    /// Its place.
    pub at: Point,
    /// From when it is active.
    pub active: Micros,
    /// Until when it counts.
    pub until: Micros,
}

impl Circle {
    /// The circle of a life that was active.
    pub fn of(life: &Life) -> Option<Circle> {
        let active = life.since(Phase::Active)?;
        let until = exposed_until(active, life.since(Phase::Resolved));
        Some(Circle { life: LifeId { incident: life.incident, first: life.first }, at: life.at, active, until })
    }

    /// The first time that counts.
    pub fn from(&self) -> Micros {
        self.active - BEFORE
    }

    /// Whether another is the same but for its end.
    pub fn is_of(&self, other: &Circle) -> bool {
        (self.life, self.at, self.active) == (other.life, other.at, other.active)
    }

    /// Whether a time counts, before or during.
    pub fn holds(&self, time: Micros) -> bool {
        (self.from()..self.until).contains(&time)
    }
}

/// A circle that changes. One that is over just ends: records of the epoch that ends it may still be in it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct CircleChange {
    /// What is no more.
    pub old: Option<Circle>,
    /// What is there now.
    pub new: Option<Circle>,
}

impl CircleChange {
    /// Until when those who passed the old circle passed the new one, too; those who passed later are told anew. Where only
    /// the end has moved that is the start of the quarter of an hour in which the circle ends now: pings of so long ago are
    /// still here, and what is told of a quarter can be taken back as a whole only.
    pub fn stands_until(&self) -> Micros {
        match (self.old, self.new) {
            (Some(old), Some(new)) if old.is_of(&new) && old.until <= new.until => old.until,
            (Some(old), Some(new)) if old.is_of(&new) => new.until - (new.until - new.active) % BEFORE,
            _ => Micros::MIN,
        }
    }

    /// The same as a time since the old circle was active: what passages of it are told by.
    pub fn stands_after(&self) -> u32 {
        self.old.map_or(0, |old| (self.stands_until().max(old.active) - old.active) as u32)
    }
}

/// Pings in a circle.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Pings {
    /// How many.
    pub count: i64,
    /// Their speeds.
    pub speed: Sum,
}

impl Pings {
    /// Adds others.
    pub fn merge(&mut self, other: &Pings) {
        self.count += other.count;
        self.speed.merge(&other.speed);
    }
}

/// What one worker's pings add to the exposure of a life.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Near {
    /// The life.
    pub life: LifeId,
    /// Pings while it was active.
    pub during: Pings,
    /// Those of the quarter of an hour before.
    pub before: Pings,
    /// Who passed while it was active. The numbers of vehicles are nobody's.
    pub passages: Vec<(TextId, Passage)>,
}
