//! Panics as one line. A lost peer makes timely panic in every network thread and worker: that is said once, by
//! [`RunError::PeerLost`](crate::RunError::PeerLost), so those panics say nothing.

use std::any::Any;
use std::panic::{self, PanicHookInfo};
use std::thread;

/// How the panics begin with which timely passes on that a connection or another thread has ended.
const FOLLOWING: [&str; 6] = [
    "timely communication error:",
    "MergeQueue poisoned",
    "MergeQueue mutex poisoned",
    "Failed to receive MergeQueue",
    "Send thread panic",
    "Recv thread panic",
];

/// Replaces the panic hook of the process: every panic becomes one line for `say`, such as
/// `internal error: index out of bounds (timely:work-0, src/x.rs:12)`; those that only follow from the end of
/// another thread or process say nothing.
pub fn install_panic_hook(say: impl Fn(&str) + Send + Sync + 'static) {
    panic::set_hook(Box::new(move |info| {
        if let Some(line) = line(info) {
            say(&line);
        }
    }));
}

fn line(info: &PanicHookInfo<'_>) -> Option<String> {
    let message = message(info.payload());
    if follows(&message) {
        return None;
    }
    let place = info.location().map_or_else(|| "unknown place".to_owned(), |l| format!("{}:{}", l.file(), l.line()));
    let thread = thread::current().name().unwrap_or("unnamed").to_owned();
    Some(format!("internal error: {} ({thread}, {place})", message.replace('\n', " ")))
}

/// Whether a panic only passes on that something else has ended.
pub(crate) fn follows(message: &str) -> bool {
    FOLLOWING.iter().any(|start| message.starts_with(start))
}

/// What a panic said.
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
