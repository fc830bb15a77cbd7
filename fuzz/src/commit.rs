//! Commits of a lake, one a line, and the history that they add up to.
//!
//! Asserted: nothing panics; what is a commit is the same when it is written and read again. Each is then put where it would
//! follow the ones before it (its number, the digest of the last), checked as a reader checks it, and added if it may stand
//! there; the history's sum is the same when it is written and read again, as a snapshot is.

use citystream::parts::{State, apply, check, decode_commit, digest, encode_commit};

/// Asserts it of an input.
pub fn check_input(input: &[u8]) {
    let mut state: Option<State> = None;
    for line in input.split(|byte| *byte == b'\n') {
        let seq = state.as_ref().map_or(0, |state| state.seq + 1);
        let Ok(mut commit) = decode_commit(seq, line) else { continue };
        let bytes = encode_commit(&commit).expect("a commit can be written");
        assert_eq!(decode_commit(seq, &bytes).expect("it can be read again"), commit);
        commit.seq = seq;
        commit.previous = state.as_ref().map_or(String::new(), |state| state.digest.clone());
        if check(state.as_ref(), &commit).is_ok() {
            state = Some(apply(state.take(), &commit, digest(&bytes)));
        }
    }
    if let Some(state) = state {
        let bytes = serde_json::to_vec(&state).expect("a snapshot can be written");
        assert_eq!(serde_json::from_slice::<State>(&bytes).expect("it can be read again"), state);
    }
}
