//! Panics as one line.

use std::any::Any;
use std::panic::{self, PanicHookInfo};
use std::thread;

/// Replaces the panic hook of the process: every panic becomes one line for `say`, such as
/// `internal error: index out of bounds (timely:work-0, src/x.rs:12)`. A lost peer makes nothing panic.
pub fn install_panic_hook(say: impl Fn(&str) + Send + Sync + 'static) {
    panic::set_hook(Box::new(move |info| say(&line(info))));
}

fn line(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map_or_else(|| "unknown place".to_owned(), |l| format!("{}:{}", l.file(), l.line()));
    let thread = thread::current().name().unwrap_or("unnamed").to_owned();
    format!("internal error: {} ({thread}, {place})", message(info.payload()).replace('\n', " "))
}

/// What a panic said.
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
