//! Tables of windows: what each key has in each span of time. A window's cost follows its changes: its aggregate is
//! updated in place, and a commit compares the row of each touched key with the row last written (D2). A window that the
//! horizon has passed is sealed, with the row last written (F1), and freed (D3).

pub mod counts;

use std::collections::{BTreeMap, hash_map};
use std::hash::Hash;

use crate::held::Amount;
use crate::operators::stage::Outputs;
use crate::records::changes::Change;
use crate::records::hash::IdMap;
use crate::time::closes::{CloseKind, EpochClose};
use crate::time::seals::Seals;
use crate::time::{Micros, window};

/// What one key has in one window: a sum of what was added less what was taken back.
pub trait Aggregate: Default {
    /// Tells windows of the same start apart.
    type Key: Copy + Eq + Hash;
    /// What is written.
    type Row: Clone + PartialEq;

    /// The row, if there is anything to say.
    fn row(&self, key: Self::Key, start: Micros) -> Option<Self::Row>;

    /// Bytes that it holds beside itself.
    fn beside(&self) -> usize {
        0
    }
}

/// What a table of windows emits.
pub type OutputsOf<A> = Outputs<Change<<A as Aggregate>::Row>, (), <A as Aggregate>::Row>;

/// Open windows.
pub struct Windows<A: Aggregate> {
    length: Micros,
    open: BTreeMap<Micros, IdMap<A::Key, Slot<A>>>,
    touched: Vec<(Micros, A::Key)>,
    seals: Seals,
    /// What is left of a window that is being sealed.
    sealing: hash_map::IntoIter<A::Key, Slot<A>>,
    held: Amount,
}

struct Slot<A: Aggregate> {
    aggregate: A,
    written: Option<A::Row>,
    touched: bool,
    /// What the aggregate held beside itself when its row was last made.
    beside: usize,
}

impl<A: Aggregate> Windows<A> {
    /// No windows of this length yet.
    pub fn new(length: Micros) -> Self {
        Windows {
            length,
            open: BTreeMap::new(),
            touched: Vec::new(),
            seals: Seals::new(length),
            sealing: hash_map::IntoIter::default(),
            held: Amount::default(),
        }
    }

    /// The aggregate of a key at a time, to be updated: only for what counts, so no time is in a sealed window.
    pub fn at(&mut self, time: Micros, key: A::Key) -> &mut A {
        let start = window(time, self.length);
        debug_assert!(start >= self.seals.end(), "D3: a sealed window is written again");
        let slots = self.open.entry(start).or_default();
        let slot = slots.entry(key).or_insert_with(|| {
            self.held += Amount::in_map::<(A::Key, Slot<A>)>(1);
            Slot { aggregate: A::default(), written: None, touched: false, beside: 0 }
        });
        if !slot.touched {
            slot.touched = true;
            self.touched.push((start, key));
        }
        &mut slot.aggregate
    }

    /// Closes an epoch: at the end of a commit what has changed is written, and what is final is sealed.
    pub fn close(&mut self, close: &EpochClose, fuel: &mut usize, out: &mut OutputsOf<A>) -> bool {
        if close.kind == CloseKind::Open {
            return true;
        }
        while let Some((start, key)) = self.touched.pop() {
            self.write(start, key, close.kind == CloseKind::Seal, &mut out.rows);
            *fuel = fuel.saturating_sub(1);
            if *fuel == 0 {
                return false;
            }
        }
        let Some(due) = self.seals.due(close) else { return true };
        let is_sealed = self.seal(due.end, close.kind == CloseKind::Seal, fuel, &mut out.sealed);
        if is_sealed {
            self.seals.pass(due.end);
        }
        is_sealed
    }

    /// Goes on sealing the windows before a time; true once there is none.
    fn seal(&mut self, end: Micros, emit: bool, fuel: &mut usize, out: &mut Vec<A::Row>) -> bool {
        loop {
            for (_, slot) in self.sealing.by_ref() {
                self.held.count -= 1;
                self.held.bytes -= Amount::in_map::<(A::Key, Slot<A>)>(1).bytes + slot.beside;
                out.extend(slot.written.filter(|_| emit));
                *fuel = fuel.saturating_sub(1);
                if *fuel == 0 {
                    return false;
                }
            }
            match self.open.first_entry().filter(|window| *window.key() < end) {
                Some(window) => self.sealing = window.remove().into_iter(),
                None => return true,
            }
        }
    }

    /// What is held.
    pub fn held(&self) -> Amount {
        self.held
    }

    fn write(&mut self, start: Micros, key: A::Key, emit: bool, out: &mut Vec<Change<A::Row>>) {
        let Some(slot) = self.open.get_mut(&start).and_then(|slots| slots.get_mut(&key)) else { return };
        slot.touched = false;
        let row = slot.aggregate.row(key, start);
        let beside = slot.aggregate.beside();
        self.held.bytes = self.held.bytes + beside - std::mem::replace(&mut slot.beside, beside);
        if row == slot.written {
            return;
        }
        let old = std::mem::replace(&mut slot.written, row.clone());
        if emit {
            out.extend(old.map(|row| Change { row, diff: -1 }));
            out.extend(row.map(|row| Change { row, diff: 1 }));
        }
    }

    /// How many windows of keys are open.
    pub fn len(&self) -> usize {
        self.held.count
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}
