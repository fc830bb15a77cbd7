//! Which partitions a run reads: those at its start, and those that appear while it runs.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use citystream_dataflows::bindings::Position;
use citystream_dataflows::ticks::Added;

use crate::commit::Topics;
use crate::process::Process;
use crate::source::{Available, Catalog};

/// Looks for new partitions until the clock has gone.
pub async fn discover(
    process: Arc<Process>,
    catalog: Arc<dyn Catalog>,
    topics: Topics,
    interval: Duration,
    found: mpsc::Sender<Vec<Added>>,
) {
    loop {
        tokio::time::sleep(interval).await;
        let asked = Arc::clone(&catalog);
        match tokio::task::spawn_blocking(move || asked.discover()).await {
            Ok(Ok(available)) => {
                if let Err(error) = topics.learn(&available) {
                    return process.fatal.raise(error);
                }
                if found.send(available.iter().map(from_the_first).collect()).is_err() {
                    return;
                }
            }
            Ok(Err(error)) => tracing::warn!("looking for new partitions: {error}"),
            Err(_) => return,
        }
    }
}

/// A partition that appears later is read from its first offset.
fn from_the_first(available: &Available) -> Added {
    let Available { partition, low, .. } = *available;
    Added { position: Position { partition, next: low, log_clock: None, drained: false }, from: low }
}
