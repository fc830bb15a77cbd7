//! What librdkafka has to say, brought to the log: rate-limited, and kept so that an error can name its cause.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::counts::Counts;
use super::rarely::Rarely;
use super::settings::KafkaSettings;

/// The context of every client of ours.
pub(super) struct Context {
    log: Rarely,
    counts: Counts,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether no broker can be reached, as far as is known.
    all_down: bool,
    last_error: Option<String>,
    refused: Option<String>,
}

impl Context {
    /// Of a client with these settings.
    pub(super) fn new(settings: &KafkaSettings) -> Self {
        Context { log: settings.log.clone(), counts: settings.counts.clone(), state: Mutex::default() }
    }

    /// Takes all brokers for reachable until the client says otherwise.
    pub(super) fn forget_outage(&self) {
        self.state().all_down = false;
    }

    /// Whether the client has said since then that no broker can be reached.
    pub(super) fn is_outage(&self) -> bool {
        self.state().all_down
    }

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
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            // Settings of the other kind of client, and what comes again as an error.
            _ if matches!(facility, "CONFWARN" | "FAIL" | "ERROR") => {
                tracing::debug!(target: "kafka", facility, "{message}");
            }
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                self.log.warn(message);
            }
            RDKafkaLogLevel::Warning => self.log.warn(message),
            _ => tracing::debug!(target: "kafka", facility, "{message}"),
        }
    }

    fn stats(&self, statistics: Statistics) {
        self.counts.statistics(&statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        code.iter().for_each(|code| self.counts.error(*code));
        {
            let mut state = self.state();
            state.all_down |= code == Some(RDKafkaErrorCode::AllBrokersDown);
            // `all brokers down` follows the cause and would hide it.
            if code != Some(RDKafkaErrorCode::AllBrokersDown) || state.last_error.is_none() {
                state.last_error = Some(cause(reason).to_owned());
            }
            if matches!(code, Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed)) {
                state.refused = Some(reason.to_string());
            }
        }
        self.log.warn(&format!("kafka: {}; trying again", cause(reason)));
    }
}

/// The client's reason without its own account of the attempts: `... refused (after 0ms in state CONNECT, ...)`.
pub(super) fn cause(reason: &str) -> &str {
    reason.split(" (after ").next().unwrap_or(reason)
}

impl ConsumerContext for Context {
    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(target: "kafka", "offsets not reported to the group: {error}");
        }
    }
}
