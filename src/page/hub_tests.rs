//! What subscribers get: each frame once, or a snapshot that says why; and what the hub holds.

use citystream_live::rows::{Key, Row, Worst};

use super::*;
use crate::columns::names::Names;

fn frame(epoch: Epoch, rows: &[(u32, Option<u32>)]) -> Frame {
    let row = |(rank, ratio): &(u32, Option<u32>)| {
        (Key::Worst(*rank), ratio.map(|ratio| Row::Worst(Worst { rank: *rank, cell: 0x881f_b466_6dff_ffff, ratio })))
    };
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

fn worst(hub: &Hub) -> [Named; 1] {
    [hub.named("worst").unwrap()]
}

fn next(hub: &Hub, place: Option<Place>) -> (String, Value, Place) {
    let Next::Event(kind, text, place) = hub.next(&worst(hub), place) else { panic!("nothing follows {place:?}") };
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
    assert!(value["views"]["worst"].get("2").is_none() && matches!(hub.next(&worst(&hub), Some(place)), Next::Wait));
    let (kind, value, place) = next(&hub, at(7, 1));
    assert_eq!((kind.as_str(), place.to_string()), ("changes", "7.2".to_owned()));
    assert!(value["views"]["worst"]["2"].is_null() && value["views"]["worst"].get("1").is_none(), "{value}");
    assert_eq!(next(&hub, Some(place)).2, Place { claim: 7, epoch: 4 });
    hub.end();
    assert!(matches!(hub.next(&worst(&hub), Some(place)), Next::Over));
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
    let slow = [hub.named("slow").unwrap()];
    let (text, place) = hub.snapshot(&slow, "asked for");
    assert!(text.contains(r#""slow":{"1":{"#) && place.epoch == 2, "{text}");
    hub.publish(of_view(frame(3, &[(1, None)]), 1));
    let why = |place| match hub.next(&slow, place) {
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
