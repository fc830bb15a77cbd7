//! What is printed, and what is said beside it. A reader that has gone, as `head` does, ends the program quietly; an output
//! that is full, in one line.

use std::fmt::Arguments;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::{Mutex, OnceLock, PoisonError};

use clap::ColorChoice;
use clap::builder::styling::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde_json::json;

use crate::config;

/// A line of output.
macro_rules! say {
    ($($part:tt)*) => { $crate::cli::out::print(format_args!("{}\n", format_args!($($part)*))) };
}

/// Output as it is.
macro_rules! put {
    ($text:expr) => {
        $crate::cli::out::print(format_args!("{}", $text))
    };
}

/// A line for people beside the output.
macro_rules! note {
    ($($part:tt)*) => { $crate::cli::out::hint(format_args!($($part)*)) };
}

pub(super) use {note, put, say};

/// JSON, and the end of a line.
pub(super) fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).map_or_else(|e| e.to_string(), |text| text + "\n")
}

/// How the program speaks beside its output.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// No hints, no progress.
    pub quiet: bool,
    /// A JSON object a line.
    pub json: bool,
}

static MANNER: OnceLock<Manner> = OnceLock::new();

/// Speaks so from now on; said once.
pub fn speak(manner: Manner) {
    let _ = MANNER.set(manner);
}

/// How the program speaks.
pub fn manner() -> Manner {
    MANNER.get().copied().unwrap_or_default()
}

/// Whether a line may be drawn again and again beside the output.
pub fn may_draw() -> bool {
    let Manner { quiet, json } = manner();
    !quiet && !json && std::io::stderr().is_terminal()
}

/// The colours of help and of what is wrong with a command line. clap alone would paint any terminal of a `CI`, a dumb one too.
pub fn colours() -> ColorChoice {
    if config::wants_colour() { ColorChoice::Auto } else { ColorChoice::Never }
}

/// Whether colours are seen there, and wanted.
pub fn is_coloured(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && config::wants_colour()
}

/// A text of standard output in a colour, where that is seen.
pub fn painted(text: &str, colour: AnsiColor) -> String {
    paint(text, colour, is_coloured(&std::io::stdout()))
}

fn paint(text: &str, colour: AnsiColor, is_seen: bool) -> String {
    let style: Style = colour.on_default().bold();
    if is_seen { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

/// The line that is drawn on a terminal: what is said meanwhile stands above it.
static DRAWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// A line that is drawn from now on, where one may be; what is said meanwhile stands above it.
pub fn draw() -> Option<ProgressBar> {
    let line = may_draw().then(|| {
        let style = ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        ProgressBar::new_spinner().with_style(style)
    });
    stay_above(line.clone());
    line
}

/// Says all else above this line from now on, or beside none.
pub fn stay_above(line: Option<ProgressBar>) {
    *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = line;
}

fn above<T>(write: impl FnOnce() -> T) -> T {
    let drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match drawn {
        Some(line) => line.suspend(write),
        None => write(),
    }
}

/// Prints output, or ends the program.
pub fn print(text: Arguments<'_>) {
    let written = above(|| {
        let mut stdout = std::io::stdout().lock();
        stdout.write_fmt(text).and_then(|()| stdout.flush())
    });
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            complain(&format!("standard output cannot be written: {error}"));
            std::process::exit(1);
        }
    }
}

/// Says something to people, where they want to hear it.
pub fn hint(text: Arguments<'_>) {
    match manner() {
        Manner { quiet: true, .. } => {}
        Manner { json: true, .. } => object("INFO", json!({"message": text.to_string()})),
        Manner { .. } => beside(format_args!("{text}\n")),
    }
}

/// Says why the program ends.
pub fn complain(why: &str) {
    insist("ERROR", AnsiColor::Red, why);
}

/// Says what the user should know in any case.
pub fn warn(what: &str) {
    insist("WARN", AnsiColor::Yellow, what);
}

fn insist(level: &str, colour: AnsiColor, text: &str) {
    if manner().json {
        return object(level, json!({"message": text}));
    }
    let name = paint("citystream:", colour, is_coloured(&std::io::stderr()));
    beside(format_args!("{name} {text}\n"));
}

/// Says members of an object in a line, as the log does.
pub fn object(level: &str, members: serde_json::Value) {
    #[allow(clippy::disallowed_methods)] // Reason: of the line, not of a row.
    let time = Timestamp::now();
    let mut line = json!({"timestamp": format!("{time:.6}"), "level": level});
    if let (Some(line), serde_json::Value::Object(members)) = (line.as_object_mut(), members) {
        line.extend(members);
    }
    beside(format_args!("{line}\n"));
}

/// Writes beside the output. Nothing can be done where nobody listens.
pub fn beside(text: Arguments<'_>) {
    let _ = above(|| std::io::stderr().lock().write_fmt(text));
}

/// Where the log goes.
#[derive(Debug)]
pub struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        above(|| std::io::stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
