//! A reason why a record became a dead letter, with a detail for people.

use crate::columns::tables::Reason;

/// A reason with its detail.
#[derive(Debug)]
pub(super) struct Rejection {
    pub(super) reason: Reason,
    pub(super) detail: String,
}

impl Rejection {
    pub(super) fn bare(reason: Reason) -> Rejection {
        Rejection { reason, detail: String::new() }
    }

    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Rejection {
        const LONGEST: usize = 200;
        let mut detail = detail.into();
        if detail.len() > LONGEST {
            detail.truncate(detail.floor_char_boundary(LONGEST));
        }
        Rejection { reason, detail }
    }
}
