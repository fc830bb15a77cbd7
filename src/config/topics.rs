//! What the topics are called on the broker: one flag for each that is declared.

use std::collections::BTreeMap;

use citystream_wire::Topic;
use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches};
use serde::Serialize;

/// Names of topics as given, by setting (`gps-topic`).
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct TopicArgs(BTreeMap<&'static str, String>);

impl Args for TopicArgs {
    fn augment_args(command: Command) -> Command {
        command.args(Topic::all().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn flag(topic: Topic) -> Arg {
    let declared = topic.declaration();
    let help = format!("Topic of {} [default: {}]", declared.records, declared.default_topic);
    Arg::new(topic.setting()).long(topic.setting()).value_name("TOPIC").help(help)
}

impl FromArgMatches for TopicArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = |topic: Topic| Some((topic.setting(), matches.get_one::<String>(topic.setting())?.clone()));
        Ok(TopicArgs(Topic::all().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.extend(Self::from_arg_matches(matches)?.0);
        Ok(())
    }
}
