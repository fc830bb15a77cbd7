//! The connections of the server: so many at most, each with a deadline for the head of its next request, so that nobody who
//! opens connections and says nothing takes the file descriptors that a commit needs.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// What clients may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Connections at one time.
    connections: usize,
    /// How long a client may take over the head of a request, and stay without one.
    head: Duration,
}

const LIMITS: Limits = Limits { connections: 128, head: Duration::from_secs(10) };
/// Where connections cannot be accepted, it is tried again after this long.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves an app until `stopped`; then what is being answered is answered to its end.
pub async fn serve(listener: TcpListener, app: Router, stopped: impl Future<Output = ()>) {
    within(LIMITS, listener, app, stopped).await;
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
            let mut answering = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
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
        let limits = Limits { connections: 4, head: Duration::from_millis(300) };
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
}
