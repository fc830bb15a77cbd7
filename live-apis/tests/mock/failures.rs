//! What each failure means: the right fallback, no more requests than make sense, and no caller that waits.

use std::sync::atomic::Ordering;
use std::time::Duration;

use citystream_live_apis::apis::{OpenWeather, Overpass, TomTom};
use citystream_live_apis::{Ages, BreakerPolicy, Feed, Freshness, Policy, Reason};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::raw;
use crate::world::{Mocked, TRAFFIC, json, look, lookup, place, policy, requests, serve, settled, start};

/// What becomes of a place at a server that always answers so, and with how many requests.
async fn outcome<A: Mocked>(answer: ResponseTemplate) -> (Reason, usize) {
    let server = serve(answer).await;
    let feed = start::<A>(&server.uri(), Policy { pause: Duration::from_secs(60), ..policy() });
    look(&feed, place(0)).await.unwrap_err();
    let why = lookup(&feed, place(0)).unwrap_err();
    assert_eq!(feed.status().counts.failures.get(&why), Some(&1));
    (why, requests(&server).await)
}

async fn each_failure<A: Mocked>() {
    let status = ResponseTemplate::new;
    assert_eq!(outcome::<A>(status(401)).await, (Reason::KeyRefused, 1));
    assert_eq!(outcome::<A>(status(403)).await, (Reason::KeyRefused, 1));
    assert_eq!(outcome::<A>(status(404)).await, (Reason::Unknown, 1));
    assert_eq!(outcome::<A>(status(429).insert_header("retry-after", "60")).await, (Reason::ToldToWait, 1));
    assert_eq!(outcome::<A>(status(429)).await, (Reason::ToldToWait, 1));
    assert_eq!(outcome::<A>(status(500)).await, (Reason::Down, 3));
    assert_eq!(outcome::<A>(status(302).insert_header("location", "/elsewhere")).await, (Reason::Down, 1));
    assert_eq!(outcome::<A>(json(A::ANSWER).set_delay(Duration::from_secs(60))).await, (Reason::Down, 3));
    assert_eq!(outcome::<A>(json("<html>welcome</html>")).await, (Reason::BadAnswer, 1));
    assert_eq!(outcome::<A>(json("")).await, (Reason::BadAnswer, 1));
    assert_eq!(outcome::<A>(json(&A::ANSWER.replace(A::FIELD, "\"other\""))).await, (Reason::BadAnswer, 1));
    assert_eq!(outcome::<A>(json(&A::ANSWER[..A::ANSWER.len() / 2])).await, (Reason::BadAnswer, 1));
    let huge = format!("{}{}", A::ANSWER, " ".repeat(2 << 20));
    assert_eq!(outcome::<A>(json(&huge)).await, (Reason::BadAnswer, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_weather() {
    each_failure::<OpenWeather>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_traffic() {
    each_failure::<TomTom>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_services() {
    each_failure::<Overpass>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_cut_is_tried_again() {
    for deed in [raw::silent, raw::cut, raw::babble] {
        let (address, connections) = raw::serve(deed);
        let feed = start::<OpenWeather>(&address, Policy { pause: Duration::from_secs(60), ..policy() });
        look(&feed, place(0)).await.unwrap_err();
        assert_eq!(lookup(&feed, place(0)).unwrap_err(), Reason::Down);
        assert_eq!((connections.load(Ordering::Relaxed), feed.status().counts.requests), (3, 3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_down() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let feed =
        start::<TomTom>(&format!("http://127.0.0.1:{port}"), Policy { pause: Duration::from_secs(60), ..policy() });
    look(&feed, place(0)).await.unwrap_err();
    assert_eq!(lookup(&feed, place(0)).unwrap_err(), Reason::Down);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_end_is_not_read_to_it() {
    let (address, _) = raw::serve(raw::endless);
    let feed = start::<TomTom>(&address, Policy { timeout: Duration::from_secs(60), ..policy() });
    look(&feed, place(0)).await.unwrap_err();
    assert_eq!(feed.status().counts.failures.get(&Reason::BadAnswer), Some(&1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_passes_is_not_seen() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(503)).up_to_n_times(2).mount(&server).await;
    Mock::given(any()).respond_with(json(TRAFFIC)).mount(&server).await;
    let feed = start::<TomTom>(&server.uri(), policy());
    look(&feed, place(0)).await.unwrap_err();
    assert_eq!(lookup(&feed, place(0)).unwrap().freshness, Freshness::Live);
    assert_eq!(requests(&server).await, 3);
}

/// Live, then cached up to its age limit, then nothing; while every lookup returns at once.
#[tokio::test(flavor = "multi_thread")]
async fn when_a_feed_goes_down_the_last_answer_counts_up_to_its_age() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(json(TRAFFIC)).up_to_n_times(1).mount(&server).await;
    Mock::given(any()).respond_with(json(TRAFFIC).set_delay(Duration::from_secs(60))).mount(&server).await;
    let ages = Ages { live: Duration::from_millis(200), cached: Duration::from_millis(1000) };
    let feed = start::<TomTom>(&server.uri(), Policy { ages, ..policy() });
    look(&feed, place(0)).await.unwrap_err();
    let mut seen = Vec::new();
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(1500) {
        let state = lookup(&feed, place(0)).ok().map(|found| found.freshness);
        if seen.last() != Some(&state) {
            seen.push(state);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(seen, [Some(Freshness::Live), Some(Freshness::Cached), None]);
}

/// A server that fails until it is told otherwise.
async fn fail(feed: &Feed<TomTom>, places: std::ops::Range<u16>) {
    for n in places {
        look(feed, place(n)).await.unwrap_err();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_is_down_is_left_alone_until_it_answers_again() {
    let server = MockServer::start().await;
    let down = Mock::given(any()).respond_with(ResponseTemplate::new(500)).mount_as_scoped(&server).await;
    let open = Duration::from_millis(500);
    let breaker = BreakerPolicy { failures: 5, open, longest: Duration::from_secs(10) };
    let feed = start::<TomTom>(&server.uri(), Policy { breaker, ..policy() });
    fail(&feed, 0..5).await;
    assert_eq!(feed.status().held, Some(Reason::Down));
    fail(&feed, 5..100).await;
    assert_eq!(feed.status().counts.requests, 15, "five places, three requests each");
    drop(down);
    Mock::given(any()).respond_with(json(TRAFFIC)).mount(&server).await;
    tokio::time::sleep(open).await;
    (200..210).for_each(|n| feed.want(place(n)));
    settled(&feed).await;
    assert_eq!(feed.status().held, None);
    (200..210).for_each(|n| feed.want(place(n)));
    settled(&feed).await;
    assert!((200..210).all(|n| lookup(&feed, place(n)).is_ok()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_asks_before_the_time_that_the_api_has_told() {
    let server = MockServer::start().await;
    let told = ResponseTemplate::new(429).insert_header("Retry-After", "1");
    Mock::given(any()).respond_with(told).up_to_n_times(1).mount(&server).await;
    Mock::given(any()).respond_with(json(TRAFFIC)).mount(&server).await;
    let feed = start::<TomTom>(&server.uri(), policy());
    let began = std::time::Instant::now();
    while feed.status().counts.answers == 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "it is never asked again");
        look(&feed, place(0)).await.ok();
        look(&feed, place(1)).await.ok();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}
