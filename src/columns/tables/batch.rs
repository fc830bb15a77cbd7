//! Rows on their way from an operator to a file.

use arrow::array::RecordBatch;
use citystream_dataflows::time::disposition::Disposition;

use citystream_dataflows::time::Micros;
use citystream_wire::Topic;

use super::Table;

/// Rows of one table and one epoch, without what is known only when they are committed.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The table.
    pub table: Table,
    /// Its columns but for `epoch`, `seq`, `disposition` and `quality_window`.
    pub columns: RecordBatch,
    /// One for each row of a raw table; none for any other.
    pub dispositions: Vec<Disposition>,
    /// The window of data quality in which each record counts, if it is not missed; none for a derived table.
    pub quality_windows: Vec<Option<Micros>>,
    /// The topic of each dead letter; none for any other table.
    pub dead: Vec<Topic>,
}

impl Batch {
    /// Rows of a derived table.
    pub fn derived(table: Table, columns: RecordBatch) -> Batch {
        Batch { table, columns, dispositions: Vec::new(), quality_windows: Vec::new(), dead: Vec::new() }
    }
}
