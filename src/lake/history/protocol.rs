//! Who wins a place in the history: the decisions of claiming and proposing, without I/O (P2).
//!
//! A writer puts its commit if absent. Whatever the store answers but "created", it reads the place back and
//! [`judge`]s what it finds. Places are never deleted and bytes never change, so what is found is final; and a
//! put that lands late finds its place taken or takes it with bytes that the writer or its successor reads.

use crate::lake::digest;
use crate::lake::history::commit::{Commit, Kind};

/// What a writer puts.
#[derive(Clone, Debug)]
pub struct Proposal<'a> {
    /// The place.
    pub seq: u64,
    /// The digest of the commit before it, as the writer knows it.
    pub previous: &'a str,
    /// The bytes.
    pub bytes: &'a [u8],
    /// The writer.
    pub run: &'a str,
    /// What it proposes.
    pub kind: Kind,
}

/// What was found at the place of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The proposal itself: only the reply was lost.
    Won,
    /// Nothing (a conflict, or a put that failed): put again.
    PutAgain,
    /// Another commit, while claiming: read on from there and claim the next place.
    ReadOn,
    /// Another run's claim: this run has been replaced, for ever.
    Replaced {
        /// The run that did.
        by: String,
    },
    /// What a sound history cannot hold.
    Integrity(String),
}

/// RowSemantics by what is at the place of `mine`.
pub fn judge(mine: &Proposal<'_>, found: Option<&[u8]>) -> Verdict {
    let Some(found) = found else { return Verdict::PutAgain };
    if digest(found) == digest(mine.bytes) {
        return Verdict::Won;
    }
    let other: Commit = match serde_json::from_slice(found) {
        Ok(other) => other,
        Err(error) => return Verdict::Integrity(format!("commit {} cannot be read: {error}", mine.seq)),
    };
    if other.previous != mine.previous {
        return Verdict::Integrity(format!("commit {} of run {} follows another history", mine.seq, other.run));
    }
    match (mine.kind, other.kind) {
        (Kind::Claim, _) => Verdict::ReadOn,
        (Kind::Data, Kind::Claim) if other.run != mine.run => Verdict::Replaced { by: other.run },
        (Kind::Data, _) => {
            Verdict::Integrity(format!("commit {} of run {} has no claim before it", mine.seq, other.run))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::lake::history::{self, read};
    use crate::lake::testing::{claim, data};

    fn proposal<'a>(commit: &'a Commit, bytes: &'a [u8]) -> Proposal<'a> {
        Proposal { seq: commit.seq, previous: &commit.previous, bytes, run: &commit.run, kind: commit.kind }
    }

    #[test]
    fn p2_every_outcome_is_judged() {
        let state = history::apply(None, &claim("a"), "d0".into());
        let mine = data(&state, "a", 3, 0);
        let bytes = read::encode(&mine).unwrap();
        let mine = proposal(&mine, &bytes);
        assert_eq!(judge(&mine, Some(&bytes)), Verdict::Won);
        assert_eq!(judge(&mine, None), Verdict::PutAgain);
        let other = |run: &str, kind: Kind, previous: &str| {
            let mut commit = claim(run);
            (commit.seq, commit.kind, commit.previous) = (1, kind, previous.into());
            read::encode(&commit).unwrap()
        };
        let by = "b".to_string();
        assert_eq!(judge(&mine, Some(&other("b", Kind::Claim, "d0"))), Verdict::Replaced { by });
        for wrong in [other("b", Kind::Data, "d0"), other("b", Kind::Claim, "else"), b"{".to_vec().into()] {
            assert!(matches!(judge(&mine, Some(&wrong)), Verdict::Integrity(_)));
        }
        let claiming = Proposal { kind: Kind::Claim, ..mine };
        assert_eq!(judge(&claiming, Some(&other("b", Kind::Data, "d0"))), Verdict::ReadOn);
        assert_eq!(judge(&claiming, Some(&other("b", Kind::Claim, "d0"))), Verdict::ReadOn);
    }
}
