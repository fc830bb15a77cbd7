//! Rows of one table as plain columns: what leaves the dataflow, whatever the type of the table's rows.
//!
//! ```text
//! changes -- pipeline --> columns -> one block a batch
//! sealed --- pipeline --> columns -> one block a batch
//! ```

use std::rc::Rc;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Concat;
use timely::dataflow::operators::generic::operator::{Operator, empty};

use super::{Columns, Derived};
use crate::operators::stage::{Emitted, Stage};
use crate::records::TextId;
use crate::records::changes::Change;
use crate::time::Epoch;

/// Changes of one table, or sealed rows of it.
#[derive(Clone, Debug)]
pub struct Block {
    /// The table.
    pub table: Derived,
    /// +1 or -1, one a row; `None`: the rows are sealed.
    pub diffs: Option<Vec<i8>>,
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

impl Values {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Values::Text(ids) => ids.len(),
            Values::Word(words) => words.len(),
            Values::Int(values, _) => values.len(),
            Values::Long(values, _) => values.len(),
            Values::Double(values, _) => values.len(),
            Values::Flag(values, _) => values.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Block {
    /// How many rows.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, Values::len)
    }

    /// Changes as the columns of their table.
    pub fn changes<R>(table: Derived, columns: &Columns<R>, changes: &[Change<R>]) -> Block {
        let diffs = changes.iter().map(|change| change.diff).collect();
        Block { table, diffs: Some(diffs), columns: columns.fill(changes.iter().map(|change| &change.row)) }
    }

    /// Sealed rows likewise.
    pub fn sealed<R>(table: Derived, columns: &Columns<R>, rows: &[R]) -> Block {
        Block { table, diffs: None, columns: columns.fill(rows.iter()) }
    }
}

/// What becomes of the rows of a table, at the epochs that end commits.
pub struct Rows<'scope, R> {
    /// Those that come and go.
    pub changes: StreamVec<'scope, Epoch, Change<R>>,
    /// Those that are final, each once.
    pub sealed: StreamVec<'scope, Epoch, R>,
}

impl<'scope, S: Stage<Row = Change<R>, Sealed = R>, R> From<Emitted<'scope, S>> for Rows<'scope, R> {
    fn from(Emitted { rows, sealed, .. }: Emitted<'scope, S>) -> Rows<'scope, R> {
        Rows { changes: rows, sealed }
    }
}

/// The rows of a table as blocks; see the module.
pub(super) fn blocks<'scope, R: Clone + 'static>(
    table: &'static str,
    columns: Columns<R>,
    Rows { changes, sealed }: Rows<'scope, R>,
) -> StreamVec<'scope, Epoch, Block> {
    let Some(table) = Derived::from_name(table) else { return empty(changes.scope()) };
    let columns = Rc::new(columns);
    let (shared, name) = (Rc::clone(&columns), table.name());
    let changes =
        to_blocks(changes, &format!("changes of {name}"), move |changes| Block::changes(table, &shared, changes));
    changes
        .concat(to_blocks(sealed, &format!("sealed rows of {name}"), move |rows| Block::sealed(table, &columns, rows)))
}

fn to_blocks<'scope, T: Clone + 'static>(
    rows: StreamVec<'scope, Epoch, T>,
    name: &str,
    block: impl Fn(&[T]) -> Block + 'static,
) -> StreamVec<'scope, Epoch, Block> {
    rows.unary::<CapacityContainerBuilder<Vec<Block>>, _, _, _>(Pipeline, name, move |_, _| {
        move |input, output| input.for_each(|time, rows| output.session(&time).give(block(rows)))
    })
}
