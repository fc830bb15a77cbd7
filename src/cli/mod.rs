//! The command line: what the user typed, to what is called and printed. One file a command.

mod check;
mod demo;
mod feed;
mod lake;
mod lake_dead_letters;
mod lake_sql;
mod lake_tail;
mod out;
mod progress;
mod run;
mod simulate;
mod times;
mod topics;

use std::io::IsTerminal;

use clap::{CommandFactory, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::config::{self, Config, Settings};
use crate::error::RunError;
use crate::escape::escaped;
use demo::DemoArgs;
use feed::FeedArgs;
use lake::LakeCommand;
use out::{note, put};
use simulate::SimulateArgs;
use topics::TopicsCommand;

/// Five Kafka topics in; correct, explainable tables out, committed atomically.
#[derive(Debug, Parser)]
#[command(name = "citystream", version, disable_help_flag = true, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Print help.
    #[arg(long, global = true, action = clap::ArgAction::Help)]
    pub help: Option<bool>,
    /// Settings file (default: citystream.toml, where there is one).
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  citystream demo                                        everything in one process, no server needed
  citystream topics create --bootstrap-servers HOST:9092
  citystream run --lake s3://bucket/city --bootstrap-servers HOST:9092 -w 2
  citystream run -n 2 -w 2 -p 0 -h hosts.txt             process 0 of 2, two workers each
  citystream check --lake s3://bucket/city --bootstrap-servers HOST:9092
  citystream lake status --lake ./lake --json

Every setting --some-name can also be CITYSTREAM_SOME_NAME or `some-name = \"...\"` in citystream.toml.
Exit codes: 0 done, 1 error that may mend itself, 2 mistake that no restart mends, 3 replaced by another run,
4 peer lost, 5 integrity, 6 source lost, 7 timed out. A supervisor restarts on 1 and 4.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Simulator, pipeline and lake in one process, without any server.
    Demo {
        /// Demo settings.
        #[command(flatten)]
        demo: DemoArgs,
        /// Settings.
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Run the pipeline: this process, of a cluster or alone.
    Run {
        /// Settings.
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Say whether `run` with the same settings would start, and claim nothing.
    #[command(after_help = check::EXAMPLES)]
    Check {
        /// A JSON object a line.
        #[arg(long)]
        json: bool,
        /// Settings.
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Send the records of a simulated city to a directory or to Kafka, and tell the truth about them.
    #[command(after_help = simulate::EXAMPLES)]
    Simulate {
        /// Simulator settings.
        #[command(flatten)]
        simulate: Box<SimulateArgs>,
        /// Settings.
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Produce what live APIs tell of cameras, weather stations and emergency services, to Kafka or a directory.
    #[command(after_help = feed::EXAMPLES)]
    Feed {
        /// Feed settings.
        #[command(flatten)]
        feed: Box<FeedArgs>,
        /// Settings.
        #[command(flatten, next_help_heading = "Settings")]
        settings: Box<Settings>,
    },
    /// Look after a lake.
    Lake {
        /// What to do.
        #[command(subcommand)]
        command: LakeCommand,
    },
    /// Look after the five topics.
    Topics {
        /// What to do.
        #[command(subcommand)]
        command: TopicsCommand,
    },
    /// Print the effective settings, secrets masked.
    Config {
        /// Settings.
        #[command(flatten)]
        settings: Box<Settings>,
    },
}

/// Parses the command line, does what it says, and returns the exit code.
pub fn main() -> i32 {
    let cli = match Cli::try_parse_from(config::flags_from_environment(Cli::command(), std::env::args_os())) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    private_files();
    start_log();
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            note!("citystream: {}", escaped(&error.to_string()));
            error.exit_code()
        }
    }
}

fn usage(error: &clap::Error) -> i32 {
    // Nothing can be done about a closed terminal.
    let _ = error.print();
    if error.to_string().contains("--hostfile <FILE>") {
        note!("-h is the hostfile, as in timely; help is --help");
    }
    error.exit_code()
}

/// Vehicle traces are personal data: new files are for owner and group, and not more open than the user has them.
fn private_files() {
    use rustix::fs::Mode;
    let users = rustix::process::umask(Mode::from_raw_mode(0o027));
    rustix::process::umask(users | Mode::from_raw_mode(0o027));
}

fn start_log() {
    let wanted = config::log_filter().and_then(|text| EnvFilter::try_new(text).ok());
    let filter = wanted.unwrap_or_else(|| EnvFilter::new("warn,citystream=info"));
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| out::Log)
        .with_ansi(ansi)
        .with_target(false)
        .init();
}

fn dispatch(cli: Cli) -> Result<i32, RunError> {
    let file = cli.config.as_deref();
    match cli.command {
        Command::Run { settings } => run::run(&load(&settings, file)?),
        Command::Check { json, settings } => check::check(&load(&settings, file)?, json),
        Command::Demo { demo, settings } => demo::demo(&demo, &settings, file),
        Command::Simulate { simulate, settings } => simulate::simulate(&simulate, &load(&settings, file)?),
        Command::Feed { feed, settings } => feed::feed(&feed, &load(&settings, file)?),
        Command::Lake { command } => lake::lake(command, file),
        Command::Topics { command } => topics::topics(command, file),
        Command::Config { settings } => {
            let effective = config::effective(&settings, file)?;
            Config::check(&effective)?;
            put!(config::print(&effective));
            Ok(0)
        }
    }
}

/// The checked settings.
fn load(settings: &Settings, file: Option<&str>) -> Result<Config, RunError> {
    Config::check(&config::effective(settings, file)?)
}
