//! Never over quota: counted at the server, and across a restart.

use std::path::Path;
use std::time::Duration;

use citystream_live_apis::apis::{OpenWeather, TomTom};
use citystream_live_apis::{Limit, Policy, Reason};
use tempfile::TempDir;
use wiremock::ResponseTemplate;

use crate::world::{WEATHER, json, look, lookup, place, policy, requests, serve, settled, start, start_in};

const DAY: Duration = Duration::from_secs(86_400);

fn limited(requests: usize, within: Duration, patience: Duration) -> Policy {
    Policy { limits: vec![Limit { requests, within }], patience, ..policy() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_days_quota_outlives_a_restart() {
    let server = serve(json(WEATHER)).await;
    let state = TempDir::new().unwrap();
    for (places, left) in [(0..2, 3), (2..4, 1), (4..9, 0), (9..20, 0)] {
        let feed = start_in::<OpenWeather>(&server.uri(), limited(5, DAY, Duration::ZERO), Some(state.path()));
        for n in places {
            look(&feed, place(n)).await.unwrap_err();
        }
        assert_eq!(feed.status().left, Some(left));
        if left == 0 {
            assert_eq!(lookup(&feed, place(100)).unwrap_err(), Reason::OverQuota);
        }
        drop(feed);
        unlocked(state.path()).await;
    }
    assert_eq!(requests(&server).await, 5);
}

/// The journal is closed once the tasks of the feed have ended.
async fn unlocked(state: &Path) {
    let journal = std::fs::File::open(state.join("openweather.requests")).unwrap();
    for _ in 0..500 {
        if journal.try_lock().is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the journal is still locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_requests_are_in_the_quota() {
    let server = serve(ResponseTemplate::new(500)).await;
    let feed = start::<TomTom>(&server.uri(), limited(4, DAY, Duration::ZERO));
    for n in 0..9 {
        look(&feed, place(n)).await.unwrap_err();
    }
    assert_eq!(requests(&server).await, 4);
}

/// The times at which requests were sent stand in the journal.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_limit_is_waited_for_and_never_passed() {
    let server = serve(json(WEATHER)).await;
    let state = TempDir::new().unwrap();
    let policy = limited(5, Duration::from_millis(200), Duration::from_secs(20));
    let feed = start_in::<OpenWeather>(&server.uri(), policy, Some(state.path()));
    (0..22).for_each(|n| feed.want(place(n)));
    settled(&feed).await;
    assert!((0..22).all(|n| lookup(&feed, place(n)).is_ok()));
    assert_eq!(requests(&server).await, 22);
    let journal = std::fs::read_to_string(state.path().join("openweather.requests")).unwrap();
    let mut sent: Vec<u64> = journal.lines().map(|line| line.parse().unwrap()).collect();
    sent.sort_unstable();
    assert_eq!(sent.len(), 22);
    assert!(sent.windows(6).all(|six| six[5] - six[0] >= 200), "{sent:?}");
}
