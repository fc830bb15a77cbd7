//! The standing views of a run: what is asked for is checked here, on process 0, and then goes with a tick.

use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};

use citystream_dataflows::time::ticks::ViewCommand;
use citystream_live::rows::View;
use serde_json::Value;

use super::definition::{Definition, Limits, Refused, refuse};
use super::silence::Silences;
use crate::lake::history::alerts::Alerts;
use crate::lake::history::views::Views;

/// See the module.
pub struct Registry {
    limits: Limits,
    /// Those of the settings, which nobody takes away while the run goes on.
    declared: Views,
    state: Mutex<State>,
    alerts: Mutex<Alerts>,
    silences: Mutex<Silences>,
}

#[derive(Default)]
struct State {
    views: Views,
    /// To the clock, once the lake is claimed.
    commands: Option<mpsc::Sender<ViewCommand>>,
}

const LONGEST_NAME: usize = 64;

impl Registry {
    /// The views that the settings declare, and no others yet.
    ///
    /// # Errors
    /// One that is refused; too many.
    pub fn new(limits: Limits, declared: Views) -> Result<Registry, Refused> {
        for (name, value) in &declared {
            let of_view = |Refused { field, why }| Refused { field: format!("views.{name}.{field}"), why };
            check(limits, name, value).map_err(of_view)?;
        }
        if declared.len() > limits.views {
            return refuse("views", format!("there are {}, and --most-views is {}", declared.len(), limits.views));
        }
        Ok(Registry { limits, declared, state: Mutex::default(), alerts: Mutex::default(), silences: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run has claimed a lake that has recorded views. Gives what the run begins with, and what follows. Of one name that
    /// both have the settings say what it is.
    pub fn open(&self, recorded: &Views) -> (Vec<ViewCommand>, mpsc::Receiver<ViewCommand>) {
        let (commands, receiver) = mpsc::channel();
        let mut views = recorded.clone();
        views.extend(self.declared.clone());
        let first = views.iter().map(|(name, value)| install(name, value)).collect();
        *self.state() = State { views, commands: Some(commands) };
        (first, receiver)
    }

    /// Has a view installed. One that is there already, and asks the same, is left as it is.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn add(&self, name: &str, value: &Value) -> Result<(), Refused> {
        check(self.limits, name, value)?;
        let mut state = self.state();
        if state.views.get(name) == Some(value) {
            return Ok(());
        }
        if state.views.contains_key(name) {
            return refuse("name", format!("a view `{name}` is there and asks something else: remove it first"));
        }
        if state.views.len() >= self.limits.views {
            return refuse("name", format!("there are {} views already, as many as --most-views", state.views.len()));
        }
        state.send(install(name, value))?;
        state.views.insert(name.to_owned(), value.clone());
        Ok(())
    }

    /// Has a view removed.
    ///
    /// # Errors
    /// Why it is not.
    pub fn remove(&self, name: &str) -> Result<(), Refused> {
        let mut state = self.state();
        if self.declared.contains_key(name) {
            return refuse("name", format!("the settings declare `{name}`: take it out of them"));
        }
        if !state.views.contains_key(name) {
            return refuse("name", format!("no standing view is called `{name}`"));
        }
        state.send(ViewCommand { name: name.to_owned(), definition: None })?;
        state.views.remove(name);
        Ok(())
    }

    /// What has become of alerts, as of the last commit.
    pub fn alerts(&self) -> MutexGuard<'_, Alerts> {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who was heard of when.
    pub fn silences(&self) -> MutexGuard<'_, Silences> {
        self.silences.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each view asks.
    pub fn views(&self) -> Views {
        self.state().views.clone()
    }
}

impl State {
    fn send(&self, command: ViewCommand) -> Result<(), Refused> {
        let sent = self.commands.as_ref().map(|commands| commands.send(command));
        if sent.is_some_and(|sent| sent.is_ok()) {
            return Ok(());
        }
        refuse("name", "the run has not begun, or is over")
    }
}

fn install(name: &str, value: &Value) -> ViewCommand {
    ViewCommand { name: name.to_owned(), definition: Some(value.to_string()) }
}

fn check(limits: Limits, name: &str, value: &Value) -> Result<(), Refused> {
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_".contains(letter);
    if !(1..=LONGEST_NAME).contains(&name.len()) || !name.chars().all(is_plain) {
        return refuse("name", format!("expected 1 to {LONGEST_NAME} of a-z, 0-9, - and _"));
    }
    if View::named(name).is_some() || name == "alerts" {
        return refuse("name", format!("`{name}` is a view that is always there"));
    }
    Definition::read(value)?.check(limits)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    const LIMITS: Limits = Limits { views: 2, keys: 2, points: 8 };

    fn worst(k: u32) -> Value {
        json!({ "kind": "worst", "k": k })
    }

    #[test]
    fn views_come_and_go_within_limits_and_in_order() {
        let registry = Registry::new(LIMITS, [("fixed".to_owned(), worst(1))].into()).unwrap();
        assert!(registry.add("a", &worst(2)).unwrap_err().to_string().contains("not begun"));
        let (first, commands) = registry.open(&[("fixed".to_owned(), worst(9))].into());
        assert_eq!((first.len(), first[0].definition.as_deref()), (1, Some(r#"{"k":1,"kind":"worst"}"#)));
        registry.add("a", &worst(2)).unwrap();
        registry.add("a", &worst(2)).unwrap();
        let error = |result: Result<(), Refused>| result.unwrap_err().to_string();
        assert!(error(registry.add("a", &worst(3))).contains("asks something else"));
        assert!(error(registry.add("b", &worst(3))).contains("as many as --most-views"));
        assert!(error(registry.remove("fixed")).contains("the settings declare"));
        assert!(error(registry.remove("b")).contains("no standing view"));
        registry.remove("a").unwrap();
        registry.add("b", &worst(3)).unwrap();
        let sent: Vec<_> = commands.try_iter().map(|command| (command.name, command.definition.is_some())).collect();
        assert_eq!(sent, [("a".to_owned(), true), ("a".to_owned(), false), ("b".to_owned(), true)]);
        assert_eq!(registry.views().keys().collect::<Vec<_>>(), ["b", "fixed"]);
    }

    #[test]
    fn names_are_plain_and_new() {
        let registry = Registry::new(LIMITS, Views::new()).unwrap();
        for name in ["", "vehicles", "alerts", "a,b", "A", "a/b", &"x".repeat(65)] {
            assert!(registry.add(name, &worst(1)).unwrap_err().to_string().starts_with("name: "), "{name}");
        }
        let declared = Registry::new(LIMITS, [("x".to_owned(), json!({ "kind": "worst" }))].into());
        assert_eq!(declared.err().unwrap().to_string(), "views.x.k: is missing: k");
    }
}
