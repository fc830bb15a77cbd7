//! Alerts as a sink: what was decided at the seal of a commit is told, in order, to each target: a Kafka topic, a webhook, a file.
//!
//! **At least once.** Each commit records up to which commit all was told when it was made; what is told after that and before a
//! crash is told again, with the same id and the same words. A target that fails is tried until it takes what it is told; no
//! other and no commit waits for it.

mod file;
mod topic;
mod webhook;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use citystream_dataflows::time::Micros;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::mpsc;

pub use file::LogFile;
pub use topic::AlertTopic;
pub use webhook::Webhook;

use super::{Landing, Sink};
use crate::error::RunError;
use crate::lake::history::State;
use crate::lake::history::alerts::{Event, Phase};
use crate::lake::history::commit::Commit;
use crate::standing::{Heard, Registry};

/// A target that has failed is tried again after so long, then after twice as long, up to the longest.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A commit's alerts are mostly told within this; a run that ends waits no longer for them.
const MOSTLY: Duration = Duration::from_millis(200);

/// One alert's step, as it is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// What names it for ever: whoever has seen it has seen the same message.
    pub id: String,
    /// What keeps the steps of one alert in order.
    pub key: String,
    /// The message.
    pub body: Value,
}

impl Message {
    /// The message of an event of a commit.
    pub fn of(seq: u64, event: &Event) -> Message {
        let Event { alert, view, key, phase, since, at, value, why } = event;
        let id = format!("{alert}/{key}/{seq}");
        let state = if *phase == Phase::Raised { "raised" } else { "cleared" };
        let (since, at) = (shown(*since), shown(*at));
        let mut body = json!({ "id": id, "alert": alert, "view": view, "key": key, "seq": seq, "state": state, "since": since, "at": at });
        value.iter().for_each(|value| body["value"] = json!(value));
        why.iter().for_each(|why| body["why"] = json!(why));
        Message { id, key: format!("{alert}/{key}"), body }
    }
}

impl Message {
    /// The message of one who is silent, or back.
    #[allow(clippy::disallowed_methods)] // These go by the clock, and say so.
    fn of_silence((alert, key, is_raised): (String, String, bool)) -> Message {
        let at = jiff::Timestamp::now();
        let (id, state) =
            (format!("{alert}/{key}/at-{}", at.as_millisecond()), if is_raised { "raised" } else { "cleared" });
        let body =
            json!({ "id": id, "alert": alert, "key": key, "state": state, "at": at.to_string(), "by": "the clock" });
        Message { id, key: format!("{alert}/{key}"), body }
    }
}

fn shown(time: Micros) -> String {
    jiff::Timestamp::from_microsecond(time).map(|time| time.to_string()).unwrap_or_default()
}

/// Who is told.
pub trait Target: Send + Sync {
    /// What to call it in a log.
    fn name(&self) -> String;

    /// How many it takes at once; they are taken together, or come again together.
    fn at_once(&self) -> usize;

    /// Tells it; done is what it has taken for good.
    fn tell<'a>(&'a self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), String>>;
}

/// The events of a commit.
type ToTell = (u64, Arc<[Message]>);

/// See the module.
pub struct AlertSink {
    /// To each target.
    queues: Vec<mpsc::UnboundedSender<ToTell>>,
    told: Told,
    /// For who asks.
    registry: Arc<Registry>,
}

/// Up to which commit all was told: the last one, and each target's.
#[derive(Clone, Debug)]
pub struct Told(Arc<AtomicU64>, Vec<Arc<AtomicU64>>);

impl Told {
    /// The commit.
    pub fn get(&self) -> u64 {
        let targets = self.1.iter().map(|told| told.load(Ordering::Acquire));
        targets.min().unwrap_or_else(|| self.0.load(Ordering::Acquire))
    }
}

impl AlertSink {
    /// Goes on from a claimed state: what was not told is told first.
    pub fn start(
        state: &State,
        registry: &Arc<Registry>,
        targets: Vec<Box<dyn Target>>,
        runtime: &tokio::runtime::Handle,
    ) -> (AlertSink, Told) {
        *registry.alerts() = state.alerts.clone();
        let untold = state.alerts.untold();
        let before = untold.first().map_or(state.seq, |(seq, _)| seq.saturating_sub(1));
        let mut told = Told(Arc::new(AtomicU64::new(before)), Vec::new());
        let mut queues = Vec::new();
        for target in targets {
            let (queue, inbox) = mpsc::unbounded_channel();
            let this = Arc::new(AtomicU64::new(before));
            told.1.push(Arc::clone(&this));
            queues.push(queue);
            runtime.spawn(tell_all(inbox, target, this));
        }
        let sink = AlertSink { queues, told: told.clone(), registry: Arc::clone(registry) };
        for commit in untold.chunk_by(|one, next| one.0 == next.0) {
            sink.send(commit[0].0, commit.iter().map(|(_, event)| event));
        }
        sink.send(state.seq, std::iter::empty());
        registry.silences().begin(Instant::now());
        if !registry.silences().is_empty() {
            runtime.spawn(silence(Arc::downgrade(registry), sink.queues.clone()));
        }
        (sink, told)
    }

    fn send<'a>(&self, seq: u64, events: impl Iterator<Item = &'a Event>) {
        let messages: Arc<[Message]> =
            events.filter(|event| event.is_told()).map(|event| Message::of(seq, event)).collect();
        self.told.0.store(seq, Ordering::Release);
        // A target's task ends with its queue.
        self.queues.iter().for_each(|queue| drop(queue.send((seq, Arc::clone(&messages)))));
    }
}

impl Sink for AlertSink {
    fn name(&self) -> &'static str {
        "alerts"
    }

    fn landed<'a>(&'a mut self, commit: &'a Commit) -> BoxFuture<'a, Result<Landing, RunError>> {
        self.registry.alerts().apply(commit.seq, &commit.alerts, commit.told);
        for (topic, _) in commit.ledger.iter().filter(|(_, ledger)| ledger.read > 0) {
            self.registry.silences().heard(&Heard::Topic(*topic), topic.name(), Instant::now());
        }
        self.send(commit.seq, commit.alerts.iter());
        async move {
            let told = async {
                while self.told.get() < commit.seq {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let has_alerts = commit.alerts.iter().any(Event::is_told);
            if has_alerts {
                // Who is not told by then is told later, by the task or by the next run: the next commit does not wait.
                let _ = tokio::time::timeout(MOSTLY, told).await;
            }
            Ok(Landing::Done)
        }
        .boxed()
    }
}

/// Tells who is silent, and who is back, by the clock.
async fn silence(registry: Weak<Registry>, queues: Vec<mpsc::UnboundedSender<ToTell>>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let Some(registry) = registry.upgrade() else { return };
        let told = registry.silences().look(Instant::now());
        let messages: Arc<[Message]> = told.into_iter().map(Message::of_silence).collect();
        if !messages.is_empty() {
            queues.iter().for_each(|queue| drop(queue.send((0, Arc::clone(&messages)))));
        }
    }
}

/// Tells one target everything in order.
async fn tell_all(mut inbox: mpsc::UnboundedReceiver<ToTell>, target: Box<dyn Target>, told: Arc<AtomicU64>) {
    while let Some((seq, messages)) = inbox.recv().await {
        for some in messages.chunks(target.at_once()) {
            tell(target.as_ref(), some).await;
        }
        // What is of no commit is of commit 0.
        told.fetch_max(seq, Ordering::Release);
    }
}

async fn tell(target: &dyn Target, messages: &[Message]) {
    let mut pause = PAUSE;
    while let Err(why) = target.tell(messages).await {
        if pause == PAUSE {
            tracing::warn!("{} does not take alerts: {why}; it is tried again", target.name());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
