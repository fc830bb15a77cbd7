//! Answers as they should be: what is asked, and what is told of it.

use std::time::Duration;

use citystream_live_apis::apis::{OpenWeather, Overpass, Service, TomTom, Traffic, Weather};
use citystream_live_apis::{Ages, Feed, Freshness, Policy, Reason};
use wiremock::matchers::{body_string_contains, method, path, query_param};
use wiremock::{Mock, MockServer};

use crate::world::{
    KEY, Mocked, SERVICES, TRAFFIC, WEATHER, json, look, lookup, place, policy, requests, serve, start,
};

/// After the first lookup has set a request going, its answer is there.
async fn told<A: Mocked>(feed: &Feed<A>) -> A::Value {
    assert_eq!(look(feed, place(0)).await.err(), Some(Reason::Pending));
    let found = lookup(feed, place(0)).unwrap();
    assert_eq!(found.freshness, Freshness::Live);
    found.value
}

#[tokio::test(flavor = "multi_thread")]
async fn weather() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/data/2.5/weather"))
        .and(query_param("lat", "40"))
        .and(query_param("lon", "-1"))
        .and(query_param("units", "metric"))
        .and(query_param("appid", KEY))
        .respond_with(json(WEATHER))
        .mount(&server)
        .await;
    let wanted = Weather {
        temperature_c: 7.4,
        condition: "Rain".into(),
        rain_mm: 0.8,
        wind_ms: 5.6,
        humidity_pct: 87,
        pressure_hpa: 1009.0,
        visibility_m: Some(9000.0),
    };
    assert_eq!(told(&start::<OpenWeather>(&server.uri(), policy())).await, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/base/traffic/services/4/flowSegmentData/absolute/10/json"))
        .and(query_param("point", "40,-1"))
        .and(query_param("unit", "KMPH"))
        .and(query_param("key", KEY))
        .respond_with(json(TRAFFIC))
        .mount(&server)
        .await;
    let wanted = Traffic { current_kmh: 31.0, free_flow_kmh: 96.0, confidence: 0.93, road_closed: false };
    assert_eq!(told(&start::<TomTom>(&format!("{}/base/", server.uri()), policy())).await, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn services() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/api/interpreter"))
        .and(body_string_contains("data=%5Bout%3Ajson%5D"))
        .and(body_string_contains("around%3A5000%2C40%2C-1"))
        .respond_with(json(SERVICES))
        .mount(&server)
        .await;
    let services = told(&start::<Overpass>(&server.uri(), policy())).await;
    assert_eq!(services.number(), 2);
    assert_eq!(services.kinds().collect::<Vec<_>>(), [Service::Hospital, Service::Police]);
    let agent = &server.received_requests().await.unwrap()[0].headers["user-agent"];
    assert!(agent.to_str().unwrap().starts_with("citystream/"), "{agent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_answer_is_not_asked_for_again_and_an_older_one_is() {
    let server = serve(json(TRAFFIC)).await;
    let ages = Ages { live: Duration::from_millis(300), cached: Duration::from_secs(60) };
    let feed = start::<TomTom>(&server.uri(), Policy { ages, ..policy() });
    told(&feed).await;
    for _ in 0..100 {
        look(&feed, place(0)).await.unwrap();
    }
    assert_eq!(requests(&server).await, 1);
    tokio::time::sleep(2 * ages.live).await;
    let found = look(&feed, place(0)).await.unwrap();
    assert_eq!(found.freshness, Freshness::Cached);
    assert!(found.age >= 2 * ages.live, "{:?}", found.age);
    assert_eq!(lookup(&feed, place(0)).unwrap().freshness, Freshness::Live);
    assert_eq!(requests(&server).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_is_asked_about_once_whoever_asks() {
    let server = serve(json(WEATHER).set_delay(Duration::from_millis(300))).await;
    let feed = start::<OpenWeather>(&server.uri(), policy());
    let askers: Vec<_> = (0..4)
        .map(|_| {
            let feed = feed.clone();
            std::thread::spawn(move || (0..1000).for_each(|_| drop(feed.lookup(place(0)))))
        })
        .collect();
    askers.into_iter().for_each(|asker| asker.join().unwrap());
    look(&feed, place(0)).await.ok();
    assert_eq!(lookup(&feed, place(0)).unwrap().value.condition, "Rain");
    assert_eq!(requests(&server).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_are_asked_at_once() {
    let delay = Duration::from_millis(100);
    let server = serve(json(SERVICES).set_delay(delay)).await;
    let feed = start::<Overpass>(&server.uri(), Policy { at_once: 2, ..policy() });
    let began = std::time::Instant::now();
    (0..6).for_each(|n| feed.want(place(n)));
    crate::world::settled(&feed).await;
    assert_eq!(requests(&server).await, 6);
    assert!(began.elapsed() >= 3 * delay, "{:?}", began.elapsed());
}
