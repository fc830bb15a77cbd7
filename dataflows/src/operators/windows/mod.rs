//! Tables of windows: what each key has in each span of time. A window's cost follows its changes: its aggregate is
//! updated in place, and a commit compares the row of each touched key with the row last written (D2). A sealed window is
//! freed without a write (D3).

pub mod counts;

use std::collections::BTreeMap;
use std::hash::Hash;

use crate::held::Amount;
use crate::records::changes::Change;
use crate::records::hash::IdMap;
use crate::time::closes::{CloseKind, EpochClose};
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

/// Open windows.
pub struct Windows<A: Aggregate> {
    length: Micros,
    open: BTreeMap<Micros, IdMap<A::Key, Slot<A>>>,
    touched: Vec<(Micros, A::Key)>,
    /// The start of the first window that is not sealed.
    first: Micros,
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
        Windows { length, open: BTreeMap::new(), touched: Vec::new(), first: Micros::MIN, held: Amount::default() }
    }

    /// The aggregate of a key at a time, to be updated: only for what counts, so no time is in a sealed window.
    pub fn at(&mut self, time: Micros, key: A::Key) -> &mut A {
        let start = window(time, self.length);
        debug_assert!(start >= self.first, "D3: a sealed window is written again");
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

    /// Closes an epoch: at the end of a commit what has changed is written and what is sealed is freed.
    pub fn close(&mut self, close: &EpochClose, fuel: &mut usize, out: &mut Vec<Change<A::Row>>) -> bool {
        if close.kind == CloseKind::Open {
            return true;
        }
        while let Some((start, key)) = self.touched.pop() {
            self.write(start, key, close.kind == CloseKind::Seal, out);
            *fuel = fuel.saturating_sub(1);
            if *fuel == 0 {
                return false;
            }
        }
        if let Some(horizon) = close.horizon {
            self.first = self.first.max(window(horizon, self.length));
            let open = self.open.split_off(&self.first);
            let sealed = std::mem::replace(&mut self.open, open);
            sealed.into_values().for_each(|slots| self.freed(&slots));
        }
        true
    }

    fn freed(&mut self, slots: &IdMap<A::Key, Slot<A>>) {
        let Amount { count, bytes } = Amount::in_map::<(A::Key, Slot<A>)>(slots.len());
        self.held.count -= count;
        self.held.bytes -= bytes + slots.values().map(|slot| slot.beside).sum::<usize>();
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
