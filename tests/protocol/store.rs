//! A store that breaks the way stores break, at every verb: replies that are lost after the effect, effects that come after
//! the client has gone, conflicts where nothing is, 500, deletions that stop half way, calls that take very
//! long. Listings are of the moment, as S3 promises them since 2020. What it does and when is told to the history.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::world::World;

/// A call stands still this often: for minutes, and now and then for days.
const STALLS: f64 = 0.002;
const HOUR_MS: u64 = 3_600_000;
/// A deletion of many that stops half way stops after so many at most.
const MANY: u64 = 1_500;
/// An effect that comes late comes within so many milliseconds.
const LATE_MS: u64 = 20_000;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    inner: Arc<InMemory>,
    world: World,
    /// When each object was written, in milliseconds.
    written: Arc<Mutex<BTreeMap<Path, i64>>>,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Good,
    /// Nothing is done.
    Failed,
    /// It is done, and the reply is lost.
    LostReply,
    /// It is said to have failed, and done later.
    Late,
    /// A conflict is reported; nothing is done.
    Conflict,
}

fn failed(why: &str) -> Error {
    Error::Generic { store: "simulated", source: why.to_owned().into() }
}

/// What a listing finds, as a stream.
fn one_by_one(
    listing: impl Future<Output = Result<Vec<ObjectMeta>>> + Send + 'static,
) -> BoxStream<'static, Result<ObjectMeta>> {
    listing.map_ok(|found| futures::stream::iter(found.into_iter().map(Ok))).try_flatten_stream().boxed()
}

impl Store {
    /// A copy of what is in a store, in another world.
    pub(crate) fn copy_of(&self, world: &World) -> Store {
        let written = self.written.lock().expect("nobody panicked").clone();
        Store { inner: Arc::new(self.inner.fork()), world: world.clone(), written: Arc::new(Mutex::new(written)) }
    }

    pub(crate) fn new(world: &World) -> Store {
        Store { inner: Arc::default(), world: world.clone(), written: Arc::default() }
    }

    /// Time passes, and others come first; whether the call fails.
    async fn gate(&self) -> bool {
        let (is_unkind, steps, stall, fails) = {
            let mut inner = self.world.look();
            let is_unkind = inner.fails > 0.0;
            let stall = (is_unkind && inner.rng.chance(STALLS)).then(|| {
                let most = if inner.rng.chance(0.1) { 60 * HOUR_MS } else { HOUR_MS };
                1000 + inner.rng.below(most)
            });
            let fails = inner.fails;
            let fails = inner.rng.chance(fails);
            inner.now_ms += inner.rng.below(8) as i64;
            (is_unkind, inner.rng.below(3), stall, fails)
        };
        if is_unkind {
            for _ in 0..steps {
                self.world.step_back().await;
            }
        }
        if let Some(stall) = stall {
            self.world.wait_ms(stall).await;
        }
        fails
    }

    async fn put(&self, path: Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let fate = match (self.gate().await, self.world.below(4)) {
            (false, _) => Fate::Good,
            (true, 0) => Fate::LostReply,
            (true, 1) => Fate::Late,
            (true, 2) if options.mode == PutMode::Create => Fate::Conflict,
            (true, _) => Fate::Failed,
        };
        match fate {
            Fate::Good => self.write(&path, payload, options).await,
            Fate::LostReply => self.write(&path, payload, options).await.and(Err(failed("timed out"))),
            Fate::Failed => Err(failed("500")),
            Fate::Conflict => Err(Error::AlreadyExists { path: path.to_string(), source: "409".into() }),
            Fate::Late => {
                let (store, time) = (self.clone(), self.world.below(LATE_MS));
                self.world.enter(async move {
                    store.world.wait_ms(time).await;
                    // The client knows nothing of it.
                    let _ = store.write(&path, payload, options).await;
                });
                Err(failed("timed out"))
            }
        }
    }

    /// Does it.
    async fn write(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let bytes = payload.iter().flat_map(|part| part.iter().copied()).collect::<Vec<u8>>();
        let done = self.inner.put_opts(path, payload, options).await?;
        let now = self.world.look().now_ms;
        self.written.lock().expect("nobody panicked").insert(path.clone(), now);
        self.world.look().history.wrote(path.as_ref(), &bytes);
        Ok(done)
    }

    /// The object as the simulated time has it.
    fn dated(&self, mut meta: ObjectMeta) -> ObjectMeta {
        let written = self.written.lock().expect("nobody panicked").get(&meta.location).copied().unwrap_or(0);
        let shift = written - meta.last_modified.timestamp_millis();
        let time = Duration::from_millis(shift.unsigned_abs());
        meta.last_modified = if shift < 0 { meta.last_modified - time } else { meta.last_modified + time };
        meta
    }

    async fn listed(&self, prefix: Option<Path>) -> Result<Vec<ObjectMeta>> {
        if self.gate().await {
            return Err(failed("500"));
        }
        let found: Vec<ObjectMeta> = self.inner.list(prefix.as_ref()).try_collect().await?;
        Ok(found.into_iter().map(|meta| self.dated(meta)).collect())
    }

    /// The same behind an offset. What is before it is not looked at: of a long log that would be most of the time.
    async fn listed_after(&self, prefix: Path, offset: Path) -> Result<Vec<ObjectMeta>> {
        if self.gate().await {
            return Err(failed("500"));
        }
        let paths: Vec<Path> = {
            let written = self.written.lock().expect("nobody panicked");
            let behind = written.range((Excluded(offset.max(prefix.clone())), Unbounded)).map(|(path, _)| path);
            let below = behind.take_while(|path| path.as_ref().starts_with(prefix.as_ref()));
            below.filter(|path| path.prefix_matches(&prefix)).cloned().collect()
        };
        let mut found = Vec::new();
        for path in paths {
            match self.inner.head(&path).await {
                Ok(meta) => found.push(self.dated(meta)),
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Deletes one of several; `breaks`: the call ends here, before it or after it.
    async fn delete_one(&self, path: Path, breaks: bool) -> Result<Path> {
        if breaks && self.world.chance(0.5) {
            return Err(failed("500"));
        }
        let now = self.world.look().now_ms;
        self.world.look().history.deleted(path.as_ref(), now);
        match self.inner.delete(&path).await {
            Ok(()) | Err(Error::NotFound { .. }) if !breaks => Ok(path),
            Ok(()) | Err(Error::NotFound { .. }) => Err(failed("timed out")),
            Err(error) => Err(error),
        }
    }

    /// Deletes several, as far as it comes.
    async fn delete_all(self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let at = [0, self.world.below(MANY)][self.world.below(2) as usize] as usize;
        let breaks = self.gate().await.then_some(at);
        let delete = move |(n, path): (usize, Result<Path>)| {
            let store = self.clone();
            async move { store.delete_one(path?, breaks == Some(n)).await }
        };
        paths.enumerate().then(delete).boxed()
    }

    /// Whether an object is there.
    pub(crate) async fn has(&self, path: &str) -> bool {
        self.inner.head(&Path::from(path)).await.is_ok()
    }

    /// All objects whose paths begin so.
    pub(crate) async fn all(&self, prefix: &str) -> Vec<String> {
        let found: Vec<ObjectMeta> =
            self.inner.list(Some(&Path::from(prefix))).try_collect().await.expect("a store in memory");
        found.into_iter().map(|meta| meta.location.to_string()).collect()
    }
}

impl std::fmt::Display for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

// The methods are what `#[async_trait]` makes of the trait's.
impl ObjectStore for Store {
    fn put_opts<'a, 'b, 't>(
        &'a self,
        path: &'b Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> BoxFuture<'t, Result<PutResult>>
    where
        'a: 't,
        'b: 't,
        Self: 't,
    {
        self.put(path.clone(), payload, options).boxed()
    }

    fn put_multipart_opts<'a, 'b, 't>(
        &'a self,
        _: &'b Path,
        _: PutMultipartOptions,
    ) -> BoxFuture<'t, Result<Box<dyn MultipartUpload>>>
    where
        'a: 't,
        'b: 't,
        Self: 't,
    {
        async { Err(Error::NotImplemented { operation: "multipart".into(), implementer: "simulated".into() }) }.boxed()
    }

    fn get_opts<'a, 'b, 't>(&'a self, path: &'b Path, options: GetOptions) -> BoxFuture<'t, Result<GetResult>>
    where
        'a: 't,
        'b: 't,
        Self: 't,
    {
        async move {
            if self.gate().await {
                return Err(failed("500"));
            }
            let mut got = self.inner.get_opts(path, options).await?;
            got.meta = self.dated(got.meta);
            Ok(got)
        }
        .boxed()
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.clone().delete_all(paths).flatten_stream().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix) = (self.clone(), prefix.cloned());
        one_by_one(async move { store.listed(prefix).await })
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix, offset) = (self.clone(), prefix.cloned().unwrap_or_default(), offset.clone());
        one_by_one(async move { store.listed_after(prefix, offset).await })
    }

    fn list_with_delimiter<'a, 'b, 't>(&'a self, prefix: Option<&'b Path>) -> BoxFuture<'t, Result<ListResult>>
    where
        'a: 't,
        'b: 't,
        Self: 't,
    {
        self.inner.list_with_delimiter(prefix)
    }

    fn copy_opts<'a, 'b, 'c, 't>(
        &'a self,
        from: &'b Path,
        to: &'c Path,
        options: CopyOptions,
    ) -> BoxFuture<'t, Result<()>>
    where
        'a: 't,
        'b: 't,
        'c: 't,
        Self: 't,
    {
        self.inner.copy_opts(from, to, options)
    }
}
