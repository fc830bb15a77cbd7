//! Congested cells that are connected: a search over the clusters that a change touches, and no other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use citystream_dataflows::held::{Amount, Balance, Kind};
use citystream_dataflows::operators::stage::{Closes, Input, Open, Outputs, Stage, conduct};
use citystream_dataflows::records::Level;
use citystream_dataflows::records::hash::{IdMap, IdSet};
use citystream_dataflows::time::Epoch;
use citystream_dataflows::time::closes::EpochClose;
use h3o::CellIndex;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::rows::{Cluster, Congestion};
use crate::updates::{Update, Updates};

/// From this level on a cell is congested.
pub const CONGESTED: Level = Level::Moderate;

/// The clusters of all cells, on worker 0.
pub fn clusters<'scope>(
    closes: Closes<'scope>,
    levels: StreamVec<'scope, Epoch, Update<(u64, Congestion)>>,
) -> StreamVec<'scope, Epoch, Update<Cluster>> {
    let mut builder = OperatorBuilder::new("clusters".to_owned(), closes.scope());
    let levels = Updates::new(&mut builder, levels, Exchange::new(|_: &Update<(u64, Congestion)>| 0));
    conduct(builder, closes, Clustering { levels, clusters: Clusters::default() }).rows
}

struct Clustering {
    levels: Updates<(u64, Congestion)>,
    clusters: Clusters,
}

impl Stage for Clustering {
    const NAME: &'static str = "clusters";
    type Row = Update<Cluster>;
    type Side = ();
    type Sealed = ();

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![self.levels.input()]
    }

    fn absorb(&mut self, Open { epoch, .. }: Open, fuel: &mut usize, _: &mut Outputs<Self::Row, ()>) {
        self.levels.absorb(epoch, fuel);
    }

    fn close(&mut self, close: &EpochClose, _: &mut usize, out: &mut Outputs<Self::Row, ()>) -> bool {
        let updates = self.levels.take(close.epoch);
        let changes = updates.into_iter().map(|((cell, level), diff)| (cell, (diff > 0).then_some(level)));
        let changed = self.clusters.update(changes);
        out.rows.extend(changed.into_iter().map(|(row, diff)| (row, close.epoch, diff)));
        true
    }

    fn tell(&self, balance: &mut Balance) {
        let cells = self.clusters.congested.len();
        let mut held = Amount::in_map::<(u64, Congested)>(cells);
        held += Amount::bytes(cells * size_of::<u64>());
        balance.set(Kind::Live, held);
    }
}

/// A congested cell.
#[derive(Clone, Copy, Debug)]
struct Congested {
    level: Congestion,
    /// The id of its cluster.
    cluster: u64,
    /// The cells beside it: a search asks for them again and again.
    beside: Beside,
}

/// All clusters.
#[derive(Debug, Default)]
pub struct Clusters {
    congested: IdMap<u64, Congested>,
    /// Clusters with their cells, by their least cell.
    clusters: BTreeMap<u64, (Cluster, Vec<u64>)>,
}

impl Clusters {
    /// Takes changes of levels, the last of a cell counts; `None` is no level any more. Returns what has changed of the clusters.
    pub fn update(&mut self, changes: impl IntoIterator<Item = (u64, Option<Congestion>)>) -> Vec<(Cluster, isize)> {
        let (mut seeds, mut ids) = (BTreeSet::new(), BTreeSet::new());
        let changes: BTreeMap<u64, Option<Congestion>> = changes.into_iter().collect();
        for (cell, level) in changes {
            let level = level.filter(|it| it.level >= CONGESTED);
            let held = match level {
                Some(level) => {
                    let beside = self.beside(cell);
                    self.congested.insert(cell, Congested { level, cluster: cell, beside })
                }
                None => self.congested.remove(&cell),
            };
            if level.is_some() || held.is_some() {
                seeds.insert(cell);
                ids.extend(held.map(|held| held.cluster));
            }
        }
        let beside = seeds.iter().flat_map(|cell| self.beside(*cell));
        ids.extend(beside.filter_map(|cell| self.congested.get(&cell).map(|held| held.cluster)));
        let mut was = BTreeMap::new();
        for id in ids {
            let Some((cluster, cells)) = self.clusters.remove(&id) else { continue };
            seeds.extend(cells);
            was.insert(id, cluster);
        }
        let is = self.search(seeds);
        difference(&was, &is)
    }

    /// Finds the clusters of these cells anew: all cells that any of them is connected to are among them.
    fn search(&mut self, cells: BTreeSet<u64>) -> BTreeMap<u64, Cluster> {
        let mut seen: IdSet<u64> = IdSet::default();
        let mut found = BTreeMap::new();
        // In order: the cell of a cluster that is met first is its least.
        for id in cells {
            if !self.congested.contains_key(&id) || seen.contains(&id) {
                continue;
            }
            let members: Vec<u64> = self.walk(id).into_iter().map(|(cell, _)| cell).collect();
            seen.extend(members.iter().copied());
            for cell in &members {
                self.congested.entry(*cell).and_modify(|held| held.cluster = id);
            }
            let cluster = self.describe(id, &members);
            found.insert(id, cluster);
            self.clusters.insert(id, (cluster, members));
        }
        found
    }

    /// All cells connected to one, and how many steps away, in the order of these.
    fn walk(&self, from: u64) -> Vec<(u64, u32)> {
        let mut seen = IdSet::from_iter([from]);
        let mut queue = VecDeque::from([(from, 0)]);
        let mut reached = Vec::new();
        while let Some((cell, steps)) = queue.pop_front() {
            reached.push((cell, steps));
            let next = self.beside(cell).into_iter().filter(|next| self.congested.contains_key(next));
            queue.extend(next.filter(|next| seen.insert(*next)).map(|next| (next, steps + 1)));
        }
        reached
    }

    /// The cells beside one, which a congested cell knows.
    fn beside(&self, cell: u64) -> Beside {
        self.congested.get(&cell).map_or_else(|| beside(cell), |held| held.beside)
    }

    fn describe(&self, id: u64, members: &[u64]) -> Cluster {
        let level = |cell: &u64| self.congested.get(cell).map(|held| held.level);
        let since = members.iter().filter_map(level).map(|it| it.since).min().unwrap_or(0);
        let rank = |cell: &&u64| level(cell).map(|it| (std::cmp::Reverse(it.level), it.since, **cell));
        let head = members.iter().min_by_key(rank).copied().unwrap_or(id);
        let farthest = self.walk(head).into_iter().max_by_key(|(cell, steps)| (*steps, std::cmp::Reverse(*cell)));
        let tail = farthest.map_or(head, |(cell, _)| cell);
        Cluster { id, cells: members.len() as u32, since, head, tail }
    }
}

fn difference(was: &BTreeMap<u64, Cluster>, is: &BTreeMap<u64, Cluster>) -> Vec<(Cluster, isize)> {
    let gone = was.iter().filter(|(id, row)| is.get(id) != Some(row)).map(|(_, row)| (*row, -1));
    let new = is.iter().filter(|(id, row)| was.get(id) != Some(row)).map(|(_, row)| (*row, 1));
    gone.chain(new).collect()
}

/// The cells beside one; where there are five, itself once more.
type Beside = [u64; 6];

fn beside(cell: u64) -> Beside {
    let disk = CellIndex::try_from(cell).map(|cell| cell.grid_disk::<Vec<_>>(1)).unwrap_or_default();
    let mut found = disk.into_iter().map(u64::from).filter(|near| *near != cell);
    std::array::from_fn(|_| found.next().unwrap_or(cell))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use h3o::Resolution;

    use super::*;

    #[test]
    fn a_cell_has_six_beside_it_or_five() {
        let around = |cell: u64| beside(cell).into_iter().filter(|near| *near != cell).collect::<BTreeSet<_>>().len();
        let pentagon = Resolution::Eight.pentagons().next().unwrap();
        assert_eq!(around(pentagon.into()), 5);
        assert_eq!(around(pentagon.grid_disk::<Vec<_>>(2).into_iter().next_back().unwrap().into()), 6);
        assert_eq!(around(0), 0, "no cell");
    }
}
