//! Names of lakes that every reader of its tables can open.

use super::Lake;
use super::error::{StoreError, unusable};

impl Lake {
    /// Refuses an address that some readers cannot open, or open as another one.
    pub fn refuse_unreadable(&self) -> Result<(), StoreError> {
        let Some(found) = self.location().chars().find(|c| is_unreadable(*c)) else { return Ok(()) };
        Err(unusable(format!(
            "no lake is made at {}: readers of its tables stumble over {found:?} in its path (Polars, delta-rs and Spark read \
             addresses, DuckDB patterns); choose another path, or say --any-path",
            self.location()
        )))
    }
}

/// What addresses (delta-rs, Polars, Spark), patterns of files (DuckDB) or partitions (Polars) give a meaning to.
fn is_unreadable(c: char) -> bool {
    !c.is_ascii() || c.is_ascii_whitespace() || c.is_ascii_control() || r#"%#?*[]{}<>|^`"\="#.contains(c)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::lake::{Lake, StoreOptions};

    #[tokio::test]
    async fn a_path_that_readers_stumble_over_is_named_with_what_they_stumble_over() {
        let dir = tempfile::tempdir().unwrap();
        for (name, found) in [("a b", "' '"), ("50%", "'%'"), ("caf\u{e9}", "'\u{e9}'"), ("a*b", "'*'"), ("d=1", "'='")]
        {
            let path = dir.path().join(name).display().to_string();
            let lake = Lake::init(&path, &StoreOptions::default()).await.unwrap();
            let refused = lake.refuse_unreadable().unwrap_err().to_string();
            assert!(refused.contains(found) && refused.contains("--any-path"), "{refused}");
        }
        for name in ["plain", "a-b_c.d~e", "a+b,c@d:e", "it's"] {
            let path = dir.path().join(name).display().to_string();
            Lake::init(&path, &StoreOptions::default()).await.unwrap().refuse_unreadable().unwrap();
        }
    }
}
