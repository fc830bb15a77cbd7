//! What is answered: the page, the list of views, a view at one epoch, and its changes from there on.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::Stream;
use tokio::sync::watch;

use super::assets::asset;
use super::guard::{guard, is_loopback};
use super::hub::{Hub, Named, Next, Place};
use super::standing;
use crate::standing::Registry;

/// The page, and the views where a hub keeps them; on an address that others reach, neither.
pub fn router(address: &str, views: Option<(Arc<Hub>, Arc<Registry>)>) -> Router {
    if !is_loopback(address) {
        let why = "the page is served on loopback addresses only: --listen 127.0.0.1:PORT, and an SSH tunnel to it\n";
        return Router::new().route("/", get(move || async move { (StatusCode::FORBIDDEN, why) }));
    }
    let api = match views {
        Some((hub, registry)) => Router::new()
            .route("/api/views", get(list))
            .route("/api/views/{name}", get(snapshot))
            .route("/api/views/{name}/changes", get(changes))
            .with_state(Arc::clone(&hub))
            .merge(standing::router(hub, registry)),
        None => Router::new().route("/api/views", get(off)).route("/api/{*rest}", get(off)),
    };
    let page = Router::new()
        .route("/", get(|| async { asset("index.html") }))
        .route("/assets/{*path}", get(|Path(path): Path<String>| async move { asset(&path) }));
    api.merge(page).layer(from_fn(guard))
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
    let views = named(&hub, &names)?;
    Ok(json(hub.snapshot(&views, "asked for").0))
}

async fn changes(
    State(hub): State<Arc<Hub>>,
    Path(names): Path<String>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Unknown> {
    let views = named(&hub, &names)?;
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
    views: Vec<Named>,
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
struct Unknown {
    name: String,
    known: String,
}

impl IntoResponse for Unknown {
    fn into_response(self) -> Response {
        let name = crate::escape::beginning(&self.name, 40, "..");
        (StatusCode::NOT_FOUND, format!("no view is called `{name}`; there are {}\n", self.known)).into_response()
    }
}

/// The views of a list of names.
fn named(hub: &Hub, names: &str) -> Result<Vec<Named>, Unknown> {
    let unknown = |name: &str| Unknown { name: name.to_owned(), known: hub.names() };
    let view = |name: &str| hub.named(name).ok_or_else(|| unknown(name));
    let mut views = names.split(',').map(view).collect::<Result<Vec<Named>, Unknown>>()?;
    views.sort_unstable();
    views.dedup();
    Ok(views)
}
