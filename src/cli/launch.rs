//! `citystream launch`: the processes of this host, started together and again.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use citystream_cluster::hostfile;
use indicatif::ProgressBar;
use serde_json::Value;
use toml::Table;

use super::log::LogArgs;
use super::out::{self, note, stay_above, warn};
use super::progress;
use super::run::Signals;
use crate::config::{self, Config, RESTARTS, SUPERVISED};
use crate::error::RunError;
use crate::escape::escaped;
use crate::supervise::{Line, Processes, Watch, here, supervise};

/// Shown below the help.
pub const EXAMPLES: &str = "\
Examples:
  citystream launch -n 4 --source dir:log --lake ./lake
  citystream launch -n 2 -w 2 --lake s3://bucket/city

Four processes on two hosts, the same command on each; the file names two
addresses of each, and all processes prove the secret to each other:
  citystream launch -n 4 -h hosts.txt --cluster-secret @secret.txt \\
      --lake s3://bucket/city

When a process is lost, all start again from the last commit: at once, and then
after 1, 2, 4 .. 30 s as long as no commit lands. It ends with the exit code of
what no restart mends (2, 3, 5, 6; 7 where there is nothing to drain). Ctrl-C or
SIGTERM commits what has been read and ends with 0. Another width: end it, and
start it with other -n and -w.";

/// How often it is said whose address is not known.
const NAMED_EVERY: Duration = Duration::from_secs(30);

/// What is to be launched, beside the settings of `run`.
#[derive(Debug, clap::Args)]
pub struct LaunchArgs {
    /// The address by which the hostfile knows this host [default: those that it can listen on].
    #[arg(long, value_name = "ADDRESS")]
    pub here: Option<String>,
    /// The exit code after SIGTERM or Ctrl-C; for Kubernetes, where a pod that ends with 0 is not replaced.
    #[arg(long, value_name = "CODE", default_value_t = 0)]
    pub stopped_code: u8,
}

/// Looks after this host's processes until they have ended in order, or cannot go on.
pub fn launch(args: &LaunchArgs, log: LogArgs, given: &Table, file: Option<&str>) -> Result<i32, RunError> {
    let effective = config::effective(given, file)?;
    let config = Config::check_cluster(&effective)?;
    let mut seen = Seen::new(Signals::listen()?);
    let Some(here) = processes_here(args, &config, given.contains_key("process"), &seen)? else {
        return Ok(args.stopped_code.into());
    };
    let program = std::env::current_exe().map_err(|error| RunError::Failed(format!("cannot find itself: {error}")))?;
    let names: Vec<String> = here.iter().map(usize::to_string).collect();
    note!("citystream: process {} of {}, workers each: {}", names.join(", "), config.processes, config.workers);
    let listen = effective.get("listen").and_then(toml::Value::as_str);
    // By default as much as one process may have is for all of this host.
    let state = effective.get("state-memory").is_none().then(|| config.state_memory / here.len() as u64);
    let of_one = |(number, process)| {
        let mut arguments = arguments(given, file, log, listen.map(|first| nth(first, number)));
        arguments.extend(state.map(|bytes| format!("--state-memory={bytes}").into()));
        (process, arguments)
    };
    let here = here.into_iter().enumerate().map(of_one).collect();
    let processes = Processes { program, here, finite: config.until_drained };
    let end = supervise(&processes, &mut seen);
    stay_above(None);
    Ok(match end? {
        0 if seen.signals() > 0 => args.stopped_code.into(),
        code => code,
    })
}

/// Which of the processes are this host's; `None` if asked to end before that is known.
fn processes_here(
    args: &LaunchArgs,
    config: &Config,
    is_given: bool,
    seen: &Seen,
) -> Result<Option<Vec<usize>>, RunError> {
    if is_given {
        return Ok(Some(vec![config.process]));
    }
    let Some(path) = config.hostfile.as_deref().filter(|_| config.processes > 1) else {
        return Ok(Some((0..config.processes).collect()));
    };
    let addresses = hostfile::read(path, config.processes).map_err(|error| RunError::Usage(error.to_string()))?;
    let mut said: Option<Instant> = None;
    while seen.signals() == 0 {
        let unknown = match here(&addresses, args.here.as_deref()) {
            Ok(here) if here.is_empty() => return Err(none_here(path, args.here.as_deref())),
            Ok(here) => return Ok(Some(here).filter(|_| seen.signals() == 0)),
            Err(unknown) => unknown,
        };
        if said.is_none_or(|said| said.elapsed() > NAMED_EVERY) {
            said = Some(Instant::now());
            let unknown = escaped(unknown);
            warn(&format!("waiting for the address of {unknown} (hostfile {}): it may be this host's", path.display()));
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(None)
}

fn none_here(path: &Path, only: Option<&str>) -> RunError {
    let path = path.display();
    RunError::Usage(match only {
        Some(only) => format!("--here {only}: no line of the hostfile {path} names it"),
        None => format!("no address of the hostfile {path} is this host's: say which one it is by --here ADDRESS"),
    })
}

/// Where the nth process of this host listens, if the first one does at `first`: as many ports on.
fn nth(first: &str, number: usize) -> String {
    let port = first.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    match port {
        Some((host, port)) if port > 0 => format!("{host}:{}", usize::from(port) + number),
        _ => first.to_owned(),
    }
}

/// What a process is started with: the flags that were given, and lines that can be read.
fn arguments(given: &Table, file: Option<&str>, log: LogArgs, listen: Option<String>) -> Vec<OsString> {
    let mut arguments = vec!["run".to_owned(), format!("--{SUPERVISED}"), "--log-format=json".to_owned()];
    arguments.extend(file.map(|file| format!("--config={file}")));
    arguments.extend(log.amount());
    arguments.extend(listen.map(|address| format!("--listen={address}")));
    for (name, value) in given.iter().filter(|(name, _)| !["process", "listen", RESTARTS].contains(&name.as_str())) {
        let one = |value: &toml::Value| value.as_str().map(|value| format!("--{name}={value}"));
        match value {
            toml::Value::Array(items) => arguments.extend(items.iter().filter_map(one)),
            value => arguments.extend(one(value)),
        }
    }
    arguments.into_iter().map(OsString::from).collect()
}

/// What is seen of the processes, and shown.
struct Seen {
    signals: Signals,
    /// Drawn again and again on a terminal.
    line: Option<ProgressBar>,
}

impl Seen {
    fn new(signals: Signals) -> Seen {
        Seen { signals, line: out::draw() }
    }

    /// Shows where the run stands, as its first process tells.
    fn progress(&self, stand: String) {
        match &self.line {
            Some(line) => line.set_message(stand),
            None => progress::log(stand),
        }
    }
}

impl Watch for Seen {
    fn signals(&self) -> u32 {
        self.signals.count()
    }

    fn line(&mut self, Line { process, text }: &Line) -> bool {
        let told: Value = serde_json::from_str(text).unwrap_or_else(|_| serde_json::json!({ "message": text }));
        let is_progress = told["message"] == "progress";
        let landed = is_progress && told["records_committed"].as_u64().is_some_and(|records| records > 0);
        if out::manner().json {
            let mut told = told;
            told["process"] = serde_json::json!(process);
            // A level that was told stays.
            out::object("INFO", told);
        } else if !is_progress {
            out::beside(format_args!("{process} | {}\n", escaped(&said(&told))));
        } else if let Some(stand) = progress::line_of(&told) {
            self.progress(stand);
        }
        landed
    }

    fn event(&mut self, text: &str) {
        warn(text);
    }
}

/// A process's line for people.
fn said(told: &Value) -> String {
    let mut line = String::new();
    for name in ["timestamp", "level", "message"] {
        if let Some(text) = told[name].as_str().filter(|text| *text != "INFO") {
            line += if line.is_empty() { "" } else { " " };
            line += text;
        }
    }
    let rest = told.as_object().into_iter().flatten();
    for (name, value) in rest.filter(|(name, _)| !["timestamp", "level", "message"].contains(&name.as_str())) {
        line += &format!(" {name}={value}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_of_a_host_listens_at_a_port_of_its_own() {
        assert_eq!(nth("0.0.0.0:9090", 0), "0.0.0.0:9090");
        assert_eq!(nth("[::1]:9090", 2), "[::1]:9092");
        for same in ["none", "127.0.0.1:0", "localhost"] {
            assert_eq!(nth(same, 3), same);
        }
    }
}
