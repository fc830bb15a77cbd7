//! The Delta logs as a sink. [`Publisher::open`] has caught up to the claim; a store that fails for now delays them.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Landing, Sink};
use crate::error::RunError;
use crate::lake::delta::publish::Publisher;
use crate::lake::history::commit::Commit;

impl Sink for Publisher {
    fn name(&self) -> &'static str {
        "the Delta logs"
    }

    fn landed<'a>(&'a mut self, commit: &'a Commit) -> BoxFuture<'a, Result<Landing, RunError>> {
        async move { Ok(if self.publish(commit).await? { Landing::Done } else { Landing::Later }) }.boxed()
    }
}
