//! Who was lost: the sockets that timely gets are wrapped, so that the cause is known and not guessed from a panic.
//!
//! Timely reports a lost peer by a panic in the network thread, which then poisons the queues of the workers. The
//! wrapper sees what the thread saw. A failed read or write is a loss at once. An end of stream is one only if the
//! thread panics over it: after timely's last message it is how a peer says goodbye.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use timely::communication::allocator::zero_copy::stream::Stream;

/// A process that was connected is gone: the run of all others ends (exit code 4).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("peer lost: process {process} at {address}: {cause}")]
pub struct PeerLost {
    /// Which one.
    pub process: usize,
    /// Where it was.
    pub address: String,
    /// What was seen of it last.
    pub cause: String,
}

/// What to do at once when a peer is lost; called at most once, on a network thread.
pub(crate) type OnLost = Box<dyn Fn(&PeerLost) + Send + Sync>;

/// What is known of the peers of one mesh.
pub(crate) struct Watch {
    lost: Mutex<Option<PeerLost>>,
    changed: Condvar,
    /// Set when this process ends the run itself: what the sockets say then is no news.
    closed: AtomicBool,
    on_lost: OnLost,
}

impl Watch {
    /// A watch that calls `on_lost` for the first peer that is lost.
    pub(crate) fn new(on_lost: OnLost) -> Arc<Self> {
        Arc::new(Watch { lost: Mutex::new(None), changed: Condvar::new(), closed: AtomicBool::new(false), on_lost })
    }

    /// The first peer that was lost; waits so long for one to be noticed.
    pub(crate) fn lost_within(&self, patience: Duration) -> Option<PeerLost> {
        let waited = self.changed.wait_timeout_while(self.lock(), patience, |lost| lost.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// From now on nothing counts as a loss.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    fn report(&self, lost: PeerLost) {
        let mut known = self.lock();
        if known.is_none() && !self.closed.load(Ordering::SeqCst) {
            *known = Some(lost.clone());
            drop(known);
            self.changed.notify_all();
            (self.on_lost)(&lost);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<PeerLost>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket to a peer that reports the peer's loss.
pub(crate) struct Watched {
    stream: TcpStream,
    process: usize,
    address: String,
    ended: bool,
    watch: Arc<Watch>,
}

impl Watched {
    /// Watches a link to `process`.
    pub(crate) fn new(stream: TcpStream, process: usize, address: &str, watch: Arc<Watch>) -> Self {
        Watched { stream, process, address: address.to_owned(), ended: false, watch }
    }

    fn report(&self, cause: String) {
        self.watch.report(PeerLost { process: self.process, address: self.address.clone(), cause });
    }

    fn seen<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && error.kind() != ErrorKind::Interrupted
        {
            self.report(error.to_string());
        }
        result
    }
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                // Timely would take an interrupted call for the end.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => {
                    self.ended = matches!(result, Ok(0));
                    return self.seen(result);
                }
            }
        }
    }
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.stream.write(bytes);
        self.seen(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.stream.flush();
        self.seen(result)
    }
}

impl Stream for Watched {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Watched::new(self.stream.try_clone()?, self.process, &self.address, Arc::clone(&self.watch)))
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self.stream.shutdown(how) {
            // The peer has said goodbye and closed: there is nothing left to shut down.
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.ended && thread::panicking() {
            self.report("it closed the connection".to_owned());
        }
    }
}
