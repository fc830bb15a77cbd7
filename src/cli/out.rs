//! What is printed. A reader that has gone, as `head` does, ends the program quietly; an output that is full, in one line.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

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

/// Prints output, or ends the program.
pub fn print(text: Arguments<'_>) {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_fmt(text).and_then(|()| stdout.flush()) {
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
    let _ = std::io::stderr().lock().write_fmt(text);
}
