//! A lake as its readers see it: commits through a plain object store, tables through Delta readers in Python.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use citystream::parts::{Commit, Kind};
use futures::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::Deserialize;

use super::records::Generator;
use super::{Plan, python};

/// Where a lake is.
#[derive(Clone, Debug)]
pub(crate) struct Lake {
    place: String,
}

/// What the tables hold, by independent readers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Contents {
    /// The version of every table.
    pub(crate) version: i64,
    /// Rows and a digest over all columns but `epoch` and `seq`, by table; the order of rows does not matter.
    pub(crate) tables: BTreeMap<String, (u64, String)>,
    /// Rows of the raw tables, by table and disposition.
    pub(crate) dispositions: BTreeMap<String, BTreeMap<String, u64>>,
    /// Records, by (topic, partition, offset), that are there more than once.
    pub(crate) doubled: u64,
    /// The difference of ids to those given, as multisets.
    pub(crate) missing: u64,
    /// Ids too many.
    pub(crate) extra: u64,
}

impl Lake {
    /// A directory or `s3://bucket/prefix`.
    pub(crate) fn at(place: &str) -> Lake {
        Lake { place: place.into() }
    }

    /// Its directory or URL.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// All commits, in order; none where there is no lake yet.
    pub(crate) fn commits(&self) -> Vec<Commit> {
        let Some((store, root)) = self.store() else { return Vec::new() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let folder = join(&root, "commits");
            let mut found: Vec<ObjectPath> =
                store.list(Some(&folder)).map_ok(|meta| meta.location).try_collect().await.expect("the commits");
            found.sort();
            let mut commits = Vec::with_capacity(found.len());
            for path in found.iter().filter(|path| path.as_ref().ends_with(".json")) {
                let bytes = store.get(path).await.expect("a commit").bytes().await.expect("a commit");
                commits.push(serde_json::from_slice(&bytes).expect("a commit"));
            }
            commits
        })
    }

    /// Copies all of it into a folder.
    pub(crate) fn copy_to(&self, folder: &Path) {
        let (store, root) = self.store().expect("a lake");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (store, root) = (&store, &root);
            let copies = store.list(Some(root)).map(|object| async move {
                let from = object.expect("the lake").location;
                let below = from.prefix_match(root).expect("a path below the lake");
                let to = below.fold(folder.to_owned(), |to, part| to.join(part.as_ref()));
                std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
                let bytes = store.get(&from).await.expect("an object").bytes().await.expect("an object");
                std::fs::write(to, bytes).expect("a file");
            });
            copies.buffer_unordered(16).collect::<()>().await;
        });
    }

    /// Records read by all commits so far.
    pub(crate) fn read(&self) -> u64 {
        self.commits().iter().flat_map(|commit| commit.ledger.values()).map(|ledger| ledger.read).sum()
    }

    /// The last version that every Delta log has.
    pub(crate) fn published(&self) -> Option<u64> {
        self.versions().into_values().min().flatten()
    }

    /// The last version of each table.
    pub(crate) fn versions(&self) -> BTreeMap<String, Option<u64>> {
        let Some((store, root)) = self.store() else { return BTreeMap::new() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let tables = store.list_with_delimiter(Some(&join(&root, "tables"))).await.expect("the tables");
            let mut versions = BTreeMap::new();
            for table in tables.common_prefixes {
                let log: Vec<_> = store.list(Some(&join(&table, "_delta_log"))).try_collect().await.expect("a log");
                let names = log.iter().filter_map(|meta| meta.location.filename()?.strip_suffix(".json")?.parse().ok());
                versions.insert(table.filename().expect("a name").to_owned(), names.max());
            }
            versions
        })
    }

    /// The runs that have claimed it, in order.
    pub(crate) fn claims(&self) -> Vec<String> {
        let commits = self.commits();
        commits.into_iter().filter(|commit| commit.kind == Kind::Claim).map(|commit| commit.run).collect()
    }

    /// What the tables hold, compared with the ids made.
    pub(crate) fn contents(&self, plan: &Plan, made: &Generator) -> Contents {
        let ids = plan.fresh_path("ids");
        std::fs::write(&ids, made.id_lines()).expect("a file of ids");
        self.contents_with(&ids)
    }

    /// The same, with the ids (lines `table<TAB>id`) in a file.
    pub(crate) fn contents_with(&self, ids: &Path) -> Contents {
        let ids = ids.to_str().expect("a path");
        let answer = python::run("read_lake.py", &[&self.place, "--ids", ids]);
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// Every record made is there once, as what it is; nothing else is.
    pub(crate) fn check(&self, plan: &Plan, made: &Generator) -> Contents {
        let contents = self.contents(plan, made);
        contents.check_ids();
        let mut expected: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for (&(table, disposition), &rows) in &made.expected {
            expected.entry(table.into()).or_default().insert(disposition.into(), rows);
        }
        assert_eq!(contents.dispositions, expected, "rows by disposition");
        contents
    }

    fn store(&self) -> Option<(Arc<dyn ObjectStore>, ObjectPath)> {
        match self.place.strip_prefix("s3://") {
            Some(rest) => {
                // The program installs its own; this is the test's process. A second call changes nothing.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let store = AmazonS3Builder::from_env().with_bucket_name(bucket).build().expect("an S3 client");
                Some((Arc::new(store), ObjectPath::from(prefix)))
            }
            None => {
                let store = LocalFileSystem::new_with_prefix(&self.place).ok()?;
                Some((Arc::new(store), ObjectPath::default()))
            }
        }
    }
}

fn join(root: &ObjectPath, name: &str) -> ObjectPath {
    let parts: Vec<_> = root.parts().collect();
    parts.into_iter().chain([name.to_owned().into()]).collect()
}

impl Contents {
    /// The ids are those given, as multisets, and no record is there twice.
    pub(crate) fn check_ids(&self) {
        let wrong = (self.missing, self.extra, self.doubled);
        assert_eq!(wrong, (0, 0, 0), "(lost, too many, doubled) records in {:?}", self.tables);
    }

    /// The same without what depends on the run: the version and the commits.
    pub(crate) fn rows(mut self) -> Contents {
        self.version = 0;
        self.tables.remove("commits");
        self
    }

    /// All rows of the raw tables.
    pub(crate) fn raw_rows(&self) -> u64 {
        self.dispositions.values().flat_map(BTreeMap::values).sum()
    }
}
