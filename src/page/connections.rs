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

/// Connections at one time.
const MOST: usize = 128;
/// How long a client may take over the head of a request, and stay without one.
const HEAD: Duration = Duration::from_secs(10);
/// Where connections cannot be accepted, it is tried again after this long.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves an app until `stopped`; then what is being answered is answered to its end.
pub async fn serve(listener: TcpListener, app: Router, stopped: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(MOST));
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
            http.timer(TokioTimer::new()).header_read_timeout(HEAD);
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
