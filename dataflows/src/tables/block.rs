//! Changes of one table as plain columns: what leaves the dataflow, whatever the type of the table's rows.
//!
//! ```text
//! changes -- pipeline --> columns -> one block a batch
//! ```

use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::operator::Operator;

use super::{Columns, Derived};
use crate::records::TextId;
use crate::records::changes::Change;
use crate::time::Epoch;

/// Changes of one table.
#[derive(Clone, Debug)]
pub struct Block {
    /// The table.
    pub table: Derived,
    /// +1 or -1, one a row.
    pub diffs: Vec<i8>,
    /// The values of the table's columns, in their order, one a row each.
    pub columns: Vec<Values>,
}

/// The words of a column; `None` is null.
pub type Words = Vec<Option<&'static str>>;

/// Which values are there; `None`: all.
pub type Validity = Option<Vec<bool>>;

/// The values of one column. A value that is not there stands as any number.
#[derive(Clone, Debug)]
pub enum Values {
    /// Texts by id; [`TextId::NONE`] is null.
    Text(Vec<TextId>),
    /// Words.
    Word(Words),
    /// 32-bit integers.
    Int(Vec<i32>, Validity),
    /// 64-bit integers, and times.
    Long(Vec<i64>, Validity),
    /// Doubles.
    Double(Vec<f64>, Validity),
    /// Flags.
    Flag(Vec<bool>, Validity),
}

impl Block {
    /// Changes as the columns of their table.
    pub fn new<R>(table: Derived, columns: &Columns<R>, changes: &[Change<R>]) -> Block {
        let diffs = changes.iter().map(|change| change.diff).collect();
        Block { table, diffs, columns: columns.fill(changes) }
    }
}

/// The changes of a table as blocks; see the module.
pub(super) fn blocks<'scope, R: Clone + 'static>(
    table: &'static str,
    columns: Columns<R>,
    changes: StreamVec<'scope, Epoch, Change<R>>,
) -> StreamVec<'scope, Epoch, Block> {
    let table = Derived::from_name(table);
    let name = format!("columns of {}", table.map_or("none", Derived::name));
    changes.unary::<CapacityContainerBuilder<Vec<Block>>, _, _, _>(Pipeline, &name, move |_, _| {
        move |input, output| {
            input.for_each(|time, changes| {
                let block = table.map(|table| Block::new(table, &columns, changes));
                output.session(&time).give_iterator(block.into_iter());
            });
        }
    })
}
