//! `/api/explain` and `/api/dead-letters`: a row with its sources and corrections, and what could not be read, as JSON. From
//! the lake, which takes work: few at a time, and for so long.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use citystream_wire::{PerTopic, Topic};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::{Question, Target, command};
use crate::config::Config;
use crate::error::RunError;
use crate::lake::history::roots;
use crate::lake::inspect::dead_letters::by_reason;
use crate::lake::{Lake, State as LakeState};

/// Answers that are made at one time, and how long one may take.
const AT_ONCE: usize = 2;
const LIMIT: Duration = Duration::from_secs(20);
/// How long one waits for others to be answered.
const WAIT: Duration = Duration::from_secs(10);
/// Records of each table that are shown behind a row, and dead letters of each reason.
const RECORDS: usize = 10;
const EXAMPLES: usize = 1;
/// Targets that are looked for at one time.
const TARGETS: usize = 4;

/// Who explains, once there is a lake.
pub struct Explainer {
    lake: OnceLock<Lake>,
    topics: PerTopic<String>,
    command: String,
    places: Arc<Semaphore>,
}

impl Explainer {
    /// Of the lake of a configuration, which is not open yet.
    pub fn new(config: &Config) -> Explainer {
        Explainer {
            lake: OnceLock::new(),
            topics: PerTopic::new(|topic: Topic| config.topics[topic].clone()),
            command: command(config),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// The lake is open.
    pub fn open(&self, lake: Lake) {
        // A process has one.
        let _ = self.lake.set(lake);
    }

    /// What `answer` makes of the lake as it is, as JSON.
    async fn ask<T, A>(
        self: Arc<Self>,
        answer: impl FnOnce(Arc<Self>, Lake, LakeState) -> A + Send + 'static,
    ) -> Response
    where
        T: Serialize,
        A: Future<Output = Result<T, RunError>>,
    {
        let Some(lake) = self.lake.get().cloned() else {
            return (StatusCode::SERVICE_UNAVAILABLE, "the lake is not open yet\n").into_response();
        };
        let place = tokio::time::timeout(WAIT, Arc::clone(&self.places).acquire_owned());
        let Ok(Ok(place)) = place.await else {
            return (StatusCode::SERVICE_UNAVAILABLE, "others are being answered: ask again in a moment\n")
                .into_response();
        };
        // Rows are looked through and derived beside the tasks that commit.
        let runtime = Handle::current();
        let answered = tokio::task::spawn_blocking(move || {
            let _place = place;
            runtime.block_on(async {
                let work = async {
                    let none = || RunError::Usage("the lake has no commit yet".to_owned());
                    let state = roots::state(&lake).await?.ok_or_else(none)?;
                    answer(self, lake, state).await
                };
                let answer: T = tokio::time::timeout(LIMIT, work).await.map_err(|_| too_long())??;
                serde_json::to_string(&answer).map_err(|error| RunError::Failed(error.to_string()))
            })
        });
        match answered.await {
            Ok(Ok(text)) => ([(CONTENT_TYPE, "application/json")], text).into_response(),
            Ok(Err(error @ RunError::Usage(_))) => (StatusCode::NOT_FOUND, format!("{error}\n")).into_response(),
            Ok(Err(error @ RunError::TimedOut(_))) => {
                (StatusCode::GATEWAY_TIMEOUT, format!("{error}\n")).into_response()
            }
            Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be made\n").into_response(),
        }
    }
}

fn too_long() -> RunError {
    RunError::TimedOut(format!(
        "the answer takes more than {} s: `citystream lake explain` takes as long as it needs",
        LIMIT.as_secs()
    ))
}

/// The two, of this lake.
pub fn api(explainer: Arc<Explainer>) -> Router {
    Router::new()
        .route("/api/explain", get(explain))
        .route("/api/dead-letters", get(dead_letters))
        .with_state(explainer)
}

/// One target: it, or 404. Several: the first of them that the lake has, or `null`.
async fn explain(State(explainer): State<Arc<Explainer>>, uri: Uri) -> Response {
    let query = uri.query().unwrap_or_default();
    let at = crate::page::values(query, "at").next();
    let targets = crate::page::values(query, "target").take(TARGETS);
    let targets = targets.map(|text| Target::parse(&text, at.as_deref(), &explainer.topics)).collect();
    let targets: Vec<Target> = match targets {
        Ok(targets) => targets,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    let answer = async move |explainer: Arc<Explainer>, lake: Lake, state: LakeState| {
        let command = explainer.command.clone();
        let question = Question { lake: &lake, state: &state, limit: RECORDS, command };
        if let [target] = &targets[..] {
            return question.explain(target).await.map(Some);
        }
        for target in &targets {
            match question.explain(target).await {
                Err(RunError::Usage(_)) => {}
                explained => return explained.map(Some),
            }
        }
        Ok(None)
    };
    explainer.ask(answer).await
}

async fn dead_letters(State(explainer): State<Arc<Explainer>>) -> Response {
    let answer = async |_: Arc<Explainer>, lake: Lake, state: LakeState| Ok(by_reason(&lake, &state, EXAMPLES).await?);
    explainer.ask(answer).await
}
