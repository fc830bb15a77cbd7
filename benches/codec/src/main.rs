//! What it costs to send a batch of GPS rows to another worker, by encoding: the rows are built as they would be
//! received from an operator, encoded, decoded, and every field of every row is read (an encoding that decodes in
//! place would look free otherwise).
//!
//! `cargo run --release --manifest-path benches/codec/Cargo.toml`

mod codecs;
mod rows;

use std::time::{Duration, Instant};

use codecs::{Abomonated, Bincoded, Codec, Columns};
use rows::{GpsRow, Ping, Sample};

/// Rows in a batch: about what a worker sends another in one go.
const BATCH: usize = 8192;
/// Each figure is the least of so many rounds.
const ROUNDS: usize = 200;

fn main() {
    println!("{BATCH} rows a batch, least of {ROUNDS} rounds; ns a row");
    println!("| row | encoding | build | encode | decode and read | M rows/s | bytes/row |");
    println!("|---|---|---|---|---|---|---|");
    all::<GpsRow>("GPS record (3 texts)");
    all::<Ping>("ping (no text)");
}

fn all<R: Sample + columnar::Columnar>(name: &str)
where
    Abomonated<R>: Codec<R>,
    Bincoded<R>: Codec<R>,
    Columns<R>: Codec<R>,
{
    let rows: Vec<R> = (0..BATCH as u64).map(R::sample).collect();
    let expected = rows.iter().fold(0, |sum: u64, row| sum.wrapping_add(row.digest()));
    measure::<R, Abomonated<R>>(name, "abomonation 0.7 (unsound)", &rows, expected);
    measure::<R, Bincoded<R>>(name, "bincode 1.3", &rows, expected);
    measure::<R, Columns<R>>(name, "columnar 0.13", &rows, expected);
}

fn measure<R, C: Codec<R>>(row: &str, encoding: &str, rows: &[R], expected: u64) {
    let (mut build, mut encode, mut read) = (Duration::MAX, Duration::MAX, Duration::MAX);
    let mut codec = C::default();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        codec.build(rows);
        let built = Instant::now();
        codec.encode();
        let encoded = Instant::now();
        let digest = codec.read();
        let done = Instant::now();
        assert_eq!(digest, expected, "{encoding} reads what was written");
        build = build.min(built - start);
        encode = encode.min(encoded - built);
        read = read.min(done - encoded);
    }
    let nanos = |time: Duration| time.as_nanos() as f64 / rows.len() as f64;
    let rate = 1000.0 / nanos(build + encode + read);
    let bytes = codec.bytes() as f64 / rows.len() as f64;
    let (build, encode, read) = (nanos(build), nanos(encode), nanos(read));
    println!("| {row} | {encoding} | {build:.1} | {encode:.1} | {read:.1} | {rate:.1} | {bytes:.1} |");
}
