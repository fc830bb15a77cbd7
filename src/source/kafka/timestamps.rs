//! Who sets the timestamps of the topics, and what is to be said about that.

use rdkafka::admin::{AdminOptions, ConfigResource, ResourceSpecifier};

use super::super::SourceError;
use super::admin::{admin, block_on};
use super::errors;
use super::settings::{KafkaSettings, TIMEOUT};

/// Who sets the timestamps of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timestamps {
    /// `LogAppendTime` or `CreateTime`; empty if the broker does not say.
    pub kind: String,
    /// How far, in milliseconds, a producer's timestamp may run ahead; `None` if the broker does not say.
    pub after_max_ms: Option<i64>,
}

/// A line for each topic whose producers' clocks may make other records late.
pub(super) fn warnings(settings: &KafkaSettings, lateness_ms: i64) -> Result<Vec<String>, SourceError> {
    let names: Vec<_> = settings.topics.values().iter().map(String::as_str).collect();
    let timestamps = timestamps(settings, &names)?;
    Ok(names.into_iter().zip(&timestamps).filter_map(|(name, t)| warning(name, t, lateness_ms)).collect())
}

fn warning(name: &str, timestamps: &Timestamps, lateness_ms: i64) -> Option<String> {
    if timestamps.kind != "CreateTime" || timestamps.after_max_ms.is_some_and(|ms| ms <= lateness_ms) {
        return None;
    }
    let bound = match timestamps.after_max_ms {
        Some(ms) if ms < i64::MAX => format!("may run {ms} ms ahead"),
        _ => "may run ahead without bound".into(),
    };
    Some(format!(
        "topic `{name}`: its producers set the timestamps (CreateTime), which {bound}: one wrong clock can make other \
         records late; set message.timestamp.type=LogAppendTime or message.timestamp.after.max.ms<={lateness_ms}"
    ))
}

/// Who sets the timestamps of `names`, in their order.
pub(super) fn timestamps(settings: &KafkaSettings, names: &[&str]) -> Result<Vec<Timestamps>, SourceError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let admin = admin(settings)?;
    let specifiers: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let what = "the configuration of the topics";
    let failed = |e| errors::asking(what, &e, settings, admin.inner().context());
    let results = block_on(admin.describe_configs(&specifiers, &options)).map_err(failed)?;
    results
        .into_iter()
        .map(|result| {
            result.map(|resource| read_timestamps(&resource)).map_err(|code| {
                SourceError::Unusable(format!("kafka at {}: {what}: {code}", settings.bootstrap_servers))
            })
        })
        .collect()
}

fn read_timestamps(resource: &ConfigResource) -> Timestamps {
    let value = |name| resource.get(name).and_then(|entry| entry.value.as_deref());
    Timestamps {
        kind: value("message.timestamp.type").unwrap_or_default().to_string(),
        // Brokers before 3.6 have one bound for both directions.
        after_max_ms: value("message.timestamp.after.max.ms")
            .or_else(|| value("message.timestamp.difference.max.ms"))
            .and_then(|v| v.parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str, after_max_ms: Option<i64>) -> Timestamps {
        Timestamps { kind: kind.into(), after_max_ms }
    }

    #[test]
    fn only_producers_clocks_without_a_bound_are_warned_about() {
        assert!(warning("t", &of("LogAppendTime", Some(i64::MAX)), 600_000).is_none());
        assert!(warning("t", &of("CreateTime", Some(600_000)), 600_000).is_none());
        assert!(warning("t", &of("CreateTime", Some(600_001)), 600_000).is_some_and(|w| w.contains("600001 ms")));
        assert!(warning("t", &of("CreateTime", Some(i64::MAX)), 600_000).is_some_and(|w| w.contains("without bound")));
        assert!(warning("t", &of("CreateTime", None), 600_000).is_some());
    }
}
