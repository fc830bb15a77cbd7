//! The table `commits`: a row a commit, in a small Parquet file a version, so that readers of tables see what each version
//! holds and up to where it is complete.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, StructArray, TimestampMicrosecondArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use citystream_dataflows::tables::Derived;

pub use crate::columns::tables::commits::schema;
use crate::columns::tables::commits::{SEALED_THROUGH, sealed_through};
use crate::lake::history::commit::{Commit, Kind, Ledger};
use crate::lake::history::{Violation, rebuilt};

/// The columns in lakes whose commits do not say which versions they end.
pub fn first_schema() -> SchemaRef {
    let fields = schema().fields().iter().filter(|field| field.name() != SEALED_THROUGH).cloned().collect::<Vec<_>>();
    Arc::new(Schema::new(fields))
}

/// The rows of commits.
pub fn rows(commits: &[Commit]) -> Result<RecordBatch, Violation> {
    let sums: Vec<Ledger> = commits.iter().map(sum).collect();
    let long = |of: fn(&Commit) -> u64| -> ArrayRef {
        Arc::new(commits.iter().map(|commit| Some(of(commit) as i64)).collect::<Int64Array>())
    };
    let text = |of: fn(&Commit) -> &str| -> ArrayRef {
        Arc::new(commits.iter().map(|commit| Some(of(commit))).collect::<StringArray>())
    };
    let mut columns = vec![long(|commit| commit.seq), text(kind), text(|commit| &commit.run)];
    columns.extend([times(commits, |commit| Some(commit.time_ms * 1000)), long(|commit| commit.epoch)]);
    columns.push(times(commits, |commit| commit.horizon));
    let counts: [fn(&Ledger) -> u64; 7] =
        [|l| l.read, |l| l.on_time, |l| l.late, |l| l.expired, |l| l.duplicate, |l| l.dead, |l| l.missed.total()];
    let count = |of: fn(&Ledger) -> u64| -> ArrayRef {
        Arc::new(sums.iter().map(|sum| Some(of(sum) as i64)).collect::<Int64Array>())
    };
    columns.extend(counts.map(count));
    columns.push(Arc::new(sealed(commits).map_err(wrong)?));
    RecordBatch::try_new(schema(), columns).map_err(wrong)
}

/// The time before which all rows of each derived table are sealed.
fn sealed(commits: &[Commit]) -> Result<StructArray, ArrowError> {
    let column = |table: Derived| times(commits, move |commit| Some(table.sealing.all_before(commit.horizon?)));
    let known = NullBuffer::from_iter(commits.iter().map(|commit| commit.horizon.is_some()));
    StructArray::try_new(sealed_through(), Derived::all().map(column).collect(), Some(known))
}

fn times(commits: &[Commit], of: impl Fn(&Commit) -> Option<i64>) -> ArrayRef {
    Arc::new(commits.iter().map(of).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

fn sum(commit: &Commit) -> Ledger {
    commit.ledger.values().fold(Ledger::default(), |sum, ledger| sum.plus(ledger))
}

fn kind(commit: &Commit) -> &'static str {
    match commit.kind {
        Kind::Claim => "claim",
        Kind::Data => "data",
    }
}

/// Whether a Parquet file holds just these rows. (Its bytes may be another version's of the writer, which knew fewer columns.)
pub fn are_same(bytes: Bytes, rows: &RecordBatch) -> bool {
    ends_with(bytes, rows.num_rows(), rows)
}

/// Whether a Parquet file holds so many rows, and these are the last ones.
pub fn ends_with(bytes: Bytes, count: usize, last: &RecordBatch) -> bool {
    let Ok(found) = rebuilt::decode(bytes) else { return false };
    let fields = found.schema();
    let known: Option<Vec<usize>> =
        fields.fields().iter().map(|field| last.schema().index_of(field.name()).ok()).collect();
    let is_last = |last: RecordBatch| found.slice(count - last.num_rows(), last.num_rows()) == last;
    found.num_rows() == count && known.and_then(|known| last.project(&known).ok()).is_some_and(is_last)
}

pub(super) fn wrong(error: ArrowError) -> Violation {
    Violation(format!("rows of commits: {error}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::TimestampMicrosecondType;

    use super::*;
    use crate::lake::history;
    use crate::lake::testing::{claim, data};

    #[test]
    fn rows_are_a_function_of_the_commits() {
        let first = claim("a");
        let commit = data(&history::apply(None, &first, "d".into()), "a", 5, 2);
        let both = [first.clone(), commit.clone()];
        let encode = |commits| rebuilt::encode(&rows(commits).unwrap()).unwrap();
        let holds = |bytes, commits| are_same(bytes, &rows(commits).unwrap());
        let bytes = encode(&both);
        assert_eq!(bytes, encode(&both));
        assert!(holds(bytes.clone(), &both));
        assert!(!holds(bytes.clone(), &both[..1]) && !holds(bytes, &both[1..]));
        assert!(!holds("else".into(), &both));
        let old = rows(&both).unwrap().project(&(0..13).collect::<Vec<_>>()).unwrap();
        assert_eq!(old.schema(), first_schema());
        assert!(holds(rebuilt::encode(&old).unwrap(), &both), "as a lake had it before");
    }

    #[test]
    fn a_row_says_how_far_each_table_is_sealed() {
        let commit = Commit { horizon: Some(3_600_000_000 + 1), ..claim("a") };
        let rows = rows(&[claim("a"), commit]).unwrap();
        let sealed = rows.column_by_name(SEALED_THROUGH).unwrap().as_struct();
        assert!(sealed.is_null(0) && sealed.is_valid(1));
        for table in Derived::all() {
            let times = sealed.column_by_name(table.name()).unwrap().as_primitive::<TimestampMicrosecondType>();
            assert_eq!(times.value(1), table.sealing.all_before(3_600_000_001), "{}", table.name());
        }
    }
}
