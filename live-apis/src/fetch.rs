//! One request and its answer, within a time and a length. What goes wrong has a name, and never holds the key.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};

use crate::apis::{AnswerError, Api};
use crate::moment::Moment;
use crate::place::Place;
use crate::reason::Reason;
use crate::retry_after::retry_after;

/// Why a request has brought no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FetchError {
    /// It was not sent.
    #[error("not asked: {}", .0.words())]
    Withheld(Reason),
    /// Too slow.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// No connection, or one that was cut.
    #[error("{0}")]
    Connection(String),
    /// A status that stands for nothing else here.
    #[error("status {0}")]
    Status(StatusCode),
    /// The API wants to be left alone, until a time if it names one.
    #[error("status {status}: too many requests")]
    ToldToWait {
        /// The status.
        status: StatusCode,
        /// The time, if it names one.
        until: Option<Moment>,
    },
    /// The key is not taken.
    #[error("status {0}: the key is refused")]
    KeyRefused(StatusCode),
    /// The API knows nothing of this place.
    #[error("status {0}: nothing is known of this place")]
    Unknown(StatusCode),
    /// The answer is longer than any that makes sense.
    #[error("an answer of more than {0} bytes")]
    TooLong(usize),
    /// The answer is not what it should be.
    #[error("{0}")]
    Answer(AnswerError),
}

impl FetchError {
    /// Whether the same request may succeed soon.
    pub fn is_passing(&self) -> bool {
        match self {
            FetchError::Timeout(_) | FetchError::Connection(_) => true,
            FetchError::Status(status) => status.is_server_error(),
            _ => false,
        }
    }

    /// What it means for a place.
    pub fn reason(&self) -> Reason {
        match self {
            FetchError::Withheld(why) => *why,
            FetchError::Timeout(_) | FetchError::Connection(_) | FetchError::Status(_) => Reason::Down,
            FetchError::ToldToWait { .. } => Reason::ToldToWait,
            FetchError::KeyRefused(_) => Reason::KeyRefused,
            FetchError::Unknown(_) => Reason::Unknown,
            FetchError::TooLong(_) | FetchError::Answer(_) => Reason::BadAnswer,
        }
    }
}

/// Why there is no HTTP client.
#[derive(Debug, thiserror::Error)]
#[error("no HTTP client: {0}")]
pub struct ClientError(String);

/// The HTTP client of all feeds. TLS is rustls with the provider that the process has installed.
///
/// # Errors
/// What the library says, such as missing root certificates.
pub fn client(connect: Duration) -> Result<Client, ClientError> {
    // A redirect would carry the key, which is in the URL, to wherever it points.
    let builder = Client::builder().redirect(Policy::none()).referer(false).connect_timeout(connect);
    let agent = concat!("citystream/", env!("CARGO_PKG_VERSION"));
    builder.user_agent(agent).build().map_err(|error| ClientError(chain(error)))
}

/// Sends one request, and reads its answer.
///
/// # Errors
/// Everything but an answer as it should be.
pub async fn fetch<A: Api>(
    client: &Client,
    api: &A,
    place: Place,
    timeout: Duration,
    longest: usize,
) -> Result<A::Value, FetchError> {
    let answer = tokio::time::timeout(timeout, ask(client, api, place, longest)).await;
    answer.unwrap_or(Err(FetchError::Timeout(timeout))).map_err(|error| masked(error, api))
}

async fn ask<A: Api>(client: &Client, api: &A, place: Place, longest: usize) -> Result<A::Value, FetchError> {
    let mut response = client.execute(api.request(place)).await.map_err(connection)?;
    check(response.status(), response.headers(), Moment::now())?;
    let body = body(&mut response, longest).await?;
    api.read(&body).map_err(FetchError::Answer)
}

fn check(status: StatusCode, headers: &HeaderMap, now: Moment) -> Result<(), FetchError> {
    let until = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| retry_after(text, now));
    Err(match status {
        StatusCode::OK => return Ok(()),
        StatusCode::TOO_MANY_REQUESTS => FetchError::ToldToWait { status, until },
        StatusCode::SERVICE_UNAVAILABLE if until.is_some() => FetchError::ToldToWait { status, until },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => FetchError::KeyRefused(status),
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => FetchError::Unknown(status),
        _ => FetchError::Status(status),
    })
}

async fn body(response: &mut Response, longest: usize) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(connection)? {
        if body.len() + chunk.len() > longest {
            return Err(FetchError::TooLong(longest));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn connection(error: reqwest::Error) -> FetchError {
    FetchError::Connection(chain(error))
}

/// An error with its causes, in one line; without the URL, which may hold the key.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let first: &dyn Error = &error;
    let causes = std::iter::successors(Some(first), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ").replace('\n', " ")
}

/// Texts that others wrote could repeat what we sent them.
fn masked<A: Api>(error: FetchError, api: &A) -> FetchError {
    match (error, api.key()) {
        (FetchError::Connection(text), Some(key)) => FetchError::Connection(key.mask(&text)),
        (FetchError::Answer(AnswerError::Json(text)), Some(key)) => {
            FetchError::Answer(AnswerError::Json(key.mask(&text)))
        }
        (error, _) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    #[test]
    fn a_status_says_what_it_means_for_the_place() {
        let told = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]);
        let now = Moment::from_millis(1000);
        let reason = |status: u16, headers: &HeaderMap| {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            check(status, headers, now).err().map(|error| (error.reason(), error.is_passing()))
        };
        let none = HeaderMap::new();
        assert_eq!(reason(200, &none), None);
        for (status, wanted) in [
            (204, (Reason::Down, false)),
            (301, (Reason::Down, false)),
            (400, (Reason::Unknown, false)),
            (401, (Reason::KeyRefused, false)),
            (403, (Reason::KeyRefused, false)),
            (404, (Reason::Unknown, false)),
            (429, (Reason::ToldToWait, false)),
            (500, (Reason::Down, true)),
            (503, (Reason::Down, true)),
        ] {
            assert_eq!(reason(status, &none), Some(wanted), "{status}");
        }
        assert_eq!(reason(503, &told), Some((Reason::ToldToWait, false)));
        let until = Some(Moment::from_millis(8000));
        let status = StatusCode::TOO_MANY_REQUESTS;
        assert_eq!(check(status, &told, now), Err(FetchError::ToldToWait { status, until }));
    }
}
