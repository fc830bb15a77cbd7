//! What a process that died in the middle of a put has left in a directory: `name#n`, beside the name that it was to have. No listing
//! shows it, and it counts for nothing; but it has bytes.

use std::fs;
use std::io;
use std::path::Path;

use super::Lake;
use super::error::StoreError;

impl Lake {
    /// Deletes what was left below a folder of files whose names `is_dead` says that nobody is writing. A store of objects has no such
    /// files.
    ///
    /// # Errors
    /// The directory's.
    pub fn delete_leftovers(&self, folder: &str, is_dead: impl Fn(&str) -> bool) -> Result<(), StoreError> {
        let Some(root) = self.local_root() else { return Ok(()) };
        let failed = |error| StoreError::Transient(format!("cannot clean {}: {error}", self.address(folder)));
        delete(&root.join(folder), &is_dead).map_err(failed)
    }
}

fn delete(folder: &Path, is_dead: &dyn Fn(&str) -> bool) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            delete(&entry.path(), is_dead)?;
        } else if entry.file_name().to_str().and_then(meant).is_some_and(is_dead) {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// The name that a file was to have.
fn meant(name: &str) -> Option<&str> {
    let (name, number) = name.rsplit_once('#')?;
    number.parse::<u64>().is_ok().then_some(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::lake::StoreOptions;

    #[tokio::test]
    async fn only_what_was_left_by_the_dead_goes() {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
        let folder = dir.path().join("tables/x/log_date=2026-06-01");
        fs::create_dir_all(&folder).unwrap();
        for name in ["a-1.parquet", "a-1.parquet#1", "b-1.parquet#2", "a-1#x"] {
            fs::write(folder.join(name), "x").unwrap();
        }
        lake.delete_leftovers("tables", |name| name.starts_with("a-")).unwrap();
        lake.delete_leftovers("nothing", |_| true).unwrap();
        let mut left: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a-1#x", "a-1.parquet", "b-1.parquet#2"]);
    }
}
