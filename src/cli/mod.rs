//! The command line: what the user typed, to what is called and printed. One file a command.

mod asking;
mod check;
mod demo;
mod feed;
mod lake;
mod lake_compact;
mod lake_dead_letters;
mod lake_erase;
mod lake_gc;
mod lake_retain;
mod lake_sql;
mod lake_tail;
mod lake_wait;
mod launch;
mod log;
mod manual;
mod out;
mod progress;
mod run;
mod settings;
mod simulate;
mod times;
mod topics;
mod view;

use std::error::Error;

use clap::builder::styling::{AnsiColor, Styles};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};
use toml::Table;

use crate::config::groups::{ALL, DASH_H, KAFKA, NEW, PACE, RECORDS, ROWS, TOPICS, WORKERS};
use crate::config::{self, Config, Given, Settings};
use crate::error::RunError;
use crate::escape::escaped;
use demo::DemoArgs;
use feed::FeedArgs;
use lake::LakeCommand;
use launch::LaunchArgs;
use log::LogArgs;
use out::note;
use simulate::SimulateArgs;
use topics::TopicsCommand;
use view::ViewCommand;

/// Five Kafka topics in; correct, explainable tables out, committed atomically.
#[derive(Debug, Parser)]
#[command(name = "citystream", version = manual::VERSION, long_version = manual::LONG_VERSION, styles = STYLES)]
#[command(arg_required_else_help = true, after_help = EXAMPLES, color = out::colours())]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Settings file (default: citystream.toml, where there is one).
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<String>,
    /// What is said beside the output.
    #[command(flatten)]
    pub log: LogArgs,
}

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  citystream demo                  all in one process, no server needed
  citystream topics create --bootstrap-servers HOST:9092
  citystream check --lake s3://bucket/city --bootstrap-servers HOST:9092
  citystream run --lake s3://bucket/city --bootstrap-servers HOST:9092 -w 2
  citystream lake status --lake ./lake --json

`citystream COMMAND --help` lists what a command takes. Each setting --some-name
can also be CITYSTREAM_SOME_NAME, or `some-name = \"...\"` in citystream.toml.

Exit codes: 0 done, 1 error that may mend itself, 2 mistake that no restart
mends, 3 replaced by another run, 4 peer lost, 5 integrity, 6 source lost,
7 timed out. A supervisor restarts on 1 and 4.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Simulator, pipeline and lake in one process, without any server.
    #[command(after_help = demo::EXAMPLES)]
    Demo {
        /// Demo settings.
        #[command(flatten)]
        demo: DemoArgs,
        /// Settings.
        #[command(flatten)]
        settings: Given<{ NEW | TOPICS | ROWS | RECORDS | PACE | WORKERS }>,
    },
    /// Run the pipeline: this process, of a cluster or alone.
    #[command(after_help = run::EXAMPLES)]
    Run {
        /// Settings.
        #[command(flatten)]
        settings: Given<{ ALL | DASH_H }>,
    },
    /// Start the processes of this host, and start all again when one is lost.
    #[command(after_help = launch::EXAMPLES)]
    Launch {
        /// Launch settings.
        #[command(flatten)]
        launch: LaunchArgs,
        /// Settings.
        #[command(flatten)]
        settings: Given<{ ALL | DASH_H }>,
    },
    /// Say whether `run` with the same settings would start, and claim nothing.
    #[command(after_help = check::EXAMPLES)]
    Check {
        /// A JSON object a line.
        #[arg(long)]
        json: bool,
        /// Settings.
        #[command(flatten)]
        settings: Given<{ ALL | DASH_H }>,
    },
    /// Send the records of a simulated city to a directory or to Kafka, and tell the truth about them.
    #[command(after_help = simulate::EXAMPLES)]
    Simulate {
        /// Simulator settings.
        #[command(flatten)]
        simulate: Box<SimulateArgs>,
        /// Settings.
        #[command(flatten)]
        settings: Given<{ KAFKA | TOPICS | RECORDS }>,
    },
    /// Produce what live APIs tell of cameras, weather stations and emergency services, to Kafka or a directory.
    #[command(after_help = feed::EXAMPLES)]
    Feed {
        /// Feed settings.
        #[command(flatten)]
        feed: Box<FeedArgs>,
        /// Settings.
        #[command(flatten)]
        settings: Given<{ KAFKA | TOPICS }>,
    },
    /// Look after a lake.
    #[command(after_help = lake::EXAMPLES)]
    Lake {
        /// What to do.
        #[command(subcommand)]
        command: LakeCommand,
    },
    /// Look after the five topics.
    #[command(after_help = topics::EXAMPLES)]
    Topics {
        /// What to do.
        #[command(subcommand)]
        command: TopicsCommand,
    },
    /// Look after the standing views of a run.
    #[command(after_help = view::EXAMPLES)]
    View {
        /// What to do.
        #[command(subcommand)]
        command: ViewCommand,
    },
    /// Print the effective settings, secrets masked.
    #[command(after_help = settings::EXAMPLES)]
    Config {
        /// JSON, with each value's origin.
        #[arg(long)]
        json: bool,
        /// Settings.
        #[command(flatten)]
        settings: Settings,
    },
    /// Print what makes a shell complete commands and flags.
    #[command(after_help = manual::COMPLETIONS)]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page of the program, or of one of its commands.
    #[command(after_help = manual::PAGES)]
    Man {
        /// The command, such as `lake sql`.
        command: Vec<String>,
    },
}

/// Parses the command line, does what it says, and returns the exit code.
pub fn main() -> i32 {
    let (words, from_variables) = match config::flags_from_environment(Cli::command(), std::env::args_os()) {
        Ok(given) => given,
        Err(error) => return complain(&error),
    };
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, &from_variables),
    };
    private_files();
    log::start(cli.log).and_then(|()| dispatch(cli)).unwrap_or_else(|error| complain(&error))
}

/// Says why it cannot go on; the exit code.
fn complain(error: &RunError) -> i32 {
    out::complain(&escaped(&error.to_string()));
    error.exit_code()
}

/// Says what is wrong with the command line; flags that are none of its words are named with their variables.
fn usage(error: &clap::Error, from_variables: &[(String, String)]) -> i32 {
    let about = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(flag)) => flag.as_str(),
        _ => "",
    };
    if let Some(line) = wrong_value(error, about, from_variables) {
        out::complain(&escaped(&line));
        return error.exit_code();
    }
    // Nothing can be done about a closed terminal.
    let _ = error.print();
    if error.kind() == ErrorKind::InvalidValue && std::env::args_os().any(|word| word == "-h") {
        note!("-h is the hostfile, as in timely; help is --help");
    }
    if error.kind() == ErrorKind::UnknownArgument {
        let commands = manual::commands_with(about);
        if !commands.is_empty() {
            note!("{about} is a flag of: {}", commands.join(", "));
        }
    }
    error.exit_code()
}

/// A value that a flag does not take, as the user gave it, and what was expected: one line, as for settings.
fn wrong_value(error: &clap::Error, about: &str, from_variables: &[(String, String)]) -> Option<String> {
    if error.kind() != ErrorKind::ValueValidation {
        return None;
    }
    let (Some(ContextValue::String(value)), Some(why)) = (error.get(ContextKind::InvalidValue), error.source()) else {
        return None;
    };
    let flag = about.split(' ').next()?;
    let from = from_variables.iter().find(|(of, _)| of == flag);
    Some(from.map_or_else(|| format!("{flag} {value}: {why}"), |(_, variable)| format!("{variable}={value}: {why}")))
}

/// Vehicle traces are personal data: new files are for owner and group, and not more open than the user has them.
fn private_files() {
    use rustix::fs::Mode;
    let users = rustix::process::umask(Mode::from_raw_mode(0o027));
    rustix::process::umask(users | Mode::from_raw_mode(0o027));
}

fn dispatch(cli: Cli) -> Result<i32, RunError> {
    let file = cli.config.as_deref();
    match cli.command {
        Command::Run { settings } => run::run(&load_process(&settings, file)?),
        Command::Launch { launch, settings } => launch::launch(&launch, cli.log, &settings, file),
        Command::Check { json, settings } => check::check(&load_process(&settings, file)?, json),
        Command::Demo { demo, settings } => demo::demo(&demo, &settings, file),
        Command::Simulate { simulate, settings } => simulate::simulate(&simulate, &load(&settings, file)?),
        Command::Feed { feed, settings } => feed::feed(&feed, &load(&settings, file)?),
        Command::Lake { command } => lake::lake(command, file),
        Command::Topics { command } => topics::topics(command, file),
        Command::View { command } => view::view(command, file),
        Command::Config { json, settings } => settings::print(&settings, file, json),
        Command::Completions { shell } => Ok(manual::completions(shell)),
        Command::Man { command } => manual::page(&command),
    }
}

/// The checked settings.
fn load(given: &Table, file: Option<&str>) -> Result<Config, RunError> {
    Config::check(&config::effective(given, file)?)
}

/// The checked settings of a process of a run.
fn load_process(given: &Table, file: Option<&str>) -> Result<Config, RunError> {
    let effective = config::effective(given, file)?;
    effective.given().for_each(|setting| tracing::debug!("{}", escaped(&setting)));
    Config::check_process(&effective)
}
