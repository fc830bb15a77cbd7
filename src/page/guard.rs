//! What is done with each request before it is answered ([`access`](super::access)), and what a browser may do with the page.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, SET_COOKIE, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::access::{Access, Verdict, values};
use super::assets::asset;

/// How long a client may take over the body of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest one is a view: an area of as many points as there may be, with room to spare.
const LONGEST: usize = 1 << 20;
/// Of what may be asked without a token it is the form that brings the token.
const LONGEST_FORM: usize = 4096;

/// Nothing of the page comes from elsewhere, and nothing of it goes there.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
         connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    // With less, a browser does not say where the form that is sent is from.
    (REFERRER_POLICY, "same-origin"),
    (CACHE_CONTROL, "no-cache"),
];

/// Lets through what may be answered.
pub async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let is_page = request.uri().path() == "/";
    let mut response = match access.judge(request.method(), request.uri(), request.headers()) {
        Verdict::Answer => match whole(request, PATIENCE).await {
            Ok(request) => next.run(request).await,
            Err(status) => status.into_response(),
        },
        Verdict::GiveCookie => let_in(&access),
        Verdict::AskForToken if is_page => ask_for_token(request.headers()),
        Verdict::AskForToken => {
            let why = "show the token: `Authorization: Bearer TOKEN`, or log in at /\n";
            (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], why).into_response()
        }
        Verdict::Refuse(why) => (StatusCode::FORBIDDEN, why).into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A request whose body is here: who sends half of one does not keep its connection for ever.
async fn whole(request: Request, patience: Duration) -> Result<Request, StatusCode> {
    let (head, body) = request.into_parts();
    let longest = if head.uri.path().starts_with("/api/") { LONGEST } else { LONGEST_FORM };
    if body.size_hint().lower() > longest as u64 {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let read = tokio::time::timeout(patience, to_bytes(body, longest));
    let body = read.await.map_err(|_| StatusCode::REQUEST_TIMEOUT)?.map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(Request::from_parts(head, Body::from(body)))
}

/// The form at `/` sends the token here.
pub async fn login(State(access): State<Arc<Access>>, asked: HeaderMap, form: Bytes) -> Response {
    let shown = std::str::from_utf8(&form).ok().and_then(|form| values(form, "token").next());
    match shown {
        Some(token) if access.is_token(token.trim()) => let_in(&access),
        _ => ask_for_token(&asked),
    }
}

/// The form, to a request with these headers.
fn ask_for_token(asked: &HeaderMap) -> Response {
    (StatusCode::UNAUTHORIZED, asset("login.html", asked)).into_response()
}

/// To the page, with a cookie.
fn let_in(access: &Access) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, "/".to_owned()), (SET_COOKIE, access.set_cookie())]).into_response()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;

    use super::*;

    #[tokio::test]
    async fn half_a_body_is_not_waited_for() {
        let soon = Duration::from_millis(20);
        let half = Body::from_stream(futures::stream::pending::<io::Result<Bytes>>());
        assert_eq!(whole(Request::new(half), soon).await.unwrap_err(), StatusCode::REQUEST_TIMEOUT);
        let long = Request::new(Body::from(vec![0; LONGEST_FORM + 1]));
        assert_eq!(whole(long, soon).await.unwrap_err(), StatusCode::PAYLOAD_TOO_LARGE);
        assert!(whole(Request::new(Body::from("token=x")), soon).await.is_ok());
    }
}
