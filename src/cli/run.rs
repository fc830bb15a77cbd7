//! `citystream run`: one process of a run, to its end or to a signal.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::out::{note, warn};
use super::progress::Progress;
use crate::config::Config;
use crate::error::{INTERRUPTED, RunError};
use crate::pipeline::Run;
use crate::process::metrics::Metrics;

/// Shown below the help.
pub const EXAMPLES: &str = "\
Examples:
  citystream run --source dir:log --lake ./lake --until-drained
  citystream run --lake s3://bucket/city --bootstrap-servers HOST:9092 -w 2
  citystream run --kafka security.protocol=ssl --kafka ssl.ca.location=ca.pem

A new lake from an old one, then on from its topics:
  citystream run --source lake:OLD --lake NEW --until-drained
  citystream run --lake NEW --bootstrap-servers HOST:9092

Process 0 and process 1 of two, with two workers each, on two hosts:
  citystream run -n 2 -w 2 -p 0 -h hosts.txt --lake s3://bucket/city
  citystream run -n 2 -w 2 -p 1 -h hosts.txt --lake s3://bucket/city

Ctrl-C or SIGTERM commits what has been read and ends with 0. With the same
flags `citystream check` says whether a run would start, and `citystream config`
which settings it would have.";

/// Runs until everything has ended in order, or cannot go on.
pub fn run(config: &Config) -> Result<i32, RunError> {
    if config.supervised {
        // Who cannot be told gets no such signal.
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    }
    let signals = Signals::listen()?;
    let metrics = Arc::new(Metrics::new(config.policy, config.epoch)?);
    signals.waiting(Waiting::Start);
    let run = Run::start(config, Arc::clone(&metrics))?;
    signals.waiting(Waiting::Commit(Arc::clone(&metrics)));
    let mut progress = Progress::new(Arc::clone(&metrics), config);
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
    if outcome.is_ok() {
        signals.waiting(Waiting::Tables);
    }
    match run.finish(outcome) {
        // A peer that was asked too may have given up a moment earlier.
        Err(RunError::PeerLost(lost)) if signals.count() > 0 => {
            gave_up(&metrics, &lost);
            Ok(0)
        }
        finished => finished.map(|()| 0),
    }
}

/// SIGINT, SIGTERM and, but under `nohup`, SIGHUP: the first asks for an orderly end, which takes some seconds at most; the
/// second ends the process.
pub struct Signals {
    seen: Arc<AtomicU32>,
    waiting: Arc<Mutex<Waiting>>,
}

/// What the process waits for when it is asked to end.
#[derive(Default)]
pub enum Waiting {
    /// Nothing that could take long.
    #[default]
    Nothing,
    /// Peers, broker or store, before anything was read.
    Start,
    /// The last commit.
    Commit(Arc<Metrics>),
    /// What follows the last commit.
    Tables,
}

/// An orderly end takes no longer: what has not answered by then is given up on.
const PATIENCE: Duration = Duration::from_secs(9);

impl Signals {
    /// Listens from now on.
    pub fn listen() -> Result<Self, RunError> {
        let (seen, waiting) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(Waiting::default())));
        let (counted, awaited) = (Arc::clone(&seen), Arc::clone(&waiting));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| RunError::Failed(format!("cannot listen for signals: {e}")))?;
        std::thread::spawn(move || runtime.block_on(count(&counted, &awaited)));
        Ok(Signals { seen, waiting })
    }

    /// What is waited for from now on.
    pub fn waiting(&self, waiting: Waiting) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = waiting;
    }

    /// Signals so far.
    pub fn count(&self) -> u32 {
        self.seen.load(Ordering::Relaxed)
    }
}

async fn count(seen: &AtomicU32, waiting: &Mutex<Waiting>) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::warn!("signals cannot be caught: the run ends at once when asked to");
        return;
    };
    let mut hangup = if ignores_hangups() { None } else { signal(SignalKind::hangup()).ok() };
    let mut patience = std::pin::pin!(tokio::time::sleep(Duration::MAX));
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = hung_up(&mut hangup) => {}
            () = &mut patience => {
                give_up(&waiting.lock().unwrap_or_else(PoisonError::into_inner));
                patience.as_mut().reset(tokio::time::Instant::now() + PATIENCE);
                continue;
            }
        }
        patience.as_mut().reset(tokio::time::Instant::now() + PATIENCE);
        if matches!(*waiting.lock().unwrap_or_else(PoisonError::into_inner), Waiting::Start) {
            note!("citystream: ended before it had begun; nothing was read");
            std::process::exit(0);
        }
        if seen.fetch_add(1, Ordering::Relaxed) > 0 {
            warn("ended at once; what was not committed will be read again");
            std::process::exit(INTERRUPTED);
        }
        note!("citystream: committing what has been read (once more to end at once)");
    }
}

async fn hung_up(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => drop(hangup.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether whoever started the program wants it to outlive the terminal, as `nohup` does.
fn ignores_hangups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // The first bit is the first signal's, a hangup.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// Ends what does not end: nothing is lost by it, as nothing is by any end.
fn give_up(waiting: &Waiting) {
    let seconds = PATIENCE.as_secs();
    match waiting {
        Waiting::Nothing | Waiting::Start => return,
        Waiting::Commit(metrics) => {
            gave_up(metrics, &format!("store, disk or a peer has not answered for {seconds} s"));
        }
        Waiting::Tables => warn(&format!(
            "gave up on the Delta tables: the store has not taken them for {seconds} s; all that was read is committed, and \
             the next run adds it to the tables"
        )),
    }
    std::process::exit(0);
}

/// Says what the last commit was to hold.
fn gave_up(metrics: &Metrics, why: &str) {
    let bytes = metrics.uncommitted.get();
    warn(&format!("gave up on the last commit: {why}; {bytes} bytes that were read will be read again"));
}
