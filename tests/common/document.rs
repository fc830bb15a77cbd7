//! Blocks of a document that a test runs as they stand there.

use std::path::Path;

/// The block of docs/operations.md that is marked with the name of a test, or with what follows it too.
pub(crate) fn block(mark: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let text = std::fs::read_to_string(path).expect("the document");
    let (_, after) = text.split_once(&format!("<!-- {mark}")).unwrap_or_else(|| panic!("no block {mark}"));
    let block = after.split("```").nth(1).expect("a block");
    block.split_once('\n').expect("the name of a language").1.to_owned()
}
