//! The settings in force, and where each is from.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::json;
use toml::{Table, Value};

use super::flags::{SECRETS, TABLES, settings};
use crate::escape::escaped;

/// Where a value is from. The last of these wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody has said otherwise.
    Default,
    /// The settings file at this path.
    File(String),
    /// This variable.
    Variable(String),
    /// The command line.
    Flag,
}

/// Values by setting, each with its origin.
#[derive(Clone, Debug, Default)]
pub struct Effective(BTreeMap<String, (Value, Origin)>);

impl Effective {
    pub(super) fn set(&mut self, key: &str, value: Value, origin: Origin) {
        self.0.insert(key.to_owned(), (value, origin));
    }

    /// Sets what a command takes where nobody has set anything.
    pub fn default_to(&mut self, key: &str, value: impl Into<Value>) {
        if !self.is_given(key) {
            self.set(key, value.into(), Origin::Default);
        }
    }

    /// Its value, if it has one.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).map(|(value, _)| value)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.0.get_mut(key).map(|(value, _)| value)
    }

    /// Whether somebody has set it.
    pub fn is_given(&self, key: &str) -> bool {
        self.origin(key) != &Origin::Default
    }

    /// Where a value is from.
    pub fn origin(&self, key: &str) -> &Origin {
        self.0.get(key).map_or(&Origin::Default, |(_, origin)| origin)
    }

    /// A setting as the user calls it: `--lateness`, `CITYSTREAM_LATENESS`, or `lateness` in a file.
    pub fn name(&self, key: &str) -> String {
        match self.origin(key) {
            Origin::Default | Origin::Flag => format!("--{key}"),
            Origin::Variable(name) => name.clone(),
            Origin::File(path) => format!("{path}: {key}"),
        }
    }

    /// The same with its value.
    pub(super) fn shown(&self, key: &str) -> String {
        let name = self.name(key);
        match (self.origin(key), self.get(key).map(|value| masked(key, value))) {
            (_, None) => name,
            (Origin::File(_), Some(value)) => format!("{name} = {value}"),
            (Origin::Variable(_), Some(value)) => format!("{name}={}", text(&value)),
            (_, Some(value)) => format!("{name} {}", text(&value)),
        }
    }

    /// What somebody has set, as it was given, secrets masked.
    pub fn given(&self) -> impl Iterator<Item = String> {
        settings().filter(|setting| self.is_given(setting.name)).map(|setting| self.shown(setting.name))
    }

    /// Lines of TOML, secrets masked; behind a value that somebody has set stands where. Views and alerts come last, as a table
    /// does not end before the next one.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        for key in settings().map(|setting| setting.name) {
            let Some(value) = self.get(key) else { continue };
            let origin = match self.origin(key) {
                Origin::Default => String::new(),
                Origin::Flag => format!("  # --{key}"),
                Origin::Variable(name) => format!("  # {name}"),
                Origin::File(path) => format!("  # {}", escaped(path)),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{key} = {}{origin}", masked(key, value));
        }
        for (key, tables) in self.tables() {
            let _ = write!(text, "\n{}", Table::from_iter([(key.to_owned(), tables.clone())]));
        }
        text
    }

    /// By setting its value, secrets masked, and its origin; what depends on other settings, and is not set, as `settled` has it.
    pub fn to_json(&self, settled: impl Fn(&str) -> Option<String>) -> serde_json::Value {
        let one = |key: &str| {
            let value = self.get(key).map(|value| json!(masked(key, value)));
            let value = value.unwrap_or_else(|| json!(settled(key)));
            match self.origin(key) {
                Origin::Default => json!({"value": value, "origin": "default"}),
                Origin::Flag => json!({"value": value, "origin": "flag", "name": format!("--{key}")}),
                Origin::Variable(name) => json!({"value": value, "origin": "variable", "name": name}),
                Origin::File(path) => json!({"value": value, "origin": "file", "name": path}),
            }
        };
        let keys = settings().map(|setting| setting.name).chain(self.tables().map(|(key, _)| key));
        keys.map(|key| (key.to_owned(), one(key))).collect::<serde_json::Map<_, _>>().into()
    }

    /// Views and alerts, where there are some.
    fn tables(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        TABLES.into_iter().filter_map(|key| Some((key, self.get(key)?)))
    }
}

/// A value as a flag would be given.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A value without its secrets.
fn masked(key: &str, value: &Value) -> Value {
    match value {
        _ if SECRETS.contains(&key) => Value::String("***".to_owned()),
        Value::Array(items) => {
            Value::Array(items.iter().filter_map(Value::as_str).map(mask).map(Value::String).collect())
        }
        Value::String(text) => Value::String(mask_user(text)),
        other => other.clone(),
    }
}

/// Hides the value of a librdkafka setting that is a secret.
fn mask(setting: &str) -> String {
    const SECRET: [&str; 8] = ["password", "passphrase", "secret", "pem", "jaas", "config", "token", "credential"];
    match setting.split_once('=') {
        Some((key, _)) if SECRET.iter().any(|secret| key.contains(secret)) => format!("{key}=***"),
        _ => mask_user(setting),
    }
}

/// Hides the user in URLs: `https://user:password@host`.
fn mask_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', ',']).unwrap_or(rest.len());
    match rest[..end].rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}{}", mask_user(&rest[end..])),
        None => format!("{scheme}://{}{}", &rest[..end], mask_user(&rest[end..])),
    }
}

#[cfg(test)]
mod tests {
    use super::super::flags::SECRET;
    use super::*;
    use crate::config::flags::LIST;

    fn effective() -> Effective {
        let mut effective = Effective::default();
        let text = |text: &str| Value::String(text.to_owned());
        effective.set("lake", text("lake"), Origin::Default);
        effective.set("lateness", text("5m"), Origin::File("citystream.toml".to_owned()));
        effective.set("gps-topic", text("pings"), Origin::Variable("GPS_TOPIC".to_owned()));
        effective.set("s3-endpoint", text("https://me:secret@store:9000/x"), Origin::Flag);
        let items = ["sasl.password=two words", "ssl.key.password=@x", "acks=all"].map(text);
        effective.set(LIST, Value::Array(items.to_vec()), Origin::Variable("CITYSTREAM_KAFKA".to_owned()));
        effective
    }

    #[test]
    fn a_commands_own_default_is_taken_where_nobody_has_set_anything() {
        let mut effective = effective();
        effective.default_to("live", "on");
        effective.default_to("lake", "elsewhere");
        effective.default_to("lateness", "1h");
        let value = |name: &str| effective.get(name).and_then(Value::as_str);
        assert_eq!(["live", "lake", "lateness"].map(value), [Some("on"), Some("elsewhere"), Some("5m")]);
        assert_eq!(effective.origin("live"), &Origin::Default);
    }

    #[test]
    fn a_setting_is_called_what_the_user_calls_it() {
        let effective = effective();
        let shown = ["lake", "lateness", "gps-topic", "s3-endpoint"].map(|key| effective.shown(key));
        assert_eq!(
            shown,
            [
                "--lake lake",
                "citystream.toml: lateness = \"5m\"",
                "GPS_TOPIC=pings",
                "--s3-endpoint https://***@store:9000/x"
            ]
        );
        assert!(!effective.is_given("lake") && effective.is_given("gps-topic") && !effective.is_given("idle"));
    }

    #[test]
    fn secrets_are_shown_to_nobody() {
        let shown = effective().to_toml();
        assert!(shown.contains("sasl.password=***") && shown.contains("ssl.key.password=***"), "{shown}");
        assert!(shown.contains("https://***@store:9000/x") && shown.contains("acks=all"), "{shown}");
        assert_eq!(mask("ssl.key.passphrase=x"), "ssl.key.passphrase=***");
        assert_eq!(mask_user("a:1,b:2"), "a:1,b:2");
        let mut effective = effective();
        effective.set(
            SECRET,
            Value::String("hunter2".to_owned()),
            Origin::Variable("CITYSTREAM_CLUSTER_SECRET".to_owned()),
        );
        assert_eq!(effective.shown(SECRET), "CITYSTREAM_CLUSTER_SECRET=***");
        let shown = effective.to_json(|_| None).to_string() + &effective.to_toml();
        assert!(!shown.contains("me:secret") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn what_is_printed_can_be_a_settings_file() {
        let mut effective = effective();
        let declared: Table = "slow = { kind = \"cells\", ratio_below = 0.5 }".parse().expect("a table");
        effective.set("views", Value::Table(declared.clone()), Origin::File("citystream.toml".to_owned()));
        let printed: Table = effective.to_toml().parse().expect("TOML");
        assert_eq!(printed["views"], Value::Table(declared));
        assert_eq!(effective.to_json(|_| None)["views"]["value"]["slow"]["kind"], json!("cells"));
    }

    #[test]
    fn each_value_has_its_origin() {
        let shown = effective().to_toml();
        assert!(
            shown.contains("lake = \"lake\"\n") && shown.contains("lateness = \"5m\"  # citystream.toml\n"),
            "{shown}"
        );
        let json = effective().to_json(|key| (key == "commit-interval").then(|| "2s".to_owned()));
        assert_eq!(json["lateness"], json!({"value": "5m", "origin": "file", "name": "citystream.toml"}));
        assert_eq!(json["gps-topic"], json!({"value": "pings", "origin": "variable", "name": "GPS_TOPIC"}));
        assert_eq!(json["commit-interval"], json!({"value": "2s", "origin": "default"}));
        assert_eq!(json["hostfile"], json!({"value": null, "origin": "default"}));
    }
}
