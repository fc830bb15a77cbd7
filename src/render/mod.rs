//! Changes of the derived tables as Arrow columns: where ids become texts and integers become what the tables show.
//!
//! A table's columns are filled in the order of [`crate::tables::derived`], which says what each of them is.

mod frame;
mod incidents;
mod pings;
mod quality;
mod windows;

#[cfg(test)]
mod tests;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use citystream_dataflows::changes::Change;

use crate::error::RunError;
use crate::names::Names;
use crate::tables::Table;
use frame::Frame;

/// A row that a derived table shows.
pub trait Row: Sized {
    /// Its table.
    const TABLE: Table;

    /// Fills the table's own columns, the key first.
    fn columns(frame: &mut Frame<'_, Self>) -> Result<(), RenderError>;
}

/// A change that cannot be shown: always a fault of this program.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// An id that nobody has told.
    #[error("P5: a row of {0:?} names the text {1:016x}, which is not known")]
    Unknown(Table, u64),
    /// A cell that is none.
    #[error("P5: a row of {0:?} has {1:016x} for an H3 cell")]
    Cell(Table, u64),
    /// Columns that do not fit.
    #[error("columns that do not fit their table: {0}")]
    Arrow(#[from] ArrowError),
}

impl From<RenderError> for RunError {
    fn from(error: RenderError) -> Self {
        RunError::Integrity(error.to_string())
    }
}

/// Changes in the schema of their table without `epoch` and `seq`.
///
/// # Errors
/// Where a text or a cell is not one.
pub fn render<R: Row>(changes: &[Change<R>], names: &Names) -> Result<RecordBatch, RenderError> {
    let mut frame = Frame::new(R::TABLE, changes, names.read());
    R::columns(&mut frame)?;
    frame.finish()
}
