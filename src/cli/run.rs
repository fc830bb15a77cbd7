//! `citystream run`: one process of a run, to its end or to a signal.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::progress::Progress;
use crate::config::Config;
use crate::error::RunError;
use crate::pipeline::Run;
use crate::process::metrics::Metrics;

/// The exit code after a second signal.
const INTERRUPTED: i32 = 130;

/// Runs until everything has ended in order, or cannot go on.
pub fn run(config: &Config) -> Result<i32, RunError> {
    let signals = Signals::listen()?;
    let metrics = Arc::new(Metrics::new(config.policy)?);
    let run = Run::start(config, Arc::clone(&metrics))?;
    let mut progress = Progress::new(metrics, config.process);
    let outcome = loop {
        if let Some(outcome) = run.wait(Duration::from_millis(200)) {
            break outcome;
        }
        if signals.count() > 0 {
            run.stop();
        }
        progress.show();
    };
    progress.end();
    run.finish(outcome).map(|()| 0)
}

/// SIGINT and SIGTERM: the first asks for an orderly end, the second ends the process.
pub struct Signals {
    seen: Arc<AtomicU32>,
}

impl Signals {
    /// Listens from now on.
    pub fn listen() -> Result<Self, RunError> {
        let seen = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&seen);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| RunError::Failed(format!("cannot listen for signals: {e}")))?;
        std::thread::spawn(move || runtime.block_on(count(&counted)));
        Ok(Signals { seen })
    }

    /// Signals so far.
    pub fn count(&self) -> u32 {
        self.seen.load(Ordering::Relaxed)
    }
}

async fn count(seen: &AtomicU32) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::warn!("signals cannot be caught: the run ends at once when asked to");
        return;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if seen.fetch_add(1, Ordering::Relaxed) > 0 {
            eprintln!("citystream: ended at once; what was not committed will be read again");
            std::process::exit(INTERRUPTED);
        }
        eprintln!("citystream: committing what has been read (once more to end at once)");
    }
}
