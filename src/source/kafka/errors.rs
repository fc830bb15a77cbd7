//! Which of librdkafka's errors heal by themselves, and one line for each that does not.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::super::SourceError;
use super::context::Context;
use super::settings::{KafkaSettings, is_secret};

/// What an error in a partition's queue means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// librdkafka goes on trying.
    Heals,
    /// The log no longer holds what was to be read.
    Lost,
    /// Someone must put it right.
    Unusable,
}

/// Sorts an error of one partition. What is not known to heal stops the run: going on could skip records.
pub(super) fn classify(code: Code) -> Class {
    match code {
        Code::AutoOffsetReset
        | Code::OffsetOutOfRange
        | Code::LogTruncation
        | Code::UnknownTopic
        | Code::UnknownPartition
        | Code::UnknownTopicOrPartition
        | Code::UnknownTopicId => Class::Lost,
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::Resolve
        | Code::OperationTimedOut
        | Code::RequestTimedOut
        | Code::TimedOutQueue
        | Code::WaitingForCoordinator
        | Code::WaitCache
        | Code::Retry
        | Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::ReplicaNotAvailable
        | Code::BrokerNotAvailable
        | Code::KafkaStorageError
        | Code::NetworkException
        | Code::FencedLeaderEpoch
        | Code::UnknownLeaderEpoch
        | Code::OffsetNotAvailable
        | Code::PreferredLeaderNotAvailable
        | Code::ThrottlingQuotaExceeded => Class::Heals,
        _ => Class::Unusable,
    }
}

/// A client that could not be made: a setting that librdkafka does not take.
pub(super) fn client(error: KafkaError) -> SourceError {
    SourceError::Mistaken(match error {
        KafkaError::ClientConfig(_, _, key, _) if is_secret(&key) => {
            format!("--kafka {key}: the value is not accepted; put it right or remove it")
        }
        KafkaError::ClientConfig(_, text, key, _) => format!("--kafka {key}: {text}; put it right or remove it"),
        other => format!("kafka: the client cannot be made: {other}; check the --kafka settings"),
    })
}

/// A question to the brokers that got no answer: the likeliest cause first.
pub(super) fn asking(what: &str, error: &KafkaError, settings: &KafkaSettings, context: &Context) -> SourceError {
    let servers = &settings.bootstrap_servers;
    if let Some(reason) = context.refused() {
        return SourceError::Mistaken(format!(
            "kafka at {servers} refuses the credentials ({}); check the sasl.* and ssl.* settings",
            one_line(&reason)
        ));
    }
    match code(error) {
        Some(
            code @ (Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed | Code::ClusterAuthorizationFailed),
        ) => SourceError::Mistaken(format!("kafka at {servers} does not allow {what} ({code}); ask for the rights")),
        Some(code) if classify(code) == Class::Heals => {
            let reason = context.last_error().unwrap_or_else(|| code.to_string());
            SourceError::Unusable(format!(
                "kafka at {servers} cannot be reached for {what} ({}); check {}, --kafka security.protocol and that the \
                 broker runs",
                one_line(&reason),
                settings.bootstrap_servers_name
            ))
        }
        _ => SourceError::Unusable(format!("kafka at {servers}: {what} failed: {}", one_line(&error.to_string()))),
    }
}

/// The code in an error; `rdkafka` does not find that of an admin call.
pub(super) fn code(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

/// A text on one line.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_data_is_never_taken_for_a_passing_fault() {
        for code in [Code::AutoOffsetReset, Code::OffsetOutOfRange, Code::LogTruncation, Code::UnknownTopicId] {
            assert_eq!(classify(code), Class::Lost, "{code:?}");
        }
        for code in [Code::BrokerTransportFailure, Code::AllBrokersDown, Code::NotLeaderForPartition] {
            assert_eq!(classify(code), Class::Heals, "{code:?}");
        }
        for code in [Code::BadMessage, Code::BadCompression, Code::TopicAuthorizationFailed, Code::Fatal] {
            assert_eq!(classify(code), Class::Unusable, "{code:?}");
        }
    }

    #[test]
    fn a_refused_secret_is_not_shown() {
        let result: Result<rdkafka::consumer::BaseConsumer, _> =
            rdkafka::ClientConfig::new().set("ssl.key.pem", "hunter2").set("no.such.setting", "hunter2").create();
        let error = client(result.err().expect("refused")).to_string();
        assert!(!error.contains("hunter2") && !error.contains('\n'), "{error}");
    }
}
