//! `citystream lake`: look after a lake.

use tokio::runtime::{Builder, Runtime};

use super::load;
use crate::cli::{LakeCommand, Settings};
use crate::config::Config;
use crate::error::RunError;
use crate::lake::{Lake, probe, settings, sql, status, verify};
use crate::run::opening::{decides, store_options};

/// Exit code of a verification that found something.
const BROKEN: i32 = 5;

/// Does what the command says.
pub fn lake(command: LakeCommand, file: Option<&str>) -> Result<i32, RunError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| RunError::Failed(format!("cannot start I/O: {e}")))?;
    match command {
        LakeCommand::Init { settings } => init(&runtime, &load(&settings, file)?),
        LakeCommand::Status { json, settings } => show_status(&runtime, &settings, file, json),
        LakeCommand::Verify { json, settings } => show_verify(&runtime, &settings, file, json),
        LakeCommand::Sql { settings } => {
            let lake = open(&runtime, &settings, file)?;
            print!("{}", sql::print(&lake));
            Ok(0)
        }
    }
}

fn open(runtime: &Runtime, settings: &Settings, file: Option<&str>) -> Result<Lake, RunError> {
    let config = load(settings, file)?;
    Ok(runtime.block_on(Lake::open(&config.lake, &store_options(&config)))?)
}

fn init(runtime: &Runtime, config: &Config) -> Result<i32, RunError> {
    runtime.block_on(async {
        let lake = Lake::init(&config.lake, &store_options(config)).await?;
        probe::check(&lake).await?;
        let settings = settings::agree(&lake, decides(config)).await?;
        println!("lake {} at {}: ready", settings.lake, lake.location());
        Ok(0)
    })
}

fn show_status(runtime: &Runtime, settings: &Settings, file: Option<&str>, json: bool) -> Result<i32, RunError> {
    let lake = open(runtime, settings, file)?;
    let status = runtime.block_on(status::status(&lake))?;
    print!("{}", if json { to_json(&status) } else { status.to_string() });
    Ok(0)
}

fn show_verify(runtime: &Runtime, settings: &Settings, file: Option<&str>, json: bool) -> Result<i32, RunError> {
    let lake = open(runtime, settings, file)?;
    let report = runtime.block_on(verify::verify(&lake))?;
    print!("{}", if json { to_json(&report) } else { report.to_string() });
    Ok(if report.violations.is_empty() { 0 } else { BROKEN })
}

fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).map_or_else(|e| e.to_string(), |text| text + "\n")
}
