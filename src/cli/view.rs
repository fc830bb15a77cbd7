//! `citystream view`: the standing views of a run, asked of its process 0.

use std::time::Duration;

use clap::{Args, Subcommand};
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::out::say;
use crate::config;
use crate::error::RunError;
use crate::escape::escaped;

/// Commands on standing views.
#[derive(Debug, Subcommand)]
pub enum ViewCommand {
    /// Have a run keep a view, from its next epoch on and after every restart.
    #[command(after_help = ADD)]
    Add {
        /// Its name.
        name: String,
        /// What its rows are: vehicles, cells, worst, incidents or clusters.
        kind: String,
        /// What it asks: FIELD=VALUE, where a value is JSON, a text, or @FILE.
        #[arg(required = true, value_name = "FIELD=VALUE")]
        fields: Vec<String>,
        /// Where.
        #[command(flatten)]
        run: RunArgs,
    },
    /// List the views that a run keeps, and what each asks.
    #[command(after_help = LIST)]
    List {
        /// Where.
        #[command(flatten)]
        run: RunArgs,
    },
    /// Have a run keep a view no longer.
    #[command(after_help = REMOVE)]
    Remove {
        /// Its name.
        name: String,
        /// Where.
        #[command(flatten)]
        run: RunArgs,
    },
}

/// Which run.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Where the run's process 0 serves its page.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    page: String,
}

impl RunArgs {
    /// Of `HOST:PORT` it is http.
    fn address(&self) -> String {
        let page = self.page.trim_end_matches('/');
        if page.contains("://") { page.to_owned() } else { format!("http://{page}") }
    }
}

/// Shown below the help of `view`, and of each of its commands.
pub const EXAMPLES: &str = "\
Examples:
  citystream view add slow cells ratio_below=0.5
  citystream view list
  citystream view remove slow

docs/live.md has the kinds of views and their fields. A run that asks for a
token is shown CITYSTREAM_TOKEN, or what CITYSTREAM_TOKEN_FILE holds.";

const ADD: &str = "\
Examples:
  citystream view add slow cells ratio_below=0.5
  citystream view add fast vehicles speed_above_kmh=130
  citystream view add mine vehicles ids='[\"vehicle-7\", \"vehicle-9\"]'
  citystream view add harbour vehicles area=@harbour.geojson
  citystream view add jams clusters cells_at_least=3

Its rows are at /api/views/NAME, and their changes at /api/views/NAME/changes.";

const LIST: &str = "\
Examples:
  citystream view list
  citystream view list --page http://127.0.0.1:9191 | jq keys";

const REMOVE: &str = "\
Examples:
  citystream view remove slow
  citystream view remove slow --page http://127.0.0.1:9191";

/// Does what is asked.
pub fn view(command: ViewCommand, file: Option<&str>) -> Result<i32, RunError> {
    let settings = config::effective(&toml::Table::new(), file)?;
    let token = settings.get("token").and_then(toml::Value::as_str);
    match command {
        ViewCommand::Add { name, kind, fields, run } => {
            let answer = ask(&run, token, Method::POST, &format!("/{name}"), Some(definition(&kind, &fields)?))?;
            done(&answer, &format!("{}/api/views/{name} has it", run.address()));
        }
        ViewCommand::List { run } => {
            let views: Map<String, Value> =
                serde_json::from_str(&ask(&run, token, Method::GET, "", None)?).unwrap_or_default();
            views.iter().for_each(|(name, view)| say!("{}", json!({ name: view })));
        }
        ViewCommand::Remove { name, run } => {
            let answer = ask(&run, token, Method::DELETE, &format!("/{name}"), None)?;
            done(&answer, &format!("{name} is gone"));
        }
    }
    Ok(0)
}

fn done(answer: &str, what: &str) {
    let is_done = serde_json::from_str::<Value>(answer).is_ok_and(|answer| answer["done"] == true);
    say!("{}", if is_done { what } else { "accepted; it comes with the next epoch" });
}

/// The definition of these fields. What is wrong with it the run says.
fn definition(kind: &str, fields: &[String]) -> Result<Value, RunError> {
    let mut definition = Map::from_iter([("kind".to_owned(), kind.into())]);
    for field in fields {
        let wrong = |why: &str| RunError::Usage(escaped(&format!("{field}: {why}")));
        let (name, value) = field.split_once('=').ok_or_else(|| wrong("expected FIELD=VALUE"))?;
        let value = match value.strip_prefix('@') {
            None => serde_json::from_str(value).unwrap_or_else(|_| value.into()),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| wrong(&error.to_string()))?;
                serde_json::from_str(&text).map_err(|error| wrong(&error.to_string()))?
            }
        };
        definition.insert(name.to_owned(), value);
    }
    Ok(definition.into())
}

/// How long a run may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

fn ask(
    run: &RunArgs,
    token: Option<&str>,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Result<String, RunError> {
    // The HTTP client takes one, whether it is needed or not; another that is there already will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let page = run.address();
    let failed = |error: reqwest::Error| {
        let hint = if error.is_connect() {
            "; is a run there, with --live on? --page says where it serves its page"
        } else {
            ""
        };
        RunError::Failed(format!("{page}: {}{hint}", reason(&error)))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| RunError::Failed(error.to_string()))?;
    let (status, text) = runtime
        .block_on(async {
            let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
            let mut request = client.request(method, format!("{page}/api/standing{path}"));
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            if let Some(body) = body {
                request = request.header("content-type", "application/json").body(body.to_string());
            }
            let answer = request.send().await?;
            Ok((answer.status(), answer.text().await?))
        })
        .map_err(failed)?;
    match status {
        StatusCode::OK | StatusCode::ACCEPTED => Ok(text),
        StatusCode::UNPROCESSABLE_ENTITY => Err(RunError::Usage(escaped(text.trim_end()))),
        _ => Err(RunError::Failed(escaped(&format!("{page}: {status}: {}", text.trim_end())))),
    }
}

/// The cause behind all causes.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
