//! Why a row is what it is, from the lake alone (P5): the row, its revisions with their commits, the records behind
//! it, which of them caused each revision, and the row derived once more from those records.

mod find;
mod rederive;
mod report;
mod sources;
mod target;

pub use report::Question;
pub use target::Target;
