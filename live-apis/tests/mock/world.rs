//! Feeds with short times, a server for each test, answers in the APIs' shapes, and all that was logged.

use std::io::Write;
use std::sync::{Mutex, Once, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use citystream_live_apis::apis::{Api, OpenWeather, Overpass, TomTom};
use citystream_live_apis::{Ages, Backoff, BreakerPolicy, Feed, Found, Limit, Place, Policy, Reason, Secret};
use tokio::runtime::Handle;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

/// The key of every feed here; it may stand in a request and nowhere else.
pub(crate) const KEY: &str = "0123456789abcdef/key";
/// The part of it that is the same in a URL, where the rest is escaped.
pub(crate) const PART: &str = "0123456789abcdef";

/// A caller must not notice how slow an API is: far below every delay of these servers.
const LOOKUP: Duration = Duration::from_millis(250);

pub(crate) const WEATHER: &str = r#"{"weather": [{"id": 500, "main": "Rain"}], "visibility": 9000,
    "main": {"temp": 7.4, "pressure": 1009, "humidity": 87}, "wind": {"speed": 5.6}, "rain": {"1h": 0.8}, "cod": 200}"#;
pub(crate) const TRAFFIC: &str = r#"{"flowSegmentData": {"frc": "FRC0", "currentSpeed": 31, "freeFlowSpeed": 96,
    "confidence": 0.93, "roadClosure": false}}"#;
pub(crate) const SERVICES: &str = r#"{"version": 0.6, "elements": [{"type": "node", "tags": {"amenity": "hospital"}},
    {"type": "way", "tags": {"amenity": "police"}}]}"#;

/// An API that these tests can talk to.
pub(crate) trait Mocked: Api + Sized {
    /// An answer in its shape.
    const ANSWER: &str;
    /// A field that the answer must have.
    const FIELD: &str;

    fn at(endpoint: &str) -> Self;
}

impl Mocked for OpenWeather {
    const ANSWER: &str = WEATHER;
    const FIELD: &str = "\"temp\"";

    fn at(endpoint: &str) -> Self {
        OpenWeather::new(endpoint, Secret::new(KEY)).unwrap()
    }
}

impl Mocked for TomTom {
    const ANSWER: &str = TRAFFIC;
    const FIELD: &str = "\"freeFlowSpeed\"";

    fn at(endpoint: &str) -> Self {
        TomTom::new(endpoint, Secret::new(KEY)).unwrap()
    }
}

impl Mocked for Overpass {
    const ANSWER: &str = SERVICES;
    const FIELD: &str = "\"elements\"";

    fn at(endpoint: &str) -> Self {
        Overpass::new(endpoint).unwrap()
    }
}

/// Places in cells of their own.
pub(crate) fn place(n: u16) -> Place {
    Place::new(40.0 - f64::from(n) / 4.0, -1.0).unwrap()
}

/// All times short; nothing limited.
pub(crate) fn policy() -> Policy {
    let ages = Ages { live: Duration::from_secs(60), cached: Duration::from_secs(600) };
    Policy {
        timeout: Duration::from_millis(500),
        backoff: Backoff { attempts: 3, first: Duration::from_millis(5), longest: Duration::from_millis(5) },
        breaker: BreakerPolicy { failures: 5, open: Duration::from_millis(100), longest: Duration::from_secs(1) },
        pause: Duration::from_millis(1),
        ..Policy::new(ages, vec![Limit { requests: 1000, within: Duration::from_secs(60) }], 4)
    }
}

pub(crate) fn start<A: Mocked>(endpoint: &str, policy: Policy) -> Feed<A> {
    start_in(endpoint, policy, None)
}

pub(crate) fn start_in<A: Mocked>(endpoint: &str, policy: Policy, state: Option<&std::path::Path>) -> Feed<A> {
    set_up();
    let client = citystream_live_apis::client(Duration::from_secs(1)).unwrap();
    Feed::start(A::at(endpoint), policy, client, state, &Handle::current()).unwrap()
}

fn set_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Another test may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let everything = tracing_subscriber::fmt::Subscriber::builder().with_max_level(tracing::Level::TRACE);
        let log = everything.with_ansi(false).with_writer(|| Log).finish();
        tracing::subscriber::set_global_default(log).unwrap();
        log::set_logger(&Log).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
    });
}

/// A lookup, which must not take long; then all that it has set going ends.
pub(crate) async fn look<A: Api>(feed: &Feed<A>, place: Place) -> Result<Found<A::Value>, Reason> {
    let found = lookup(feed, place);
    settled(feed).await;
    found
}

/// A lookup, which must not take long.
pub(crate) fn lookup<A: Api>(feed: &Feed<A>, place: Place) -> Result<Found<A::Value>, Reason> {
    let began = Instant::now();
    let found = feed.lookup(place);
    assert!(began.elapsed() < LOOKUP, "a lookup took {:?}", began.elapsed());
    found
}

pub(crate) async fn settled<A: Api>(feed: &Feed<A>) {
    let began = Instant::now();
    while feed.pending() > 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "requests do not end");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A server that always answers so.
pub(crate) async fn serve(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

pub(crate) fn json(body: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body, "application/json")
}

pub(crate) async fn requests(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

fn logged() -> &'static Mutex<Vec<u8>> {
    static LOGGED: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();
    LOGGED.get_or_init(Mutex::default)
}

/// All that was logged so far, at every level.
pub(crate) fn log() -> String {
    String::from_utf8_lossy(&logged().lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}

/// Where all that the libraries log is kept, whichever way they do it.
struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let mut logged = logged().lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(logged, "log {} {}: {}", record.level(), record.target(), record.args()).unwrap();
    }

    fn flush(&self) {}
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        logged().lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
