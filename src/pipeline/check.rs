//! Whether a run would start: everything that a start checks before its claim, and no claim.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::start::{self, row_semantics};
use super::{alert_rules, connect, io_threads, registry};
use crate::config::Config;
use crate::error::RunError;
use crate::lake::history::{roots, settings};
use crate::lake::store::probe;
use crate::lake::{Lake, State};
use crate::process::metrics::cannot_listen;
use crate::process::source::{Source, store_options};
use crate::source::{Available, Catalog};

/// What was looked at, and what was found.
#[derive(Debug)]
pub struct Finding {
    /// A word for it.
    pub what: &'static str,
    /// In one line.
    pub found: Result<String, RunError>,
}

/// What was found, and a line about it.
type Found<T> = Result<(String, T), RunError>;

/// Looks at everything, and tells each finding as it is made; what cannot be known without an earlier one is left out.
///
/// # Errors
/// Where nothing can be looked at.
pub fn check(config: &Config, mut tell: impl FnMut(Finding)) -> Result<(), RunError> {
    let runtime = io_threads()?;
    let _entered = runtime.enter();
    tell(Finding { what: "listen", found: listen(config) });
    tell(Finding { what: "peers", found: peers(config) });
    if config.standing.is_declared() {
        tell(Finding { what: "views", found: views(config) });
    }
    let source = told(&mut tell, "source", source(config, runtime.handle()));
    let lake = told(&mut tell, "lake", runtime.block_on(lake(config)));
    if let (Some((catalog, available)), Some(state)) = (source, lake) {
        let begins = start::would_begin(config, catalog.as_ref(), &available, state.as_ref());
        let found = begins.map(|count| format!("{count} partitions can be read from where they are to begin"));
        tell(Finding { what: "begin", found });
    }
    Ok(())
}

/// Tells a finding, and keeps what was found.
fn told<T>(tell: &mut impl FnMut(Finding), what: &'static str, found: Found<T>) -> Option<T> {
    let (found, value) = match found {
        Ok((text, value)) => (Ok(text), Some(value)),
        Err(error) => (Err(error), None),
    };
    tell(Finding { what, found });
    value
}

fn listen(config: &Config) -> Result<String, RunError> {
    let Some(address) = &config.listen else { return Ok("nothing is served (--listen none)".to_owned()) };
    std::net::TcpListener::bind(address).map_err(|error| cannot_listen(address, &error))?;
    Ok(format!("{address} is free"))
}

fn peers(config: &Config) -> Result<String, RunError> {
    if config.processes == 1 {
        return Ok("none: one process".to_owned());
    }
    connect(config)?;
    Ok(format!("all {} processes have met, with the same settings", config.processes))
}

/// The standing views and alerts that the settings declare.
fn views(config: &Config) -> Result<String, RunError> {
    registry(config)?;
    let alerts = alert_rules(config)?;
    let alerts = alerts.rules.len() + alerts.silences.len();
    Ok(format!("{} standing views, {alerts} alerts", config.standing.views.len()))
}

/// What there is to read, and who says so.
fn source(config: &Config, runtime: &Handle) -> Found<(Arc<dyn Catalog>, Vec<Available>)> {
    let catalog = Source::new(config, runtime)?.catalog();
    let available = catalog.discover()?;
    let mut topics: Vec<_> = available.iter().map(|a| a.partition.topic).collect();
    topics.dedup();
    let text = format!("{} partitions of {} topics", available.len(), topics.len());
    Ok((text, (catalog, available)))
}

/// The lake and where it stands; a lake that is still to be made stands nowhere.
async fn lake(config: &Config) -> Found<Option<State>> {
    let is_local = !config.lake.contains("://");
    if is_local && !std::path::Path::new(&config.lake).exists() {
        return Ok((format!("{} is not there yet: a run makes it", config.lake), None));
    }
    let lake = Lake::open(&config.lake, &store_options(config)).await?;
    let semantics = settings::confirmed(&lake, &row_semantics(config)).await?;
    if semantics.is_none() && !config.any_path {
        lake.refuse_unreadable()?;
    }
    probe::check(&lake).await?;
    let state = roots::state(&lake).await?;
    let stands = match (&semantics, &state) {
        (_, Some(state)) => format!("at commit {}", state.seq),
        (Some(_), None) => "without a commit".to_owned(),
        (None, None) => "new".to_owned(),
    };
    Ok((format!("{} takes writes, {stands}", lake.location()), state))
}
