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
    std::thread::spawn(move || {
        frames.iter().for_each(|frame| hub.publish(&frame, &names));
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
