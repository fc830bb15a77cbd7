//! Random numbers as hashes: each is a function of a seed and of what it is for, and none of how many were drawn before.
//! So records are the same in whatever order, and on however many threads, they are made.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number, and the place from which further ones are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Draw {
        Draw(mix(seed))
    }

    /// The draw for one purpose, or for one of many things.
    pub(crate) fn of(self, what: u64) -> Draw {
        Draw(mix(self.0.wrapping_add(GOLDEN.wrapping_mul(what.wrapping_add(1)))))
    }

    /// 64 random bits.
    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    /// A number in `0.0..1.0`.
    pub(crate) fn unit(self) -> f64 {
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number in `low..high`.
    pub(crate) fn within(self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// An integer in `low..=high`.
    pub(crate) fn between(self, low: i64, high: i64) -> i64 {
        let width = (high.saturating_sub(low).max(0) as u64).saturating_add(1);
        low + ((u128::from(self.0) * u128::from(width)) >> 64) as i64
    }

    /// One of them.
    pub(crate) fn pick<T: Copy, const N: usize>(self, of: &[T; N]) -> T {
        of[self.between(0, N as i64 - 1) as usize]
    }

    /// The text of a random UUID.
    pub(crate) fn uuid(self) -> [u8; 36] {
        citystream_wire::uuid((u128::from(self.of(0).bits()) << 64) | u128::from(self.of(1).bits()))
    }
}

/// The finaliser of splitmix64.
fn mix(seed: u64) -> u64 {
    let z = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_cover_their_range_evenly_and_depend_on_what_they_are_for() {
        let draw = Draw::new(1);
        let mut counts = [0_u32; 7];
        for i in 0..70_000 {
            counts[draw.of(i).between(0, 6) as usize] += 1;
        }
        assert!(counts.iter().all(|n| (9_500..10_500).contains(n)), "{counts:?}");
        let mean = (0..10_000).map(|i| draw.of(i).of(3).within(2.0, 4.0)).sum::<f64>() / 10_000.0;
        assert!((2.97..3.03).contains(&mean), "{mean}");
        assert_ne!(draw.of(1).of(2), draw.of(2).of(1));
        assert_ne!(Draw::new(1).of(0), Draw::new(2).of(0));
    }
}
