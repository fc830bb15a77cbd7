//! `citystream lake tail`: the newest rows of a table, and those to come.

use std::io::IsTerminal;
use std::time::Duration;

use citystream_dataflows::tables::Derived;
use rustix::termios::tcgetwinsize;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::out::{note, put, say, to_json};
use crate::columns::show::Shown;
use crate::error::RunError;
use crate::escape::escaped;
use crate::lake::Lake;
use crate::lake::history::read;
use crate::lake::inspect::tail::Tailed;
use crate::units;

/// How often to look for new commits.
const LOOK: Duration = Duration::from_millis(500);
/// Letters of a value that are shown, at most.
const LONG: usize = 40;

/// What is wanted of a table.
#[derive(Debug, clap::Args)]
pub struct TailArgs {
    /// The table: of records, derived (what is sealed, its `_changes`, or how it stands, `_now`), or commits.
    pub table: String,
    /// How many rows.
    #[arg(short = 'n', long, value_name = "N", default_value = "10", value_parser = units::count::<u32>)]
    pub rows: u32,
    /// Go on with the rows of each new commit.
    #[arg(long, short = 'f')]
    pub follow: bool,
    /// These columns only, in this order [default: those that the terminal has room for].
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Print a JSON object a row, with all columns that are not null.
    #[arg(long)]
    pub json: bool,
}

/// Prints the newest rows, and goes on where that is wanted.
pub fn show(runtime: &Runtime, lake: &Lake, args: &TailArgs) -> Result<i32, RunError> {
    let table = Tailed::from_name(&args.table).ok_or_else(|| {
        let names: Vec<_> = Tailed::names().collect();
        RunError::Usage(format!("no table is called {:?}; there are {}", args.table, names.join(", ")))
    })?;
    let schema = table.schema();
    if let Some(unknown) = args.columns.iter().find(|name| schema.field_with_name(name).is_err()) {
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        return Err(RunError::Usage(format!("{} has no column {unknown:?}; it has {}", args.table, names.join(", "))));
    }
    let mut screen = Screen::new(table, args);
    let mut last = runtime.block_on(read::head(lake, None))?;
    let rows = match last {
        Some(last) => runtime.block_on(table.last(lake, last, args.rows as usize))?,
        None => Vec::new(),
    };
    screen.print(&rows);
    if !args.follow {
        if rows.is_empty() && args.rows > 0 {
            let is_sealed = Derived::from_name(&args.table).is_some();
            let hint =
                if is_sealed { format!("; what may still change is in {}_now", args.table) } else { String::new() };
            note!("{} has no rows yet{hint}", args.table);
        }
        return Ok(0);
    }
    loop {
        std::thread::sleep(LOOK);
        let Some(head) = runtime.block_on(read::head(lake, last))? else { continue };
        for seq in last.map_or(0, |last| last + 1)..=head {
            screen.print(&runtime.block_on(table.of_commit(lake, seq))?);
        }
        last = Some(head);
    }
}

/// Rows as aligned text, or as JSON.
struct Screen<'a> {
    args: &'a TailArgs,
    first: Vec<&'static str>,
    /// Letters of a line, where it is a terminal's.
    room: Option<usize>,
    /// The columns with their widths, once there is a row.
    columns: Vec<(String, usize)>,
}

impl<'a> Screen<'a> {
    fn new(table: Tailed, args: &'a TailArgs) -> Screen<'a> {
        let stdout = std::io::stdout();
        let size = stdout.is_terminal().then(|| tcgetwinsize(&stdout).ok()).flatten();
        let room = size.map(|size| usize::from(size.ws_col)).filter(|room| *room > 0);
        Screen { args, first: table.first_columns(), room, columns: Vec::new() }
    }

    fn print(&mut self, rows: &[Shown]) {
        if self.args.json {
            rows.iter().for_each(|row| put!(to_json(row)));
            return;
        }
        if rows.is_empty() {
            return;
        }
        if self.columns.is_empty() {
            self.lay_out(rows);
        }
        for row in rows {
            let cells = self.columns.iter().map(|(name, width)| format!("{:<width$}", cell(row, name)));
            say!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
    }

    /// Chooses the columns, and prints their names.
    fn lay_out(&mut self, rows: &[Shown]) {
        let mut names: Vec<String> = self.args.columns.clone();
        if names.is_empty() {
            names = self.first.iter().map(|name| (*name).to_owned()).collect();
            for name in rows.iter().flat_map(|row| row.0.iter().map(|(name, _)| name)) {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
        }
        let width = |name: &String| rows.iter().map(|row| cell(row, name).chars().count()).max().unwrap_or(0);
        let all = names.len();
        let with_width = |name: String| {
            let width = width(&name).max(name.len());
            (name, width)
        };
        let mut columns: Vec<(String, usize)> = names.into_iter().map(with_width).collect();
        if let Some(room) = self.room.filter(|_| self.args.columns.is_empty()) {
            let mut used = 0;
            columns.retain(|(_, width)| {
                used += width + 2;
                used <= room + 2
            });
        }
        let header = columns.iter().map(|(name, width)| format!("{name:<width$}"));
        say!("{}", header.collect::<Vec<_>>().join("  ").trim_end());
        if columns.len() < all {
            note!("({} more columns: --columns, --json, or a wider terminal)", all - columns.len());
        }
        self.columns = columns;
    }
}

/// A value as one word of a line.
fn cell(row: &Shown, name: &str) -> String {
    let text = match row.get(name) {
        None => return "-".into(),
        Some(Value::String(text)) => escaped(text),
        Some(other) => escaped(&other.to_string()),
    };
    match text.char_indices().nth(LONG) {
        None => text,
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}
