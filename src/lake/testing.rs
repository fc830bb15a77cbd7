//! For tests only: small commits, and a store that breaks the way stores break.

#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use citystream_dataflows::time::bindings::{Binding, NextOffset, Partition, Position, Standing, Topic};
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::lake::history::commit::{Commit, EpochBindings, File, Kind, Ledger};
use crate::lake::history::{State, layout, versions};

/// The first commit of a history: a claim.
pub(crate) fn claim(run: &str) -> Commit {
    Commit {
        seq: 0,
        kind: Kind::Claim,
        run: run.into(),
        previous: String::new(),
        time_ms: 1_700_000_000_000,
        epoch: 0,
        horizon: None,
        positions: Vec::new(),
        topics: Default::default(),
        epochs: Vec::new(),
        added: Default::default(),
        removed: Default::default(),
        tidy: Vec::new(),
        ledger: Default::default(),
        views: Default::default(),
        alerts: Vec::new(),
        told: None,
        origin: None,
        version: Some(0),
        pin: None,
        packed: None,
        collected: None,
        base: None,
    }
}

/// A data commit that may follow `state`: `rows` pings on time and `dead` dead letters of gps/0.
pub(crate) fn data(state: &State, run: &str, rows: u64, dead: u64) -> Commit {
    let partition = Partition { topic: Topic::GPS, index: 0 };
    let first = state.positions.first().map_or(NextOffset(0), |p| p.next);
    let (read, seq, epoch) = (rows + dead, state.seq + 1, state.epoch + 5);
    let next = NextOffset(first.0 + read as i64);
    let log_clock = Some(epoch as i64 * 1000);
    let binding = Binding { partition, first, next, read, log_clock, standing: Standing::Drained };
    let file = |table: &str, rows: u64| {
        let path = layout::data_file(table, "2026-11-23", run, seq, 0, 0);
        let event_time = (table != layout::DEAD_LETTERS).then_some((1_700_000_000_000_000, 1_700_000_000_123_456));
        (
            table.to_string(),
            vec![File {
                path,
                date: "2026-11-23".into(),
                rows,
                bytes: 10,
                seqs: (seq, seq),
                event_time,
                ..File::default()
            }],
        )
    };
    let added = [("raw_gps", rows), (layout::DEAD_LETTERS, dead)];
    Commit {
        seq,
        version: Some(versions::next(Some(state))),
        kind: Kind::Data,
        previous: state.digest.clone(),
        epoch,
        horizon: Some(epoch as i64),
        positions: vec![Position { partition, next, log_clock, standing: Standing::Drained }],
        epochs: vec![EpochBindings { epoch, bindings: vec![binding] }],
        added: added.into_iter().filter(|(_, n)| *n > 0).map(|(table, n)| file(table, n)).collect(),
        ledger: [(Topic::GPS, Ledger { read, on_time: rows, dead, ..Ledger::default() })].into(),
        ..claim(run)
    }
}

/// What goes wrong with a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is written, but the reply is lost.
    LostReply,
    /// A conflict is reported; nothing is written.
    Conflict,
    /// It fails; nothing is written.
    Failed,
    /// The client gives up; it is written this much later.
    Late(Duration),
}

type Decide = dyn Fn(&Path) -> Option<Fault> + Send + Sync;

/// A real store, whose puts-if-absent go wrong as `decide` says.
#[derive(Clone)]
pub(crate) struct Faulty {
    inner: Arc<dyn ObjectStore>,
    decide: Arc<Decide>,
}

impl Faulty {
    /// Breaks `inner`.
    pub(crate) fn wrap(
        inner: &Arc<dyn ObjectStore>,
        decide: impl Fn(&Path) -> Option<Fault> + Send + Sync + 'static,
    ) -> Arc<dyn ObjectStore> {
        Arc::new(Faulty { inner: inner.clone(), decide: Arc::new(decide) })
    }

    async fn faulty_put(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let fault = if options.mode == PutMode::Create { (self.decide)(path) } else { None };
        let failed = |why: &str| object_store::Error::Generic { store: "faulty", source: why.to_string().into() };
        match fault {
            None => self.inner.put_opts(path, payload, options).await,
            Some(Fault::Failed) => Err(failed("500")),
            Some(Fault::Conflict) => {
                Err(object_store::Error::AlreadyExists { path: path.to_string(), source: "409".into() })
            }
            Some(Fault::LostReply) => {
                let _ = self.inner.put_opts(path, payload, options).await;
                Err(failed("timed out"))
            }
            Some(Fault::Late(delay)) => {
                let (inner, path) = (self.inner.clone(), path.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    let _ = inner.put_opts(&path, payload, options).await;
                });
                Err(failed("timed out"))
            }
        }
    }
}

impl std::fmt::Debug for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Faulty")
    }
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Faulty")
    }
}

type Boxed<'t, T> = Pin<Box<dyn Future<Output = T> + Send + 't>>;

// The methods are what `#[async_trait]` makes of the trait's.
impl ObjectStore for Faulty {
    fn put_opts<'a, 'b, 't>(
        &'a self,
        path: &'b Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Boxed<'t, Result<PutResult>>
    where
        'a: 't,
        'b: 't,
        Self: 't,
    {
        Box::pin(self.faulty_put(path, payload, options))
    }

    fn put_multipart_opts<'a, 'b, 't>(
        &'a self,
        path: &'b Path,
        options: PutMultipartOptions,
    ) -> Boxed<'t, Result<Box<dyn MultipartUpload>>>
    where
        'a: 't,
        'b: 't,
        Self: 't,
    {
        self.inner.put_multipart_opts(path, options)
    }

    fn get_opts<'a, 'b, 't>(&'a self, path: &'b Path, options: GetOptions) -> Boxed<'t, Result<GetResult>>
    where
        'a: 't,
        'b: 't,
        Self: 't,
    {
        self.inner.get_opts(path, options)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_delimiter<'a, 'b, 't>(&'a self, prefix: Option<&'b Path>) -> Boxed<'t, Result<ListResult>>
    where
        'a: 't,
        'b: 't,
        Self: 't,
    {
        self.inner.list_with_delimiter(prefix)
    }

    fn copy_opts<'a, 'b, 'c, 't>(&'a self, from: &'b Path, to: &'c Path, options: CopyOptions) -> Boxed<'t, Result<()>>
    where
        'a: 't,
        'b: 't,
        'c: 't,
        Self: 't,
    {
        self.inner.copy_opts(from, to, options)
    }
}

/// Small reproducible random numbers.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A random number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % n
    }
}

/// A seed from the clock, or from `CITYSTREAM_SEED`; printed, so that a failure can be repeated.
#[allow(clippy::print_stdout)]
pub(crate) fn seed() -> u64 {
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = std::env::var("CITYSTREAM_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(now);
    println!("CITYSTREAM_SEED={seed}");
    seed | 1
}
