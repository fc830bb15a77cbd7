//! The truth against a count made from the records: they are parsed, and judged by the definitions of the tables.

use super::*;

/// What a record is, by the definitions: on time, late, a duplicate, or a dead letter with its reason.
fn judged(
    message: &Kept,
    options: &Options,
    seen: &mut BTreeSet<(u64, Topic, String, i64)>,
) -> Result<usize, &'static str> {
    let bytes = message.value.as_ref().ok_or("null_payload")?;
    if bytes.len() > options.max_record {
        return Err("too_long");
    }
    if bytes.first() == Some(&0) {
        return Err("confluent_format");
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "invalid_utf8")?;
    if text.contains(": 1e999") {
        return Err("bad_number");
    }
    let value: Value = serde_json::from_str(text).map_err(|_| "not_json")?;
    if !value.is_object() || value["source"].is_number() {
        return Err("wrong_type");
    }
    let (id, time) =
        (value["id"].as_str().ok_or("missing_field")?, value["timestamp"].as_str().ok_or("missing_field")?);
    time.parse::<jiff::civil::DateTime>().map_err(|_| "bad_time")?;
    let place = value["location"].as_str().or(value["coordinates"].as_str()).ok_or("missing_field")?;
    let lat = place.trim_start_matches('(').split(',').next().unwrap().parse::<f64>().map_err(|_| "bad_position")?;
    if lat.abs() > 90.0 {
        return Err("bad_position");
    }
    let (event_us, log_us) = (micros(&value), message.at_ms * 1000);
    if event_us > log_us + options.max_ahead_ms * 1000 {
        return Err("ahead");
    }
    if event_us < log_us - options.lateness_ms * 1000 {
        return Ok(1);
    }
    Ok(if seen.insert((message.hash, message.topic, id.to_owned(), event_us)) { 0 } else { 2 })
}

#[test]
fn the_truth_equals_what_the_records_say() {
    let options = Options { vehicles: 200, max_record: 20_000, ..options(all_troubles()) };
    let mut simulator = Simulator::new(options.clone(), 2).unwrap();
    let messages = take(&mut simulator, 200_000);
    let truth = simulator.truth();
    let mut seen = BTreeSet::new();
    let mut counted = BTreeMap::<&str, Expected>::new();
    for message in &messages {
        let expected = counted.entry(message.topic.name()).or_default();
        match judged(message, &options, &mut seen) {
            Ok(0) => expected.on_time += 1,
            Ok(1) => expected.late += 1,
            Ok(_) => expected.duplicate += 1,
            Err(reason) => *expected.dead_letters.entry(reason).or_default() += 1,
        }
    }
    assert_eq!(truth.topics, counted);
    assert_eq!((truth.records, truth.pings), (200_000, counted["gps"].on_time));
    let sum = |of: fn(&Expected) -> u64| counted.values().map(of).sum::<u64>();
    let injected = truth.injected;
    assert_eq!((injected.late, injected.duplicates), (sum(|e| e.late), sum(|e| e.duplicate)));
    let dead = sum(|e| e.dead_letters.values().sum());
    assert_eq!(injected.malformed + injected.too_far_ahead, dead);
    let reasons: BTreeSet<_> = counted.values().flat_map(|e| e.dead_letters.keys().copied()).collect();
    let mut wanted: BTreeSet<_> = Defect::ALL.iter().map(|defect| defect.reason()).collect();
    wanted.insert("ahead");
    assert_eq!(reasons, wanted);
}

#[test]
fn each_trouble_happens_about_as_often_as_asked() {
    let options = Options { vehicles: 3000, ..options(all_troubles()) };
    let mut simulator = Simulator::new(options, 2).unwrap();
    take(&mut simulator, 900_000);
    let Truth { injected, records, held_back, .. } = simulator.truth();
    // A tenth of the devices are ahead, a twentieth of the time is a burst: the others have the other troubles.
    let others = 0.9 * 0.95;
    for (count, share) in [
        (injected.out_of_order, 0.05 * others),
        (injected.duplicates, 0.03 * others),
        (injected.malformed, 0.02 * others),
        (injected.in_bursts, 0.05 * 0.9),
        (injected.silenced, 0.05),
        (injected.ahead + injected.too_far_ahead, 0.1),
        (injected.hot_cell, 0.1),
    ] {
        let is = count as f64 / records as f64;
        assert!((share * 0.75..share * 1.3).contains(&is), "{is}, not {share}: {injected:?}");
    }
    assert!(injected.late > 9_000 && injected.delayed > 24_000 && injected.skewed > 45_000 && held_back > 3_000);
}

#[test]
fn without_trouble_every_record_is_on_time() {
    let mut simulator = Simulator::new(options(Trouble::default()), 1).unwrap();
    take(&mut simulator, 50_000);
    let truth = simulator.truth();
    assert_eq!((truth.injected, truth.held_back), (Injected::default(), 0));
    assert!(truth.topics.values().all(|topic| topic.on_time == 10_000));
}
