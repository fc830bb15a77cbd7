//! A key stands in requests and nowhere else, whatever a server does.

use citystream_live_apis::Reason;
use citystream_live_apis::apis::{OpenWeather, TomTom};
use wiremock::ResponseTemplate;

use crate::raw;
use crate::world::{KEY, Mocked, PART, json, log, look, lookup, place, policy, requests, serve, start};

async fn fails<A: Mocked + std::fmt::Debug>(endpoint: &str) {
    let feed = start::<A>(endpoint, policy());
    look(&feed, place(0)).await.unwrap_err();
    let why = lookup(&feed, place(0)).unwrap_err();
    assert!(!format!("{feed:?} {why:?} {:?}", feed.status()).contains(PART));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_and_no_error_holds_a_key() {
    let echo = format!(r#"{{"main": {{"temp": "{KEY}"}}, "flowSegmentData": {{"currentSpeed": "{KEY}"}}}}"#);
    for answer in [
        json(&echo),
        ResponseTemplate::new(401).set_body_string(format!("{KEY} is no key")),
        ResponseTemplate::new(302).insert_header("location", format!("http://127.0.0.1:1/?appid={KEY}").as_str()),
        ResponseTemplate::new(500).set_body_string(KEY),
    ] {
        let server = serve(answer).await;
        fails::<OpenWeather>(&server.uri()).await;
        fails::<TomTom>(&server.uri()).await;
        let sent = server.received_requests().await.unwrap();
        assert!(sent.iter().all(|request| request.url.as_str().contains(PART)), "it is what the server is asked with");
    }
    for deed in [raw::silent, raw::cut, raw::babble] {
        fails::<OpenWeather>(&raw::serve(deed).0).await;
    }
    fails::<TomTom>("http://127.0.0.1:1").await;
    fails::<TomTom>("https://localhost:1").await;
    let log = log();
    for line in ["openweather", "status 401 Unauthorized: the key is refused", "\"***\"", "log DEBUG reqwest", "TRACE"]
    {
        assert!(log.contains(line), "nothing was captured of {line}:\n{log}");
    }
    let leak = log.lines().find(|line| line.contains(PART));
    assert_eq!(leak, None);
}

/// A redirect would carry the key to wherever it points.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let elsewhere = serve(json(OpenWeather::ANSWER)).await;
    let moved = ResponseTemplate::new(301).insert_header("location", elsewhere.uri().as_str());
    let server = serve(moved).await;
    let feed = start::<OpenWeather>(&server.uri(), policy());
    look(&feed, place(0)).await.unwrap_err();
    assert_eq!(feed.status().counts.failures.get(&Reason::Down), Some(&1));
    assert_eq!((requests(&server).await, requests(&elsewhere).await), (1, 0));
}
