//! How much is said beside the output, and how.

use clap::{ArgAction, Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use super::out::{self, Manner};
use crate::config;
use crate::error::RunError;

/// How much is said beside the output, and how.
#[derive(Clone, Copy, Debug, Args)]
pub struct LogArgs {
    /// Say warnings and errors only: no progress, no hints.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more, commits and settings; -vv: libraries too. CITYSTREAM_LOG, such as warn,citystream=debug, chooses more finely.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// How it looks: text, or json, an object a line, for who collects logs [default: text, or CITYSTREAM_LOG_FORMAT].
    #[arg(long, global = true, value_name = "FORMAT", hide_possible_values = true)]
    log_format: Option<LogFormat>,
}

impl LogArgs {
    /// How much is said, as flags.
    pub fn amount(self) -> Vec<String> {
        let quiet = self.quiet.then(|| "--quiet".to_owned());
        quiet.into_iter().chain((0..self.verbose).map(|_| "--verbose".to_owned())).collect()
    }
}

/// How a line looks: for people, or for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// Begins the log.
pub fn start(args: LogArgs) -> Result<(), RunError> {
    let json = format(args)? == LogFormat::Json;
    out::speak(Manner { quiet: args.quiet, json });
    let filter = filter(args)?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| out::Log).with_target(false);
    if json {
        log.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
    } else {
        log.with_ansi(out::is_coloured(&std::io::stderr())).init();
    }
    Ok(())
}

fn format(args: LogArgs) -> Result<LogFormat, RunError> {
    let Some(text) = config::log_format().filter(|_| args.log_format.is_none()) else {
        return Ok(args.log_format.unwrap_or(LogFormat::Text));
    };
    LogFormat::from_str(&text, false)
        .map_err(|_| RunError::Usage(format!("CITYSTREAM_LOG_FORMAT={text}: expected one of text, json")))
}

/// What is logged. The client of AWS logs at length what is an error's one line in the end.
fn filter(args: LogArgs) -> Result<EnvFilter, RunError> {
    let chosen = config::log_filter();
    let text = match (args.quiet, args.verbose, &chosen) {
        (true, ..) => "warn,aws_config=error",
        (_, 0, Some(chosen)) => chosen,
        (_, 0, None) => "warn,citystream=info,aws_config=error",
        (_, 1, _) => "info,citystream=debug,kafka=debug",
        _ => "debug",
    };
    EnvFilter::try_new(text).map_err(|error| {
        let expected = "expected a level such as debug, or levels of parts such as warn,citystream=debug";
        RunError::Usage(format!("CITYSTREAM_LOG={text}: {expected} ({error})"))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    fn given(flags: &[&str]) -> LogArgs {
        Cli::try_parse_from([&["citystream", "config"], flags].concat()).unwrap().log
    }

    #[test]
    fn flags_say_how_much_is_logged() {
        let shown = |flags: &[&str]| filter(given(flags)).unwrap().to_string();
        assert!(shown(&["-q"]).contains("warn") && !shown(&["-q"]).contains("info"));
        assert!(shown(&["-v"]).contains("citystream=debug") && shown(&["-vv"]) == "debug");
        assert!(Cli::try_parse_from(["citystream", "config", "-q", "-v"]).is_err());
        assert_eq!(format(given(&["--log-format", "json"])).unwrap(), LogFormat::Json);
    }
}
