//! From the dataflow to the hub, without a worker ever waiting: some frames queue, and what comes then overlays itself by key.

use std::sync::{Arc, mpsc};

use citystream_live::frames::Frame;

use super::hub::Hub;
use crate::columns::names::Names;

/// So many frames queue.
const QUEUE: usize = 4;

/// Where frames leave the dataflow.
pub struct Outlet {
    queue: mpsc::SyncSender<Frame>,
    waiting: Option<Frame>,
}

/// Starts the thread that encodes frames; it ends with the outlet.
pub fn feed(hub: Arc<Hub>, names: Arc<Names>) -> Outlet {
    let (queue, frames) = mpsc::sync_channel::<Frame>(QUEUE);
    hub.name(names);
    std::thread::spawn(move || {
        frames.iter().for_each(|frame| hub.publish(frame));
        hub.end();
    });
    Outlet { queue, waiting: None }
}

impl Outlet {
    /// Sends a frame, with those that could not be sent before.
    pub fn send(&mut self, frame: Frame) {
        let frame = match self.waiting.take() {
            Some(mut waiting) => {
                waiting.overlay(frame);
                waiting
            }
            None => frame,
        };
        if let Err(mpsc::TrySendError::Full(frame)) = self.queue.try_send(frame) {
            self.waiting = Some(frame);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use citystream_live::frames::ViewId;
    use citystream_live::rows::{Key, Row, View, Worst};

    use super::*;

    #[test]
    fn what_cannot_be_sent_is_overlaid_by_key_and_sent_later() {
        let (queue, frames) = mpsc::sync_channel(QUEUE);
        let mut outlet = Outlet { queue, waiting: None };
        let frame = |epoch: u64| {
            let row = |rank: u32| Worst { rank, cell: 0, ratio: epoch as u32, current: 0, is_closed: false };
            let rows = [(Key::Worst(1), Some(Row::Worst(row(1)))), (Key::Worst(10 + epoch as u32), None)];
            let views = [(ViewId::BuiltIn(View::Worst), rows.into_iter().collect())].into();
            Frame { epoch, views, ..Frame::default() }
        };
        (1..=7).for_each(|epoch| outlet.send(frame(epoch)));
        let sent: Vec<u64> = frames.try_iter().map(|frame| frame.epoch).collect();
        assert_eq!(sent, [1, 2, 3, 4], "the queue is full, and nobody waits");
        outlet.send(frame(8));
        let last = frames.try_recv().unwrap();
        let rows = last.views[&ViewId::BuiltIn(View::Worst)].by_key();
        assert_eq!((last.epoch, rows.len()), (8, 1 + 4), "epochs 5 to 8 in one");
        assert!(matches!(rows[&Key::Worst(1)], Some(Row::Worst(Worst { ratio: 8, .. }))));
        assert!(outlet.waiting.is_none() && frames.try_recv().is_err());
    }
}
