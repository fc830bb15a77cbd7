//! A Kafka topic: the steps of one alert have one key, so they stay in order.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::{Message, Target};
use crate::error::RunError;
use crate::source::kafka::KafkaSettings;

const PATIENCE: Duration = Duration::from_secs(30);

/// See the module.
pub struct AlertTopic {
    producer: Arc<BaseProducer<Delivered>>,
    topic: String,
}

/// How many messages the broker has taken since it was last asked, or why it has not.
struct Delivered(Mutex<Result<usize, String>>);

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut delivered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (result, delivered.as_mut()) {
            (Ok(_), Ok(count)) => *count += 1,
            (Err((error, _)), Ok(_)) => *delivered = Err(error.to_string()),
            (_, Err(_)) => {}
        }
    }
}

impl AlertTopic {
    /// Sends to a topic of the broker of these settings.
    ///
    /// # Errors
    /// Settings that the client does not take.
    pub fn new(topic: &str, settings: &KafkaSettings) -> Result<AlertTopic, RunError> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &settings.bootstrap_servers).set("enable.idempotence", "true");
        config.set("client.id", "citystream").set("message.timeout.ms", "20000");
        for (key, value) in &settings.extra {
            config.set(key, value);
        }
        let producer = config.create_with_context(Delivered(Mutex::new(Ok(0))));
        let producer = producer.map_err(|error| RunError::Usage(format!("alert-topic: kafka settings: {error}")))?;
        Ok(AlertTopic { producer: Arc::new(producer), topic: topic.to_owned() })
    }
}

impl Target for AlertTopic {
    fn name(&self) -> String {
        format!("the topic {}", self.topic)
    }

    fn at_once(&self) -> usize {
        1000
    }

    fn tell<'a>(&'a self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), String>> {
        let (producer, topic) = (Arc::clone(&self.producer), self.topic.clone());
        let messages = messages.to_vec();
        async move {
            let sent = tokio::task::spawn_blocking(move || send(&producer, &topic, &messages));
            sent.await.map_err(|error| error.to_string())?
        }
        .boxed()
    }
}

/// Sends messages, and waits until the broker has them all.
fn send(producer: &BaseProducer<Delivered>, topic: &str, messages: &[Message]) -> Result<(), String> {
    let delivered = || producer.context().0.lock().unwrap_or_else(PoisonError::into_inner);
    *delivered() = Ok(0);
    for message in messages {
        let body = message.body.to_string();
        let record = BaseRecord::to(topic).key(message.key.as_str()).payload(body.as_str());
        producer.send(record).map_err(|(error, _)| error.to_string())?;
    }
    producer.flush(PATIENCE).map_err(|error| error.to_string())?;
    match &*delivered() {
        Ok(count) if *count == messages.len() => Ok(()),
        Ok(count) => Err(format!("the broker has taken {count} of {}", messages.len())),
        Err(why) => Err(why.clone()),
    }
}
