//! `/api/why` and `/api/history`: what holds this process back, and what its metrics were.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use citystream_dataflows::time::Micros;
use serde_json::{Value, json};

use super::Metrics;
use super::past::EVERY;

/// The two, of these metrics; they are looked at from now on.
pub fn api(metrics: Arc<Metrics>) -> Router {
    let looked_at = Arc::downgrade(&metrics);
    tokio::spawn(async move {
        let mut clock = tokio::time::interval(EVERY);
        loop {
            clock.tick().await;
            let Some(metrics) = looked_at.upgrade() else { return };
            metrics.past.look(&metrics.look());
        }
    });
    Router::new().route("/api/why", get(why)).route("/api/history", get(history)).with_state(metrics)
}

async fn why(State(metrics): State<Arc<Metrics>>) -> Response {
    answer(&metrics.why())
}

fn answer(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

async fn history(State(metrics): State<Arc<Metrics>>, uri: Uri) -> Response {
    let is_short = uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "bin=5s"));
    answer(&metrics.past.told(is_short))
}

fn shown(time: Option<Micros>) -> Option<String> {
    jiff::Timestamp::from_microsecond(time?).ok().map(|time| time.to_string())
}

impl Metrics {
    /// What holds the process back, and how each part of it is.
    pub fn why(&self) -> Value {
        let (now, look) = (Instant::now(), self.health.look());
        let causes = look.causes();
        let (horizon, stands) = self.health.standings().horizon(now);
        let horizon = horizon.or(self.horizon());
        let says = match (causes.first(), horizon.and_then(|time| shown(Some(time)))) {
            (Some(cause), _) => format!("{}.", capital(&cause.says)),
            (None, Some(time)) => format!("Nothing holds it back: windows before {time} are final."),
            (None, None) => "Nothing holds it back; there is no horizon yet.".to_owned(),
        };
        let at_work = look.at_work.iter();
        let at_work = at_work.map(|it| json!({ "operator": it.stage, "worker": it.worker, "epoch": it.epoch }));
        let (frontier, stood) = look.frontier;
        let reading = match (look.starting.is_some(), look.paused.is_some(), look.crowded.0.is_some()) {
            (true, ..) => "not begun",
            (_, true, _) => "paused",
            (.., true) => "the partitions furthest behind only",
            _ => "all partitions",
        };
        json!({
            "ready": !causes.iter().any(|cause| cause.grave),
            "sentence": says,
            "cause": causes.first(),
            "chain": causes,
            "reading": {
                "state": reading,
                "uncommitted_bytes": look.uncommitted.0,
                "memory_bytes": look.uncommitted.1,
                "state_bytes": look.crowded.1,
                "state_memory_bytes": look.crowded.2,
            },
            "frontier": {
                "epoch": Some(frontier).filter(|epoch| *epoch != u64::MAX),
                "seconds": stood.as_secs_f64(),
                "closed": look.closed,
                "at_work": at_work.collect::<Vec<_>>(),
            },
            "commit": {
                "seq": self.seq(),
                "seconds": self.health.committed.age().as_secs_f64(),
                "on_its_way": look.committing.map(|(seq, time, is_put)| {
                    json!({ "seq": seq, "seconds": time.as_secs_f64(), "files_are_there": is_put })
                }),
                "store": look.store.as_ref().map(|(time, error)| {
                    json!({ "seconds": time.as_secs_f64(), "error": error })
                }),
            },
            "horizon": { "time": shown(horizon), "seconds": stands.as_secs_f64(), "holders": look.holders },
        })
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
