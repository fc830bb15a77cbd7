//! The statuses of an incident, cut greedily into lives of at most 24 h from each life's first status.
//!
//! A life is final, and freed, once the horizon, in whole steps, is a day past its first status and past its circle: then no
//! status and no ping to come can change it, and a later status begins a new life (F1).

use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::{Circle, CircleChange, LIFE, LifeId, STEP, Seed};
use crate::held::{Amount, Balance, Kind};
use crate::operators::stage::{Closes, Emitted, Inbox, Input, Open, Outputs, Stage, conduct};
use crate::records::changes::{Exposure, Life};
use crate::records::hash::{IdMap, IdSet};
use crate::records::{Stamp, Status, TextId};
use crate::time::closes::{CloseKind, EpochClose};
use crate::time::seals::Seals;
use crate::time::{Epoch, Micros};

/// What becomes of a life.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct LifeEvent {
    /// The life.
    pub id: LifeId,
    /// What its statuses say now; `None` if it is no life any more.
    pub life: Option<Life>,
    /// Its exposure, where that cannot change any more.
    pub exposure: Option<Exposure>,
    /// Whether nothing can change any more.
    pub is_final: bool,
}

/// What becomes of lives and of their circles; see the module.
pub fn lives<'scope>(
    closes: Closes<'scope>,
    statuses: StreamVec<'scope, Epoch, Status>,
    seeds: StreamVec<'scope, Epoch, Seed>,
) -> (StreamVec<'scope, Epoch, LifeEvent>, StreamVec<'scope, Epoch, CircleChange>) {
    let mut builder = OperatorBuilder::new(Lives::NAME.to_owned(), closes.scope());
    let statuses = Inbox::new(&mut builder, statuses, Exchange::new(|s: &Status| s.incident.spread()));
    let seeds = Inbox::new(&mut builder, seeds, Exchange::new(|s: &Seed| s.life.incident.spread()));
    let stage = Lives {
        statuses,
        seeds,
        stories: IdMap::default(),
        touched: IdSet::default(),
        seals: Seals::new(STEP),
        held: 0,
    };
    let Emitted { rows, side, .. } = conduct(builder, closes, stage);
    (rows, side)
}

struct Lives {
    statuses: Inbox<Status>,
    seeds: Inbox<Seed>,
    stories: IdMap<TextId, Story>,
    touched: IdSet<TextId>,
    seals: Seals,
    /// Bytes of statuses and lives.
    held: usize,
}

/// What is known of an incident.
#[derive(Default)]
struct Story {
    /// In the order of their stamps.
    statuses: Vec<Status>,
    lives: Vec<Life>,
    seeds: Vec<Seed>,
}

impl Stage for Lives {
    const NAME: &'static str = "lives";
    type Row = LifeEvent;
    type Side = CircleChange;
    type Sealed = ();

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![&mut self.statuses, &mut self.seeds]
    }

    fn absorb(&mut self, Open { epoch, .. }: Open, fuel: &mut usize, _: &mut Outputs<Self::Row, Self::Side>) {
        for status in self.statuses.take(epoch, fuel) {
            let statuses = &mut self.stories.entry(status.incident).or_default().statuses;
            statuses.insert(statuses.partition_point(|held| held.stamp < status.stamp), status);
            self.touched.insert(status.incident);
            // Nearly each comes with a life of its own.
            self.held += size_of::<Status>() + size_of::<Life>();
        }
        for seed in self.seeds.take(epoch, fuel) {
            self.stories.entry(seed.life.incident).or_default().seeds.push(seed);
        }
    }

    fn close(&mut self, close: &EpochClose, fuel: &mut usize, out: &mut Outputs<LifeEvent, CircleChange>) -> bool {
        for incident in self.touched.drain() {
            if let Some(story) = self.stories.get_mut(&incident) {
                story.tell(close.kind == CloseKind::Recovery, out);
                *fuel = fuel.saturating_sub(1);
            }
        }
        // Once a step only: it visits every incident.
        if let Some(due) = self.seals.due(close) {
            self.seals.pass(due.end);
            self.held = 0;
            self.stories.retain(|_, story| {
                let keep = story.keep(due.end, &mut out.rows);
                self.held += if keep { story.bytes() } else { 0 };
                keep
            });
        }
        true
    }

    fn tell(&self, balance: &mut Balance) {
        let mut held = Amount::in_map::<(TextId, Story)>(self.stories.len());
        held += Amount::bytes(self.held);
        balance.set(Kind::Incidents, held);
    }
}

impl Story {
    /// Cuts the lives anew and tells what has changed.
    fn tell(&mut self, recovered: bool, out: &mut Outputs<LifeEvent, CircleChange>) {
        if recovered {
            // What is older than the lives that the lake names belongs to lives that are final.
            let first = self.seeds.iter().map(|seed| seed.life.first).min();
            self.statuses.retain(|status| first.is_some_and(|first| status.stamp >= first));
        }
        let lives = cut(&self.statuses);
        let old = std::mem::replace(&mut self.lives, lives);
        let (mut old, mut new) = (old.iter().peekable(), self.lives.iter().peekable());
        loop {
            let (was, is) = match (old.peek(), new.peek()) {
                (None, None) => return,
                (Some(was), Some(is)) if was.first == is.first => (old.next(), new.next()),
                (Some(was), Some(is)) if was.first < is.first => (old.next(), None),
                (Some(_), None) => (old.next(), None),
                _ => (None, new.next()),
            };
            let Some(first) = is.or(was).map(|life| life.first) else { return };
            if was == is {
                continue;
            }
            let id = LifeId { incident: is.or(was).map_or(TextId::NONE, |life| life.incident), first };
            let exposure = self.exposure(first);
            out.rows.push(LifeEvent { id, life: is.copied(), exposure, is_final: false });
            let (was, is) = (was.and_then(Circle::of), is.and_then(Circle::of));
            if was != is && exposure.is_none() {
                out.side.push(CircleChange { old: was, new: is });
            }
        }
    }

    fn bytes(&self) -> usize {
        self.statuses.capacity() * size_of::<Status>()
            + self.lives.capacity() * size_of::<Life>()
            + self.seeds.capacity() * size_of::<Seed>()
    }

    fn exposure(&self, first: Stamp) -> Option<Exposure> {
        self.seeds.iter().find(|seed| seed.life.first == first)?.exposure
    }

    /// Frees what is final at a time; false once nothing is left.
    fn keep(&mut self, end: Micros, out: &mut Vec<LifeEvent>) -> bool {
        while let Some(life) = self.lives.first().copied() {
            if life.first.time + LIFE > end || Circle::of(&life).is_some_and(|circle| circle.until > end) {
                return true;
            }
            let id = LifeId { incident: life.incident, first: life.first };
            out.push(LifeEvent { id, life: None, exposure: None, is_final: true });
            self.lives.remove(0);
            self.statuses.drain(..(life.statuses as usize).min(self.statuses.len()));
            self.seeds.retain(|seed| seed.life.first != life.first);
        }
        false
    }
}

/// The lives of statuses in the order of their stamps.
fn cut(statuses: &[Status]) -> Vec<Life> {
    let mut lives: Vec<Life> = Vec::new();
    for status in statuses {
        match lives.last_mut() {
            Some(life) if status.stamp.time < life.first.time + LIFE => extend(life, status),
            _ => {
                let Status { stamp: first, incident, at, .. } = *status;
                let new = Life {
                    incident,
                    first,
                    last: first.time,
                    statuses: 0,
                    at,
                    kind: None,
                    severity: None,
                    phases: [None; 3],
                };
                lives.push(new);
                lives.last_mut().into_iter().for_each(|life| extend(life, status));
            }
        }
    }
    lives
}

fn extend(life: &mut Life, status: &Status) {
    life.last = status.stamp.time;
    life.statuses += 1;
    life.kind = status.kind.or(life.kind);
    life.severity = status.severity.or(life.severity);
    if let Some(phase) = status.phase {
        life.phases[phase as usize].get_or_insert(status.stamp);
    }
}
