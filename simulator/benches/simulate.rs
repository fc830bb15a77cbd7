//! How many records a second the simulator makes, into nothing.
//!
//! `cargo bench -p citystream-simulator --bench simulate [-- RECORDS [VEHICLES [THREADS]]]`
#![allow(clippy::print_stdout, missing_docs)]

use std::time::Instant;

use citystream_simulator::{Options, Simulator, Trouble};

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<u64>().ok());
    let records = numbers.next().unwrap_or(5_000_000);
    let vehicles = numbers.next().unwrap_or(2_000) as u32;
    let threads = numbers.next().unwrap_or(1) as usize;
    let trouble = Trouble {
        out_of_order: 0.05,
        delayed: 0.02,
        late: 0.01,
        duplicates: 0.01,
        malformed: 0.001,
        ..Trouble::default()
    };
    for (name, trouble) in [("without trouble", Trouble::default()), ("with trouble", trouble)] {
        let options = Options { vehicles, trouble, ..Options::default() };
        let Ok(mut simulator) = Simulator::new(options, threads) else { return };
        let (began, mut bytes) = (Instant::now(), 0);
        for _ in 0..records {
            bytes += simulator.next_until(i64::MAX).and_then(|message| message.value).map_or(0, <[u8]>::len);
        }
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "{name}: {:.0} records/s, {} B each, {threads} threads",
            records as f64 / seconds,
            bytes as u64 / records
        );
    }
}
