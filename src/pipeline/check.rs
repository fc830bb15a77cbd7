//! Whether a run would start: everything that a start checks before its claim, and no claim.

use citystream_dataflows::time::bindings::Partition;

use super::start::{self, row_semantics, store_options};
use super::{connect, io_threads};
use crate::config::Config;
use crate::error::RunError;
use crate::lake::history::{read, settings};
use crate::lake::store::probe;
use crate::lake::{Lake, State};
use crate::process::metrics::cannot_listen;
use crate::process::source::Source;
use crate::source::Available;

/// What was looked at, and what was found.
#[derive(Debug)]
pub struct Finding {
    /// A word for it.
    pub what: &'static str,
    /// In one line.
    pub found: Result<String, RunError>,
}

/// Looks at everything, and tells each finding as it is made; what cannot be known without an earlier one is left out.
///
/// # Errors
/// Where nothing can be looked at.
pub fn check(config: &Config, mut tell: impl FnMut(Finding)) -> Result<(), RunError> {
    let runtime = io_threads()?;
    let _entered = runtime.enter();
    tell(Finding { what: "listen", found: listen(config) });
    tell(Finding { what: "peers", found: peers(config) });
    let mut note = |what, found: Result<String, RunError>| tell(Finding { what, found });
    let source = Source::new(config).and_then(|source| Ok((source.catalog().discover()?, source)));
    let (available, source) = match source {
        Ok(found) => found,
        Err(error) => {
            note("source", Err(error.into()));
            note("lake", runtime.block_on(lake(config)).map(|(found, _)| found));
            return Ok(());
        }
    };
    note("source", Ok(shown(&available)));
    let state = match runtime.block_on(lake(config)) {
        Ok((found, state)) => {
            note("lake", Ok(found));
            state
        }
        Err(error) => {
            note("lake", Err(error));
            return Ok(());
        }
    };
    let begins = start::would_begin(config, source.catalog().as_ref(), &available, state.as_ref());
    note("begin", begins.map(|partitions| format!("{partitions} partitions can be read from where they are to begin")));
    Ok(())
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

fn shown(available: &[Available]) -> String {
    let mut topics: Vec<_> = available.iter().map(|a| a.partition.topic).collect();
    topics.dedup();
    let partitions: Vec<Partition> = available.iter().map(|a| a.partition).collect();
    format!("{} partitions of {} topics", partitions.len(), topics.len())
}

/// The lake and where it stands; a lake that is still to be made stands nowhere.
async fn lake(config: &Config) -> Result<(String, Option<State>), RunError> {
    let is_local = !config.lake.contains("://");
    if is_local && !std::path::Path::new(&config.lake).exists() {
        return Ok((format!("{} is not there yet: a run makes it", config.lake), None));
    }
    let lake = Lake::open(&config.lake, &store_options(config)).await?;
    let semantics = settings::confirmed(&lake, &row_semantics(config)).await?;
    probe::check(&lake).await?;
    let state = read::state(&lake).await?;
    let stands = match (&semantics, &state) {
        (_, Some(state)) => format!("at commit {}", state.seq),
        (Some(_), None) => "without a commit".to_owned(),
        (None, None) => "new".to_owned(),
    };
    Ok((format!("{} takes writes, {stands}", lake.location()), state))
}
