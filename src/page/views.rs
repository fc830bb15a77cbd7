//! What is answered: the page, the list of views, a view at one epoch, and its changes from there on.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use citystream_live::rows::View;
use futures::Stream;
use tokio::sync::watch;

use super::access::Access;
use super::assets::asset;
use super::guard::{guard, login};
use super::hub::{Hub, Next, Place};
use crate::config::Token;

/// Bytes of the form that brings the token, at most.
const LONGEST_FORM: usize = 4096;

/// What is served, and where.
pub struct Site {
    /// The address that is listened on.
    pub address: String,
    /// What is to be shown by whoever asks from elsewhere.
    pub token: Option<Token>,
    /// The live views, on the process that has them.
    pub hub: Option<Arc<Hub>>,
    /// Where the page is, if not here.
    pub elsewhere: Option<String>,
}

/// The page and its API, `api` with it; on an address that others reach and without a token, nothing.
pub fn router(site: Site, api: Router) -> Router {
    let access = Arc::new(Access::new(&site.address, site.token.as_ref()));
    if !access.is_possible() {
        let why = "the page is served on loopback addresses, or with a token: --listen 127.0.0.1:PORT and an SSH tunnel to it, or \
                   CITYSTREAM_TOKEN\n";
        return Router::new().route("/", get(move || async move { (StatusCode::FORBIDDEN, why) }));
    }
    let views = match site.hub {
        Some(hub) => Router::new()
            .route("/api/views", get(list))
            .route("/api/views/{name}", get(snapshot))
            .route("/api/views/{name}/changes", get(changes))
            .with_state(hub),
        None => Router::new().route("/api/views", get(off)).route("/api/views/{*rest}", get(off)),
    };
    let page = match site.elsewhere {
        Some(text) => get(move || async move { text }),
        None => get(|| async { asset("index.html") }),
    };
    let login = Router::new().route("/login", post(login)).layer(DefaultBodyLimit::max(LONGEST_FORM));
    let page = Router::new()
        .route("/", page)
        .route("/assets/{*path}", get(|Path(path): Path<String>| async move { asset(&path) }))
        .merge(login.with_state(Arc::clone(&access)));
    api.merge(views).merge(page).layer(from_fn_with_state(access, guard))
}

async fn off() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "there are no live views here: process 0 has them, with --live on\n")
}

fn json(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

async fn list(State(hub): State<Arc<Hub>>) -> Response {
    json(hub.list().to_string())
}

async fn snapshot(State(hub): State<Arc<Hub>>, Path(names): Path<String>) -> Result<Response, Unknown> {
    let views = named(&names)?;
    Ok(json(hub.snapshot(&views, "asked for").0))
}

async fn changes(
    State(hub): State<Arc<Hub>>,
    Path(names): Path<String>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Unknown> {
    let views = named(&names)?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    // An id that is none is one of another run.
    let place = last.map(|id| id.parse().unwrap_or(Place { claim: u64::MAX, epoch: 0 }));
    let changed = hub.watch();
    let subscriber = Subscriber { hub, views, place, changed };
    Ok(Sse::new(futures::stream::unfold(subscriber, Subscriber::next)).keep_alive(KeepAlive::default()))
}

/// Who watches: nothing is held for it but this.
struct Subscriber {
    hub: Arc<Hub>,
    views: Vec<View>,
    place: Option<Place>,
    changed: watch::Receiver<u64>,
}

impl Subscriber {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Subscriber)> {
        loop {
            // What comes from here on is noticed.
            self.changed.borrow_and_update();
            match self.hub.next(&self.views, self.place) {
                Next::Event(kind, text, place) => {
                    self.place = Some(place);
                    return Some((Ok(Event::default().event(kind).id(place.to_string()).data(text)), self));
                }
                Next::Wait => self.changed.changed().await.ok()?,
                Next::Over => return None,
            }
        }
    }
}

/// A name that is no view's.
struct Unknown(String);

impl IntoResponse for Unknown {
    fn into_response(self) -> Response {
        let all = View::ALL.map(View::name).join(", ");
        let name = crate::escape::beginning(&self.0, 40, "..");
        (StatusCode::NOT_FOUND, format!("no view is called `{name}`; there are {all}\n")).into_response()
    }
}

/// The views of a list of names.
fn named(names: &str) -> Result<Vec<View>, Unknown> {
    let view = |name: &str| View::named(name).ok_or_else(|| Unknown(name.to_owned()));
    let mut views = names.split(',').map(view).collect::<Result<Vec<View>, Unknown>>()?;
    views.sort_unstable();
    views.dedup();
    Ok(views)
}
