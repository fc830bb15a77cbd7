//! What is printed. A reader that has gone, as `head` does, ends the program quietly; an output that is full, in one line.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;

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
    ($($part:tt)*) => { $crate::cli::out::hint(format_args!("{}\n", format_args!($($part)*))) };
}

pub(super) use {note, put, say};

/// The line that is drawn on a terminal: what is said meanwhile stands above it.
static DRAWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

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
            hint(format_args!("citystream: standard output cannot be written: {error}\n"));
            std::process::exit(1);
        }
    }
}

/// Says something to people. Nothing can be done where nobody listens.
pub fn hint(text: Arguments<'_>) {
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
