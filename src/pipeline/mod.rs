//! A run: from settings to a dataflow on every worker, and to its end.

mod alarm;
mod alerts;
pub mod check;
pub mod clock;
mod cursor;
pub mod derive;
mod epoch_length;
pub mod graph;
mod live;
pub mod pacer;
pub mod partitions;
pub mod read;
pub mod records;
pub mod recover;
pub mod start;
mod texts;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use citystream_cluster::{Mesh, Options, Topology};
use timely::WorkerConfig;
use tokio::runtime::Runtime;

use crate::columns::decode::DecodeOptions;
use crate::columns::names::Names;
use crate::config::Config;
use crate::error::RunError;
use crate::explain;
use crate::explain::http::Explainer;
use crate::lake::history::settings;
use crate::lake::recovery::lookback;
use crate::lake::store::Requests;
use crate::page::{self, Hub, Site};
use crate::process::metrics::{self, Metrics, Parts};
use crate::process::source::Source;
use crate::process::{Budget, Fatal, LakeAccess, Process, Reading, StateBound, allocator};
use crate::standing::{Registry, Rules, Silences, rules};
use graph::{Worker0, build};
use start::{ClaimedLake, open_lake};

/// The longest sleep of a worker: what has something for it wakes it, and it looks whether the run has failed.
const PARK: Duration = Duration::from_millis(50);
/// How long the end of a process waits for answers to who watches it, and for its source to let go.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// A run that has been set up. Dropping it without [`finish`](Run::finish) leaves its threads to the process's end.
pub struct Run {
    process: Arc<Process>,
    runtime: Runtime,
    ended: mpsc::Receiver<Result<(), RunError>>,
    publishing: Option<tokio::task::JoinHandle<()>>,
    served: Option<metrics::Server>,
}

impl Run {
    /// Connects the cluster, claims the lake (process 0), and starts the workers.
    ///
    /// # Errors
    /// What keeps the run from starting; nothing has been written then but, perhaps, an empty claim.
    pub fn start(config: &Config, metrics: Arc<Metrics>) -> Result<Run, RunError> {
        let runtime = io_threads()?;
        metrics.identity.restarts.store(config.restarts, Ordering::Relaxed);
        // First: a process that waits for others, or recovers, is alive, and says that it is not ready.
        let hub = config.live.then(Arc::<Hub>::default);
        let views = (config.live && config.process == 0).then(|| registry(config)).transpose()?;
        let (served, explainer) = serve(config, &runtime, &metrics, hub.clone().zip(views.clone()))?;
        let mesh = connect(config)?;
        metrics.health.met(mesh.vitals(), mesh.generation());
        let source = Source::new(config, runtime.handle())?;
        let _entered = runtime.enter();
        let lake = runtime.block_on(open_lake(config))?;
        explainer.open(lake.clone());
        let available = source.catalog().discover()?;
        let settings = runtime.block_on(settings::agree(&lake, start::row_semantics(config), config.any_path))?;
        let ((fatal, fatal_error), held) = (Fatal::new(), metrics.held());
        let queues = source.queues(config.memory);
        let budget = for_rows(config.memory - queues, config.derives);
        let rows = Arc::new(Budget::new(budget));
        let state = Arc::new(StateBound::new(&held, config.state_memory));
        runtime.spawn(allocator::give_back(Arc::clone(&held), config.memory));
        lake.requests().into_iter().flat_map(Requests::collectors).for_each(|requests| metrics.register(requests));
        metrics.health.watch(Parts {
            budget: Arc::clone(&rows),
            state: Arc::clone(&state),
            held: Arc::clone(&held),
            waits: lake.waits(),
            kafka: source.counts(),
        });
        let reading = Reading {
            process: config.process,
            source: source.clone(),
            decode: decode_options(config),
            budget: Arc::clone(&rows),
            state,
            quiet_after: config.idle,
            epoch_share: (budget / 4 / config.workers as u64).max(64 << 10),
            queues: queues / config.workers as u64,
            metrics: Arc::clone(&metrics),
            stopping: AtomicBool::new(false),
            fatal: fatal.clone(),
        };
        let derived = if config.derives { settings.derived()? } else { Vec::new() };
        let process = Arc::new(Process {
            workers: config.workers,
            policy: config.policy,
            reading: Arc::new(reading),
            lake: LakeAccess {
                lake,
                runtime: runtime.handle().clone(),
                fatal: fatal.clone(),
                held: Arc::clone(&held),
                file_bytes: (budget / 4).clamp(4 << 20, 128 << 20) as usize,
            },
            names: Arc::new(Names::new(lookback::reach(&derived), &held)),
            derived,
            held,
            metrics: Arc::clone(&metrics),
            hub,
            views,
            alerts: alert_rules(config)?,
            fatal,
        });
        let claimed = (config.process == 0).then(|| {
            source.warnings(&settings.semantics).iter().for_each(|warning| tracing::warn!("{warning}"));
            start::open(config, &process, &settings, (source.catalog(), &available), &runtime)
        });
        let claimed = claimed.transpose()?.map(|ClaimedLake { worker0, publishing }| (worker0, publishing));
        let (worker0, publishing) = claimed.unzip();
        let ended = spawn_workers(mesh, &process, worker0, fatal_error);
        Ok(Run { process, runtime, ended, publishing, served })
    }

    /// Asks for an orderly end: what has been read is committed first.
    pub fn stop(&self) {
        self.process.reading.stop();
    }

    /// Waits a while for the end; `None` if the run goes on.
    pub fn wait(&self, time: Duration) -> Option<Result<(), RunError>> {
        match self.ended.recv_timeout(time) {
            Ok(outcome) => Some(outcome),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => Some(Err(RunError::Failed("the workers have gone".into()))),
        }
    }

    /// Lets what follows the last commit be completed, where the run has ended well, and what is being answered.
    ///
    /// # Errors
    /// The outcome's.
    pub fn finish(self, outcome: Result<(), RunError>) -> Result<(), RunError> {
        self.process.reading.source.close();
        if let Some(publishing) = self.publishing.filter(|_| outcome.is_ok()) {
            // The task ends with its handle, which the workers have dropped.
            let _ = self.runtime.block_on(publishing);
        }
        if let Some(served) = self.served {
            self.runtime.block_on(served.stop(LAST_ANSWERS));
        }
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        let_go(self.process);
        outcome
    }
}

/// Where I/O runs.
fn io_threads() -> Result<Runtime, RunError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let built = builder.worker_threads(2).enable_all().build();
    built.map_err(|error| RunError::Failed(format!("cannot start the I/O threads: {error}")))
}

/// A client of a broker waits at its end for the answer to its last report, and would do so for a broker that is away.
fn let_go(process: Arc<Process>) {
    let (gone, waited) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        drop(process);
        drop(gone);
    });
    // Nothing is ever sent: it is over once the other end has gone.
    let _ = waited.recv_timeout(LAST_ANSWERS);
}

/// Meets the other processes of the cluster.
fn connect(config: &Config) -> Result<Mesh, RunError> {
    citystream_cluster::install_panic_hook(|text| tracing::error!("{text}"));
    let topology = Topology::new(config.processes, config.workers, config.process, config.hostfile.as_deref())
        .map_err(|e| RunError::Usage(e.to_string()))?;
    let options = Options {
        deadline: if config.supervised { Duration::MAX } else { config.connect_timeout },
        fingerprint: config.fingerprint(),
        secret: config.cluster_secret.clone(),
        insecure: config.insecure_cluster,
        ..Options::default()
    };
    Mesh::connect(topology, options).map_err(RunError::from)
}

/// How a configuration has records read.
pub fn decode_options(config: &Config) -> DecodeOptions {
    DecodeOptions { timezone: config.zone.clone(), max_record: config.max_record, max_ahead: config.policy.max_ahead }
}

/// The standing views that the settings declare.
fn registry(config: &Config) -> Result<Arc<Registry>, RunError> {
    let registry = Registry::new(config.standing.limits, config.standing.views.clone());
    let registry = registry.map_err(|refused| RunError::Usage(refused.to_string()))?;
    *registry.silences() = Silences::new(alert_rules(config)?.silences);
    Ok(Arc::new(registry))
}

/// The alerts that the settings declare.
fn alert_rules(config: &Config) -> Result<Rules, RunError> {
    rules(&config.standing.alerts, &config.standing.views).map_err(|refused| RunError::Usage(refused.to_string()))
}

/// Serves metrics and health, and the page beside them; who explains is to be told of the lake.
fn serve(
    config: &Config,
    runtime: &Runtime,
    metrics: &Arc<Metrics>,
    views: Option<(Arc<Hub>, Arc<Registry>)>,
) -> Result<(Option<metrics::Server>, Arc<Explainer>), RunError> {
    let explainer = Arc::new(Explainer::new(config));
    let Some(address) = &config.listen else { return Ok((None, explainer)) };
    let (token, elsewhere) = (config.token.clone(), elsewhere(config, address));
    let site = Site { address: address.clone(), token, views, elsewhere };
    let _entered = runtime.enter();
    let api = metrics::api(Arc::clone(metrics)).merge(explain::http::api(Arc::clone(&explainer)));
    let served = runtime.block_on(metrics::serve(address, Arc::clone(metrics), page::router(site, api)))?;
    Ok((Some(served), explainer))
}

/// Of any process but the first: where the page is, as far as it can be told. Ports go up with the processes of a host.
fn elsewhere(config: &Config, address: &str) -> Option<String> {
    let index = Some(config.process).filter(|index| *index > 0)?;
    let topology = Topology::new(config.processes, config.workers, index, config.hostfile.as_deref()).ok()?;
    let host = |process: usize| topology.address(process).rsplit_once(':').map_or("", |(host, _)| host);
    let before = (0..index).filter(|process| host(*process) == host(index)).count();
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<usize>().ok()).unwrap_or_default();
    let first = if port == 9090 + index { 9090 } else { port.saturating_sub(before) };
    Some(format!(
        "This is process {index} of {}. The page is served by process 0, on {}: http://{}:{first}/ there, unless its --listen says \
         otherwise.\n",
        config.processes,
        host(0),
        host(0),
    ))
}

/// Runs the workers on threads of their own; the first outcome, good or bad, is the run's.
fn spawn_workers(
    mesh: Mesh,
    process: &Arc<Process>,
    worker0: Option<Worker0>,
    fatal_error: mpsc::Receiver<RunError>,
) -> mpsc::Receiver<Result<(), RunError>> {
    let (outcome, ended) = mpsc::channel();
    let of_fatal = outcome.clone();
    std::thread::spawn(move || {
        if let Ok(error) = fatal_error.recv() {
            let _ = of_fatal.send(Err(error));
        }
    });
    let process = Arc::clone(process);
    let worker0 = Arc::new(Mutex::new(worker0));
    std::thread::spawn(move || {
        let (lost, failed, vitals) = (process.fatal.clone(), process.fatal.clone(), mesh.vitals());
        let on_lost = move |peer: &citystream_cluster::PeerLost| lost.raise(RunError::PeerLost(peer.to_string()));
        let done = mesh.run(WorkerConfig::default(), on_lost, move |worker| {
            let worker0 =
                (worker.index() == 0).then(|| worker0.lock().unwrap_or_else(PoisonError::into_inner).take()).flatten();
            process.metrics.identity.works(worker.index());
            let frontiers = build(worker, &process, worker0);
            while worker.has_dataflows() {
                if process.fatal.is_raised() {
                    // The error ends the process; until then nothing moves.
                    loop {
                        std::thread::park();
                    }
                }
                vitals.turned(worker.index());
                vitals.closed(process.metrics.health.closed.value());
                frontiers.tell(&process.metrics.health);
                worker.step_or_park(Some(PARK));
            }
            Ok::<(), RunError>(())
        });
        match done {
            Ok(_) => drop(outcome.send(Ok(()))),
            Err(error) => failed.raise(error),
        }
    });
    ended
}

/// What of a memory is for rows, read or derived. Where tables are derived, as much again is for their copies on the way:
/// flat for the joins, in order for the encoders (measured: ADR 020).
fn for_rows(memory: u64, derives: bool) -> u64 {
    if derives { memory / 2 } else { memory }
}
