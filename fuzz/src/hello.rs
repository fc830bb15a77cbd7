//! What comes over a socket before two processes know each other.
//!
//! Asserted of the listening side, as bytes arrive one by one: it waits for no more than a hello, what was refused stays
//! refused, and a hello that it takes is written again as it came. Of the calling side: it asks for no more than the longest
//! payload at a time, and a frame that it takes is written again as it came.

use std::io::{self, Read};

use citystream_cluster::parts::{HELLO, LONGEST, answered, heard};

/// Asserts it of an input.
pub fn check_input(input: &[u8]) {
    listen(&input[..input.len().min(HELLO)]);
    call(input);
}

fn listen(input: &[u8]) {
    let mut is_refused = false;
    for end in 0..=input.len() {
        match heard(&input[..end]) {
            Ok(said) => {
                assert!(!is_refused, "taken after it was refused");
                assert_eq!(said.is_some(), end == HELLO, "{said:?} after {end} bytes");
                assert!(said.is_none_or(|hello| hello == input[..end]));
            }
            Err(_) => is_refused = true,
        }
    }
}

fn call(input: &[u8]) {
    let mut peer = Peer { left: input, most: 0 };
    if let Ok(frame) = answered(&mut peer) {
        assert!(input.starts_with(&frame));
        assert_eq!(input.len() - peer.left.len(), frame.len());
    }
    assert!(peer.most <= LONGEST, "{} bytes at once", peer.most);
}

/// Bytes, and the most that were asked for at once.
struct Peer<'a> {
    left: &'a [u8],
    most: usize,
}

impl Read for Peer<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.most = self.most.max(into.len());
        self.left.read(into)
    }
}
