//! The consumer group as a sink, for those who look at Kafka alone. Nothing is read back from it but by `--from group`,
//! and each commit says all positions: one that could not be told is not told again, the next one makes up for it.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Landing, Sink};
use crate::error::RunError;
use crate::lake::history::commit::Commit;
use crate::source::Catalog;

/// Tells a source's consumer group the next offsets of each commit.
pub struct ConsumerGroup(pub Arc<dyn Catalog>);

impl Sink for ConsumerGroup {
    fn name(&self) -> &'static str {
        "the consumer group"
    }

    fn landed<'a>(&'a mut self, commit: &'a Commit) -> BoxFuture<'a, Result<Landing, RunError>> {
        let catalog = Arc::clone(&self.0);
        let offsets: Vec<_> = commit.positions.iter().map(|p| (p.partition, p.next)).collect();
        async move {
            let told = tokio::task::spawn_blocking(move || catalog.report(&offsets)).await;
            if let Ok(Err(error)) = told {
                tracing::debug!("the consumer group was not told: {error}");
            }
            Ok(Landing::Done)
        }
        .boxed()
    }
}
