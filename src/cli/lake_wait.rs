//! `citystream lake wait`: until a table is complete up to a time.

use std::time::Duration;

use citystream_dataflows::tables::Derived;
use clap::ArgAction;
use tokio::runtime::Runtime;

use super::out::{put, say, to_json};
use crate::error::RunError;
use crate::lake::Lake;
use crate::lake::history::versions::Published;
use crate::lake::inspect::status::Status;
use crate::lake::inspect::wait::Wanted;
use crate::units;

/// What is waited for.
#[derive(Debug, clap::Args)]
pub struct WaitArgs {
    /// A derived table, and the time before which all of its rows are to be sealed.
    #[arg(long, required = true, action = ArgAction::Set, num_args = 2, value_names = ["TABLE", "TIME"])]
    pub sealed: Vec<String>,
    /// How long to wait [default: for ever].
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    pub timeout: Option<Duration>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Waits, and says which commit and version have it.
pub fn wait(runtime: &Runtime, lake: &Lake, args: &WaitArgs) -> Result<i32, RunError> {
    let (name, time) = (&args.sealed[0], &args.sealed[1]);
    let wanted = wanted(name, time)?;
    match runtime.block_on(wanted.wait(lake, args.timeout))? {
        Ok(found) if args.json => put!(to_json(&found)),
        Ok(Published { seq, version }) => say!("{name} is sealed before {time}: commit {seq}, version {version}"),
        Err(status) => return Err(RunError::TimedOut(still_open(name, time, status))),
    }
    Ok(0)
}

fn wanted(table: &str, time: &str) -> Result<Wanted, RunError> {
    let names: Vec<_> = Derived::all().map(Derived::name).collect();
    let unknown = || RunError::Usage(format!("no table {table:?} is sealed; there are {}", names.join(", ")));
    let table = Derived::from_name(table).ok_or_else(unknown)?;
    let no_time = |_| RunError::Usage(format!("{time:?} is no time; one is 2026-01-05T14:00:00Z"));
    let time = time.parse::<jiff::Timestamp>().map_err(no_time)?.as_microsecond();
    Ok(Wanted { table, time })
}

/// Why it has not come about, in one line.
fn still_open(table: &str, time: &str, status: Option<Status>) -> String {
    let Some(status) = status else {
        return format!("{table} is not sealed before {time}: the lake has no commit yet");
    };
    let so_far = status
        .sealed_before
        .get(table)
        .map_or("no row of it is sealed".to_owned(), |end| format!("it is before {end}"));
    let held = match status.held_by.first() {
        Some(holder) => format!("{holder}, and holds the horizon"),
        None => "nothing arrives, and where nothing arrives nothing is sealed; `--until-drained --final` says that the log has ended"
            .to_owned(),
    };
    format!("{table} is not sealed before {time}, {so_far}: {held}; the last commit is {:.0} s old", status.age_s)
}
