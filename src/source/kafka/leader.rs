//! Asking one leader where its partitions end: a thread for each, so that a slow or a lost one holds up nobody else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use citystream_dataflows::time::bindings::Partition;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaResult;

use super::super::ends::End;
use super::context::Context;
use super::offsets::{self, Which};
use super::patience::Patience;
use super::settings::KafkaSettings;
use super::watched::Shared;

/// How long a leader may be silent before that is said.
const SILENT: Duration = Duration::from_secs(5);

/// Asks one leader until it leads nothing that is watched.
pub(super) struct Leader {
    pub(super) broker: i32,
    pub(super) shared: Arc<Shared>,
    pub(super) consumer: Arc<BaseConsumer<Context>>,
    pub(super) settings: Arc<KafkaSettings>,
}

impl Leader {
    pub(super) fn run(self) {
        let (mut patience, mut manners) = (Patience::default(), Manners::new(self.broker));
        while let Some(partitions) = self.shared.led_by(self.broker) {
            let asked = Instant::now();
            let answer = self.ask(&partitions, patience.limit());
            let took = asked.elapsed();
            manners.note(answer.as_ref().map(|_| took));
            match answer {
                Ok(ends) => {
                    patience.answered(took);
                    let ends = ends.into_iter().map(|at| End { at, asked, answered: asked + took });
                    self.shared.tell(partitions.into_iter().zip(ends));
                }
                Err(_) => {
                    patience.unanswered();
                    self.shared.doubt();
                }
            }
            self.shared.pause();
        }
    }

    fn ask(&self, partitions: &[Partition], patience: Duration) -> KafkaResult<Vec<i64>> {
        let names: Vec<_> = partitions.iter().map(|p| (self.settings.name(p.topic), p.index)).collect();
        offsets::list(&self.consumer, &names, Which::End, patience)
    }
}

/// Says how a leader answers where that is out of the ordinary, once.
struct Manners {
    broker: i32,
    answered: Instant,
    is_slow: bool,
    is_silent: bool,
}

impl Manners {
    fn new(broker: i32) -> Self {
        Manners { broker, answered: Instant::now(), is_slow: false, is_silent: false }
    }

    fn note(&mut self, answer: Result<Duration, &rdkafka::error::KafkaError>) {
        let broker = self.broker;
        match answer {
            Ok(took) => {
                if std::mem::take(&mut self.is_silent) {
                    tracing::info!(target: "kafka", "broker {broker} says again where its partitions end");
                }
                if took > Patience::LEAST && !std::mem::replace(&mut self.is_slow, true) {
                    tracing::warn!(
                        target: "kafka",
                        "broker {broker} takes {took:.1?} to say where its partitions end: so much later it is known \
                         that they are read to their end"
                    );
                }
                self.answered = Instant::now();
            }
            Err(error) if self.answered.elapsed() >= SILENT && !std::mem::replace(&mut self.is_silent, true) => {
                tracing::warn!(
                    target: "kafka",
                    "broker {broker} has not said for {:.0?} where its partitions end ({error}): until it does none of \
                     them counts as read to its end",
                    self.answered.elapsed()
                );
            }
            Err(error) => tracing::debug!(target: "kafka", broker, "ends not confirmed: {error}"),
        }
    }
}
