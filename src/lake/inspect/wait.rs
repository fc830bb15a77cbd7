//! Waiting until a table is sealed up to a time, and readers have it.

use std::time::Duration;

use citystream_dataflows::tables::Derived;
use citystream_dataflows::time::Micros;
use tokio::time::{sleep, timeout};

use super::status::{self, Status};
use crate::lake::delta;
use crate::lake::history::read::{self, ReadError};
use crate::lake::history::versions::Published;
use crate::lake::store::Lake;

/// How often it is looked whether it is so.
const LOOK: Duration = Duration::from_millis(500);

/// What is waited for: all rows of a table before a time are sealed.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The table.
    pub table: Derived,
    /// The time.
    pub time: Micros,
}

impl Wanted {
    /// Waits until a version of the lake that readers see has it, which is given; where the lake stands if that takes longer than `patience`.
    ///
    /// # Errors
    /// The store's; a history that is not sound.
    pub async fn wait(
        self,
        lake: &Lake,
        patience: Option<Duration>,
    ) -> Result<Result<Published, Option<Status>>, ReadError> {
        let looks = async {
            loop {
                if let Some(found) = self.look(lake).await? {
                    return Ok(found);
                }
                sleep(LOOK).await;
            }
        };
        match timeout(patience.unwrap_or(Duration::MAX), looks).await {
            Ok(found) => found.map(Ok),
            Err(_) => Ok(Err(status::read(lake).await?)),
        }
    }

    async fn look(self, lake: &Lake) -> Result<Option<Published>, ReadError> {
        let Some(found) = delta::published(lake).await? else { return Ok(None) };
        let (_, commit) = read::commit(lake, found.seq).await?;
        let end = commit.horizon.map(|horizon| self.table.sealing.all_before(horizon));
        Ok((end >= Some(self.time)).then_some(found))
    }
}
