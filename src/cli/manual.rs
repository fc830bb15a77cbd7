//! What the program says of itself: its version, `citystream completions` and `citystream man`.

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::Cli;
use super::out::put;
use crate::error::RunError;

/// The version, and what it was made of.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("CITYSTREAM_COMMIT"), ")");
/// The same with the versions of the dataflow's libraries.
pub const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit ",
    env!("CITYSTREAM_COMMIT"),
    "\ntimely ",
    env!("CITYSTREAM_TIMELY"),
    "\ndifferential-dataflow ",
    env!("CITYSTREAM_DIFFERENTIAL")
);

/// Shown below the help of `completions`.
pub const COMPLETIONS: &str = "\
Examples:
  citystream completions bash > /etc/bash_completion.d/citystream
  citystream completions zsh > ~/.zfunc/_citystream
  citystream completions fish > ~/.config/fish/completions/citystream.fish";

/// Shown below the help of `man`.
pub const PAGES: &str = "\
Examples:
  citystream man | man -l -
  citystream man lake explain | man -l -
  citystream man run > ~/.local/share/man/man1/citystream-run.1";

/// Prints what a shell is to read.
pub fn completions(shell: Shell) -> i32 {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "citystream", &mut script);
    put!(String::from_utf8_lossy(&script));
    0
}

/// Prints the page of a command, of the program where none is named.
pub fn page(words: &[String]) -> Result<i32, RunError> {
    put!(render(find(words)?)?);
    Ok(0)
}

/// A page as roff. Examples stand in it as they are, line by line.
fn render(command: Command) -> Result<String, RunError> {
    let mut page = Vec::new();
    let made = Man::new(command).render(&mut page);
    made.map_err(|error| RunError::Failed(format!("the manual page cannot be made: {error}")))?;
    Ok(String::from_utf8_lossy(&page).replacen(".SH EXTRA\n", ".SH EXAMPLES\n.nf\n", 1))
}

fn find(words: &[String]) -> Result<Command, RunError> {
    let mut command = Cli::command();
    command.build();
    for word in words {
        let found = command.find_subcommand(word).cloned();
        command = found.ok_or_else(|| {
            let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
            RunError::Usage(format!("man: `{name}` has no command `{word}`; `{name} --help` lists them"))
        })?;
    }
    Ok(command)
}

/// The commands that have a flag, by name.
pub fn commands_with(flag: &str) -> Vec<String> {
    let name = flag.trim_start_matches("--").split('=').next().unwrap_or_default();
    let has = |command: &Command| command.get_arguments().any(|arg| arg.get_long() == Some(name) && !arg.is_hide_set());
    commands().into_iter().filter(|(_, command)| has(command)).map(|(words, _)| words.join(" ")).collect()
}

/// All commands that do something, and the words that call them.
fn commands() -> Vec<(Vec<String>, Command)> {
    let mut found = Vec::new();
    let mut groups = vec![(Vec::new(), Cli::command())];
    while let Some((words, group)) = groups.pop() {
        for command in group.get_subcommands().cloned() {
            let words: Vec<String> = words.iter().cloned().chain([command.get_name().to_owned()]).collect();
            if command.has_subcommands() { &mut groups } else { &mut found }.push((words, command));
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Args, Parser};

    use super::*;
    use crate::config::Settings;

    /// The lines of a help that begin with `citystream`, as a shell would split them, without what stands beside them.
    fn examples(help: &str) -> Vec<Vec<String>> {
        let help = help.replace("\\\n     ", "");
        let lines = help.lines().filter_map(|line| line.strip_prefix("  ").filter(|l| l.starts_with("citystream ")));
        let command = |line: &str| {
            let end = ["  ", " | ", " > "].iter().filter_map(|mark| line.find(mark)).min().unwrap_or(line.len());
            shlex::split(&line[..end]).unwrap()
        };
        lines.map(command).collect()
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn each_help_has_examples_that_are_understood() {
        for (words, command) in commands().into_iter().chain([(Vec::new(), Cli::command())]) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = examples(&help);
            assert!(examples.len() > 1, "{words:?}: {help}");
            assert!(help.lines().all(|line| line.len() <= 80), "does not fit a terminal: {help}");
            for example in examples {
                assert!(Cli::try_parse_from(&example).is_ok(), "{example:?}");
                assert_eq!(example[1..][..words.len()], words, "an example of another command");
            }
        }
    }

    /// The flags of a command that are settings.
    fn settings_of(words: &str) -> BTreeSet<String> {
        let all = commands();
        let (_, command) = all.iter().find(|(command, _)| command.join(" ") == words).unwrap();
        let longs = |command: &Command| -> BTreeSet<String> {
            command.get_arguments().filter_map(clap::Arg::get_long).map(str::to_owned).collect()
        };
        &longs(command) & &longs(&Settings::augment_args(Command::new("all")))
    }

    #[test]
    fn a_command_has_the_settings_that_concern_it() {
        let lake = BTreeSet::from(["lake", "s3-endpoint", "s3-region"].map(str::to_owned));
        for command in ["lake status", "lake verify", "lake sql"] {
            assert_eq!(settings_of(command), lake, "{command}");
        }
        assert_eq!(settings_of("run"), settings_of("check"));
        assert_eq!(settings_of("run"), settings_of("config"));
        assert!(settings_of("lake explain").is_superset(&lake) && settings_of("lake explain").contains("gps-topic"));
        assert!(!settings_of("simulate").contains("lake") && settings_of("topics status").contains("group"));
        assert_eq!(commands_with("--until-drained"), ["run", "launch", "check", "config"]);
    }

    #[test]
    fn dash_h_is_help_where_it_is_not_the_hostfile() {
        for (words, command) in commands() {
            let short =
                |name: &str| command.get_arguments().any(|arg| arg.get_id() == name && arg.get_short() == Some('h'));
            let is_hostfile = ["run", "launch", "check"].contains(&words.join(" ").as_str());
            assert_eq!(short("hostfile"), is_hostfile, "{words:?}");
            assert_eq!(command.is_disable_help_flag_set(), is_hostfile, "{words:?}");
            let help = command.clone().render_help().to_string();
            assert_eq!(help.contains("-h is the hostfile"), is_hostfile, "{help}");
        }
    }

    #[test]
    fn pages_are_of_the_command_that_is_named() {
        let named = |words: &[&str]| find(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        let page = render(named(&["lake", "sql"]).unwrap()).unwrap();
        assert!(page.contains(".SH EXAMPLES\n.nf\nExamples:\n  citystream lake sql"), "{page}");
        assert!(page.contains(".TH citystream-lake-sql 1") && page.contains("\\-\\-s3\\-endpoint"), "{page}");
        let error = named(&["lake", "squeal"]).unwrap_err().to_string();
        assert_eq!(error, "man: `citystream lake` has no command `squeal`; `citystream lake --help` lists them");
    }
}
