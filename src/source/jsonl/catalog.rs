//! What partitions a directory holds.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use citystream_dataflows::time::bindings::{NextOffset, Partition, Topic};
use citystream_wire::PerTopic;

use super::JsonlOptions;
use super::envelope::Format;
use super::tail::{identity, unusable};
use crate::source::{Available, Catalog, SourceError};

/// How much is looked at once, from the end, for the last newline.
const BLOCK: u64 = 64 << 10;

/// Looks at a directory of JSON lines.
pub struct JsonlCatalog {
    options: JsonlOptions,
    formats: PerTopic<Format>,
}

impl JsonlCatalog {
    /// The catalog of a log.
    pub fn new(options: JsonlOptions) -> Self {
        JsonlCatalog { formats: PerTopic::new(|topic| Format::of(&options, topic)), options }
    }

    /// The partitions of a topic whose header is complete, in order.
    fn topic(&self, topic: Topic) -> Result<Vec<Available>, SourceError> {
        let dir = self.options.topic_dir(topic);
        let mut found = Vec::new();
        for index in partitions(&dir)? {
            found.extend(self.partition(Partition { topic, index })?);
        }
        match found.iter().find(|other| other.topic_id != found[0].topic_id) {
            None => Ok(found),
            Some(other) => Err(SourceError::Mistaken(format!(
                "partitions {} and {} in {} have different topic ids: they are not of one log",
                found[0].partition.index,
                other.partition.index,
                dir.display()
            ))),
        }
    }

    fn partition(&self, partition: Partition) -> Result<Option<Available>, SourceError> {
        let path = self.options.path(partition);
        let file = File::open(&path).map_err(|e| unusable(&path, &e))?;
        let Some((topic_id, first)) = identity(&file, &path, &self.formats[partition.topic])? else { return Ok(None) };
        let high = end_of_lines(&file, first).map_err(|e| unusable(&path, &e))?;
        Ok(Some(Available { partition, topic_id, low: NextOffset(first), high: NextOffset(high) }))
    }
}

impl Catalog for JsonlCatalog {
    fn discover(&self) -> Result<Vec<Available>, SourceError> {
        let mut all = Vec::new();
        for topic in Topic::all() {
            all.extend(self.topic(topic)?);
        }
        all.sort_by_key(|available| available.partition);
        Ok(all)
    }

    /// A directory has no consumer groups.
    fn group_offsets(&self, _: &[Partition]) -> Result<Vec<(Partition, NextOffset)>, SourceError> {
        Ok(Vec::new())
    }

    fn report(&self, _: &[(Partition, NextOffset)]) -> Result<(), SourceError> {
        Ok(())
    }
}

/// The numbers of the files `<number>.jsonl`, in order. Other names are nobody's business.
fn partitions(dir: &Path) -> Result<Vec<i32>, SourceError> {
    let entries = fs::read_dir(dir).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => SourceError::Mistaken(format!(
            "the topic directory {} is missing; create it, or let `citystream simulate --to dir:...` do so",
            dir.display()
        )),
        io::ErrorKind::NotADirectory => SourceError::Mistaken(format!(
            "{} is no directory: the source is one with a folder for each topic",
            dir.display()
        )),
        _ => unusable(dir, &e),
    })?;
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(|e| unusable(dir, &e))?.file_name();
        found.extend(name.to_str().and_then(number));
    }
    found.sort_unstable();
    Ok(found)
}

/// The partition of a file name; only the canonical one, so that no two files are the same partition.
fn number(name: &str) -> Option<i32> {
    let digits = name.strip_suffix(".jsonl")?;
    let number = digits.parse::<i32>().ok()?;
    (number >= 0 && number.to_string() == digits).then_some(number)
}

/// The position after the last newline, not before `first`.
pub(super) fn end_of_lines(file: &File, first: i64) -> io::Result<i64> {
    let first = first as u64;
    let mut end = file.metadata()?.len();
    let mut block = vec![0; BLOCK as usize];
    while end > first {
        let start = end.saturating_sub(BLOCK).max(first);
        let part = &mut block[..(end - start) as usize];
        file.read_exact_at(part, start)?;
        if let Some(at) = part.iter().rposition(|b| *b == b'\n') {
            return Ok((start + at as u64 + 1) as i64);
        }
        end = start;
    }
    Ok(first as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_names_are_partitions() {
        assert_eq!(number("0.jsonl"), Some(0));
        assert_eq!(number("12.jsonl"), Some(12));
        for other in ["00.jsonl", "+1.jsonl", "-1.jsonl", "1.json", ".jsonl", "1.jsonl.tmp", "99999999999.jsonl"] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
