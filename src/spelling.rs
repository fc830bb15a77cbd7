//! What was meant by a misspelt name.

/// The known name that is least edits from a text, if those are `most` at most.
pub fn nearest<'a>(text: &str, known: impl Iterator<Item = &'a str>, most: usize) -> Option<&'a str> {
    let (edits, meant) = known.map(|known| (strsim::damerau_levenshtein(text, known), known)).min()?;
    (edits <= most).then_some(meant)
}
