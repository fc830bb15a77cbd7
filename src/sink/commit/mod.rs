//! What makes an epoch count: the one operator that proposes commits, the task that makes them durable, and the sinks
//! that follow them.

mod assemble;
mod operator;
mod sinks;
mod task;
mod topics;

pub use operator::commit;
pub use sinks::{AlertSink, AlertTopic, ConsumerGroup, LogFile, Sink, Target, Told, Webhook};
pub use task::CommitHandle;
pub use topics::Topics;
