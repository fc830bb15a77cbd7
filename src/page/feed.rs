//! From the dataflow to the hub, without a worker ever waiting: some frames queue, and what comes then overlays itself by key.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};

use citystream_live::frames::{Frame, ViewId};
use citystream_live::rows::{Key, Row};

use super::hub::Hub;
use crate::columns::names::Names;

/// So many frames queue.
const QUEUE: usize = 4;

/// Where frames leave the dataflow.
pub struct Outlet {
    queue: mpsc::SyncSender<Queued>,
    waiting: Option<Overlaid>,
}

enum Queued {
    One(Frame),
    Several(Overlaid),
}

/// Several frames as one: of each key what the last of them says, so that it is bounded by the rows that there are.
struct Overlaid {
    /// The last one, without its changes.
    last: Frame,
    views: BTreeMap<ViewId, BTreeMap<Key, Option<Row>>>,
}

/// Starts the thread that encodes frames; it ends with the outlet.
pub fn feed(hub: Arc<Hub>, names: Arc<Names>) -> Outlet {
    let (queue, frames) = mpsc::sync_channel(QUEUE);
    hub.name(names);
    std::thread::spawn(move || {
        frames.iter().for_each(|queued: Queued| hub.publish(queued.frame()));
        hub.end();
    });
    Outlet { queue, waiting: None }
}

impl Outlet {
    /// Sends a frame, with those that could not be sent before.
    pub fn send(&mut self, frame: Frame) {
        let next = match self.waiting.take() {
            Some(waiting) => Queued::Several(waiting.with(frame)),
            None => Queued::One(frame),
        };
        if let Err(mpsc::TrySendError::Full(next)) = self.queue.try_send(next) {
            self.waiting = Some(next.overlaid());
        }
    }
}

impl Queued {
    fn overlaid(self) -> Overlaid {
        match self {
            Queued::One(frame) => Overlaid { last: Frame::default(), views: BTreeMap::new() }.with(frame),
            Queued::Several(overlaid) => overlaid,
        }
    }

    fn frame(self) -> Frame {
        match self {
            Queued::One(frame) => frame,
            Queued::Several(Overlaid { last, views }) => {
                let changes = views.into_iter().map(|(view, rows)| (view, rows.into_iter().collect()));
                Frame { views: changes.collect(), ..last }
            }
        }
    }
}

impl Overlaid {
    fn with(mut self, later: Frame) -> Overlaid {
        for (view, changes) in &later.views {
            let changes = changes.by_key().into_iter().map(|(key, row)| (key, row.copied()));
            self.views.entry(*view).or_default().extend(changes);
        }
        let mut installed = self.last.installed;
        installed.extend(later.installed);
        Overlaid { last: Frame { installed, views: BTreeMap::new(), ..later }, ..self }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use citystream_live::rows::{View, Worst};

    use super::*;

    const VIEW: ViewId = ViewId::BuiltIn(View::Worst);

    /// Ranks with a ratio, or gone.
    fn frame(epoch: u64, rows: &[(u32, Option<u32>)]) -> Frame {
        let row = |rank, ratio| Row::Worst(Worst { rank, cell: 0, ratio, current: 0, is_closed: false });
        let rows = rows.iter().map(|(rank, ratio)| (Key::Worst(*rank), ratio.map(|ratio| row(*rank, ratio))));
        Frame { epoch, views: [(VIEW, rows.collect())].into(), ..Frame::default() }
    }

    /// The epoch of what comes next, and its ranks.
    fn next(frames: &mpsc::Receiver<Queued>) -> (u64, Vec<(u32, Option<u32>)>) {
        let frame = frames.try_recv().unwrap().frame();
        let shown = |(key, row): (Key, Option<&Row>)| match (key, row) {
            (Key::Worst(rank), Some(Row::Worst(row))) => (rank, Some(row.ratio)),
            (Key::Worst(rank), None) => (rank, None),
            other => panic!("{other:?}"),
        };
        (frame.epoch, frame.views[&VIEW].by_key().into_iter().map(shown).collect())
    }

    #[test]
    fn what_cannot_be_sent_is_overlaid_by_key_and_sent_later() {
        let (queue, frames) = mpsc::sync_channel(QUEUE);
        let mut outlet = Outlet { queue, waiting: None };
        (1..=4).for_each(|epoch| outlet.send(frame(epoch, &[(1, Some(epoch as u32))])));
        outlet.send(frame(5, &[(1, Some(5)), (2, Some(5)), (3, None), (4, Some(5)), (5, None)]));
        outlet.send(frame(6, &[(1, Some(6)), (2, None), (3, Some(6)), (4, None), (5, Some(6))]));
        outlet.send(frame(7, &[(4, Some(7)), (5, None), (6, None)]));
        let sent: Vec<u64> = (1..=4).map(|_| next(&frames).0).collect();
        assert_eq!(sent, [1, 2, 3, 4], "the queue was full, and nobody waited");
        outlet.send(frame(8, &[(7, Some(8))]));
        let ranks = [(1, Some(6)), (2, None), (3, Some(6)), (4, Some(7)), (5, None), (6, None), (7, Some(8))];
        assert_eq!(next(&frames), (8, ranks.to_vec()), "epochs 5 to 8 in one");
        assert!(outlet.waiting.is_none() && frames.try_recv().is_err());
    }
}
