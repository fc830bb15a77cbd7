//! A store that fails for now is tried again until it does not: who writes a history waits rather than ends.

use std::time::Duration;

use crate::lake::history::error::ReadError;
use crate::lake::store::Lake;
use crate::lake::store::error::StoreError;

/// Tries until the store does not fail for now; waits for the first time so long.
///
/// # Errors
/// Whatever trying again does not mend.
pub async fn patiently<T, E: Into<ReadError>, F: Future<Output = Result<T, E>>>(
    lake: &Lake,
    first: Duration,
    mut attempt: impl FnMut() -> F,
) -> Result<T, ReadError> {
    let mut pause = lake.pause(first);
    loop {
        match attempt().await.map_err(Into::into) {
            Err(ReadError::Store(StoreError::Transient(why))) => pause.wait(&why).await,
            done => return done,
        }
    }
}
