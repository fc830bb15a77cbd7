//! Standing views in the history: each commit says which have come and gone with its epochs, and a state holds those that are there,
//! so that whoever goes on has them.

use std::collections::BTreeMap;

use citystream_dataflows::time::ticks::ViewCommand;
use serde_json::Value;

/// Definitions by name, as they were given.
pub type Views = BTreeMap<String, Value>;
/// The definition that a view has now, or `null` if it has gone.
pub type ViewChanges = BTreeMap<String, Value>;

/// Takes up commands, in order: of each name the last one counts.
pub fn record(changes: &mut ViewChanges, commands: &[ViewCommand]) {
    for ViewCommand { name, definition } in commands {
        // What came with a tick is JSON.
        let definition = definition.as_deref().and_then(|text| serde_json::from_str(text).ok());
        changes.insert(name.clone(), definition.unwrap_or(Value::Null));
    }
}

/// The views after a commit's changes.
pub fn apply(views: &mut Views, changes: &ViewChanges) {
    for (name, definition) in changes {
        if definition.is_null() {
            views.remove(name);
        } else {
            views.insert(name.clone(), definition.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_view_the_last_command_counts() {
        let command = |name: &str, k: Option<u32>| ViewCommand {
            name: name.to_owned(),
            definition: k.map(|k| format!("{{\"kind\":\"worst\",\"k\":{k}}}")),
        };
        let (mut views, mut changes) = (Views::new(), ViewChanges::new());
        record(
            &mut changes,
            &[command("a", Some(1)), command("b", Some(2)), command("a", None), command("b", Some(3))],
        );
        assert_eq!((&changes["a"], &changes["b"]["k"]), (&Value::Null, &3.into()));
        apply(&mut views, &changes);
        assert_eq!(views.keys().collect::<Vec<_>>(), ["b"]);
        apply(&mut views, &[("b".to_owned(), Value::Null)].into());
        assert!(views.is_empty());
    }
}
