//! What librdkafka has to say, brought to the log: rate-limited, and kept so that an error can name its cause.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;

/// At most one line in this long, however many errors a lost broker makes.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// The context of every client of ours.
#[derive(Default)]
pub(super) struct Context {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    logged: Option<Instant>,
    suppressed: u64,
    last_error: Option<String>,
    refused: Option<String>,
}

impl Context {
    /// The last error's text, such as a refused connection.
    pub(super) fn last_error(&self) -> Option<String> {
        self.state().last_error.clone()
    }

    /// Why the broker refused our credentials, if it did.
    pub(super) fn refused(&self) -> Option<String> {
        self.state().refused.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs a line, or counts it where one was logged just now.
    fn warn(&self, text: &str) {
        let suppressed = {
            let mut state = self.state();
            if state.logged.is_some_and(|at| at.elapsed() < LOG_EVERY) {
                state.suppressed += 1;
                return;
            }
            state.logged = Some(Instant::now());
            std::mem::take(&mut state.suppressed)
        };
        tracing::warn!(target: "kafka", suppressed, "{text}");
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            // Settings of the other kind of client, and what comes again as an error.
            _ if matches!(facility, "CONFWARN" | "FAIL" | "ERROR") => {
                tracing::debug!(target: "kafka", facility, "{message}");
            }
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                self.warn(message);
            }
            RDKafkaLogLevel::Warning => self.warn(message),
            _ => tracing::debug!(target: "kafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        {
            let mut state = self.state();
            // `all brokers down` follows the cause and would hide it.
            if code != Some(RDKafkaErrorCode::AllBrokersDown) || state.last_error.is_none() {
                state.last_error = Some(reason.to_string());
            }
            if matches!(code, Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed)) {
                state.refused = Some(reason.to_string());
            }
        }
        self.warn(&format!("kafka: {reason}; trying again"));
    }
}

impl ConsumerContext for Context {
    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(target: "kafka", "offsets not reported to the group: {error}");
        }
    }
}
