//! What is done with each request before it is answered ([`access`](super::access)), and what a browser may do with the page.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, SET_COOKIE, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::access::{Access, Verdict, values};
use super::assets::asset;

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
        Verdict::Answer => next.run(request).await,
        Verdict::GiveCookie => let_in(&access),
        Verdict::AskForToken if is_page => (StatusCode::UNAUTHORIZED, asset("login.html")).into_response(),
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

/// The form at `/` sends the token here.
pub async fn login(State(access): State<Arc<Access>>, form: Bytes) -> Response {
    let shown = std::str::from_utf8(&form).ok().and_then(|form| values(form, "token").next());
    match shown {
        Some(token) if access.is_token(token.trim()) => let_in(&access),
        _ => (StatusCode::UNAUTHORIZED, asset("login.html")).into_response(),
    }
}

/// To the page, with a cookie.
fn let_in(access: &Access) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, "/".to_owned()), (SET_COOKIE, access.set_cookie())]).into_response()
}
