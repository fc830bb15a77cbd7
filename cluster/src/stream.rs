//! The sockets that timely gets: bounded, and silent about their end.
//!
//! Timely answers a failed read or write with a panic in the network thread. That poisons the queues of the workers, which
//! panic in turn; and what sends something as they unwind (a session that is dropped flushes) panics once more, so that the
//! process aborts. Timely never learns of it: the loss is reported, and the network thread sleeps until the process ends (P6).

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;

use timely::communication::allocator::zero_copy::stream::Stream;

use crate::messages::Messages;
use crate::vitals::Vitals;
use crate::watch::{PeerLost, Watch};

/// A socket to a peer that reports the peer's loss.
pub(crate) struct Watched {
    stream: TcpStream,
    process: usize,
    address: String,
    /// What has come; a clone for the other direction takes nothing.
    messages: Messages,
    watch: Arc<Watch>,
    vitals: Arc<Vitals>,
}

impl Watched {
    /// Watches a link to `process`, over which these messages come.
    pub(crate) fn new(
        stream: TcpStream,
        (process, address): (usize, &str),
        messages: Messages,
        (watch, vitals): (Arc<Watch>, Arc<Vitals>),
    ) -> Self {
        Watched { stream, process, address: address.to_owned(), messages, watch, vitals }
    }

    /// Reports the loss of the peer; the thread goes no further.
    fn lost(&self, cause: String) -> ! {
        self.watch.report(&PeerLost { process: self.process, address: self.address.clone(), cause });
        loop {
            thread::park();
        }
    }
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                // Timely would take an interrupted call for the end.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.lost(error.to_string()),
                Ok(0) if !self.messages.ended() => self.lost("it closed the connection".to_owned()),
                Ok(length) => {
                    self.vitals.received(self.process, length);
                    if let Err(wrong) = self.messages.pass(&buffer[..length]) {
                        self.lost(wrong);
                    }
                    if self.messages.ended() {
                        self.watch.part(self.process);
                    }
                    return Ok(length);
                }
            }
        }
    }
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.stream.write(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.lost(error.to_string()),
                Ok(length) => {
                    self.vitals.sent(self.process, length);
                    return Ok(length);
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Watched {
    fn try_clone(&self) -> io::Result<Self> {
        let stream = self.stream.try_clone()?;
        let shared = (Arc::clone(&self.watch), Arc::clone(&self.vitals));
        Ok(Watched::new(stream, (self.process, &self.address), self.messages.clone(), shared))
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self.stream.shutdown(how) {
            // The peer has said goodbye and closed: there is nothing left to shut down.
            Err(error) if error.kind() != ErrorKind::NotConnected => self.lost(error.to_string()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpListener;
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::time::Duration;

    use super::*;
    use crate::messages::tests::header;

    /// What is reported of a peer that says this and closes; and what was read of it.
    fn seen(said: &[u8]) -> (Option<String>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = listener.accept().unwrap().0;
        let (watch, vitals, (tell, told)) = (Watch::new(2), Arc::new(Vitals::new(2, 1, 0)), channel());
        watch.tell(move |lost| drop(tell.send(lost.cause.clone())));
        let mut watched = Watched::new(stream, (1, "a:1"), Messages::between(1, 0, 1), (watch, Arc::clone(&vitals)));
        peer.write_all(said).unwrap();
        drop(peer);
        let (pass, passed) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length) = watched.read(&mut bytes)
                && length > 0
            {
                pass.send(bytes[..length].to_vec()).unwrap();
            }
        });
        // What was read is complete when the reader has ended, or when the loss was told.
        let cause = match told.recv_timeout(Duration::from_secs(10)) {
            Err(RecvTimeoutError::Timeout) => panic!("neither an end nor a loss"),
            cause => cause.ok(),
        };
        let exchanged: Vec<_> = vitals.exchanged().collect();
        assert_eq!(exchanged, [(1, 0, said.len() as u64)]);
        (cause, passed.try_iter().flatten().collect())
    }

    #[test]
    fn an_end_before_the_last_message_is_a_loss_and_timely_does_not_learn_of_it() {
        let message = [header(1, (0, 1), 3), vec![1, 2, 3]].concat();
        let (cause, passed) = seen(&message);
        assert_eq!((cause.as_deref(), &passed), (Some("it closed the connection"), &message));
        let goodbye = [message, header(0, (0, 0), 0)].concat();
        let (cause, passed) = seen(&goodbye);
        assert_eq!((cause, passed), (None, goodbye));
    }

    #[test]
    fn p6_a_claim_that_timely_would_believe_never_reaches_it() {
        let (cause, passed) = seen(&header(1, (0, 1), 1 << 40));
        assert!(cause.unwrap().contains("1099511627776 bytes"));
        assert!(passed.is_empty());
    }
}
