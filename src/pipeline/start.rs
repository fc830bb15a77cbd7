//! What process 0 does before the first tick: it opens the lake, claims it, and decides where every partition goes on.

use std::sync::{Arc, mpsc};
use std::time::Instant;

use citystream_dataflows::time::bindings::{NextOffset, Partition, Position, Standing, is_another_topic};
use citystream_dataflows::time::ticks::{Added, Start};
use citystream_dataflows::time::{Micros, TimePolicy};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::clock::ClockStart;
use super::graph::Worker0;
use super::pacer::{Pace, Pacer};
use super::partitions::{GiveUp, Watch, discover};
use crate::columns::tables;
use crate::columns::text_hash::{TextHasher, draw_key};
use crate::config::Config;
use crate::error::RunError;
use crate::lake::delta::publish::Publisher;
use crate::lake::history::roots;
use crate::lake::history::settings::{DEFINITIONS, RowSemantics, Settings};
use crate::lake::recovery::lookback::{self, Lookback};
use crate::lake::recovery::seeds;
use crate::lake::store::probe;
use crate::lake::{Committer, Lake, State, delta, random_id};
use crate::process::Process;
use crate::process::backlog::Backlog;
use crate::process::source::{kafka_settings, store_options};
use crate::sink::commit::{
    AlertSink, AlertTopic, CommitHandle, ConsumerGroup, LogFile, Sink, Target, Told, Topics, Webhook,
};
use crate::sink::compact::Compactor;
use crate::sink::retain::Retention;
use crate::sink::tidy::Now;
use crate::source::assignment::{Beginning, From, Recovered, start_positions};
use crate::source::{Available, Catalog, SourceError};
use crate::standing::Decisions;

/// A claimed lake, ready for the first tick.
pub struct ClaimedLake {
    /// For worker 0.
    pub worker0: Worker0,
    /// Ends when everything after the last commit is done.
    pub publishing: JoinHandle<()>,
}

/// Opens the lake of a configuration. A directory is made where it is missing; a bucket is `lake init`'s to make.
///
/// # Errors
/// What the user must put right, in one line.
pub async fn open_lake(config: &Config) -> Result<Lake, RunError> {
    let options = store_options(config);
    let lake = if config.lake.starts_with("s3://") {
        Lake::open(&config.lake, &options).await?
    } else {
        Lake::init(&config.lake, &options).await?
    };
    Ok(lake)
}

/// All that decides a row: what the lake was, or will be, made for.
pub fn row_semantics(config: &Config) -> RowSemantics {
    RowSemantics {
        time: config.policy,
        tables: if config.derives { "all" } else { "raw" }.to_owned(),
        timezone: config.timezone.clone(),
        log_clock: config.source.log_clock().to_owned(),
        max_record: config.max_record as u64,
        resolutions: vec![8, 5],
        definitions: DEFINITIONS,
    }
}

/// Claims the lake and plans the start.
///
/// # Errors
/// A lake made for other settings, a store that breaks its word, a log that has lost what is to be read.
pub fn open(
    config: &Config,
    process: &Arc<Process>,
    settings: &Settings,
    (catalog, available): (Arc<dyn Catalog>, &[Available]),
    runtime: &Runtime,
) -> Result<ClaimedLake, RunError> {
    let lake = &process.lake.lake;
    let before = runtime.block_on(async {
        probe::check(lake).await?;
        Ok::<_, RunError>(roots::state(lake).await?)
    })?;
    // No start hurts a healthy run: what it would refuse after its claim, it refuses before.
    would_begin(config, catalog.as_ref(), available, before.as_ref())?;
    let (mut committer, state) = runtime.block_on(Committer::claim(lake, &random_id()?))?;
    committer.set_grace(config.grace.as_millis() as i64);
    committer.set_age(config.keep.commits().map(|age| age.as_millis() as i64));
    process.metrics.claimed(state.seq);
    process.metrics.files(&state.files);
    process.hub.iter().for_each(|hub| hub.begin(state.seq));
    process.metrics.stands_at(state.horizon);
    let topics = Topics::new(config.topics.clone(), state.topics.clone());
    let Plan { added, accepted } = plan(config, available, &state, &topics, catalog.as_ref())?;
    accepted.iter().for_each(|loss| tracing::warn!("{loss}"));
    topics.learn(available);
    let closed_before = closed_before(config.policy, state.horizon, &added);
    let key = draw_key()?;
    let mut start = Start {
        run: state.run.clone(),
        key,
        seq: state.seq,
        horizon: state.horizon,
        closed_before,
        reach: Vec::new(),
        seeds: runtime.block_on(seeds::seeds(lake, &state, &process.derived, TextHasher::new(key)))?,
    };
    start.reach = runtime.block_on(lookback::files(lake, &state, &Lookback::of(&start, &process.derived)))?;
    let moved = |a: &Added| a.from != a.position.next || !stands(&state, &a.position);
    let unrecorded = topics.names() != state.topics || added.iter().any(moved);
    let watch = Watch::new(topics.clone(), &added, &state.positions);
    let pace = Pace {
        epoch: config.epoch,
        commit: config.commit_interval,
        publish: config.publish_interval,
        budget: process.reading.budget.limit(),
        until_drained: config.until_drained,
        ends_log: config.is_final,
        peers: config.processes * config.workers,
    };
    let mut pacer = Pacer::new(pace, config.policy, state.epoch, start, added, unrecorded);
    let (first, views) = process.views.as_ref().map(|views| views.open(&state.views)).unzip();
    first.into_iter().flatten().for_each(|view| pacer.view(view));
    let (found, discovered) = mpsc::channel();
    let awaited = config.topics.values().join(", ");
    let give_up = config.until_drained.then_some(GiveUp { after: config.connect_timeout, topics: awaited });
    let pace = (config.discover_interval, give_up);
    runtime.spawn(discover(process.fatal.clone(), Arc::clone(&catalog), watch, pace, found));
    let delta_tables = delta::Table::all(tables::with_schemas(&settings.derived()?))?;
    let publisher = runtime.block_on(Publisher::open(lake, &settings.lake, delta_tables, state.seq))?;
    let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(publisher), Box::new(ConsumerGroup(catalog))];
    let told = alert_sink(config, process, &state, runtime)?.map(|(sink, told)| {
        sinks.push(Box::new(sink));
        told
    });
    let log_ahead = config.policy.lateness.saturating_add(config.policy.slack);
    let decisions = Decisions::new(process.alerts.rules.clone(), log_ahead, state.alerts.open());
    let access = (process.lake.clone(), Arc::clone(&process.metrics));
    let compactor = config.compact.then(|| compactor(process, &state)).transpose()?;
    let packed = compactor.as_ref().map(Compactor::ready);
    let named = (topics, process.reading.source.origin());
    let retention = Retention::new(lake.clone(), config.keep.clone());
    let tidies = (compactor, retention, unrecorded);
    let (commits, publishing) = CommitHandle::start(committer, (sinks, told), named, access, tidies);
    let clock = ClockStart { pacer, discovered, views, packed, metrics: Arc::clone(&process.metrics) };
    Ok(ClaimedLake { worker0: Worker0 { clock, commits, decisions }, publishing })
}

/// Packs small files, unless the run is still at its recovery, there is a backlog to read or half of the budget is used.
fn compactor(process: &Arc<Process>, state: &State) -> Result<Compactor, RunError> {
    let (backlog, budget) = (Backlog::new(Arc::clone(&process.metrics)), Arc::clone(&process.reading.budget));
    let metrics = Arc::clone(&process.metrics);
    let now = move || {
        let has_begun = metrics.health.has_recovered();
        let is_busy = !has_begun || budget.used() >= budget.limit() / 2 || backlog.is_there(Instant::now());
        if is_busy { Now::Wait } else { Now::Go }
    };
    Compactor::start(&process.lake, state, Arc::clone(&process.metrics), now)
}

/// Who is told of alerts, where there are some.
fn alert_sink(
    config: &Config,
    process: &Process,
    state: &State,
    runtime: &Runtime,
) -> Result<Option<(AlertSink, Told)>, RunError> {
    let Some(registry) = &process.views else { return Ok(None) };
    if process.alerts.rules.is_empty() && process.alerts.silences.is_empty() && state.alerts.is_empty() {
        return Ok(None);
    }
    let mut targets: Vec<Box<dyn Target>> = Vec::new();
    if let Some(path) = &config.standing.log {
        targets.push(Box::new(LogFile(path.clone())));
    }
    if let Some(url) = &config.standing.webhook {
        targets.push(Box::new(Webhook::new(url, config.standing.secret.clone())?));
    }
    if let Some(topic) = &config.standing.topic {
        targets.push(Box::new(AlertTopic::new(topic, &kafka_settings(config))?));
    }
    Ok(Some(AlertSink::start(state, registry, targets, runtime.handle())))
}

/// How many partitions could be read if a run took over from a state.
///
/// # Errors
/// A log that has lost what is to be read, or is another one.
pub fn would_begin(
    config: &Config,
    catalog: &dyn Catalog,
    available: &[Available],
    state: Option<&State>,
) -> Result<usize, RunError> {
    let Some(state) = state else { return Ok(available.len()) };
    let topics = Topics::new(config.topics.clone(), state.topics.clone());
    Ok(plan(config, available, state, &topics, catalog)?.added.len())
}

/// Where every partition goes on.
struct Plan {
    added: Vec<Added>,
    /// What is lost by it, and was accepted.
    accepted: Vec<String>,
}

fn plan(
    config: &Config,
    available: &[Available],
    state: &State,
    topics: &Topics,
    catalog: &dyn Catalog,
) -> Result<Plan, SourceError> {
    let partitions: Vec<Partition> = available.iter().map(|a| a.partition).collect();
    let group = if config.from == From::Group { catalog.group_offsets(&partitions)? } else { Vec::new() };
    let recorded: Vec<(Partition, NextOffset)> = state.positions.iter().map(|p| (p.partition, p.next)).collect();
    let known = topics.known();
    let recovered = state.has_data.then_some(Recovered { positions: &recorded, topics: &known });
    if config.derives {
        refuse_other_topics(available, state)?;
    }
    let starts = start_positions(available, recovered, config.from, &group, config.accept_loss)?;
    let added = starts.partitions.iter().map(|beginning| added(beginning, state)).collect();
    Ok(Plan { added, accepted: starts.accepted })
}

/// A partition as it is to be read. In a topic made anew offsets begin anew, but its log clock never goes back (P1).
fn added(beginning: &Beginning, state: &State) -> Added {
    let Beginning { partition, from, anew } = *beginning;
    let stood = state.positions.iter().find(|p| p.partition == partition);
    let next = stood.filter(|_| !anew).map_or(from, |p| p.next);
    let position = Position { partition, next, log_clock: stood.and_then(|p| p.log_clock), standing: Standing::Behind };
    Added { position, from }
}

/// Derived rows are named by partition and offset, which would stand for two records.
fn refuse_other_topics(available: &[Available], state: &State) -> Result<(), SourceError> {
    for Available { partition, topic_id: id, .. } in available {
        let Some(known) = state.topics.get(&partition.topic).filter(|known| is_another_topic(&known.id, id)) else {
            continue;
        };
        return Err(SourceError::Lost(format!(
            "topic `{}` was deleted and made anew (id {id}, the lake read {}): its offsets would name other rows of the \
             derived tables; use another lake (--accept-loss goes on with a lake of --tables raw only)",
            known.name, known.id
        )));
    }
    Ok(())
}

/// Whether the lake has this partition already.
fn stands(state: &State, position: &Position) -> bool {
    state.positions.iter().any(|p| p.partition == position.partition && p.next == position.next)
}

/// The event time before which no row of any partition can be on time any more.
fn closed_before(policy: TimePolicy, horizon: Option<Micros>, added: &[Added]) -> Option<Micros> {
    let bound = |a: &Added| horizon.max(a.position.log_clock.map(|c| c.saturating_sub(policy.lateness)));
    added.iter().map(bound).min().flatten()
}
