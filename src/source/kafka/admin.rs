//! The few things that are asked of a broker as an administrator.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::Thread;

use rdkafka::admin::AdminClient;

use super::super::SourceError;
use super::context::Context;
use super::errors;
use super::settings::KafkaSettings;

/// A client for it.
pub(super) fn admin(settings: &KafkaSettings) -> Result<AdminClient<Context>, SourceError> {
    settings.admin_config().create_with_context(Context::new(settings)).map_err(errors::client)
}

/// Waits for a future on this thread: all that the few admin calls need, inside a runtime or not.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut TaskContext::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_a_future_sees_a_wake_from_another_thread() {
        let (sender, receiver) = futures::channel::oneshot::channel();
        let thread = std::thread::spawn(move || sender.send(7));
        assert_eq!(block_on(receiver), Ok(7));
        assert!(thread.join().is_ok());
    }
}
