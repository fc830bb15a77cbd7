//! Rows on their way from an operator to a file.

use arrow::array::RecordBatch;
use citystream_dataflows::time::disposition::Disposition;

use citystream_wire::PerTopic;

use super::Table;

/// Rows of one table and one epoch, without what is known only when they are committed.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The table.
    pub table: Table,
    /// Its columns but for `epoch`, `seq` and `disposition`.
    pub columns: RecordBatch,
    /// One for each row of a raw table; none for any other.
    pub dispositions: Vec<Disposition>,
    /// Dead letters by topic; all zero for any other table.
    pub dead: PerTopic<u64>,
}
