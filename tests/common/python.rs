//! Independent readers, producers and faults: scripts in `tests/python/` under the stack's pinned packages.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use xtask::Stack;
use xtask::jars::DELTA;

fn command(script: &str, args: &[&str]) -> Command {
    let stack = Stack::locate().expect("the stack folder");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script);
    let mut command = Command::new(stack.python());
    command.arg(path).args(args).stdin(Stdio::null()).env("PYTHONDONTWRITEBYTECODE", "1");
    if EXTENDED.contains(&script) {
        command.env("PYTHONPATH", stack.extensions());
    }
    command
}

/// Scripts for the DuckDB that has its extensions.
const EXTENDED: [&str; 4] = ["by_date.py", "on_s3.py", "sealed.py", "sealed_reads.py"];

/// Whether the readers are there; where servers are required they must be.
pub(crate) fn available() -> bool {
    let there = Stack::locate().is_ok_and(|stack| stack.python().exists() && stack.extensions().exists());
    let required = std::env::var_os("CITYSTREAM_REQUIRE_SERVERS").is_some();
    assert!(there || !required, "the Python readers are not provisioned, and they are required");
    if !there {
        println!("SKIPPED: needs the Python readers; run `cargo xtask test`");
    }
    there
}

/// Runs a script to its end and gives what it printed.
pub(crate) fn run(script: &str, args: &[&str]) -> String {
    finish(&mut command(script, args), script)
}

/// Asks Spark for parts of a lake through each of these files of statements; `None` where it is not wanted: without `--full`.
pub(crate) fn spark(lake: &str, statements: &[&str]) -> Option<String> {
    spark_script("spark.py", lake, statements)
}

/// Runs a script of Spark's with a lake, the jars and these words; `None` as above.
pub(crate) fn spark_script(script: &str, lake: &str, words: &[&str]) -> Option<String> {
    std::env::var_os("CITYSTREAM_FULL")?;
    let stack = Stack::locate().expect("the stack folder");
    let jars = DELTA.libs(&stack).display().to_string();
    let args: Vec<&str> = [lake, jars.as_str()].into_iter().chain(words.iter().copied()).collect();
    let mut command = command(script, &args);
    let packages = std::env::join_paths([stack.spark(), stack.extensions()]).expect("paths");
    Some(finish(command.env("PYTHONPATH", packages), script))
}

fn finish(command: &mut Command, script: &str) -> String {
    let output = command.output().expect("python starts");
    let [printed, said] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{script} {command:?}: {}\n{printed}{said}", output.status);
    printed.into_owned()
}

/// The one value of a query over a lake's tables.
pub(crate) fn query(lake: &str, sql: &str) -> String {
    run("query.py", &[lake, sql]).trim_end().to_owned()
}

/// A script that is told what to do, line by line.
#[derive(Debug)]
pub(crate) struct Script {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Script {
    /// Starts it.
    pub(crate) fn start(name: &str, args: &[&str]) -> Script {
        let mut child =
            command(name, args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python starts");
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("its output");
        let (sender, lines) = channel();
        thread::spawn(move || BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|l| sender.send(l)));
        Script { name: name.into(), child, stdin, lines }
    }

    /// Tells it one line.
    pub(crate) fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("a script that runs");
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).expect("a script that listens");
    }

    /// Its next line.
    pub(crate) fn hear(&self) -> String {
        self.hear_within(Duration::from_secs(90)).unwrap_or_else(|| panic!("{} says nothing", self.name))
    }

    /// Its next line, if one comes in time.
    pub(crate) fn hear_within(&self, limit: Duration) -> Option<String> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("{} has ended", self.name),
        }
    }

    /// Tells it one line and waits until it says `done`.
    pub(crate) fn ask(&mut self, line: &str) {
        self.say(line);
        assert_eq!(self.hear(), "done", "{} {line}", self.name);
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
