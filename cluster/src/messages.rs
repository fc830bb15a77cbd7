//! The headers of timely's messages, looked at as the bytes pass: timely believes them, and would hold what a header claims,
//! or panic over it.
//!
//! A message is six big-endian words (channel, source, first target, last target + 1, length, sequence number) and `length`
//! bytes. One of length 0 is the last: goodbye.

use std::ops::Range;

/// The bytes of a header.
const HEADER: usize = 48;
/// The longest message: no process makes one that is nearly so long, and none can make another hold more.
pub(crate) const LONGEST: u64 = 1 << 30;

/// What has passed of a stream of messages.
#[derive(Clone, Debug)]
pub(crate) struct Messages {
    /// The workers of the peer.
    sources: Range<u64>,
    /// The workers of this process.
    targets: Range<u64>,
    header: [u8; HEADER],
    /// How much of the header is there.
    filled: usize,
    /// How much of the message is still to come.
    left: u64,
    ended: bool,
}

impl Messages {
    /// A stream from `peer` to `process`, of `workers` each, of which nothing has passed.
    pub(crate) fn between(peer: usize, process: usize, workers: usize) -> Self {
        let range = |process: usize| (process * workers) as u64..((process + 1) * workers) as u64;
        Messages {
            sources: range(peer),
            targets: range(process),
            header: [0; HEADER],
            filled: 0,
            left: 0,
            ended: false,
        }
    }

    /// Whether the last message has passed.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// More bytes pass; fails with what is wrong with them.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            if self.ended {
                return Err("it goes on after its last message".to_owned());
            }
            if self.left > 0 {
                let skipped = self.left.min(bytes.len() as u64);
                self.left -= skipped;
                bytes = &bytes[skipped as usize..];
                continue;
            }
            let (taken, rest) = bytes.split_at(bytes.len().min(HEADER - self.filled));
            self.header[self.filled..][..taken.len()].copy_from_slice(taken);
            self.filled += taken.len();
            bytes = rest;
            if self.filled == HEADER {
                self.filled = 0;
                self.check()?;
            }
        }
        Ok(())
    }

    /// Looks at a header that is there.
    fn check(&mut self) -> Result<(), String> {
        let mut words = self.header.as_chunks::<8>().0.iter().map(|word| u64::from_be_bytes(*word)).skip(1);
        let mut next = || words.next().unwrap_or(0);
        let (source, first, end, length) = (next(), next(), next(), next());
        if length == 0 {
            self.ended = true;
            return Ok(());
        }
        let reaches = self.targets.start <= first && first < end && end <= self.targets.end;
        if length > LONGEST {
            return Err(format!("it claims a message of {length} bytes, and {LONGEST} are the most"));
        }
        if !reaches || !self.sources.contains(&source) {
            return Err(format!("its message is from worker {source} to {first}..{end}, where there is no such way"));
        }
        self.left = length;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;

    /// A header as timely writes it.
    pub(crate) fn header(source: u64, (first, end): (u64, u64), length: u64) -> Vec<u8> {
        [7_u64, source, first, end, length, 9].iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn stream() -> Messages {
        Messages::between(1, 0, 2)
    }

    #[test]
    fn messages_pass_however_they_are_cut() {
        let mut bytes = header(2, (0, 2), 100);
        bytes.extend([0xff; 100]);
        bytes.extend(header(3, (1, 2), 1));
        bytes.push(0xff);
        bytes.extend(header(0, (0, 0), 0));
        for size in 1..=bytes.len() {
            let mut stream = stream();
            for (n, chunk) in bytes.chunks(size).enumerate() {
                assert!(!stream.ended(), "before chunk {n} of {size}");
                stream.pass(chunk).unwrap();
            }
            assert!(stream.ended());
            assert!(stream.pass(&[0]).unwrap_err().contains("after its last message"));
        }
    }

    #[test]
    fn what_timely_would_fall_over_is_refused_with_its_header() {
        let refused = |bytes: &[u8]| stream().pass(bytes).unwrap_err();
        assert!(refused(&header(2, (0, 1), 1 << 40)).contains("1099511627776 bytes"));
        assert!(refused(&header(2, (0, 1), u64::MAX)).contains("are the most"));
        assert!(refused(&header(1, (0, 1), 1)).contains("from worker 1"));
        for targets in [(0, 0), (1, 0), (0, 3), (2, 3), (u64::MAX, u64::MAX)] {
            assert!(refused(&header(2, targets, 1)).contains("no such way"));
        }
        assert!(stream().pass(&header(2, (0, 1), LONGEST)).is_ok());
        assert!(refused(&[0xff; 100]).contains("bytes"));
    }
}
