//! What is answered: the page, the list of views, a view at one epoch, and its changes from there on.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::Stream;
use tokio::sync::watch;

use super::access::{Access, values};
use super::area::Area;
use super::arrow;
use super::assets::asset;
use super::guard::{guard, login};
use super::hub::{Hub, Named, Next, Place, Wanted};
use super::standing;
use crate::config::Token;
use crate::standing::Registry;

/// What is served, and where.
pub struct Site {
    /// The address that is listened on.
    pub address: String,
    /// What is to be shown by whoever asks from elsewhere.
    pub token: Option<Token>,
    /// The live views, on the process that has them, and the standing ones.
    pub views: Option<(Arc<Hub>, Arc<Registry>)>,
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
    let views = match site.views {
        Some((hub, registry)) => Router::new()
            .route("/api/views", get(list))
            .route("/api/views/{name}", get(snapshot))
            .route("/api/views/{name}/changes", get(changes))
            .with_state(Arc::clone(&hub))
            .merge(standing::router(hub, registry)),
        None => Router::new()
            .route("/api/views", get(off))
            .route("/api/views/{*rest}", get(off))
            .route("/api/standing", get(off)),
    };
    let page = match site.elsewhere {
        Some(text) => get(move || async move { text }),
        None => get(|asked: HeaderMap| async move { asset("index.html", &asked) }),
    };
    let login = Router::new().route("/login", post(login));
    let page = Router::new()
        .route("/", page)
        .route("/assets/{*path}", get(|Path(path): Path<String>, asked: HeaderMap| async move { asset(&path, &asked) }))
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

async fn snapshot(
    State(hub): State<Arc<Hub>>,
    Path(names): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let mut wanted = wanted(&hub, &names, &uri)?;
    let accepted = headers.get(ACCEPT).and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    let format = values(uri.query().unwrap_or_default(), "format").next();
    let is_arrow = format.as_deref().map_or(accepted.contains(arrow::MEDIA_TYPE), |format| format == "arrow");
    if !is_arrow {
        return Ok(json(hub.snapshot(&mut wanted, "asked for").0));
    }
    let [(view, _)] = wanted.views[..] else { return Err(Refused::Query("Arrow holds one view: name one")) };
    let Some(mut found) = hub.rows(view) else { return Err(Refused::Query("there are no rows yet")) };
    found.rows.retain(|row| wanted.shows(row));
    let stream = arrow::stream(found).map_err(|_| Refused::Query("the rows cannot be shown"))?;
    Ok(([(CONTENT_TYPE, arrow::MEDIA_TYPE)], stream).into_response())
}

async fn changes(
    State(hub): State<Arc<Hub>>,
    Path(names): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refused> {
    let wanted = wanted(&hub, &names, &uri)?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    // An id that is none is one of another run.
    let place = last.map(|id| id.parse().unwrap_or(Place { claim: u64::MAX, epoch: 0 }));
    let changed = hub.watch();
    let subscriber = Subscriber { hub, wanted, place, changed };
    Ok(Sse::new(futures::stream::unfold(subscriber, Subscriber::next)).keep_alive(KeepAlive::default()))
}

/// Who watches: nothing is held for it but this.
struct Subscriber {
    hub: Arc<Hub>,
    wanted: Wanted,
    place: Option<Place>,
    changed: watch::Receiver<u64>,
}

impl Subscriber {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Subscriber)> {
        loop {
            // What comes from here on is noticed.
            self.changed.borrow_and_update();
            match self.hub.next(&mut self.wanted, self.place) {
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

/// What cannot be answered.
enum Refused {
    /// A name that is no view's, and those that are.
    Unknown(String, String),
    /// What is asked of views, and why.
    Query(&'static str),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Refused::Unknown(name, known) => {
                let name = crate::escape::beginning(&name, 40, "..");
                (StatusCode::NOT_FOUND, format!("no view is called `{name}`; there are {known}\n")).into_response()
            }
            Refused::Query(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
        }
    }
}

/// The views of a list of names, and what of them.
fn wanted(hub: &Hub, names: &str, uri: &Uri) -> Result<Wanted, Refused> {
    let view = |name: &str| hub.named(name).ok_or_else(|| Refused::Unknown(name.to_owned(), hub.names()));
    let mut views = names.split(',').map(view).collect::<Result<Vec<Named>, Refused>>()?;
    views.sort_unstable();
    views.dedup();
    let query = uri.query().unwrap_or_default();
    let area = values(query, "bbox").next().map(|text| text.parse::<Area>().map_err(Refused::Query)).transpose()?;
    let number = |text: String| text.parse::<usize>().map_err(|_| Refused::Query("`most` is a number of vehicles"));
    let most = values(query, "most").next().map(number).transpose()?;
    Ok(Wanted::new(views, area, most))
}
