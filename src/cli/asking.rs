//! Asking the run that holds a lake for something, and waiting for it.

use std::time::{Duration, Instant};

use futures::TryStreamExt;

use super::out::note;
use crate::error::RunError;
use crate::lake::history::commit::Tidy;
use crate::lake::history::read;
use crate::lake::history::requests::{self, Request, Wanted};
use crate::lake::{Lake, random_id};
use crate::units;

/// How often to look whether something has become of a request.
const LOOK: Duration = Duration::from_millis(500);

/// Who does it, and how long that is waited for.
#[derive(Debug, clap::Args)]
pub struct By {
    /// Wait until it is done, not only until a run has taken it up.
    #[arg(long)]
    pub wait: bool,
    /// How long to wait for a run that takes it up.
    #[arg(long, value_name = "TIME", default_value = "90s", value_parser = units::time)]
    pub timeout: Duration,
    /// Claim the lake and do it here; a run that holds it ends with code 3.
    #[arg(long, conflicts_with_all = ["wait", "timeout"])]
    pub alone: bool,
}

/// What has become of a request.
pub struct Asked {
    /// The request.
    pub id: String,
    /// The last commit before it.
    pub before: u64,
    /// What was wanted, as the run said it last.
    pub wanted: Option<Wanted>,
    /// What commits have done for it, where that was waited for.
    pub done: Vec<Tidy>,
}

/// Asks, and waits until a run has taken it up; or, if that is wanted, until it is done.
///
/// # Errors
/// Nobody has taken it up in time; the store's.
pub async fn ask(lake: &Lake, wanted: Wanted, by: &By) -> Result<Asked, RunError> {
    let id = random_id()?;
    let before = read::head(lake, None).await?;
    requests::put(lake, &Request { id: id.clone(), wanted, taken_by: None }).await?;
    note!("asked as request {id}; a run looks every 30 s");
    let (asked, mut is_taken, mut said) = (Instant::now(), false, None);
    while let Some(request) = requests::get(lake, &id).await? {
        said = Some(request.wanted);
        match request.taken_by {
            Some(run) if !is_taken => {
                is_taken = true;
                note!("run {run} has taken it up");
            }
            Some(_) if !by.wait => break,
            None if asked.elapsed() >= by.timeout => {
                requests::delete(lake, &id).await?;
                return Err(untaken(lake, by.timeout));
            }
            _ => tokio::time::sleep(LOOK).await,
        }
    }
    let mut done = Vec::new();
    if let Some(head) = read::head(lake, before).await?.filter(|_| by.wait) {
        let mut commits = std::pin::pin!(read::read(lake, before.map_or(0, |before| before + 1)..=head).await?);
        while let Some((_, commit)) = commits.try_next().await? {
            done.extend(commit.tidy.into_iter().filter(|tidy| tidy.request.as_ref() == Some(&id)));
        }
    }
    Ok(Asked { id, before: before.unwrap_or(0), wanted: said, done })
}

fn untaken(lake: &Lake, waited: Duration) -> RunError {
    RunError::TimedOut(format!(
        "no run of the lake at {} has taken the request up in {} s; where none holds it, --alone does it without one",
        lake.location(),
        waited.as_secs()
    ))
}
