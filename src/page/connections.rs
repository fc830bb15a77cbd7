//! The connections of the server: so many at most, each with a deadline for the head of its next request and for whoever does
//! not take what is sent, so that no client takes the file descriptors that a commit needs, or keeps them for ever.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Sleep;

/// What clients may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Connections at one time.
    connections: usize,
    /// How long a client may take over the head of a request, and stay without one.
    head: Duration,
    /// How long a client may take nothing of what is sent.
    taken: Duration,
}

const LIMITS: Limits = Limits { connections: 256, head: Duration::from_secs(10), taken: Duration::from_secs(30) };
/// Of the file descriptors that a process may have, clients get this part.
const PART: usize = 4;
/// Where connections cannot be accepted, it is tried again after this long.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves an app until `stopped`; then what is being answered is answered to its end.
pub async fn serve(listener: TcpListener, app: Router, stopped: impl Future<Output = ()>) {
    let connections = descriptors().map_or(LIMITS.connections, |all| LIMITS.connections.min((all / PART).max(1)));
    within(Limits { connections, ..LIMITS }, listener, app, stopped).await;
}

/// How many file descriptors this process may have.
fn descriptors() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

async fn within(limits: Limits, listener: TcpListener, app: Router, stopped: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let (stop, stopping) = watch::channel(());
    let mut served = JoinSet::new();
    let mut stopped = std::pin::pin!(stopped);
    loop {
        let connection = tokio::select! {
            () = &mut stopped => break,
            Some(_) = served.join_next() => continue,
            connection = accept(&listener, &places) => connection,
        };
        let (app, mut stopping) = (app.clone(), stopping.clone());
        served.spawn(async move {
            let (stream, _place) = connection;
            let service = TowerToHyperService::new(app);
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(limits.head);
            let mut answering =
                std::pin::pin!(http.serve_connection(TokioIo::new(Patient::new(stream, limits.taken)), service));
            // A client that breaks off is no error of ours.
            tokio::select! {
                _ = answering.as_mut() => return,
                _ = stopping.changed() => answering.as_mut().graceful_shutdown(),
            }
            let _ = answering.await;
        });
    }
    drop((listener, stop));
    while served.join_next().await.is_some() {}
}

/// The next connection, once there is a place for it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // It is never closed.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                tracing::debug!("a connection cannot be accepted: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// A connection whose client takes what is sent within a time, or loses it.
struct Patient {
    stream: TcpStream,
    limit: Duration,
    /// Runs while what is to be sent is not taken.
    waits: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn new(stream: TcpStream, limit: Duration) -> Patient {
        Patient { stream, limit, waits: None }
    }

    /// What came of an attempt to send.
    fn judge<T>(&mut self, context: &mut Context<'_>, sent: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.waits = None;
            return sent;
        }
        let limit = self.limit;
        let waits = self.waits.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        waits.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.judge(context, sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn ask(address: std::net::SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn who_says_nothing_makes_room_for_who_asks() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let limits = Limits { connections: 4, head: Duration::from_millis(300), taken: Duration::from_millis(300) };
        let app = Router::new().route("/", get(|| async { "here" }));
        let server = tokio::spawn(within(limits, listener, app, async { drop(stopped.await) }));
        assert!(ask(address).await.ends_with("here"));
        let mut silent = Vec::new();
        for _ in 0..20 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        silent[0].write_all(b"GET / HT").await.unwrap();
        let began = std::time::Instant::now();
        assert!(ask(address).await.ends_with("here"));
        // Four at a time are let go: all twenty before us.
        assert!(began.elapsed() >= 5 * limits.head, "{:?}", began.elapsed());
        drop(stop);
        server.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "it listens no longer");
    }

    /// An answer without end.
    async fn flood() -> Body {
        let parts = std::iter::repeat_with(|| Ok::<_, std::convert::Infallible>(vec![b'x'; 1 << 16]));
        Body::from_stream(futures::stream::iter(parts))
    }

    #[tokio::test]
    async fn who_takes_nothing_loses_the_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let limits = Limits { connections: 1, head: Duration::from_secs(60), taken: Duration::from_millis(300) };
        let app = Router::new().route("/", get(|| async { "here" })).route("/flood", get(flood));
        let server = tokio::spawn(within(limits, listener, app, async { drop(stopped.await) }));
        let mut stalled = TcpStream::connect(address).await.unwrap();
        stalled.write_all(b"GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let began = std::time::Instant::now();
        // The only place becomes free, though the client is still there.
        assert!(ask(address).await.ends_with("here"));
        assert!(began.elapsed() >= limits.taken, "{:?}", began.elapsed());
        drop((stop, stalled));
        server.await.unwrap();
    }
}
