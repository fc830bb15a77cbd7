//! What makes an epoch count: the one operator that proposes commits, and the task that makes them durable.

mod assemble;
mod operator;
mod task;
mod topics;

pub use operator::commit;
pub use task::{Chair, Proposal};
pub use topics::Topics;
