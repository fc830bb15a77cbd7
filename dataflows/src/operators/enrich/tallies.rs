//! Who passed which incident since the last commit.

use super::cell_references::NEAR_MM;
use super::correct::Counting;
use super::pings::Held;
use crate::held::Amount;
use crate::operators::incidents::{Circle, CircleChange, EXPOSURE, LifeId, Near, Passage, Passages, Pings};
use crate::operators::numbers::Numbers;
use crate::operators::timeline::Stamped;
use crate::records::TextId;
use crate::records::hash::IdMap;
use crate::records::measures::distance_mm;

// What a passage has room for.
const _: () = assert!(NEAR_MM < 1 << 21 && EXPOSURE <= u32::MAX as i64);

/// See the module. Vehicles are numbers, which stay theirs until all is told.
#[derive(Default)]
pub struct Tallies {
    tallies: IdMap<LifeId, Tally>,
    /// What is being told.
    telling: Vec<(LifeId, Tally)>,
    /// Bytes of the passages in all of them.
    passages: usize,
}

#[derive(Default)]
struct Tally {
    during: Pings,
    before: Pings,
    passages: Passages,
}

impl Tallies {
    /// Counts a ping in a circle.
    pub fn add(&mut self, circle: &Circle, held: &Held, counting: Counting) {
        let tally = self.tallies.entry(circle.life).or_default();
        let since_active = held.stamp().time - circle.active;
        let pings = if since_active >= 0 { &mut tally.during } else { &mut tally.before };
        if counting.pings != 0 {
            pings.count += counting.pings;
            pings.speed.add_reading(held.speed, counting.pings);
        }
        if counting.passages && since_active >= 0 {
            let before = tally.passages.bytes();
            tally.passages.add(Passage::new(held.vehicle, since_active, distance_mm(held.at(), circle.at)));
            self.passages = self.passages + tally.passages.bytes() - before;
        }
    }

    /// Takes back who passed a circle that is no more; they are counted again.
    pub fn change(&mut self, change: &CircleChange) {
        if let Some(old) = change.old
            && let Some(tally) = self.tallies.get_mut(&old.life)
        {
            let before = tally.passages.bytes();
            tally.passages.keep_before(change.stands_after());
            self.passages = self.passages + tally.passages.bytes() - before;
        }
    }

    /// Tells of it while there is fuel; true once all is told. In portions: whoever counts it takes one before the next
    /// is made, so that it is not all here twice.
    pub fn tell(&mut self, fuel: &mut usize, names: &Numbers<TextId>, mut near: impl FnMut(Near)) -> bool {
        self.telling.extend(self.tallies.drain());
        while *fuel > 0
            && let Some((life, Tally { during, before, passages })) = self.telling.pop()
        {
            self.passages -= passages.bytes();
            let passages = passages.into_sorted();
            *fuel = fuel.saturating_sub(1 + passages.len());
            let passages = passages.into_iter().map(|passage| (names.value(passage.vehicle), passage)).collect();
            near(Near { life, during, before, passages });
        }
        self.telling.is_empty()
    }

    /// The memory of what is not told, in bytes.
    pub fn bytes(&self) -> usize {
        Amount::in_map::<(LifeId, Tally)>(self.tallies.len()).bytes + self.passages
    }
}
