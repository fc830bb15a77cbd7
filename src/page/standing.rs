//! Standing views from outside: which there are, what each asks, and how they come and go; and what has become of alerts.
//!
//! A request that changes something is answered as all others are, and only if no page of another site can have sent it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::hub::Hub;
use super::show::time;
use crate::lake::history::alerts::{Event, Phase};
use crate::standing::{Refused, Registry};

/// Who has asked for a view is told that it is there, or, after so long, that it will be.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

type Shared = (Arc<Hub>, Arc<Registry>);

/// `/api/standing`, and `/api/standing/NAME` to install and to remove.
pub fn router(hub: Arc<Hub>, registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/api/alerts", get(alerts))
        .route("/api/standing", get(list))
        .route("/api/standing/{name}", post(add).delete(remove).layer(from_fn(from_here)))
        .with_state((hub, registry))
}

/// A browser says which site sends it; and what is JSON no form of another site can send.
async fn from_here(request: Request, next: Next) -> Response {
    match refusal(request.headers(), request.method().as_str()) {
        Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
        None => next.run(request).await,
    }
}

fn refusal(headers: &HeaderMap, method: &str) -> Option<&'static str> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let of_host = |origin: &str| origin.split_once("://").is_some_and(|(_, host)| Some(host) == text(HOST));
    if text(ORIGIN).is_some_and(|origin| !of_host(origin)) {
        return Some("this page is of another site\n");
    }
    let is_json = text(CONTENT_TYPE).is_some_and(|kind| kind.split(';').next() == Some("application/json"));
    (method == "POST" && !is_json).then_some("send it as Content-Type: application/json\n")
}

async fn list(State((_, registry)): State<Shared>) -> Response {
    let views = serde_json::Map::from_iter(registry.views());
    ([(CONTENT_TYPE, "application/json")], Value::from(views).to_string()).into_response()
}

/// Alerts as of the last commit: those that are raised, those that may be, and those that were cleared last.
async fn alerts(State((_, registry)): State<Shared>) -> Response {
    let silent = registry.silences().silent();
    let alerts = registry.alerts();
    let open = |phase| alerts.open().filter(move |event| event.phase == phase).map(shown).collect::<Vec<_>>();
    let recent: Vec<Value> = alerts.recent().iter().rev().map(shown).collect();
    let all =
        json!({ "raised": open(Phase::Raised), "pending": open(Phase::Pending), "cleared": recent, "silent": silent });
    ([(CONTENT_TYPE, "application/json")], all.to_string()).into_response()
}

fn shown(event: &Event) -> Value {
    let Event { alert, view, key, since, at, value, why, .. } = event;
    let (since, at) = (time(*since), time(*at));
    json!({ "alert": alert, "view": view, "key": key, "since": since, "at": at, "value": value, "why": why })
}

async fn add(State((hub, registry)): State<Shared>, Path(name): Path<String>, body: Bytes) -> Response {
    // A polygon takes some tenths of a second.
    let asked = name.clone();
    let added = tokio::task::spawn_blocking(move || {
        let value = serde_json::from_slice(&body);
        let value: Value = value.map_err(|error| Refused { field: "view".to_owned(), why: error.to_string() })?;
        registry.add(&asked, &value)
    });
    match added.await {
        Ok(Ok(())) => told(&name, is(&hub, |hub| hub.named(&name).is_some()).await),
        Ok(Err(refused)) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{refused}\n")).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn remove(State((hub, registry)): State<Shared>, Path(name): Path<String>) -> Response {
    match registry.remove(&name) {
        Ok(()) => told(&name, is(&hub, |hub| hub.named(&name).is_none()).await),
        Err(refused) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{refused}\n")).into_response(),
    }
}

fn told(name: &str, is_done: bool) -> Response {
    let status = if is_done { StatusCode::OK } else { StatusCode::ACCEPTED };
    (status, [(CONTENT_TYPE, "application/json")], json!({ "name": name, "done": is_done }).to_string()).into_response()
}

/// Whether something becomes so within the time that one waits for it.
async fn is(hub: &Hub, holds: impl Fn(&Hub) -> bool) -> bool {
    let until = Instant::now() + PATIENCE;
    while !holds(hub) && Instant::now() < until {
        tokio::time::sleep(LOOK).await;
    }
    holds(hub)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_another_site_sends_is_refused() {
        let headers = |all: &[(&'static str, &'static str)]| {
            all.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect::<HeaderMap>()
        };
        let host = ("host", "localhost:9090");
        let json = ("content-type", "application/json; charset=utf-8");
        assert_eq!(refusal(&headers(&[host, json]), "POST"), None, "who is no browser");
        assert_eq!(refusal(&headers(&[host, json, ("origin", "http://localhost:9090")]), "POST"), None);
        assert_eq!(refusal(&headers(&[host]), "DELETE"), None);
        for (origin, method) in
            [("http://evil.test", "POST"), ("null", "POST"), ("http://localhost:1", "DELETE"), ("", "DELETE")]
        {
            assert!(refusal(&headers(&[host, json, ("origin", origin)]), method).is_some(), "{origin}");
        }
        assert!(refusal(&headers(&[host, ("content-type", "text/plain")]), "POST").is_some(), "what a form can send");
        assert!(refusal(&headers(&[host]), "POST").is_some());
    }
}
