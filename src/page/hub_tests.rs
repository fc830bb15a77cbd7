//! What subscribers get: each frame once, or a snapshot that says why; and what the hub holds.

use citystream_dataflows::records::{Stamp, TextId};
use citystream_live::rows::{Key, Row, Vehicle, Worst};

use super::*;
use crate::columns::names::Names;

fn frame(epoch: Epoch, rows: &[(u32, Option<u32>)]) -> Frame {
    let worst = |rank, ratio| Worst { rank, cell: 0x881f_b466_6dff_ffff, ratio, current: 0, is_closed: false };
    let row = |(rank, ratio): &(u32, Option<u32>)| (Key::Worst(*rank), ratio.map(|it| Row::Worst(worst(*rank, it))));
    let views = [(ViewId::BuiltIn(View::Worst), rows.iter().map(row).collect())].into();
    Frame { epoch, horizon: Some(0), views, ..Frame::default() }
}

fn hub(frames: impl IntoIterator<Item = Frame>) -> Hub {
    let hub = Hub::default();
    hub.begin(7);
    hub.name(Arc::new(Names::new(0, &Arc::default())));
    // Who has just gone may come back.
    let watch = hub.watch();
    frames.into_iter().for_each(|frame| hub.publish(frame));
    drop(watch);
    hub
}

fn all_of(hub: &Hub, name: &str) -> Wanted {
    Wanted::new(vec![hub.named(name).unwrap()], None, None)
}

fn worst(hub: &Hub) -> Wanted {
    all_of(hub, "worst")
}

fn next(hub: &Hub, place: Option<Place>) -> (String, Value, Place) {
    let Next::Event(kind, text, place) = hub.next(&mut worst(hub), place) else { panic!("nothing follows {place:?}") };
    (kind.to_owned(), serde_json::from_str(&text).unwrap(), place)
}

fn at(claim: u64, epoch: Epoch) -> Option<Place> {
    Some(Place { claim, epoch })
}

#[test]
fn who_comes_anew_takes_a_snapshot_and_goes_on_with_changes() {
    let hub = hub([frame(1, &[(1, Some(300)), (2, Some(400))]), frame(2, &[(2, None)]), frame(4, &[(1, Some(250))])]);
    let (kind, value, place) = next(&hub, None);
    assert_eq!((kind.as_str(), place), ("snapshot", Place { claim: 7, epoch: 4 }));
    assert_eq!(
        (&value["epoch"], &value["why"], &value["views"]["worst"]["1"]["ratio"]),
        (&4.into(), &"first".into(), &0.25.into())
    );
    assert!(
        value["views"]["worst"].get("2").is_none() && matches!(hub.next(&mut worst(&hub), Some(place)), Next::Wait)
    );
    let (kind, value, place) = next(&hub, at(7, 1));
    assert_eq!((kind.as_str(), place.to_string()), ("changes", "7.2".to_owned()));
    assert!(value["views"]["worst"]["2"].is_null() && value["views"]["worst"].get("1").is_none(), "{value}");
    assert_eq!(next(&hub, Some(place)).2, Place { claim: 7, epoch: 4 });
    hub.end();
    assert!(matches!(hub.next(&mut worst(&hub), Some(place)), Next::Over));
}

#[test]
fn an_id_of_another_run_or_too_old_gets_a_snapshot_that_says_so() {
    let hub = hub((1..=HELD_FRAMES as Epoch + 3).map(|epoch| frame(epoch, &[(1, Some(epoch as u32))])));
    for (place, why) in [(at(6, 5), "another run"), (at(7, 5000), "another run"), (at(7, 2), "too far behind")] {
        let (kind, value, _) = next(&hub, place);
        assert_eq!((kind.as_str(), &value["why"]), ("snapshot", &why.into()), "{place:?}");
    }
    assert_eq!(next(&hub, at(7, 3)).2, Place { claim: 7, epoch: 4 }, "the first that is held");
    assert!(hub.state().bytes <= HELD_BYTES);
}

#[test]
fn nothing_is_encoded_while_nobody_watches() {
    let hub = hub([]);
    hub.publish(frame(1, &[(1, Some(100))]));
    assert!(hub.state().frames.is_empty());
    let watch = hub.watch();
    hub.publish(frame(2, &[(2, Some(200))]));
    let held = |state: &State| (state.frames.len(), state.held_after);
    assert_eq!(held(&hub.state()), (1, 1));
    let (kind, value, _) = next(&hub, None);
    assert_eq!((kind.as_str(), value["views"]["worst"].as_object().unwrap().len()), ("snapshot", 2));
    assert_eq!(next(&hub, at(7, 0)).0, "snapshot", "the frame before was not held");
    assert_eq!(next(&hub, at(7, 1)).0, "changes");
    drop(watch);
}

#[test]
fn a_standing_view_begins_with_a_frame_and_ends_with_one() {
    let hub = hub([frame(1, &[(1, Some(300))])]);
    assert!(hub.named("slow").is_none());
    let of_view = |mut frame: Frame, number| {
        let changes = frame.views.remove(&ViewId::BuiltIn(View::Worst)).unwrap();
        frame.views.insert(ViewId::Standing(number), changes);
        frame
    };
    let watch = hub.watch();
    let mut begins = of_view(frame(2, &[(1, Some(300))]), 1);
    begins.installed = vec![(1, Some("slow".into()))];
    hub.publish(begins);
    let slow = all_of(&hub, "slow");
    let (text, place) = hub.snapshot(&mut slow.clone(), "asked for");
    assert!(text.contains(r#""slow":{"1":{"#) && place.epoch == 2, "{text}");
    hub.publish(of_view(frame(3, &[(1, None)]), 1));
    let why = |place| match hub.next(&mut slow.clone(), place) {
        Next::Event(kind, text, _) => format!("{kind} {text}"),
        _ => "over".to_owned(),
    };
    assert!(why(at(7, 1)).contains("a view that is newer") && why(at(7, 2)).contains(r#""slow":{"1":null}"#));
    let ends = Frame { epoch: 4, installed: vec![(1, None), (2, Some("slow".into()))], ..Frame::default() };
    hub.publish(ends);
    assert_eq!(why(at(7, 3)), "over", "another view of the same name is another view");
    assert!(hub.named("slow").is_some_and(|(id, _)| id == ViewId::Standing(2)));
    drop(watch);
}

#[test]
fn two_hundred_subscribers_cost_one_encoding() {
    let hub = hub([frame(1, &[(1, Some(300))])]);
    let watches: Vec<_> = (0..200).map(|_| hub.watch()).collect();
    hub.publish(frame(2, &[(1, Some(200))]));
    // From here on nobody could encode anything.
    hub.state().names = None;
    hub.state().views.clear();
    hub.state().views.insert(ViewId::BuiltIn(View::Worst), Shown { name: "worst".into(), ..Shown::default() });
    let texts: Vec<String> = watches.iter().map(|_| next(&hub, at(7, 1)).1.to_string()).collect();
    assert!(texts.iter().all(|text| *text == texts[0]) && texts[0].contains("0.2"), "{}", texts[0]);
}

/// Vehicles by number, at so many degrees north and east, or gone.
fn vehicles(epoch: Epoch, rows: &[(u128, Option<i32>)]) -> Frame {
    let row = |(number, degrees): &(u128, Option<i32>)| {
        let vehicle = TextId(*number);
        let at = |degrees: i32| citystream_live::rows::Place { lat: degrees * 1_000_000, lon: degrees * 1_000_000 };
        let stamp = Stamp { time: 0, partition: 0, offset: 0 };
        let row = |degrees| Vehicle { vehicle, stamp, at: at(degrees), speed: None, bearing: None, cell: 0 };
        (Key::Vehicle(vehicle), degrees.map(|degrees| Row::Vehicle(row(degrees))))
    };
    Frame { epoch, horizon: None, views: [(VEHICLES, rows.iter().map(row).collect())].into(), ..Frame::default() }
}

#[test]
fn only_what_is_in_sight_is_sent_and_a_crowd_is_counted() {
    let hub = hub([vehicles(1, &[(1, Some(10)), (2, Some(11)), (3, Some(50))])]);
    let watch = hub.watch();
    let mut wanted = Wanted::new(all_of(&hub, "vehicles").views, "9,9,12,12".parse().ok(), Some(2));
    let mut next = |place| match hub.next(&mut wanted, place) {
        Next::Event(_, text, _) => serde_json::from_str::<Value>(&text).unwrap(),
        _ => Value::Null,
    };
    let keys = |value: &Value| value["views"]["vehicles"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let name = |number: u128| format!("{number:032x}");
    let first = next(None);
    assert_eq!(keys(&first), [name(1), name(2)]);
    assert_eq!((&first["rows"]["vehicles"], &first["crowded"]), (&3.into(), &Value::Null));
    hub.publish(vehicles(2, &[(1, Some(20)), (2, Some(12)), (3, Some(51))]));
    let moved = next(at(7, 1));
    assert_eq!(keys(&moved), [name(1), name(2)], "the one elsewhere is nobody's business here");
    assert!(moved["views"]["vehicles"][name(1)].is_null() && moved["views"]["vehicles"][name(2)].is_object());
    hub.publish(vehicles(3, &[(1, Some(10)), (3, Some(10))]));
    let crowded = next(None);
    assert_eq!((keys(&crowded).len(), &crowded["crowded"]), (0, &3.into()));
    hub.publish(vehicles(4, &[(1, Some(11))]));
    assert_eq!(keys(&next(at(7, 3))).len(), 0, "until it is counted again");
    let mut anywhere = Wanted::new(all_of(&hub, "vehicles").views, None, Some(2));
    let (all, _) = hub.snapshot(&mut anywhere, "first");
    let all: Value = serde_json::from_str(&all).unwrap();
    assert_eq!((keys(&all).len(), &all["crowded"]), (0, &3.into()), "also before it says where it looks");
    drop(watch);
}

#[test]
fn a_crowd_is_counted_now_and_then_and_does_not_come_and_go_with_a_vehicle() {
    let rows = |there: u128| (1..=21).map(|id| (id, Some(if id <= there { 10 } else { 50 }))).collect::<Vec<_>>();
    let hub = hub([vehicles(1, &rows(20))]);
    let watch = hub.watch();
    let mut wanted = Wanted::new(all_of(&hub, "vehicles").views, "9,9,12,12".parse().ok(), Some(20));
    let (mut place, mut epoch) = (None, 1);
    let mut next = |there| {
        if place.is_some() {
            epoch += 1;
            hub.publish(vehicles(epoch, &rows(there)));
            wanted.counted = wanted.counted.and_then(|counted| counted.checked_sub(COUNTED_EVERY));
        }
        let Next::Event(kind, text, reached) = hub.next(&mut wanted, place) else { panic!("nothing follows") };
        place = Some(reached);
        (kind, serde_json::from_str::<Value>(&text).unwrap()["crowded"].as_u64())
    };
    assert_eq!(next(20), ("snapshot", None));
    assert_eq!(next(20), ("changes", None));
    assert_eq!(next(21), ("snapshot", Some(21)));
    assert_eq!(next(19), ("changes", Some(19)), "in the band it is one");
    assert_eq!(next(18), ("snapshot", None));
    assert_eq!(next(20), ("changes", None), "in the band it is none");
    drop(watch);
    let mut other = Wanted::new(all_of(&hub, "vehicles").views, None, Some(20));
    assert!(matches!(hub.next(&mut other, place), Next::Event("snapshot", ..)), "what it has is not known");
    let mut cells = Wanted::new(all_of(&hub, "cells").views, None, Some(0));
    hub.snapshot(&mut cells, "first");
    assert_eq!(cells.crowd, None, "who asks for no vehicles");
}
