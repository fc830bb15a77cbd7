//! A lake's store: a local directory or S3, behind `object_store`.
//!
//! Contract: what a call that succeeded has written is durable (P2: files and directories are fsynced on a local
//! lake). `put_if_absent` never claims to know more than the store said: an unclear answer is [`Put::Unclear`], and
//! "exists" may mean a conflict with nothing there, so the caller always reads back. Errors are one line and say
//! whether trying again can help.

mod aws;
mod clock;
pub mod error;
mod id;
mod leftovers;
mod names;
mod options;
pub mod probe;
mod requests;
pub mod s3;
mod upload;
mod waits;

pub use clock::Clock;
pub use id::{digest, random_id};
pub use options::StoreOptions;
pub use requests::Requests;
pub use upload::Upload;
pub use waits::{Pause, Waits};

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path as FsPath, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    GetResult, GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};

use crate::lake::store::error::{StoreError, classify, unusable};

/// What a store said to a put-if-absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// It was written.
    Created,
    /// The store says that something is there, or that there was a conflict.
    Exists,
    /// It may have been written, now or later.
    Unclear(String),
}

/// What is at a path after [`Lake::put_same`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Just the bytes that were to be written, by whomever.
    Same,
    /// These bytes, which differ; nothing was written.
    Other(Bytes),
}

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// Its path below the lake.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was written, in milliseconds since 1970.
    pub modified_ms: i64,
}

/// A lake's store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lake {
    store: Arc<dyn ObjectStore>,
    location: Arc<str>,
    local: Option<PathBuf>,
    durable_dirs: Arc<Mutex<HashSet<PathBuf>>>,
    waits: Waits,
    clock: Arc<dyn Clock>,
    requests: Option<Requests>,
}

impl Lake {
    /// Opens a lake that exists: a path, `file://` or `s3://bucket/prefix`.
    pub async fn open(location: &str, options: &StoreOptions) -> Result<Lake, StoreError> {
        match parse(location)? {
            Location::Local(path) => Self::open_local(&path),
            Location::S3 { bucket, prefix } => Self::open_s3(&bucket, &prefix, options, false).await,
        }
    }

    /// Opens a lake, creating its directory or bucket where missing. Says whether it did.
    pub async fn init(location: &str, options: &StoreOptions) -> Result<Lake, StoreError> {
        match parse(location)? {
            Location::Local(path) => {
                create_dirs(&path)
                    .map_err(|e| unusable(format!("cannot create the lake's directory {}: {e}", path.display())))?;
                Self::open_local(&path)
            }
            Location::S3 { bucket, prefix } => Self::open_s3(&bucket, &prefix, options, true).await,
        }
    }

    /// Who waits for the store.
    pub fn waits(&self) -> Waits {
        self.waits.clone()
    }

    /// Requests to the store, where they go over a network.
    pub fn requests(&self) -> Option<&Requests> {
        self.requests.as_ref()
    }

    /// A way to wait for the store, for the first time so long.
    pub fn pause(&self, first: Duration) -> Pause {
        self.waits.pause(first, Arc::clone(&self.clock))
    }

    /// A lake over any store; `location` is what to call it.
    pub fn with_store(store: Arc<dyn ObjectStore>, location: &str) -> Lake {
        Lake {
            store,
            location: location.into(),
            local: None,
            durable_dirs: Arc::default(),
            waits: Waits::default(),
            clock: Arc::new(clock::Machine(Instant::now())),
            requests: None,
        }
    }

    /// The same lake at another time.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Lake {
        Lake { clock, ..self }
    }

    /// What time it is, in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// The time since some moment, which never goes back.
    pub fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Waits so long.
    pub async fn sleep(&self, time: Duration) {
        self.clock.sleep(time).await;
    }

    /// A local lake whose store is wrapped, for tests with faults.
    #[cfg(test)]
    pub(crate) fn wrap(&self, store: Arc<dyn ObjectStore>) -> Lake {
        Lake { store, ..self.clone() }
    }

    async fn open_s3(bucket: &str, prefix: &str, options: &StoreOptions, create: bool) -> Result<Lake, StoreError> {
        let requests = Requests::new().map_err(|e| unusable(format!("metrics: {e}")))?;
        let store = s3::open(bucket, prefix, options, create, &requests).await?;
        Ok(Lake { requests: Some(requests), ..Self::with_store(store, &uri(bucket, prefix)) })
    }

    fn open_local(path: &FsPath) -> Result<Lake, StoreError> {
        let what = || format!("no lake at {}", path.display());
        let root =
            path.canonicalize().map_err(|e| unusable(format!("{}: {e}; `citystream lake init` creates it", what())))?;
        if !root.is_dir() {
            return Err(unusable(format!("{}: not a directory", what())));
        }
        let store = LocalFileSystem::new_with_prefix(&root).map_err(|e| unusable(format!("{}: {e}", what())))?;
        let location = root.to_string_lossy().into_owned();
        Ok(Lake { local: Some(root), ..Self::with_store(Arc::new(store.with_fsync(true)), &location) })
    }

    /// The store itself, rooted at the lake: for writers of large files.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The lake's address, without a trailing slash.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Whether the store keeps old versions of what is deleted or replaced; `None`: it does not say.
    pub async fn keeps_versions(&self, options: &StoreOptions) -> Option<bool> {
        match parse(&self.location).ok()? {
            Location::Local(_) => Some(false),
            Location::S3 { bucket, .. } => s3::keeps_versions(&bucket, options).await,
        }
    }

    /// Whether that is the address of this very lake.
    pub fn is_at(&self, location: &str) -> bool {
        match parse(location) {
            Ok(Location::Local(path)) => self.local.is_some() && path.canonicalize().ok() == self.local,
            Ok(Location::S3 { bucket, prefix }) => *self.location == *uri(&bucket, &prefix),
            Err(_) => false,
        }
    }

    /// Where the lake is on this machine, if it is a directory.
    pub fn local_root(&self) -> Option<&FsPath> {
        self.local.as_deref()
    }

    /// The full address of something in the lake.
    pub fn address(&self, path: &str) -> String {
        format!("{}/{path}", self.location.trim_end_matches('/'))
    }

    /// Writes `bytes` where nothing is. An unusable store is an error; all else is an answer to be checked by reading.
    pub async fn put_if_absent(&self, path: &str, bytes: Bytes) -> Result<Put, StoreError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&parse_path(path)?, PutPayload::from(bytes), options).await {
            Ok(_) => Ok(Put::Created),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Put::Exists),
            Err(error) => match self.error("write", path, error) {
                StoreError::Transient(why) => Ok(Put::Unclear(why)),
                fatal => Err(fatal),
            },
        }
    }

    /// Writes `bytes` where nothing is, or says whether just they are there. What lands twice is the same bytes, so
    /// trying again is safe.
    pub async fn put_same(&self, path: &str, bytes: Bytes) -> Result<Stored, StoreError> {
        let mut why = String::new();
        for _ in 0..5 {
            match self.put_if_absent(path, bytes.clone()).await? {
                Put::Created => return Ok(Stored::Same),
                Put::Exists => {}
                Put::Unclear(reason) => why = reason,
            }
            match self.get(path).await? {
                Some(found) if found == bytes => {
                    self.fsync([path])?;
                    return Ok(Stored::Same);
                }
                Some(found) => return Ok(Stored::Other(found)),
                None => self.clock.sleep(Duration::from_millis(50)).await,
            }
        }
        Err(StoreError::Transient(format!("cannot write {}: the store reports conflicts {why}", self.address(path))))
    }

    /// Writes `bytes`, replacing what is there.
    pub async fn put(&self, path: &str, bytes: Bytes) -> Result<(), StoreError> {
        let put = self.store.put(&parse_path(path)?, PutPayload::from(bytes)).await;
        put.map(|_| ()).map_err(|e| self.error("write", path, e))
    }

    /// Reads an object; `None` if there is none.
    pub async fn get(&self, path: &str) -> Result<Option<Bytes>, StoreError> {
        let got = async { whole(self.store.get(&parse_path(path)?).await?).await };
        match got.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) => self.absent(path, error),
        }
    }

    /// The last bytes of an object, at most so many; `None` if there is none.
    pub async fn tail(&self, path: &str, bytes: u64) -> Result<Option<Bytes>, StoreError> {
        let Some(length) = self.size(path).await? else { return Ok(None) };
        match self.store.get_range(&parse_path(path)?, length.saturating_sub(bytes)..length).await {
            _ if length == 0 => Ok(Some(Bytes::new())),
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) => self.absent(path, error),
        }
    }

    /// The length of an object; `None` if there is none.
    pub async fn size(&self, path: &str) -> Result<Option<u64>, StoreError> {
        match self.store.head(&parse_path(path)?).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(error) => self.absent(path, error),
        }
    }

    /// Whether there is an object.
    pub async fn exists(&self, path: &str) -> Result<bool, StoreError> {
        Ok(self.size(path).await?.is_some())
    }

    /// The objects below `prefix` whose paths sort after `after`, sorted by path.
    pub async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Object>, StoreError> {
        let root = parse_path(prefix)?;
        let found = match after {
            Some(after) => self.store.list_with_offset(Some(&root), &parse_path(after)?),
            None => self.store.list(Some(&root)),
        };
        let mut objects: Vec<_> =
            found.map_ok(object).try_collect().await.map_err(|e| self.error("list", prefix, e))?;
        objects.sort_unstable();
        Ok(objects)
    }

    /// The objects below `prefix`, one after the other, in any order.
    pub fn objects(&self, prefix: &str) -> Result<impl Stream<Item = Result<Object, StoreError>>, StoreError> {
        let found = self.store.list(Some(&parse_path(prefix)?));
        Ok(found.map(move |found| found.map(object).map_err(|error| self.error("list", prefix, error))))
    }

    /// The names of the objects in a folder, not below it, that sort after `after`, sorted. In a directory of many files that
    /// is much faster than to list them, as their lengths are not asked for.
    pub async fn names(&self, folder: &str, after: Option<&str>) -> Result<Vec<String>, StoreError> {
        let Some(root) = &self.local else {
            let listed = self.list(folder, after).await?;
            let name = |object: Object| object.path.strip_prefix(folder)?.strip_prefix('/').map(str::to_owned);
            return Ok(listed.into_iter().filter_map(name).filter(|name| !name.contains('/')).collect());
        };
        let after = after.and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned();
        let (directory, what) = (root.join(folder), self.address(folder));
        let read = move || {
            let entries = match std::fs::read_dir(directory) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries?,
            };
            let names = entries.map(|entry| entry.map(|entry| entry.file_name().into_string().unwrap_or_default()));
            let mut names: Vec<String> = names.collect::<std::io::Result<_>>()?;
            names.retain(|name| *name > after);
            names.sort_unstable();
            Ok(names)
        };
        let read = tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other).flatten();
        read.map_err(|error: std::io::Error| StoreError::Transient(format!("cannot list {what}: {error}")))
    }

    /// Deletes objects; those that are absent do not matter.
    pub async fn delete(&self, paths: Vec<String>) -> Result<(), StoreError> {
        let paths = paths.iter().map(|p| parse_path(p)).collect::<Result<Vec<_>, _>>()?;
        let gone = self.store.delete_stream(futures::stream::iter(paths.into_iter().map(Ok)).boxed());
        let errors = gone.filter_map(|r| futures::future::ready(r.err()));
        let mut errors = errors.filter(|e| futures::future::ready(!matches!(e, object_store::Error::NotFound { .. })));
        match std::pin::pin!(errors.next()).await {
            Some(error) => Err(self.error("delete", "", error)),
            None => Ok(()),
        }
    }

    /// P2 on a local lake: makes sure that the directories which hold `paths`, up to the root, are on disk.
    ///
    /// The store syncs a file's own directory; but one that another writer is just creating may not be on disk yet.
    /// Each directory is synced once; `fsync` on a path that was read back syncs its directory again.
    pub fn fsync<'a>(&self, paths: impl IntoIterator<Item = &'a str>) -> Result<(), StoreError> {
        let Some(root) = &self.local else { return Ok(()) };
        for path in paths {
            let mut last = true;
            for directory in FsPath::new(path).ancestors().skip(1) {
                let directory = root.join(directory);
                let known = self.durable_dirs.lock().is_ok_and(|dirs| dirs.contains(&directory));
                if last || !known {
                    match sync_dir(&directory) {
                        // Nothing to keep: that a file is missing is found when it is read.
                        Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                        synced => synced
                            .map_err(|e| StoreError::Transient(format!("cannot sync {}: {e}", directory.display())))?,
                    }
                    let _ = self.durable_dirs.lock().map(|mut dirs| dirs.insert(directory));
                }
                last = false;
            }
        }
        Ok(())
    }

    fn absent<T>(&self, path: &str, error: object_store::Error) -> Result<Option<T>, StoreError> {
        match error {
            object_store::Error::NotFound { source, .. } if !source.to_string().contains("NoSuchBucket") => Ok(None),
            error => Err(self.error("read", path, error)),
        }
    }

    fn error(&self, verb: &str, path: &str, error: object_store::Error) -> StoreError {
        classify(&format!("cannot {verb} {}", self.address(path)), &error)
    }
}

/// All bytes of an object. A file is read here, as the library clears the memory that it reads into first.
async fn whole(got: GetResult) -> object_store::Result<Bytes> {
    let mut file = match got.payload {
        GetResultPayload::File(file, _) => file,
        GetResultPayload::Stream(_) => return got.bytes().await,
    };
    let read = move || {
        let mut bytes = Vec::with_capacity(usize::try_from(got.meta.size).unwrap_or_default() + 1);
        file.read_to_end(&mut bytes)?;
        Ok(Bytes::from(bytes))
    };
    let read = tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other).flatten();
    read.map_err(|error| object_store::Error::Generic { store: "LocalFileSystem", source: error.into() })
}

fn object(meta: ObjectMeta) -> Object {
    let modified_ms = meta.last_modified.timestamp_millis();
    Object { path: meta.location.to_string(), bytes: meta.size, modified_ms }
}

fn parse_path(path: &str) -> Result<Path, StoreError> {
    Path::parse(path).map_err(|e| unusable(format!("not a path of a lake: {path}: {e}")))
}

/// Where a lake is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Location {
    Local(PathBuf),
    S3 { bucket: String, prefix: String },
}

fn parse(location: &str) -> Result<Location, StoreError> {
    let wrong = |why: &str| unusable(format!("not a lake's location: {location:?}: {why}"));
    if let Some(rest) = location.strip_prefix("s3://").or_else(|| location.strip_prefix("s3a://")) {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(wrong("it names no bucket; write s3://bucket/prefix"));
        }
        let prefix = prefix.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        return Ok(Location::S3 { bucket: bucket.into(), prefix });
    }
    let path = location.strip_prefix("file://").unwrap_or(location);
    match path {
        "" => Err(wrong("it is empty")),
        path if path.contains("://") || path.starts_with("s3:") => {
            Err(wrong("write a directory, file:///directory or s3://bucket/prefix"))
        }
        path => Ok(Location::Local(path.into())),
    }
}

fn uri(bucket: &str, prefix: &str) -> String {
    format!("s3://{bucket}/{prefix}").trim_end_matches('/').into()
}

fn sync_dir(path: &FsPath) -> std::io::Result<()> {
    std::fs::File::open(path)?.sync_all()
}

/// Creates a directory and its parents, and syncs every directory that changed.
fn create_dirs(path: &FsPath) -> std::io::Result<()> {
    let path = std::path::absolute(path)?;
    let changed: Vec<_> = path.ancestors().skip(1).take_while(|p| !p.exists()).collect();
    std::fs::create_dir_all(&path)?;
    sync_dir(&path)?;
    changed.iter().copied().chain(path.ancestors().nth(changed.len() + 1)).try_for_each(sync_dir)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        assert_eq!(parse("a/b").unwrap(), Location::Local("a/b".into()));
        assert_eq!(parse("file:///a/b").unwrap(), Location::Local("/a/b".into()));
        let s3 = |bucket: &str, prefix: &str| Location::S3 { bucket: bucket.into(), prefix: prefix.into() };
        assert_eq!(parse("s3://b").unwrap(), s3("b", ""));
        assert_eq!(parse("s3://b//x//y/").unwrap(), s3("b", "x/y"));
        for wrong in ["", "s3://", "s3:/b/x", "gs://b/x", "file://"] {
            let error = parse(wrong).unwrap_err().to_string();
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        assert_eq!(uri("b", ""), "s3://b");
    }

    #[tokio::test]
    async fn a_local_lake_puts_once_lists_in_order_and_deletes() {
        let dir = tempfile::tempdir().unwrap();
        let location = format!("{}/new/lake", dir.path().display());
        assert!(matches!(Lake::open(&location, &StoreOptions::default()).await, Err(StoreError::Unusable(_))));
        let lake = Lake::init(&location, &StoreOptions::default()).await.unwrap();
        assert_eq!(lake.put_if_absent("c/1.json", "a".into()).await.unwrap(), Put::Created);
        assert_eq!(lake.put_if_absent("c/1.json", "b".into()).await.unwrap(), Put::Exists);
        assert_eq!(lake.put_same("c/1.json", "a".into()).await.unwrap(), Stored::Same);
        assert_eq!(lake.put_same("c/1.json", "b".into()).await.unwrap(), Stored::Other("a".into()));
        lake.put("c/0.json", "z".into()).await.unwrap();
        let names = |objects: Vec<Object>| objects.into_iter().map(|o| o.path).collect::<Vec<_>>();
        assert_eq!(names(lake.list("c", None).await.unwrap()), ["c/0.json", "c/1.json"]);
        assert_eq!(names(lake.list("c", Some("c/0.json")).await.unwrap()), ["c/1.json"]);
        assert!(lake.list("nothing", None).await.unwrap().is_empty());
        assert_eq!(lake.size("c/1.json").await.unwrap(), Some(1));
        lake.put("c/below/2.json", "y".into()).await.unwrap();
        for lake in [&lake, &Lake { local: None, ..lake.clone() }] {
            let names = |names: Vec<String>| names.into_iter().filter(|name| name != "below").collect::<Vec<_>>();
            assert_eq!(names(lake.names("c", None).await.unwrap()), ["0.json", "1.json"]);
            assert_eq!(names(lake.names("c", Some("c/0.json")).await.unwrap()), ["1.json"]);
            assert!(lake.names("nothing", None).await.unwrap().is_empty());
        }
        lake.fsync(["c/1.json", "c/0.json"]).unwrap();
        lake.delete(vec!["c/1.json".into(), "c/none.json".into()]).await.unwrap();
        assert_eq!(lake.get("c/1.json").await.unwrap(), None);
    }
}
