//! A proxy before the S3 server of one lake: it looks at each request, and at some of them kills whoever runs.
//!
//! What it is told to look for are effects on the store, so the program needs no hook for it.

use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use tokio::runtime::Runtime;

/// What a request is about.
#[derive(Debug)]
pub(crate) struct Asked {
    /// GET, PUT, POST (a deletion), ...
    pub(crate) verb: Method,
    /// Paths below the lake: one, or those that are to be deleted.
    pub(crate) paths: Vec<String>,
    /// What is to be written.
    pub(crate) body: Bytes,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// It goes on.
    Served,
    /// All processes are killed before it has an effect.
    KilledBefore,
    /// All processes are killed once it has had its effect, and before they learn of that; what they ask later has none.
    KilledAfter,
}

/// Says what becomes of each request.
type Watch = Box<dyn FnMut(&Asked) -> Fate + Send>;

/// A running proxy.
pub(crate) struct StoreProxy {
    url: String,
    watched: Arc<Watched>,
    _runtime: Runtime,
}

struct Watched {
    upstream: String,
    /// `/bucket/prefix/`.
    lake: String,
    client: reqwest::Client,
    run: Mutex<Run>,
}

/// The run at hand.
struct Run {
    watch: Watch,
    pids: Vec<u32>,
    /// Nothing of it reaches the store any more.
    is_over: bool,
}

impl StoreProxy {
    /// Begins to pass on requests to an endpoint.
    pub(crate) fn start(endpoint: &str, lake: &str) -> StoreProxy {
        // The client wants one, though there is no TLS here.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let watched = Arc::new(Watched {
            upstream: endpoint.trim_end_matches('/').to_owned(),
            lake: format!("/{}/", lake.trim_start_matches("s3://")),
            client: client.build().expect("a client"),
            run: Mutex::new(Run { watch: Box::new(|_| Fate::Served), pids: Vec::new(), is_over: false }),
        });
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&watched));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        runtime.spawn(async move { axum::serve(listener, routes).await });
        StoreProxy { url, watched, _runtime: runtime }
    }

    /// The endpoint of those whom it watches.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Watches a new run, of these processes.
    pub(crate) fn watch(&self, pids: Vec<u32>, watch: impl FnMut(&Asked) -> Fate + Send + 'static) {
        *self.watched.run.lock().expect("no panic") = Run { watch: Box::new(watch), pids, is_over: false };
    }

    /// Passes on whatever comes.
    pub(crate) fn pass(&self) {
        self.watch(Vec::new(), |_| Fate::Served);
    }
}

impl Watched {
    /// What becomes of a request; `None`: whoever asked is dead.
    fn judge(&self, asked: &Asked) -> Option<Fate> {
        let mut run = self.run.lock().expect("no panic");
        if run.is_over {
            return None;
        }
        let fate = (run.watch)(asked);
        run.is_over = fate != Fate::Served;
        if fate == Fate::KilledBefore {
            run.kill();
        }
        Some(fate)
    }

    async fn pass_on(&self, request: Request<Bytes>) -> reqwest::Result<Response<Body>> {
        let (parts, body) = request.into_parts();
        let place = parts.uri.path_and_query().map_or("/", |place| place.as_str());
        // The request is signed with its Host header: it goes on as it came.
        let passed = self.client.request(parts.method, format!("{}{place}", self.upstream)).headers(parts.headers);
        let answer = passed.body(body).send().await?;
        let mut response = Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            if ![header::CONNECTION, header::TRANSFER_ENCODING].contains(name) {
                response = response.header(name, value);
            }
        }
        Ok(response.body(Body::from(answer.bytes().await?)).expect("an answer"))
    }
}

impl Run {
    fn kill(&self) {
        let pids = self.pids.iter().map(u32::to_string);
        assert!(Command::new("kill").arg("-9").args(pids).status().expect("kill").success(), "{:?}", self.pids);
    }
}

async fn answer(State(watched): State<Arc<Watched>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    // Whoever was killed while he sent it wants no answer.
    let Ok(body) = to_bytes(body, usize::MAX).await else { return std::future::pending().await };
    let query = parts.uri.query().unwrap_or_default();
    let is_deletion = parts.method == Method::POST && query.split('&').any(|word| word.starts_with("delete"));
    let paths = if is_deletion { deleted(&watched.lake, &body) } else { vec![below(&watched.lake, parts.uri.path())] };
    let fate = watched.judge(&Asked { verb: parts.method.clone(), paths, body: body.clone() });
    if !matches!(fate, Some(Fate::Served | Fate::KilledAfter)) {
        return std::future::pending().await;
    }
    let answer = watched.pass_on(Request::from_parts(parts, body)).await;
    if fate == Some(Fate::KilledAfter) {
        watched.run.lock().expect("no panic").kill();
        return std::future::pending().await;
    }
    answer.unwrap_or_else(|_| {
        Response::builder().status(StatusCode::SERVICE_UNAVAILABLE).body(Body::empty()).expect("an answer")
    })
}

/// The path below the lake, as it was before it was part of an address.
fn below(lake: &str, path: &str) -> String {
    let path = path.replace("%3D", "=");
    path.strip_prefix(lake).unwrap_or(&path).to_owned()
}

/// The paths below the lake that a deletion names.
fn deleted(lake: &str, body: &[u8]) -> Vec<String> {
    let (_, prefix) = lake.trim_start_matches('/').split_once('/').expect("a bucket");
    let text = String::from_utf8_lossy(body);
    let keys = text.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
    keys.map(|(key, _)| key.strip_prefix(prefix).unwrap_or(key).to_owned()).collect()
}
