//! Random choices that can be repeated: `CITYSTREAM_SEED` sets the seed, which is printed.

use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// A generator from a seed.
    #[allow(dead_code)] // Not every program has its own.
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// A generator from `CITYSTREAM_SEED`, or from the clock; prints the seed.
    pub(crate) fn from_environment() -> Rng {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
        let seed = std::env::var("CITYSTREAM_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(clock);
        println!("CITYSTREAM_SEED={seed}");
        Rng(seed)
    }

    /// Any 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.bits() % n
    }

    /// A number from `low` to `high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True in `share` of all cases.
    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.between(0.0, 1.0) < share
    }

    /// A UUID's text.
    pub(crate) fn uuid(&mut self) -> String {
        let (a, b) = (self.bits(), self.bits());
        let (p, q, r) = (a >> 32, (a >> 16) & 0xFFFF, a & 0xFFF);
        format!("{p:08x}-{q:04x}-4{r:03x}-{:04x}-{:012x}", 0x8000 | (b >> 50), b & 0xFFFF_FFFF_FFFF)
    }
}
