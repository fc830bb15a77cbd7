//! Asking the run that holds a lake for something, and waiting for it.

use std::time::{Duration, Instant};

use futures::TryStreamExt;

use super::out::note;
use crate::error::RunError;
use crate::lake::history::commit::Tidy;
use crate::lake::history::read;
use crate::lake::history::requests::{self, Request, Wanted};
use crate::lake::{Lake, random_id};

/// How often to look whether something has become of a request.
const LOOK: Duration = Duration::from_millis(500);

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

/// Asks, and waits until a run has taken it up; or, if `to_the_end`, until it is done.
///
/// # Errors
/// Nobody has taken it up in time; the store's.
pub async fn ask(lake: &Lake, wanted: Wanted, to_the_end: bool, timeout: Duration) -> Result<Asked, RunError> {
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
            Some(_) if !to_the_end => break,
            None if asked.elapsed() >= timeout => {
                requests::delete(lake, &id).await?;
                return Err(untaken(lake, timeout));
            }
            _ => tokio::time::sleep(LOOK).await,
        }
    }
    let mut done = Vec::new();
    if let Some(head) = read::head(lake, before).await?.filter(|_| to_the_end) {
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
