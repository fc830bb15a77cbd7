//! `/metrics`, `/healthz` and `/readyz` over HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Metrics;
use crate::error::RunError;
use crate::page::connections;

/// A server that goes on until it is stopped, or this handle is dropped.
#[derive(Debug)]
pub struct Server {
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Server {
    /// Listens no longer, and lets answers that have begun be completed within `limit`.
    pub async fn stop(self, limit: Duration) {
        // One that has failed listens no longer either.
        let _ = self.stop.send(());
        if tokio::time::timeout(limit, self.served).await.is_err() {
            tracing::debug!("a client of the metrics does not take its answer");
        }
    }
}

/// Serves them, and a page beside them.
///
/// # Errors
/// An address that cannot be listened on.
pub async fn serve(address: &str, metrics: Arc<Metrics>, page: Router) -> Result<Server, RunError> {
    let listener = tokio::net::TcpListener::bind(address).await.map_err(|error| cannot_listen(address, &error))?;
    let app = Router::new()
        .route("/metrics", get(|State(m): State<Arc<Metrics>>| async move { m.text() }))
        .route("/healthz", get(|State(m): State<Arc<Metrics>>| async move { answer("alive", m.health.not_alive()) }))
        .route("/readyz", get(|State(m): State<Arc<Metrics>>| async move { answer("ready", m.health.not_ready()) }))
        .with_state(metrics)
        .merge(page);
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(async move {
        // A handle that is dropped ends it too: nobody could stop it any more.
        connections::serve(listener, app, async { drop(stopped.await) }).await;
    });
    Ok(Server { stop, served })
}

/// An address that cannot be listened on.
pub fn cannot_listen(address: &str, error: &std::io::Error) -> RunError {
    RunError::Usage(format!("cannot serve metrics on {address}: {error}; choose another --listen, or none"))
}

fn answer(word: &str, why_not: Option<String>) -> (StatusCode, String) {
    match why_not {
        None => (StatusCode::OK, format!("{word}\n")),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}
