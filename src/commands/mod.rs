//! The commands: what the user typed, to what is called and printed.
#![allow(clippy::print_stdout)] // Printing is what commands are for.

mod demo;
mod feed;
mod lake;
mod progress;
mod run;
mod simulate;
mod times;
mod topics;

use std::io::IsTerminal;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command, Settings};
use crate::config::{self, Config};
use crate::error::RunError;

/// Parses the command line, does what it says, and returns the exit code.
pub fn main() -> i32 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    start_log();
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("citystream: {error}");
            error.exit_code()
        }
    }
}

fn usage(error: &clap::Error) -> i32 {
    // Nothing can be done about a closed terminal.
    let _ = error.print();
    if error.to_string().contains("--hostfile <FILE>") {
        eprintln!("-h is the hostfile, as in timely; help is --help");
    }
    error.exit_code()
}

fn start_log() {
    let filter = EnvFilter::try_from_env("CITYSTREAM_LOG").unwrap_or_else(|_| EnvFilter::new("warn,citystream=info"));
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .with_target(false)
        .init();
}

fn dispatch(cli: Cli) -> Result<i32, RunError> {
    let file = cli.config.as_deref();
    match cli.command {
        Command::Run { settings } => run::run(&load(&settings, file)?),
        Command::Demo { demo, settings } => demo::demo(&demo, &settings, file),
        Command::Simulate { simulate, settings } => simulate::simulate(&simulate, &load(&settings, file)?),
        Command::Feed { feed, settings } => feed::feed(&feed, &load(&settings, file)?),
        Command::Lake { command } => lake::lake(command, file),
        Command::Topics { command } => topics::topics(command, file),
        Command::Config { settings } => {
            let effective = config::effective(&settings, file)?;
            Config::check(&effective)?;
            print!("{}", config::print(&effective));
            Ok(0)
        }
    }
}

/// The checked settings.
fn load(settings: &Settings, file: Option<&str>) -> Result<Config, RunError> {
    Config::check(&config::effective(settings, file)?)
}
