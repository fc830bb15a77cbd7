//! Settings of standing views and alerts.

use std::path::PathBuf;

use toml::Value;

use super::flags::{ALERTS, VIEWS};
use super::layers::alert_secret;
use super::{Effective, Values};
use crate::error::RunError;
use crate::lake::history::views::Views;
use crate::standing::Limits;

/// What messages are signed with. `Debug` does not show it.
#[derive(Clone)]
pub struct SigningKey(pub String);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Standing views and alerts, as they are set.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Views that the settings file declares, not checked yet.
    pub views: Views,
    /// How many there may be, and how large.
    pub limits: Limits,
    /// Alerts that the settings file declares, not checked yet.
    pub alerts: Views,
    /// The Kafka topic that is told of them.
    pub topic: Option<String>,
    /// Where they are posted.
    pub webhook: Option<String>,
    /// What that is signed with.
    pub secret: Option<SigningKey>,
    /// The file that they are appended to.
    pub log: Option<PathBuf>,
}

impl Standing {
    pub(super) fn check(values: &Values<'_>, settings: &Effective) -> Result<Standing, RunError> {
        let standing = Standing {
            views: declared(settings, VIEWS),
            limits: Limits {
                views: values.number("most-views", 0, 10_000)?,
                keys: values.number("most-view-keys", 1, 1_000_000)?,
                points: values.number("most-view-points", 4, 10_000)?,
            },
            alerts: declared(settings, ALERTS),
            topic: values.optional("alert-topic"),
            webhook: values.optional("alert-webhook"),
            secret: alert_secret()?.map(SigningKey),
            log: values.optional("alert-log").map(PathBuf::from),
        };
        Ok(standing)
    }

    /// Whether it takes live views.
    pub fn is_declared(&self) -> bool {
        !self.views.is_empty() || !self.alerts.is_empty()
    }
}

/// The views, or alerts, of the settings file, as JSON.
fn declared(settings: &Effective, what: &str) -> Views {
    let all = settings.get(what).and_then(Value::as_table).into_iter().flatten();
    // What is no JSON, such as a time, is refused as what it becomes.
    all.map(|(name, one)| (name.clone(), serde_json::to_value(one).unwrap_or_default())).collect()
}
